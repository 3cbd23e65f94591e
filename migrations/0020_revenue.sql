-- What operators are told of revenue. Counted from what is only ever added to (movements, ledger, lines of finalised
-- invoices, changes), by when it happened: a past day says the same whenever it is asked. The one exception is a period
-- that ended and was not closed yet; `billing_standing` says whether there is any.
--
-- Tenants on a time of their own are left out everywhere. Amounts of two currencies never meet in a sum.
--
-- Instants come from the caller, who knows the issuer's time zone by the rules that invoices were dated with; those of
-- this server may be others. Every range is half-open: [since, until).

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

GRANT SELECT ON subscription_changes, invoice_lines, credit_note_lines TO pytake_billing;
GRANT SELECT (plan, version, trial_days) ON plan_versions TO pytake_billing;
CREATE POLICY revenue_reads ON subscription_changes FOR SELECT TO pytake_billing USING (true);
CREATE POLICY revenue_reads ON invoice_lines FOR SELECT TO pytake_billing USING (true);
CREATE POLICY revenue_reads ON credit_note_lines FOR SELECT TO pytake_billing USING (true);

-- Movements, a row for each day, kind, currency and plan: the plan after, or where nothing recurs any more, the one
-- before. `bounds`: where each day begins, and where the last ends; `day` counts from 1.
CREATE FUNCTION revenue_by_day(bounds timestamptz[])
RETURNS TABLE (day integer, kind text, currency text, plan text, movements bigint, delta_minor bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT width_bucket(moved.at, bounds), moved.kind, moved.currency,
        CASE moved.kind WHEN 'Churn' THEN moved.from_plan ELSE moved.to_plan END,
        count(*), sum(moved.to_minor - moved.from_minor)::bigint
    FROM revenue_movements AS moved
    JOIN subscriptions
        ON (subscriptions.tenant_id, subscriptions.id) = (moved.tenant_id, moved.subscription_id)
    WHERE moved.at >= bounds[1] AND moved.at < bounds[cardinality(bounds)] AND NOT on_test_clock
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
$$;

-- Every subscription that brought something in just before `before`: what its last movement left.
CREATE FUNCTION recurring_subscriptions(before timestamptz)
RETURNS TABLE (tenant_id uuid, currency text, plan text, minor bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT last.tenant_id, last.currency, last.to_plan, last.to_minor
    FROM (
        SELECT DISTINCT ON (moved.tenant_id, moved.subscription_id) moved.*
        FROM revenue_movements AS moved
        WHERE moved.at < before
        ORDER BY moved.tenant_id, moved.subscription_id, moved.at DESC, moved.position DESC
    ) AS last
    JOIN subscriptions ON (subscriptions.tenant_id, subscriptions.id) = (last.tenant_id, last.subscription_id)
    WHERE last.to_minor > 0 AND NOT on_test_clock
$$;

-- What recurred a month just before `before`, and how many tenants paid it.
CREATE FUNCTION recurring_revenue(before timestamptz)
RETURNS TABLE (currency text, plan text, tenants bigint, mrr_minor bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT recurring.currency, recurring.plan, count(DISTINCT recurring.tenant_id), sum(recurring.minor)::bigint
    FROM recurring_subscriptions(before) AS recurring
    GROUP BY 1, 2
    ORDER BY 1, 2
$$;

-- What became of those who paid at `since`, by the plan that they had then: what they brought in then and bring in
-- at `until`; what those who bring in less bring in less; and how many bring in nothing. Who left and came back between
-- has not left.
CREATE FUNCTION revenue_kept(since timestamptz, until timestamptz)
RETURNS TABLE (currency text, plan text, tenants bigint, start_minor bigint, end_minor bigint, lost_minor bigint,
    lost_tenants bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    WITH earlier AS (
        -- A tenant has one running subscription; should it ever have two, it is still one tenant.
        SELECT recurring.tenant_id, recurring.currency, sum(recurring.minor) AS minor,
            (array_agg(recurring.plan ORDER BY recurring.minor DESC, recurring.plan))[1] AS plan
        FROM recurring_subscriptions(since) AS recurring
        GROUP BY 1, 2
    ), later AS (
        SELECT recurring.tenant_id, recurring.currency, sum(recurring.minor) AS minor
        FROM recurring_subscriptions(until) AS recurring
        GROUP BY 1, 2
    )
    SELECT earlier.currency, earlier.plan, count(*), sum(earlier.minor)::bigint,
        coalesce(sum(later.minor), 0)::bigint,
        sum(greatest(earlier.minor - coalesce(later.minor, 0), 0))::bigint,
        count(*) FILTER (WHERE later.minor IS NULL)
    FROM earlier
    LEFT JOIN later ON (later.tenant_id, later.currency) = (earlier.tenant_id, earlier.currency)
    GROUP BY 1, 2
    ORDER BY 1, 2
$$;

-- What customers owed just before `before`, the end of the day `on_day`, by how long it had been due. `bucket`: 0 not due,
-- 1 up to 30 days past it, 2 up to 60, 3 up to 90, 4 more. From the ledger alone: what an invoice says today is not what
-- it said then.
--
-- Not from all of it: what was owed then is owed still, or was booked on since. So a recent day is told in a moment,
-- however long the books are. Planned for each range anew, because a plan that does not know it goes row by row.
CREATE FUNCTION receivables(before timestamptz, on_day date)
RETURNS TABLE (currency text, bucket integer, invoices bigint, due_minor bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
SET plan_cache_mode = force_custom_plan
SET work_mem = '128MB'
SET jit = off
AS $$
BEGIN
    RETURN QUERY
    WITH candidates AS (
        SELECT invoice.tenant_id, invoice.id FROM invoices AS invoice WHERE invoice.status IN ('Open', 'Uncollectible')
        UNION
        SELECT booked.tenant_id, booked.invoice_id FROM ledger_transactions AS booked WHERE booked.posted_at >= before
    ), owed AS (
        SELECT booked.tenant_id, booked.invoice_id, sum(entries.amount_minor) AS minor
        FROM candidates
        JOIN ledger_transactions AS booked ON (booked.tenant_id, booked.invoice_id) = (candidates.tenant_id, candidates.id)
        JOIN ledger_entries AS entries ON (entries.tenant_id, entries.transaction_id) = (booked.tenant_id, booked.id)
        WHERE entries.account = 'Receivable' AND booked.posted_at < before
            AND booked.tenant_id NOT IN (
                SELECT tested.tenant_id FROM subscriptions AS tested WHERE tested.on_test_clock)
        GROUP BY 1, 2
        HAVING sum(entries.amount_minor) <> 0
    )
    SELECT invoice.currency, width_bucket(coalesce(on_day - invoice.due_on, 0), ARRAY[1, 31, 61, 91]), count(*),
        sum(owed.minor)::bigint
    FROM owed
    JOIN invoices AS invoice ON (invoice.tenant_id, invoice.id) = (owed.tenant_id, owed.invoice_id)
    GROUP BY 1, 2
    ORDER BY 1, 2;
END
$$;

-- What was billed, taken back and collected in a range, by the plan that it was for: billed and taken back (credit notes
-- and voided invoices) without tax, as revenue is; collected with it, as money is. `plan` NULL: lines that an operator
-- wrote, and money beyond what was due, which is in the customer's balance and for nothing yet; less what was spent of it,
-- went back, or is held back.
CREATE FUNCTION revenue_by_plan(since timestamptz, until timestamptz)
RETURNS TABLE (currency text, plan text, billed_minor bigint, credited_minor bigint, collected_minor bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
SET plan_cache_mode = force_custom_plan
SET work_mem = '128MB'
SET jit = off
AS $$
BEGIN
    RETURN QUERY
    WITH booked AS NOT MATERIALIZED (
        SELECT posted.tenant_id, posted.id, posted.kind, posted.source_id, posted.invoice_id, posted.currency
        FROM ledger_transactions AS posted
        WHERE posted.posted_at >= since AND posted.posted_at < until
            AND posted.tenant_id NOT IN (
                SELECT tested.tenant_id FROM subscriptions AS tested WHERE tested.on_test_clock)
    ), paid AS (
        SELECT booked.tenant_id, booked.id, booked.invoice_id, booked.currency,
            coalesce(-sum(entries.amount_minor) FILTER (WHERE entries.account = 'Receivable'), 0) AS settled,
            coalesce(-sum(entries.amount_minor) FILTER (WHERE entries.account = 'Credit'), 0) AS excess
        FROM booked
        JOIN ledger_entries AS entries ON (entries.tenant_id, entries.transaction_id) = (booked.tenant_id, booked.id)
        WHERE booked.kind = 'Payment'
        GROUP BY 1, 2, 3, 4
    ), moves AS (
        SELECT booked.currency, line.plan,
            CASE booked.kind WHEN 'Invoice' THEN line.net_minor ELSE 0 END AS billed,
            CASE booked.kind WHEN 'Void' THEN line.net_minor ELSE 0 END AS credited, 0 AS collected
        FROM booked
        JOIN invoice_lines AS line ON (line.tenant_id, line.invoice_id) = (booked.tenant_id, booked.invoice_id)
        WHERE booked.kind IN ('Invoice', 'Void')
        UNION ALL
        SELECT booked.currency, line.plan, 0, note.net_minor, 0
        FROM booked
        JOIN credit_note_lines AS note ON (note.tenant_id, note.credit_note_id) = (booked.tenant_id, booked.source_id)
        JOIN invoice_lines AS line
            ON (line.tenant_id, line.invoice_id, line.line) = (note.tenant_id, note.invoice_id, note.line)
        WHERE booked.kind = 'CreditNote'
        UNION ALL
        -- Of an invoice for several plans each gets its share of the money: a difference of two rounded sums, so that
        -- the shares add up to it. Nothing is due, and so nothing paid, of an invoice that comes to nothing.
        SELECT shares.currency, shares.plan, 0, 0,
            round(shares.settled * shares.upto / nullif(shares.total, 0))
                - round(shares.settled * (shares.upto - shares.gross) / nullif(shares.total, 0))
        FROM (
            SELECT paid.currency, paid.settled, line.plan, sum(line.net_minor + line.tax_minor) AS gross,
                sum(sum(line.net_minor + line.tax_minor)) OVER (payment ORDER BY line.plan) AS upto,
                sum(sum(line.net_minor + line.tax_minor)) OVER payment AS total
            FROM paid
            JOIN invoice_lines AS line ON (line.tenant_id, line.invoice_id) = (paid.tenant_id, paid.invoice_id)
            GROUP BY paid.tenant_id, paid.id, paid.currency, paid.settled, line.plan
            WINDOW payment AS (PARTITION BY paid.tenant_id, paid.id)
        ) AS shares
        UNION ALL
        SELECT paid.currency, NULL, 0, 0, paid.excess FROM paid
        UNION ALL
        -- What went back, is held back, or was put right: money, and of no plan.
        SELECT booked.currency, NULL, 0, 0, entries.amount_minor
        FROM booked
        JOIN ledger_entries AS entries ON (entries.tenant_id, entries.transaction_id) = (booked.tenant_id, booked.id)
        WHERE booked.kind IN ('Refunded', 'RefundFailed', 'Dispute', 'DisputeWon', 'DisputeLost', 'Repair')
            AND entries.account LIKE 'Cash%'
    )
    SELECT moves.currency, moves.plan, sum(moves.billed)::bigint, sum(moves.credited)::bigint,
        coalesce(sum(moves.collected), 0)::bigint
    FROM moves
    GROUP BY 1, 2
    HAVING (sum(moves.billed), sum(moves.credited), coalesce(sum(moves.collected), 0)) <> (0, 0, 0)
    ORDER BY 1, 2;
END
$$;

-- Trials in a range, by the plan on trial: begun, become subscriptions that cost, and ended without. A trial ends with
-- the first of what can end it; that it is to end at its end, and was taken back in time, is no end.
CREATE FUNCTION trials(since timestamptz, until timestamptz)
RETURNS TABLE (currency text, plan text, started bigint, converted bigint, ended bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    WITH trial AS (
        SELECT started.tenant_id, started.subscription_id, subscriptions.currency, started.to_plan AS plan,
            started.effective_at AS started_at
        FROM subscription_changes AS started
        JOIN subscriptions
            ON (subscriptions.tenant_id, subscriptions.id) = (started.tenant_id, started.subscription_id)
        JOIN plan_versions ON (plan_versions.plan, plan_versions.version) = (started.to_plan, started.to_plan_version)
        WHERE started.kind = 'Started' AND started.effective_at < until AND NOT on_test_clock
            AND plan_versions.trial_days > 0
    )
    SELECT trial.currency, trial.plan,
        count(*) FILTER (WHERE trial.started_at >= since),
        count(*) FILTER (WHERE outcome.at >= since AND outcome.kind = 'Converted'),
        count(*) FILTER (WHERE outcome.at >= since AND outcome.kind <> 'Converted')
    FROM trial
    LEFT JOIN LATERAL (
        SELECT change.kind, change.effective_at AS at
        FROM subscription_changes AS change
        WHERE change.tenant_id = trial.tenant_id AND change.subscription_id = trial.subscription_id
            AND change.kind IN ('Converted', 'TrialEnded', 'Downgraded', 'Canceled')
            AND change.effective_at < until
            AND NOT (change.kind = 'Canceled' AND EXISTS (
                SELECT FROM subscription_changes AS resumed
                WHERE resumed.tenant_id = change.tenant_id AND resumed.subscription_id = change.subscription_id
                    AND resumed.kind = 'Resumed'
                    AND resumed.requested_at BETWEEN change.requested_at AND change.effective_at))
        ORDER BY change.effective_at, change.requested_at, change.id
        LIMIT 1
    ) AS outcome ON true
    GROUP BY 1, 2
    HAVING count(*) FILTER (WHERE trial.started_at >= since OR outcome.at >= since) > 0
    ORDER BY 1, 2
$$;

-- Who owns a function must be able to make it.
GRANT CREATE ON SCHEMA public TO pytake_billing;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['revenue_by_day(timestamptz[])', 'recurring_subscriptions(timestamptz)',
        'recurring_revenue(timestamptz)', 'revenue_kept(timestamptz, timestamptz)', 'receivables(timestamptz, date)',
        'revenue_by_plan(timestamptz, timestamptz)', 'trials(timestamptz, timestamptz)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO pytake_billing', name);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA public FROM pytake_billing;
-- `recurring_subscriptions` is for the others alone: it names tenants.
GRANT EXECUTE ON FUNCTION revenue_by_day, recurring_revenue, revenue_kept, receivables, revenue_by_plan, trials
    TO pytake_operator;
