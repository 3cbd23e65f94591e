-- What keeps usage right and small: the comparison of every stage with the one before, partitions, retention.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

-- Compares what is counted with what it was counted from, for all minutes since `since`, and lists what
-- differs. One statement sees one moment, and every step of the roll-up is one transaction: nobody has to wait.
-- Only sums can be wrong: the others are the same however often.
CREATE FUNCTION check_usage(since timestamptz) RETURNS SETOF usage_discrepancies
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
SET work_mem = '128MB'
-- The planner cannot know how many rows the arrays hold, and takes them for a handful.
SET enable_nestloop = off
AS $$
BEGIN
    RETURN QUERY
    WITH chained AS (
        SELECT source_id, boot_id, number, total_before, received_on,
            lag(number) OVER life AS number_before,
            lag(total_before + requests) OVER life AS counted_before
        FROM usage_batches
        WHERE kind = 'edge'
        WINDOW life AS (PARTITION BY source_id, boot_id ORDER BY number)
    ),
    newest AS (
        SELECT DISTINCT ON (source_id, boot_id) source_id, boot_id, number, total_before + requests AS counted
        FROM usage_batches
        WHERE kind = 'edge'
        ORDER BY source_id, boot_id, number DESC
    ),
    batches AS MATERIALIZED (
        -- A day more: clocks differ.
        SELECT * FROM usage_batches
        WHERE rolled_up_at IS NOT NULL AND received_on >= (since AT TIME ZONE 'UTC')::date - 1
    ),
    submitted AS (
        SELECT row.tenant_id, claimed.minute, labels.meter, labels.weight,
            (ARRAY['2xx', '3xx', '4xx', '5xx', 'refused'])[row.outcome + 1] AS outcome, row.outcome <= 2 AS billed,
            sum(row.quantity) AS quantity
        FROM batches AS claimed
        JOIN usage_batch_rows AS stored USING (received_on, source_id, boot_id, number)
        CROSS JOIN LATERAL unnest(stored.tenants, stored.labels, stored.quantities, stored.outcomes)
            AS row (tenant_id, label, quantity, outcome)
        JOIN usage_labels AS labels ON labels.id = row.label
        WHERE claimed.kind = 'edge' AND claimed.minute >= since
        GROUP BY 1, 2, 3, 4, 5, 6
    ),
    parts AS (
        SELECT tenant_id, minute, 'api_calls' AS meter, outcome, quantity FROM submitted
        UNION ALL
        SELECT tenant_id, minute, meter, outcome, quantity * weight FROM submitted WHERE billed AND meter <> ''
        UNION ALL
        SELECT row.tenant_id, date_trunc('minute', row.at, 'UTC'), labels.meter, '',
            CASE meters.aggregation WHEN 'count' THEN 1 ELSE row.quantity END
        FROM batches AS claimed
        JOIN usage_batch_rows AS stored USING (received_on, source_id, boot_id, number)
        CROSS JOIN LATERAL unnest(stored.tenants, stored.labels, stored.quantities, stored.at)
            AS row (tenant_id, label, quantity, at)
        JOIN usage_labels AS labels ON labels.id = row.label
        LEFT JOIN meters ON meters.name = labels.meter
        WHERE claimed.kind = 'events' AND row.at >= since
            AND coalesce(meters.aggregation, 'sum') IN ('sum', 'count')
    ),
    places AS MATERIALIZED (
        SELECT tenant_id, minute, place.starts_at
        FROM (SELECT DISTINCT tenant_id, minute FROM parts) AS minutes
        CROSS JOIN LATERAL usage_place(tenant_id, minute) AS place
    ),
    placed AS (
        SELECT parts.tenant_id, parts.meter, place.starts_at, parts.outcome, sum(parts.quantity) AS quantity
        FROM parts
        JOIN places AS place USING (tenant_id, minute)
        -- Hours that began earlier are not among the batches whole.
        WHERE place.starts_at >= since
        GROUP BY 1, 2, 3, 4
    ),
    hours AS (
        SELECT tenant_id, meter, starts_at, outcome, day, sum(quantity) AS quantity
        FROM usage_hours
        LEFT JOIN meters ON meters.name = meter
        WHERE starts_at >= since AND coalesce(aggregation, 'sum') IN ('sum', 'count')
        GROUP BY 1, 2, 3, 4, 5
    ),
    wrong AS (
        SELECT 'spool' AS stage, source_id || ' ' || boot_id AS subject, 'batch ' || number AS bucket,
            counted_before::numeric AS expected, total_before::numeric AS found
        FROM chained
        WHERE counted_before <> total_before OR number_before <> number - 1
            -- The first one, unless it is among the oldest that are kept.
            OR (number_before IS NULL AND (number <> 1 OR total_before <> 0)
                AND received_on > (now() AT TIME ZONE 'UTC')::date - 300)
        UNION ALL
        SELECT 'spool', edges.edge_id || ' ' || edges.boot_id, 'batch ' || last_number, total, counted
        FROM usage_edges AS edges
        LEFT JOIN newest ON newest.source_id = edges.edge_id AND newest.boot_id = edges.boot_id
        WHERE last_number IS NOT NULL
            AND (newest.number IS NULL OR newest.number < last_number
                OR (newest.number = last_number AND counted <> total))
        UNION ALL
        SELECT 'hours', tenant_id || ' ' || meter || ' ' || outcome, starts_at::text, placed.quantity, hours.quantity
        FROM placed
        FULL JOIN hours USING (tenant_id, meter, starts_at, outcome)
        WHERE placed.quantity IS DISTINCT FROM hours.quantity
        UNION ALL
        SELECT 'days', tenant_id || ' ' || meter || ' ' || outcome, day::text, hours.quantity, days.quantity
        FROM (
            SELECT tenant_id, meter, day, outcome, sum(hours.quantity) AS quantity
            FROM hours
            WHERE day >= since
            GROUP BY 1, 2, 3, 4
        ) AS hours
        FULL JOIN (
            SELECT usage_days.* FROM usage_days
            LEFT JOIN meters ON meters.name = meter
            WHERE day >= since AND coalesce(aggregation, 'sum') IN ('sum', 'count')
        ) AS days USING (tenant_id, meter, day, outcome)
        LEFT JOIN usage_dirty AS dirty USING (tenant_id, meter, day)
        WHERE hours.quantity IS DISTINCT FROM days.quantity AND dirty.period IS NULL
        UNION ALL
        SELECT 'periods', tenant_id || ' ' || meter, period::text, days.quantity, periods.quantity
        FROM (
            SELECT tenant_id, meter, period,
                coalesce(sum(quantity) FILTER (WHERE outcome NOT IN ('5xx', 'refused')), 0) AS quantity
            FROM usage_days
            LEFT JOIN meters ON meters.name = meter
            WHERE coalesce(aggregation, 'sum') IN ('sum', 'count')
                AND period IN (SELECT DISTINCT period FROM usage_days WHERE day >= since)
            GROUP BY 1, 2, 3
        ) AS days
        FULL JOIN (
            SELECT usage_periods.* FROM usage_periods
            LEFT JOIN meters ON meters.name = meter
            WHERE coalesce(aggregation, 'sum') IN ('sum', 'count')
                AND period IN (SELECT DISTINCT period FROM usage_days WHERE day >= since)
        ) AS periods USING (tenant_id, meter, period)
        LEFT JOIN usage_dirty AS dirty USING (tenant_id, meter, period)
        WHERE days.quantity IS DISTINCT FROM periods.quantity AND dirty.day IS NULL
    )
    INSERT INTO usage_discrepancies (stage, subject, bucket, expected, found)
    SELECT * FROM wrong
    RETURNING usage_discrepancies.*;
