-- How usage comes in: batches of edges and calls of applications, each once.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

-- A roll-up follows within two seconds, one for all batches of that time.
CREATE FUNCTION usage_arrived() RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT apalis.enqueue(
        'usage', '{"version": 1, "job": {"step": "roll_up"}}', 25, run_at => tick.at,
        idempotency_key => 'roll_up ' || tick.at)
    FROM (SELECT to_timestamp(ceil(extract(epoch FROM clock_timestamp()) / 2) * 2) AS at) AS tick
$$;

-- Takes in what an edge counted. False: it was there already, and nothing happened.
CREATE FUNCTION edge.submit_usage(
    edge_id uuid, boot_id uuid, number bigint, minute timestamptz, total_before bigint,
    routes text[], meters text[], weights bigint[],
    -- Of each row; labels count from 1 in the arrays above.
    tenants uuid[], labels integer[], quantities bigint[], api_keys uuid[], users uuid[], outcomes smallint[]
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
DECLARE
    today constant date := (now() AT TIME ZONE 'UTC')::date;
    ids   integer[];
BEGIN
    INSERT INTO usage_batches
        (source_id, boot_id, number, kind, received_on, minute, total_before, requests, rows)
    SELECT submit_usage.edge_id, submit_usage.boot_id, submit_usage.number, 'edge', today, submit_usage.minute,
        submit_usage.total_before, coalesce(sum(quantity), 0), count(*)
    FROM unnest(quantities) AS quantity
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO usage_labels (route, meter, weight)
    SELECT DISTINCT route, meter, weight
    FROM unnest(routes, submit_usage.meters, weights) AS used (route, meter, weight)
    WHERE NOT EXISTS (
        SELECT FROM usage_labels AS known
        WHERE (known.route, known.meter, known.weight) = (used.route, used.meter, used.weight))
    ORDER BY 1, 2, 3
    ON CONFLICT DO NOTHING;
    SELECT array_agg(known.id ORDER BY used.place) INTO ids
    FROM unnest(routes, submit_usage.meters, weights) WITH ORDINALITY AS used (route, meter, weight, place)
    JOIN usage_labels AS known USING (route, meter, weight);
    INSERT INTO usage_batch_rows
        (received_on, source_id, boot_id, number, tenants, labels, quantities, api_keys, users, outcomes)
    SELECT today, submit_usage.edge_id, submit_usage.boot_id, submit_usage.number, submit_usage.tenants,
        (SELECT coalesce(array_agg(ids[label] ORDER BY place), '{}')
            FROM unnest(submit_usage.labels) WITH ORDINALITY AS row (label, place)),
        submit_usage.quantities, submit_usage.api_keys, submit_usage.users, submit_usage.outcomes;
    PERFORM usage_arrived();
    RETURN true;
END
$$;

-- An edge tells how far it is, also when it counted nothing. It never goes back.
CREATE FUNCTION edge.report_usage(
    edge_id uuid, boot_id uuid, watermark timestamptz, last_number bigint, total bigint, ended boolean
) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    INSERT INTO usage_edges AS kept (edge_id, boot_id, watermark, last_number, total, ended_at)
    VALUES (report_usage.edge_id, report_usage.boot_id, report_usage.watermark, report_usage.last_number,
        report_usage.total, CASE WHEN ended THEN now() END)
    ON CONFLICT ON CONSTRAINT usage_edges_pkey DO UPDATE SET
        watermark = greatest(kept.watermark, excluded.watermark),
        last_number = greatest(kept.last_number, excluded.last_number),
        total = greatest(kept.total, excluded.total),
        seen_at = now(),
        ended_at = coalesce(kept.ended_at, excluded.ended_at)
$$;

-- Takes in events that an application sent. Of each: 0 accepted, 1 sent before, 2 no such tenant.
CREATE FUNCTION submit_usage_events(
    credential uuid, call uuid,
    tenants uuid[], meters text[], at timestamptz[], quantities bigint[], fingerprints uuid[], "values" uuid[]
) RETURNS smallint[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
#variable_conflict use_column
DECLARE
    today  constant date := (now() AT TIME ZONE 'UTC')::date;
    states smallint[];
BEGIN
    INSERT INTO usage_labels (route, meter, weight)
    SELECT DISTINCT '', meter, 1
    FROM unnest(submit_usage_events.meters) AS used (meter)
    WHERE NOT EXISTS (
        SELECT FROM usage_labels AS known WHERE (known.route, known.meter, known.weight) = ('', used.meter, 1))
    ORDER BY 2
    ON CONFLICT DO NOTHING;
    WITH events AS MATERIALIZED (
        SELECT event.*, row_number() OVER (PARTITION BY event.fingerprint ORDER BY event.place) AS turn,
            known.id AS known, label.id AS label
        FROM unnest(submit_usage_events.tenants, submit_usage_events.meters, submit_usage_events.at,
            submit_usage_events.quantities, submit_usage_events.fingerprints, submit_usage_events."values")
            WITH ORDINALITY AS event (tenant_id, meter, at, quantity, fingerprint, value, place)
        LEFT JOIN tenants AS known ON known.id = event.tenant_id AND known.status <> 'Closed'
        LEFT JOIN usage_labels AS label ON (label.route, label.meter, label.weight) = ('', event.meter, 1)
    ),
    -- In one order in every call, so that two with the same events never wait for each other in a circle.
    claimed AS (
        INSERT INTO usage_event_ids (fingerprint, received_on)
        SELECT fingerprint, today FROM events WHERE turn = 1 AND known IS NOT NULL ORDER BY fingerprint
        ON CONFLICT DO NOTHING
        RETURNING fingerprint
    ),
    accepted AS (
        SELECT events.* FROM events JOIN claimed USING (fingerprint) WHERE turn = 1
    ),
    batch AS (
        INSERT INTO usage_batches
            (source_id, boot_id, number, kind, received_on, total_before, requests, rows)
        SELECT credential, call, 1, 'events', today, 0, count(*), count(*) FROM accepted HAVING count(*) > 0
    ),
    stored AS (
        INSERT INTO usage_batch_rows
            (received_on, source_id, boot_id, number, tenants, labels, quantities, at, fingerprints, "values")
        SELECT today, credential, call, 1, array_agg(tenant_id), array_agg(label), array_agg(quantity),
            array_agg(at), array_agg(fingerprint), array_agg(value)
        FROM accepted
        HAVING count(*) > 0
    )
    SELECT array_agg(
        CASE WHEN known IS NULL THEN 2 WHEN turn = 1 AND claimed.fingerprint IS NOT NULL THEN 0 ELSE 1 END
        ORDER BY place)
    INTO states
    FROM events LEFT JOIN claimed USING (fingerprint);
    IF 0 = ANY (states) THEN
        PERFORM usage_arrived();
    END IF;
    RETURN states;
END
$$;

REVOKE ALL ON FUNCTION
    usage_arrived, edge.submit_usage, edge.report_usage, submit_usage_events
    FROM PUBLIC;
GRANT CREATE ON SCHEMA public, edge TO pytake_rollup;
ALTER FUNCTION usage_arrived OWNER TO pytake_rollup;
ALTER FUNCTION edge.submit_usage OWNER TO pytake_rollup;
ALTER FUNCTION edge.report_usage OWNER TO pytake_rollup;
ALTER FUNCTION submit_usage_events OWNER TO pytake_rollup;
REVOKE CREATE ON SCHEMA public, edge FROM pytake_rollup;
GRANT EXECUTE ON FUNCTION edge.submit_usage, edge.report_usage TO pytake_edge;
GRANT EXECUTE ON FUNCTION submit_usage_events TO pytake_api;
