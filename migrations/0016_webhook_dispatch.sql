-- Who delivers webhooks, and how it went. Any number of processes call these functions, which belong to a role that
-- cannot log in and sees all tenants' queues: what leaves them is ids and sealed payloads, which open under the
-- tenant's own key only.
--
--   lease_webhooks    hands out what may be sent now, fairly over tenants, each endpoint within its limits
--   release_webhooks  takes back what nobody settled in time
--   settle_webhooks   takes in how attempts went: ends, next attempts, circuits, what is counted as use

-- The functions that these two call have no search path of their own: it is their caller's, and setting it for each
-- endpoint would cost more than looking at it.
--
-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

GRANT SELECT (tenant_id, id, status, rate_limit, in_flight_max, version) ON webhook_endpoints TO pytake_dispatch;
GRANT SELECT, UPDATE ON webhook_lanes, webhook_deliveries TO pytake_dispatch;
GRANT SELECT (tenant_id, id, payload_sealed) ON webhook_messages TO pytake_dispatch;
GRANT INSERT ON webhook_attempts TO pytake_dispatch;
CREATE POLICY dispatch_reads ON webhook_endpoints FOR SELECT TO pytake_dispatch USING (true);
CREATE POLICY dispatch_reads ON webhook_messages FOR SELECT TO pytake_dispatch USING (true);
CREATE POLICY dispatch_writes ON webhook_lanes TO pytake_dispatch USING (true) WITH CHECK (true);
CREATE POLICY dispatch_writes ON webhook_deliveries TO pytake_dispatch USING (true) WITH CHECK (true);
CREATE POLICY dispatch_writes ON webhook_attempts FOR INSERT TO pytake_dispatch WITH CHECK (true);

-- How many deliveries an endpoint may have under way. One that does not answer must not take a share of the process
-- that others could use, so it has to prove itself first, and after each failure again.
CREATE FUNCTION webhook_in_flight_max(proven boolean, failures integer, most smallint) RETURNS integer
LANGUAGE sql IMMUTABLE
AS $$
    SELECT least(most, CASE WHEN failures >= 5 THEN 1 WHEN failures > 0 THEN 2 WHEN proven THEN most ELSE 4 END)
$$;

-- How long a circuit stays open after so many failures in a row: from the fifth on 15 s, 30 s, … at most five minutes.
CREATE FUNCTION webhook_open_for(failures integer) RETURNS interval
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE WHEN failures >= 5
        THEN make_interval(secs => least(300, 15 * power(2, least(failures - 5, 10)))) ELSE interval '0' END
$$;