END
$$;

-- Makes the partitions of the coming days and months, and drops what is older than said. Returns how many rows
-- it deleted one by one; more may be left while that is not zero.
CREATE FUNCTION keep_up_usage(batches_kept interval, hours_kept interval, days_kept interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
DECLARE
    rows_max CONSTANT bigint := 100000;
    today    CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    parent   record;
    starts   date;
    name     text;
    deleted  bigint;
    gone     bigint := 0;
BEGIN
    FOR parent IN
        SELECT * FROM (VALUES
            ('usage_batch_rows', 'day', batches_kept, false),
            ('usage_hours', 'month', hours_kept, true),
            ('usage_uniques', 'month', hours_kept, true),
            ('usage_days', 'year', days_kept, true)
        ) AS parents (name, span, kept, protected)
    LOOP
        FOR ahead IN 0..3 LOOP
            starts := date_trunc(parent.span, today) + ahead * ('1 ' || parent.span)::interval;
            name := parent.name || '_' || to_char(starts, 'YYYYMMDD');
            CONTINUE WHEN to_regclass(name) IS NOT NULL;
            EXECUTE format(
                'CREATE TABLE public.%I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', name, parent.name,
                -- Of days as they are, of times in UTC.
                starts || CASE WHEN parent.protected THEN ' 00:00+00' ELSE '' END,
                (starts + ('1 ' || parent.span)::interval)::date
                    || CASE WHEN parent.protected THEN ' 00:00+00' ELSE '' END);
            IF parent.protected THEN
                CALL protect_tenant_table(name::regclass);
            END IF;
        END LOOP;
        FOR name IN
            SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = parent.name::regclass AND relname ~ '_\d{8}$'
                AND to_date(right(relname, 8), 'YYYYMMDD') + ('1 ' || parent.span)::interval < today - parent.kept
        LOOP
            -- What was not rolled up yet is kept, however old.
            CONTINUE WHEN parent.name = 'usage_batch_rows' AND EXISTS (
                SELECT FROM usage_batches
                WHERE rolled_up_at IS NULL AND received_on = to_date(right(name, 8), 'YYYYMMDD'));
            EXECUTE format('DROP TABLE %I', name);
        END LOOP;
    END LOOP;

    -- 35 days and the day that is running.
    DELETE FROM usage_event_ids WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM usage_event_ids WHERE received_on < today - 36 LIMIT rows_max));
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM usage_batches WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM usage_batches
        WHERE received_on < today - hours_kept AND rolled_up_at IS NOT NULL LIMIT rows_max));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    gone := gone + deleted;
    DELETE FROM usage_edges WHERE ended_at < now() - hours_kept;
    DELETE FROM usage_discrepancies WHERE found_at < now() - hours_kept;
    RETURN gone;
END
$$;
SELECT keep_up_usage('40 days', '400 days', '2600 days');

REVOKE ALL ON FUNCTION check_usage FROM PUBLIC;
GRANT CREATE ON SCHEMA public, edge TO pytake_rollup;
ALTER FUNCTION check_usage OWNER TO pytake_rollup;
REVOKE CREATE ON SCHEMA public, edge FROM pytake_rollup;
REVOKE ALL ON FUNCTION keep_up_usage FROM PUBLIC;
GRANT EXECUTE ON FUNCTION check_usage, keep_up_usage TO pytake_worker;
