-- How usage is rolled up: batches to hours, hours to days, days to billing periods.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

-- Nobody's id.
CREATE FUNCTION uuid_of_nobody() RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT '00000000-0000-0000-0000-000000000000'::uuid $$;

-- A zone that this server does not know must not stop everybody's usage.
CREATE FUNCTION usage_zone(zone text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM now() AT TIME ZONE zone;
    RETURN zone;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN 'UTC';
END
$$;

-- In which hour, day and period a tenant's minute is. Without a pinned path, so that it melts into its callers'
-- plans; they pin theirs.
CREATE FUNCTION usage_place(wanted uuid, minute timestamptz)
RETURNS TABLE (starts_at timestamptz, day timestamptz, period timestamptz)
LANGUAGE sql STABLE
AS $$
    SELECT greatest(date_trunc('hour', minute, zone), begun), greatest(date_trunc('day', minute, zone), begun), begun
    FROM (
        SELECT
            coalesce((SELECT usage_zone(time_zone) FROM tenants WHERE id = wanted), 'UTC') AS zone,
            coalesce(
                (
                    -- Past its end the next one has begun, whether or not anybody has said so yet.
                    SELECT CASE WHEN minute >= last_minute THEN last_minute ELSE first_minute END
                    FROM subscription_periods
                    WHERE tenant_id = wanted AND first_minute <= minute
                    ORDER BY first_minute DESC
                    LIMIT 1
                ),
                -- Before the first one: a calendar month.
                date_trunc('month', minute, 'UTC')
            ) AS begun
    ) AS placed
$$;

-- Rolled up by one at a time: days are computed from hours that nobody is adding to.
CREATE FUNCTION hold_usage() RETURNS void
LANGUAGE sql
SET search_path = pg_catalog
AS $$
    SELECT pg_advisory_xact_lock(hashtext('pytake usage'))
$$;

-- Adds up to so many waiting batches to the hours, each once: it is marked in the same transaction. Adding,
-- taking the greatest or the latest, and joining sets give the same in any order.
CREATE FUNCTION fold_usage(batches_max integer) RETURNS TABLE (batches bigint, rows bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
-- Groups of tenants and routes are many; on disk they would take five times as long.
SET work_mem = '128MB'
AS $$
BEGIN
    PERFORM hold_usage();
    RETURN QUERY
    WITH claimed AS MATERIALIZED (
        UPDATE usage_batches
        SET rolled_up_at = now()
        FROM (
            SELECT source_id, boot_id, number FROM usage_batches
            WHERE rolled_up_at IS NULL
            ORDER BY received_at
            LIMIT batches_max
        ) AS next
        WHERE usage_batches.source_id = next.source_id AND usage_batches.boot_id = next.boot_id
            AND usage_batches.number = next.number
        RETURNING usage_batches.*
    ),
    counted AS MATERIALIZED (
        SELECT row.tenant_id, claimed.minute, row.label, row.api_key_id, row.user_id, row.outcome,
            sum(row.quantity)::bigint AS requests
        FROM claimed
        JOIN usage_batch_rows AS stored USING (received_on, source_id, boot_id, number)
        CROSS JOIN LATERAL unnest(
            stored.tenants, stored.labels, stored.quantities, stored.api_keys, stored.users, stored.outcomes
        ) AS row (tenant_id, label, quantity, api_key_id, user_id, outcome)
        WHERE claimed.kind = 'edge'
        GROUP BY 1, 2, 3, 4, 5, 6
    ),
    events AS MATERIALIZED (
        SELECT row.tenant_id, date_trunc('minute', row.at, 'UTC') AS minute, labels.meter,
            coalesce(meters.aggregation, 'sum') AS aggregation, row.quantity, row.at, row.fingerprint, row.value
        FROM claimed
        JOIN usage_batch_rows AS stored USING (received_on, source_id, boot_id, number)
        CROSS JOIN LATERAL unnest(
            stored.tenants, stored.labels, stored.quantities, stored.at, stored.fingerprints, stored."values"
        ) AS row (tenant_id, label, quantity, at, fingerprint, value)
        JOIN usage_labels AS labels ON labels.id = row.label
        LEFT JOIN meters ON meters.name = labels.meter
        WHERE claimed.kind = 'events'
    ),
    places AS MATERIALIZED (
        SELECT tenant_id, minute, place.*
        FROM (SELECT tenant_id, minute FROM counted UNION SELECT tenant_id, minute FROM events) AS minutes
        CROSS JOIN LATERAL usage_place(tenant_id, minute) AS place
    ),
    requests AS MATERIALIZED (
        SELECT counted.tenant_id, counted.minute, places.starts_at, places.day, places.period, labels.route,
            labels.meter, labels.weight, counted.outcome <= 2 AS billed,
            (ARRAY['2xx', '3xx', '4xx', '5xx', 'refused'])[counted.outcome + 1] AS outcome,
            counted.api_key_id, counted.user_id, counted.requests
        FROM counted
        JOIN places USING (tenant_id, minute)
        JOIN usage_labels AS labels ON labels.id = counted.label
    ),
    sums AS MATERIALIZED (
        SELECT tenant_id, meter, starts_at, route, outcome, api_key_id, day, period,
            sum(quantity)::bigint AS quantity
        FROM (
            SELECT tenant_id, 'api_calls' AS meter, starts_at, route, outcome, api_key_id, day, period,
                requests AS quantity
            FROM requests
            UNION ALL
            SELECT tenant_id, meter, starts_at, route, outcome, api_key_id, day, period, requests * weight
            FROM requests
            WHERE billed AND meter <> ''
            UNION ALL
            SELECT tenant_id, meter, starts_at, '', '', uuid_of_nobody(), day, period,
                CASE aggregation WHEN 'count' THEN 1 ELSE quantity END
            FROM events JOIN places USING (tenant_id, minute)
            WHERE aggregation IN ('sum', 'count')
        ) AS parts
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ),
    added AS (
        INSERT INTO usage_hours AS kept
            (tenant_id, meter, starts_at, route, outcome, api_key_id, day, period, quantity)
        SELECT * FROM sums
        ON CONFLICT (tenant_id, meter, starts_at, route, outcome, api_key_id)
        DO UPDATE SET quantity = kept.quantity + excluded.quantity
    ),
    greatest_of AS MATERIALIZED (
        SELECT tenant_id, meter, starts_at, day, period, max(quantity) AS quantity
        FROM events JOIN places USING (tenant_id, minute)
        WHERE aggregation = 'max'
        GROUP BY 1, 2, 3, 4, 5
    ),
    raised AS (
        INSERT INTO usage_hours AS kept
            (tenant_id, meter, starts_at, route, outcome, api_key_id, day, period, quantity)
        SELECT tenant_id, meter, starts_at, '', '', uuid_of_nobody(), day, period, quantity FROM greatest_of
        ON CONFLICT (tenant_id, meter, starts_at, route, outcome, api_key_id)
        DO UPDATE SET quantity = greatest(kept.quantity, excluded.quantity)
    ),
    latest_of AS MATERIALIZED (
        SELECT DISTINCT ON (tenant_id, meter, starts_at)
            tenant_id, meter, starts_at, day, period, quantity, at, fingerprint
        FROM events JOIN places USING (tenant_id, minute)
        WHERE aggregation = 'latest'
        ORDER BY tenant_id, meter, starts_at, at DESC, fingerprint DESC
    ),
    replaced AS (
        INSERT INTO usage_hours AS kept
            (tenant_id, meter, starts_at, route, outcome, api_key_id, day, period, quantity, latest_at, latest_id)
        SELECT tenant_id, meter, starts_at, '', '', uuid_of_nobody(), day, period, quantity, at, fingerprint
        FROM latest_of
        ON CONFLICT (tenant_id, meter, starts_at, route, outcome, api_key_id)
        DO UPDATE SET quantity = excluded.quantity, latest_at = excluded.latest_at, latest_id = excluded.latest_id
        WHERE (excluded.latest_at, excluded.latest_id) > (kept.latest_at, kept.latest_id)
    ),
    different AS MATERIALIZED (
        SELECT DISTINCT tenant_id, 'active_users' AS meter, starts_at, user_id AS value, day, period
        FROM requests
        WHERE billed AND user_id <> uuid_of_nobody()
        UNION
        SELECT tenant_id, meter, starts_at, value, day, period
        FROM events JOIN places USING (tenant_id, minute)
        WHERE aggregation = 'unique' AND value IS NOT NULL
    ),
    joined AS (
        INSERT INTO usage_uniques (tenant_id, meter, starts_at, value, day, period)
        SELECT * FROM different
        ON CONFLICT (tenant_id, meter, starts_at, value) DO NOTHING
    ),
    marked AS (
        INSERT INTO usage_dirty (tenant_id, meter, day, period)
        SELECT tenant_id, meter, day, period FROM sums
        UNION SELECT tenant_id, meter, day, period FROM greatest_of
        UNION SELECT tenant_id, meter, day, period FROM latest_of
        UNION SELECT tenant_id, meter, day, period FROM different
        ON CONFLICT DO NOTHING
    ),
    used AS (
        INSERT INTO api_key_uses AS kept (tenant_id, api_key_id, last_used_at)
        SELECT tenant_id, api_key_id, max(minute)
        FROM requests
        WHERE api_key_id <> uuid_of_nobody()
        GROUP BY 1, 2
        ON CONFLICT (tenant_id, api_key_id)
        DO UPDATE SET last_used_at = excluded.last_used_at
        WHERE excluded.last_used_at > kept.last_used_at
    )
    SELECT count(*), coalesce(sum(claimed.rows), 0)::bigint FROM claimed;
END
$$;

-- Computes up to so many dirty days anew, and their periods. Returns how many days, and where a quota of the
-- running period is kept by what was counted.
CREATE FUNCTION settle_usage(days_max integer)
RETURNS TABLE (days bigint, tenant_id uuid, meter text, period_start timestamptz, period_end timestamptz,
    permits bigint, used bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
SET work_mem = '64MB'
AS $$
#variable_conflict use_column
DECLARE
    picked usage_dirty[];
BEGIN
    PERFORM hold_usage();
    WITH gone AS (
        DELETE FROM usage_dirty
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM usage_dirty LIMIT days_max))
        RETURNING usage_dirty
    )
    SELECT array_agg(gone.usage_dirty) INTO picked FROM gone;
    IF picked IS NULL THEN
        RETURN;
    END IF;

    INSERT INTO usage_days AS kept
        (tenant_id, meter, day, outcome, period, quantity, latest_at, latest_id)
    SELECT dirty.tenant_id, dirty.meter, dirty.day, hours.outcome, dirty.period,
        CASE coalesce(meters.aggregation, 'sum')
            WHEN 'max' THEN max(hours.quantity)
            WHEN 'latest' THEN (array_agg(hours.quantity ORDER BY hours.latest_at DESC, hours.latest_id DESC))[1]
            ELSE sum(hours.quantity)::bigint
        END,
        max(hours.latest_at),
        (array_agg(hours.latest_id ORDER BY hours.latest_at DESC, hours.latest_id DESC))[1]
    FROM unnest(picked) AS dirty
    JOIN usage_hours AS hours
        ON hours.tenant_id = dirty.tenant_id AND hours.meter = dirty.meter AND hours.day = dirty.day
        -- The longest day there is, for the index.
        AND hours.starts_at >= dirty.day AND hours.starts_at < dirty.day + interval '26 hours'
    LEFT JOIN meters ON meters.name = dirty.meter
    GROUP BY dirty.tenant_id, dirty.meter, dirty.day, hours.outcome, dirty.period, meters.aggregation
    UNION ALL
    SELECT dirty.tenant_id, dirty.meter, dirty.day, '', dirty.period, count(DISTINCT value), NULL, NULL
    FROM unnest(picked) AS dirty
    JOIN usage_uniques AS uniques
        ON uniques.tenant_id = dirty.tenant_id AND uniques.meter = dirty.meter AND uniques.day = dirty.day
        AND uniques.starts_at >= dirty.day AND uniques.starts_at < dirty.day + interval '26 hours'
    GROUP BY dirty.tenant_id, dirty.meter, dirty.day, dirty.period
    ON CONFLICT (tenant_id, meter, day, outcome)
    DO UPDATE SET quantity = excluded.quantity, latest_at = excluded.latest_at, latest_id = excluded.latest_id
    WHERE (kept.quantity, kept.latest_at, kept.latest_id)
        IS DISTINCT FROM (excluded.quantity, excluded.latest_at, excluded.latest_id);

    INSERT INTO usage_periods AS kept (tenant_id, meter, period, quantity)
    SELECT touched.tenant_id, touched.meter, touched.period,
        CASE coalesce(meters.aggregation, 'sum')
            WHEN 'max' THEN max(days.quantity)
            WHEN 'latest' THEN (array_agg(days.quantity ORDER BY days.latest_at DESC, days.latest_id DESC))[1]
            ELSE coalesce(sum(days.quantity) FILTER (WHERE days.outcome NOT IN ('5xx', 'refused')), 0)::bigint
        END
    FROM (SELECT DISTINCT dirty.tenant_id, dirty.meter, dirty.period FROM unnest(picked) AS dirty) AS touched
    JOIN usage_days AS days
        ON days.tenant_id = touched.tenant_id AND days.meter = touched.meter AND days.period = touched.period
        AND days.day >= touched.period
    LEFT JOIN meters ON meters.name = touched.meter
    WHERE meters.aggregation IS DISTINCT FROM 'unique'
    GROUP BY touched.tenant_id, touched.meter, touched.period, meters.aggregation
    UNION ALL
    SELECT touched.tenant_id, touched.meter, touched.period, count(DISTINCT value)
    FROM (SELECT DISTINCT dirty.tenant_id, dirty.meter, dirty.period FROM unnest(picked) AS dirty) AS touched
    JOIN meters ON meters.name = touched.meter AND meters.aggregation = 'unique'
    JOIN usage_uniques AS uniques
        ON uniques.tenant_id = touched.tenant_id AND uniques.meter = touched.meter
        AND uniques.period = touched.period
    GROUP BY touched.tenant_id, touched.meter, touched.period
    ON CONFLICT (tenant_id, meter, period) DO UPDATE SET quantity = excluded.quantity
    WHERE kept.quantity <> excluded.quantity;

    RETURN QUERY
    SELECT cardinality(picked)::bigint, NULL::uuid, NULL, NULL::timestamptz, NULL::timestamptz, NULL::bigint,
        NULL::bigint
    UNION ALL
    SELECT NULL, counted.tenant_id, counted.meter, quotas.period_start, quotas.period_end,
        (quotas.quotas ->> counted.meter)::bigint, counted.quantity
    FROM (SELECT DISTINCT dirty.tenant_id, dirty.meter, dirty.period FROM unnest(picked) AS dirty) AS touched
    JOIN usage_periods AS counted USING (tenant_id, meter, period)
    JOIN edge.tenants AS quotas
        ON quotas.id = touched.tenant_id AND quotas.quotas ? touched.meter
        AND date_trunc('minute', quotas.period_start, 'UTC') = touched.period;
END
$$;

-- What was counted of every quota of a running period.
CREATE FUNCTION usage_quotas()
RETURNS TABLE (tenant_id uuid, meter text, period_start timestamptz, period_end timestamptz, permits bigint,
    used bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT counted.tenant_id, counted.meter, quotas.period_start, quotas.period_end,
        (quotas.quotas ->> counted.meter)::bigint, counted.quantity
    FROM edge.tenants AS quotas
    JOIN usage_periods AS counted
        ON counted.tenant_id = quotas.id AND counted.period = date_trunc('minute', quotas.period_start, 'UTC')
        AND quotas.quotas ? counted.meter
$$;

-- Everything counted before this moment has been taken in and rolled up. Edges that have been silent for two
-- hours are not waited for: they are reported, and what they still bring is late usage.
CREATE FUNCTION usage_complete_until() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT least(
        (SELECT coalesce(min(watermark), date_trunc('minute', now(), 'UTC')) FROM usage_edges
            WHERE ended_at IS NULL AND seen_at > now() - interval '2 hours'),
        (SELECT coalesce(min(minute), 'infinity') FROM usage_batches
            WHERE rolled_up_at IS NULL AND minute IS NOT NULL),
        (SELECT coalesce(min(day), 'infinity') FROM usage_dirty)
    )
$$;

REVOKE ALL ON FUNCTION
    uuid_of_nobody, usage_zone, usage_place, hold_usage, fold_usage, settle_usage, usage_quotas,
    usage_complete_until
    FROM PUBLIC;
GRANT CREATE ON SCHEMA public, edge TO pytake_rollup;
ALTER FUNCTION uuid_of_nobody OWNER TO pytake_rollup;
ALTER FUNCTION usage_zone OWNER TO pytake_rollup;
ALTER FUNCTION usage_place OWNER TO pytake_rollup;
ALTER FUNCTION hold_usage OWNER TO pytake_rollup;
ALTER FUNCTION fold_usage OWNER TO pytake_rollup;
ALTER FUNCTION settle_usage OWNER TO pytake_rollup;
ALTER FUNCTION usage_quotas OWNER TO pytake_rollup;
ALTER FUNCTION usage_complete_until OWNER TO pytake_rollup;
REVOKE CREATE ON SCHEMA public, edge FROM pytake_rollup;
GRANT EXECUTE ON FUNCTION fold_usage, settle_usage, usage_quotas TO pytake_worker;
GRANT EXECUTE ON FUNCTION usage_complete_until TO pytake_api, pytake_worker;