-- Takes, of each ordering key, the first delivery that has not ended, if its time has come; from the key on that comes
-- after the one looked at last. Up to `room`; how many.
CREATE FUNCTION lease_webhooks_in_order(
    of_tenant uuid, of_endpoint uuid, room integer, last_turn text, token uuid, lease_end timestamptz
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    head    record;
    taken   integer := 0;
    at      text := last_turn;
    wrapped boolean := false;
BEGIN
    FOR step IN 1..16 + 8 * room LOOP
        SELECT message_id, ordering_key, due INTO head FROM webhook_deliveries
        WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint AND ordering_key > at
            AND ordering_key IS NOT NULL AND status IN ('Pending', 'Sending')
        ORDER BY ordering_key, seq
        LIMIT 1;
        IF NOT FOUND THEN
            EXIT WHEN wrapped;
            wrapped := true;
            at := '';
            CONTINUE;
        END IF;
        EXIT WHEN wrapped AND head.ordering_key > last_turn;
        at := head.ordering_key;
        IF head.due THEN
            UPDATE webhook_deliveries
            SET status = 'Sending', due = false, next_attempt_at = NULL, lease = token, leased_until = lease_end
            WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint AND message_id = head.message_id
                AND status = 'Pending';
            taken := taken + FOUND::integer;
            EXIT WHEN taken = room;
        END IF;
    END LOOP;
    UPDATE webhook_lanes SET turn = at WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint;
    RETURN taken;
END
$$;

-- Takes up to `most` deliveries of one endpoint, as far as its limits go; how many. The row of its lane is held
-- meanwhile, so that two processes do not both take its last slot; whoever meets it held goes on to others.
CREATE FUNCTION lease_webhook_lane(
    of_tenant uuid, of_endpoint uuid, most integer, token uuid, lease_end timestamptz
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    lane  record;
    room  integer;
    taken integer;
    -- Of a rate limit, in microseconds: between two deliveries, and of those that may come at once.
    pause bigint;
    burst bigint;
BEGIN
    SELECT lanes.*, endpoints.status, endpoints.rate_limit, endpoints.in_flight_max INTO lane
    FROM webhook_lanes AS lanes
    JOIN webhook_endpoints AS endpoints ON endpoints.tenant_id = lanes.tenant_id AND endpoints.id = lanes.endpoint_id
    WHERE lanes.tenant_id = of_tenant AND lanes.endpoint_id = of_endpoint
    FOR NO KEY UPDATE OF lanes SKIP LOCKED;
    IF NOT FOUND OR lane.open_until > now() THEN
        RETURN 0;
    END IF;
    IF lane.status <> 'Enabled' THEN
        -- Kept, to be replayed. Some at a time: there may be a million.
        UPDATE webhook_deliveries SET status = 'Held', due = false, next_attempt_at = NULL, ended_at = now()
        WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint AND message_id IN (
            SELECT message_id FROM webhook_deliveries
            WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint AND due
            LIMIT 1000
            FOR UPDATE SKIP LOCKED);
        RETURN 0;
    END IF;

    room := webhook_in_flight_max(lane.proven, lane.failures, lane.in_flight_max) - (
        SELECT count(*) FROM webhook_deliveries
        WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint AND status = 'Sending');
    room := least(room, most);
    IF lane.rate_limit IS NOT NULL THEN
        pause := 60000000 / lane.rate_limit;
        burst := greatest(pause, 1000000);
        room := least(room, (burst - greatest(
            0, extract(epoch FROM greatest(lane.throttled_until, now()) - now()) * 1000000)::bigint) / pause);
    END IF;
    IF room <= 0 THEN
        RETURN 0;
    END IF;

    -- Nobody else takes from this lane meanwhile, so the rows need no lock of their own first. By their place on disk:
    -- the planner would rather walk all of an endpoint's rows than look up the few.
    UPDATE webhook_deliveries
    SET status = 'Sending', due = false, next_attempt_at = NULL, lease = token, leased_until = lease_end
    WHERE status = 'Pending' AND ctid = ANY (ARRAY(
        SELECT ctid FROM webhook_deliveries
        WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint AND due AND NOT ordered
        ORDER BY replayed, next_attempt_at
        LIMIT room));
    GET DIAGNOSTICS taken = ROW_COUNT;

    IF taken < room AND EXISTS (
        SELECT FROM webhook_deliveries
        WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint AND due AND ordered)
    THEN
        taken := taken + lease_webhooks_in_order(of_tenant, of_endpoint, room - taken, lane.turn, token, lease_end);
    END IF;

    IF pause IS NOT NULL AND taken > 0 THEN
        UPDATE webhook_lanes
        SET throttled_until = greatest(throttled_until, now())
            + make_interval(secs => taken * pause / 1000000.0)
        WHERE tenant_id = of_tenant AND endpoint_id = of_endpoint;
    END IF;
    RETURN taken;
END
$$;

-- Hands out up to `wanted` deliveries that may be sent now; they are the caller's for as long as `lasting`, and then
-- anybody's. Of each tenant as many as of any other, and of each of its endpoints. Which tenants have some is asked of
-- the index, a step each, from a random one on.
CREATE FUNCTION lease_webhooks(token uuid, wanted integer, lasting interval)
RETURNS TABLE (
    tenant_id uuid, endpoint_id uuid, message_id uuid, endpoint_version bigint, attempts integer, failures integer,
    payload_sealed bytea, waited_us bigint
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
-- What is known of a queue's contents was true some seconds ago; an index is never wrong by much.
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    nobody    CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    begun     CONSTANT uuid := gen_random_uuid();
    at        record;
    next      record;
    wrapped   boolean := false;
    -- The lanes for which something is due, tenant by tenant; and at which place each tenant's begin.
    tenants   uuid[] := '{}';
    endpoints uuid[] := '{}';
    starts    integer[] := '{}';
    used      integer[] := '{}';
    missing   integer := wanted;
    share     integer;
    lanes     integer;
    shift     integer;
    place     integer;
    taken     integer;
BEGIN
    -- What has come due since.
    UPDATE webhook_deliveries SET due = true
    WHERE (tenant_id, endpoint_id, message_id) IN (
        SELECT tenant_id, endpoint_id, message_id FROM webhook_deliveries
        WHERE status = 'Pending' AND NOT due AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED);

    -- More lanes than could have one delivery each: some may have none that may be sent just now.
    SELECT begun AS tenant_id, nobody AS endpoint_id INTO at;
    WHILE cardinality(tenants) < 4 * wanted LOOP
        SELECT tenant_id, endpoint_id INTO next FROM webhook_deliveries
        WHERE due AND (tenant_id, endpoint_id) > (at.tenant_id, at.endpoint_id)
        ORDER BY tenant_id, endpoint_id
        LIMIT 1;
        IF NOT FOUND THEN
            EXIT WHEN wrapped;
            wrapped := true;
            SELECT nobody AS tenant_id, nobody AS endpoint_id INTO at;
            CONTINUE;
        END IF;
        EXIT WHEN wrapped AND next.tenant_id >= begun;
        IF cardinality(tenants) = 0 OR next.tenant_id <> at.tenant_id THEN
            starts := starts || (cardinality(tenants) + 1);
        END IF;
        tenants := tenants || next.tenant_id;
        endpoints := endpoints || next.endpoint_id;
        at := next;
    END LOOP;
    starts := starts || (cardinality(tenants) + 1);

    FOR turn IN 1..cardinality(starts) - 1 LOOP
        EXIT WHEN missing = 0;
        share := ceil(missing::numeric / (cardinality(starts) - turn));
        lanes := starts[turn + 1] - starts[turn];
        -- From a random one on: the first is served best.
        shift := floor(random() * lanes);
        FOR step IN 0..lanes - 1 LOOP
            EXIT WHEN share = 0;
            place := starts[turn] + (step + shift) % lanes;
            taken := lease_webhook_lane(tenants[place], endpoints[place],
                ceil(share::numeric / (lanes - step))::integer, token, now() + lasting);
            IF taken > 0 THEN
                share := share - taken;
                missing := missing - taken;
                used := used || place;
            END IF;
        END LOOP;
    END LOOP;

    RETURN QUERY
    SELECT delivery.tenant_id, delivery.endpoint_id, delivery.message_id, endpoint.version, delivery.attempts,
        delivery.failures, message.payload_sealed,
        (extract(epoch FROM clock_timestamp() - delivery.created_at) * 1000000)::bigint
    FROM (SELECT tenants[number] AS tenant_id, endpoints[number] AS endpoint_id FROM unnest(used) AS number) AS lane
    JOIN webhook_deliveries AS delivery
        ON delivery.tenant_id = lane.tenant_id AND delivery.endpoint_id = lane.endpoint_id
            AND delivery.status = 'Sending' AND delivery.lease = token
    JOIN webhook_messages AS message
        ON message.tenant_id = delivery.tenant_id AND message.id = delivery.message_id
    JOIN webhook_endpoints AS endpoint
        ON endpoint.tenant_id = lane.tenant_id AND endpoint.id = lane.endpoint_id;
END
$$;

-- What nobody has settled in time is anybody's again; how many. Asked for now and then by each process.
CREATE FUNCTION release_webhooks() RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
SET enable_seqscan = off
AS $$
    WITH released AS (
        UPDATE webhook_deliveries
        SET status = 'Pending', due = true, next_attempt_at = now(), lease = NULL, leased_until = NULL
        WHERE (tenant_id, endpoint_id, message_id) IN (
            SELECT tenant_id, endpoint_id, message_id FROM webhook_deliveries
            WHERE status = 'Sending' AND leased_until <= now()
            FOR UPDATE SKIP LOCKED)
        RETURNING 1
    )
    SELECT count(*) FROM released
$$;

-- Takes in how attempts went, an array a column; how many of them counted. One whose lease has run out counts only if
-- it got through: otherwise whoever sends it now will tell.
CREATE FUNCTION settle_webhooks(
    tenants uuid[], endpoints uuid[], messages uuid[], leases uuid[],
    -- Delivered, Retry (at retry_ats), Failed (given up).
    outcomes text[], retry_ats timestamptz[],
    -- The endpoint asked for silence until then.
    pauses_until timestamptz[],
    started_ats timestamptz[], tooks_ms integer[], status_codes smallint[], error_codes text[], errors text[],
    answers_sealed bytea[]
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    counted       integer;
    first_tenants uuid[];
BEGIN
    WITH results AS MATERIALIZED (
        SELECT * FROM unnest(
            tenants, endpoints, messages, leases, outcomes, retry_ats, started_ats, tooks_ms, status_codes, error_codes,
            errors, answers_sealed)
            AS result (tenant_id, endpoint_id, message_id, lease, outcome, retry_at, started_at, took_ms, status_code,
                error_code, error, answer_sealed)
    ),
    settled AS (
        UPDATE webhook_deliveries AS delivery SET
            status = CASE result.outcome
                WHEN 'Delivered' THEN 'Delivered' WHEN 'Failed' THEN 'Failed' ELSE 'Pending' END,
            attempts = attempts + 1,
            failures = failures + (result.outcome <> 'Delivered')::integer,
            delivered = delivered + (result.outcome = 'Delivered')::integer,
            next_attempt_at = CASE WHEN result.outcome = 'Retry' THEN result.retry_at END,
            due = false,
            lease = NULL,
            leased_until = NULL,
            last_status_code = coalesce(result.status_code, last_status_code),
            last_error_code = result.error_code,
            ended_at = CASE WHEN result.outcome <> 'Retry' THEN now() END
        FROM results AS result
        WHERE delivery.tenant_id = result.tenant_id AND delivery.endpoint_id = result.endpoint_id
            AND delivery.message_id = result.message_id
            AND (delivery.status = 'Sending' AND delivery.lease = result.lease
                OR result.outcome = 'Delivered' AND delivery.status IN ('Pending', 'Sending', 'Held'))
        RETURNING delivery.tenant_id, delivery.endpoint_id, delivery.message_id, delivery.attempts, delivery.delivered,
            result.outcome, result.started_at, result.took_ms, result.status_code, result.error_code, result.error,
            result.answer_sealed
    ),
    logged AS (
        INSERT INTO webhook_attempts
            (tenant_id, endpoint_id, message_id, number, started_at, took_ms, status_code, error_code, error,
                answer_sealed)
        SELECT tenant_id, endpoint_id, message_id, attempts, started_at, took_ms, status_code, error_code, error,
            answer_sealed
        FROM settled
    )
    SELECT count(*), coalesce(array_agg(tenant_id) FILTER (WHERE outcome = 'Delivered' AND delivered = 1), '{}')
    INTO counted, first_tenants
    FROM settled;

    PERFORM settle_webhook_lanes(tenants, endpoints, outcomes, pauses_until, started_ats);
    IF first_tenants <> '{}' THEN
        PERFORM submit_webhook_calls(first_tenants);
    END IF;
    RETURN counted;
END
$$;

-- How endpoints stand after these attempts. One that answered well is well, whatever else it did at the same time. In
-- steady state nothing is written.
CREATE FUNCTION settle_webhook_lanes(
    tenants uuid[], endpoints uuid[], outcomes text[], pauses_until timestamptz[], started_ats timestamptz[]
) RETURNS void
LANGUAGE sql
AS $$
    WITH results AS MATERIALIZED (
        SELECT tenant_id, endpoint_id, bool_or(outcome = 'Delivered') AS well,
            count(*) FILTER (WHERE outcome <> 'Delivered') AS failed,
            min(started_at) AS first_at, max(started_at) AS last_at, max(pause_until) AS pause_until
        FROM unnest(tenants, endpoints, outcomes, pauses_until, started_ats)
            AS result (tenant_id, endpoint_id, outcome, pause_until, started_at)
        GROUP BY tenant_id, endpoint_id
    ),
    -- In one order in every call, so that two never wait for each other in a circle.
    held AS MATERIALIZED (
        -- Many at once are one sign: they open the circuit, and no longer than one would.
        SELECT results.*, greatest(lanes.failures + 1, least(lanes.failures + results.failed, 5))::integer AS failures
        FROM webhook_lanes AS lanes
        JOIN results ON results.tenant_id = lanes.tenant_id AND results.endpoint_id = lanes.endpoint_id
        WHERE NOT results.well OR NOT lanes.proven OR lanes.failures > 0 OR results.pause_until IS NOT NULL
        ORDER BY lanes.tenant_id, lanes.endpoint_id
        FOR NO KEY UPDATE OF lanes
    )
    UPDATE webhook_lanes AS lanes SET
        proven = held.well,
        failures = CASE WHEN held.well THEN 0 ELSE held.failures END,
        open_until = CASE WHEN held.well THEN held.pause_until
            ELSE greatest(held.pause_until, now() + webhook_open_for(held.failures)) END,
        first_failure_at = CASE WHEN NOT held.well THEN coalesce(lanes.first_failure_at, held.first_at) END,
        last_failure_at = CASE WHEN NOT held.well THEN greatest(lanes.last_failure_at, held.last_at) END,
        warned_percent = CASE WHEN held.well THEN 0 ELSE lanes.warned_percent END
    FROM held
    WHERE lanes.tenant_id = held.tenant_id AND lanes.endpoint_id = held.endpoint_id
$$;

-- Deliveries that got through for the first time, as use of their tenants: one call each. A batch of the usage
-- pipeline, in the transaction that settles them.
CREATE FUNCTION submit_webhook_calls(of_tenants uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
DECLARE
    today    constant date := (now() AT TIME ZONE 'UTC')::date;
    -- The sender of webhooks, as a source of batches.
    source   constant uuid := '00000000-0000-0000-0000-0000000b00c5';
    call     constant uuid := gen_random_uuid();
    label_id integer;
BEGIN
    SELECT id INTO label_id FROM usage_labels WHERE (route, meter, weight) = ('', 'webhook_calls', 1);
    IF NOT FOUND THEN
        INSERT INTO usage_labels (route, meter, weight) VALUES ('', 'webhook_calls', 1) ON CONFLICT DO NOTHING;
        SELECT id INTO label_id FROM usage_labels WHERE (route, meter, weight) = ('', 'webhook_calls', 1);
    END IF;
    WITH calls AS MATERIALIZED (
        SELECT tenant_id, count(*) AS quantity FROM unnest(of_tenants) AS delivered (tenant_id) GROUP BY tenant_id
    ),
    batch AS (
        INSERT INTO usage_batches (source_id, boot_id, number, kind, received_on, total_before, requests, rows)
        SELECT source, call, 1, 'events', today, 0, count(*), count(*) FROM calls
    )
    INSERT INTO usage_batch_rows
        (received_on, source_id, boot_id, number, tenants, labels, quantities, at, fingerprints, "values")
    SELECT today, source, call, 1, array_agg(tenant_id), array_agg(label_id), array_agg(quantity), array_agg(now()),
        array_agg(gen_random_uuid()), array_agg(NULL::uuid)
    FROM calls;
    PERFORM usage_arrived();
END
$$;

-- Endpoints through which nothing has got for half of five days or longer, with attempts to show for it.
CREATE FUNCTION failing_webhook_endpoints() RETURNS TABLE (tenant_id uuid, endpoint_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT lanes.tenant_id, lanes.endpoint_id
    FROM webhook_lanes AS lanes
    JOIN webhook_endpoints AS endpoints ON endpoints.tenant_id = lanes.tenant_id AND endpoints.id = lanes.endpoint_id
    WHERE lanes.last_failure_at - lanes.first_failure_at >= interval '60 hours' AND lanes.warned_percent < 100
        AND endpoints.status = 'Enabled'
$$;

-- The tenants whose messages may have become too old: a step each, however many messages they have.
CREATE FUNCTION webhook_tenants() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    WITH RECURSIVE walk AS (
        (SELECT tenant_id FROM webhook_messages ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT message.tenant_id FROM webhook_messages AS message
            WHERE message.tenant_id > walk.tenant_id
            ORDER BY message.tenant_id
            LIMIT 1)
        FROM walk
        WHERE walk.tenant_id IS NOT NULL
    )
    SELECT tenant_id FROM walk WHERE tenant_id IS NOT NULL
    UNION
    SELECT tenant_id FROM webhook_endpoints
$$;

-- How deliveries and endpoints stand, for metrics. What an open circuit holds back is not late.
CREATE FUNCTION webhook_standing() RETURNS TABLE (
    due bigint, later bigint, sending bigint, oldest_due_seconds double precision, open_circuits bigint,
    enabled_endpoints bigint, disabled_endpoints bigint
)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT
        (SELECT count(*) FROM webhook_deliveries WHERE due),
        (SELECT count(*) FROM webhook_deliveries WHERE status = 'Pending' AND NOT due),
        (SELECT count(*) FROM webhook_deliveries WHERE status = 'Sending'),
        coalesce((
            SELECT extract(epoch FROM now() - min(first.next_attempt_at))::double precision
            FROM webhook_lanes AS lanes
            JOIN webhook_endpoints AS endpoints
                ON endpoints.tenant_id = lanes.tenant_id AND endpoints.id = lanes.endpoint_id
                    AND endpoints.status = 'Enabled'
            CROSS JOIN LATERAL (
                SELECT next_attempt_at FROM webhook_deliveries AS delivery
                WHERE due AND NOT ordered AND NOT replayed AND delivery.tenant_id = lanes.tenant_id
                    AND delivery.endpoint_id = lanes.endpoint_id
                ORDER BY next_attempt_at
                LIMIT 1) AS first
            WHERE lanes.open_until IS NULL OR lanes.open_until <= now()), 0),
        (SELECT count(*) FROM webhook_lanes WHERE open_until > now()),
        (SELECT count(*) FROM webhook_endpoints WHERE status = 'Enabled'),
        (SELECT count(*) FROM webhook_endpoints WHERE status = 'Disabled')
$$;

REVOKE ALL ON FUNCTION
    wake_dispatchers, webhook_in_flight_max, webhook_open_for, lease_webhook_lane, lease_webhooks, lease_webhooks_in_order,
    release_webhooks, settle_webhooks, settle_webhook_lanes, submit_webhook_calls, failing_webhook_endpoints, webhook_tenants,
    webhook_standing
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhook_in_flight_max, webhook_open_for, lease_webhook_lane, lease_webhooks_in_order,
    settle_webhook_lanes, submit_webhook_calls TO pytake_dispatch;
GRANT CREATE ON SCHEMA public TO pytake_dispatch, pytake_rollup;
ALTER FUNCTION lease_webhooks OWNER TO pytake_dispatch;
ALTER FUNCTION release_webhooks OWNER TO pytake_dispatch;
ALTER FUNCTION settle_webhooks OWNER TO pytake_dispatch;
ALTER FUNCTION failing_webhook_endpoints OWNER TO pytake_dispatch;
ALTER FUNCTION webhook_tenants OWNER TO pytake_dispatch;
ALTER FUNCTION webhook_standing OWNER TO pytake_dispatch;
ALTER FUNCTION submit_webhook_calls OWNER TO pytake_rollup;
REVOKE CREATE ON SCHEMA public FROM pytake_dispatch, pytake_rollup;
GRANT EXECUTE ON FUNCTION
    lease_webhooks, release_webhooks, settle_webhooks, failing_webhook_endpoints, webhook_tenants, webhook_standing
    TO pytake_worker;
