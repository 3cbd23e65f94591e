-- What a run of billing takes on: subscriptions whose period has ended, drafts whose time has come. The rows are locked
-- for whoever is given them, until the end of its transaction: nobody else gets them, and what was not committed is
-- there for the next. No lease that could outlive its holder, and none that could be outlived.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

CREATE INDEX subscriptions_due ON subscriptions (period_end) WHERE status <> 'Canceled' AND NOT on_test_clock;
CREATE INDEX subscriptions_pay_as_you_go ON subscriptions (tenant_id) WHERE cycle = 'PayAsYouGo';
CREATE INDEX invoices_due ON invoices (finalize_at) WHERE status = 'Draft';
CREATE INDEX subscriptions_trials ON subscriptions (trial_ends_at) WHERE status = 'Trialing' AND NOT on_test_clock;

GRANT SELECT ON subscriptions, invoices, test_clocks TO pytake_billing;
GRANT SELECT ON revenue_movements, ledger_transactions, ledger_entries TO pytake_billing;
GRANT SELECT (id, name) ON tenants TO pytake_billing;
-- FOR UPDATE asks for the right to change something.
GRANT UPDATE (version) ON subscriptions TO pytake_billing;
GRANT UPDATE (ended_at) ON invoices TO pytake_billing;
CREATE POLICY billing_runs ON subscriptions TO pytake_billing USING (true) WITH CHECK (false);
CREATE POLICY billing_runs ON invoices TO pytake_billing USING (true) WITH CHECK (false);
CREATE POLICY billing_reads ON test_clocks FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_reads ON tenants FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_reads ON revenue_movements FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_reads ON ledger_transactions FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_reads ON ledger_entries FOR SELECT TO pytake_billing USING (true);

-- Up to `count` subscriptions whose period ended by `as_of`, longest ago first. One that could not be billed comes
-- again after an hour.
CREATE FUNCTION lock_due_subscriptions(as_of timestamptz, count integer)
RETURNS TABLE (tenant_id uuid, subscription_id uuid)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenant_id, id FROM subscriptions
    WHERE status <> 'Canceled' AND NOT on_test_clock AND period_end <= as_of
        AND (parked_at IS NULL OR parked_at <= as_of - interval '1 hour')
    ORDER BY period_end
    LIMIT count
    FOR UPDATE SKIP LOCKED
$$;

-- Up to `count` drafts that are to be finalised by `as_of`, and whose subscription is free to be locked, with it. One
-- that bills use waits until all use of its period is counted (`usage_until`), but no longer than a day.
CREATE FUNCTION lock_due_drafts(as_of timestamptz, usage_until timestamptz, count integer)
RETURNS TABLE (tenant_id uuid, invoice_id uuid, subscription_id uuid)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT invoices.tenant_id, invoices.id, subscriptions.id
    FROM invoices
    JOIN subscriptions
        ON (subscriptions.tenant_id, subscriptions.id) = (invoices.tenant_id, invoices.subscription_id)
    WHERE invoices.status = 'Draft' AND finalize_at <= as_of AND NOT on_test_clock
        AND (draft -> 'usage' = 'null' OR (draft #>> '{usage,period,end}')::timestamptz <= usage_until
            OR finalize_at <= as_of - interval '1 day')
        AND (parked_at IS NULL OR parked_at <= as_of - interval '1 hour')
    ORDER BY finalize_at
    LIMIT count
    FOR UPDATE SKIP LOCKED
$$;

-- Trials that end by `before` and whose owners have not been told.
CREATE FUNCTION lock_ending_trials(before timestamptz, count integer)
RETURNS TABLE (tenant_id uuid, subscription_id uuid)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenant_id, id FROM subscriptions
    WHERE status = 'Trialing' AND NOT on_test_clock AND NOT trial_end_noticed AND trial_ends_at <= before
    ORDER BY trial_ends_at
    LIMIT count
    FOR UPDATE SKIP LOCKED
$$;

-- Pay-as-you-go tenants, in pages: what they have used so far is rated, and billed once it comes to much.
CREATE FUNCTION pay_as_you_go_tenants(after_tenant uuid, count integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenant_id FROM subscriptions
    WHERE status = 'Active' AND cycle = 'PayAsYouGo' AND NOT on_test_clock AND parked_at IS NULL
        AND (after_tenant IS NULL OR tenant_id > after_tenant)
    ORDER BY tenant_id
    LIMIT count
$$;

-- How billing stands, for the workers' metrics and for operators.
CREATE FUNCTION billing_standing(as_of timestamptz)
RETURNS TABLE (due bigint, drafts bigint, parked bigint, oldest_due timestamptz)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT
        (SELECT count(*) FROM subscriptions
            WHERE status <> 'Canceled' AND NOT on_test_clock AND period_end <= as_of),
        (SELECT count(*) FROM invoices WHERE status = 'Draft'),
        (SELECT count(*) FROM subscriptions WHERE parked_at IS NOT NULL),
        (SELECT min(period_end) FROM subscriptions
            WHERE status <> 'Canceled' AND NOT on_test_clock AND period_end <= as_of)
$$;

CREATE FUNCTION parked_subscriptions(after_tenant uuid, count integer)
RETURNS TABLE (tenant_id uuid, subscription_id uuid, parked_at timestamptz, parked_reason text, period_end timestamptz)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenant_id, id, parked_at, parked_reason, period_end FROM subscriptions
    WHERE parked_at IS NOT NULL AND (after_tenant IS NULL OR tenant_id > after_tenant)
    ORDER BY tenant_id
    LIMIT count
$$;

-- Who owns a function must be able to make it.
GRANT CREATE ON SCHEMA public TO pytake_billing;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['lock_due_subscriptions(timestamptz, integer)', 'lock_due_drafts(timestamptz, timestamptz, integer)',
        'lock_ending_trials(timestamptz, integer)', 'pay_as_you_go_tenants(uuid, integer)', 'billing_standing(timestamptz)',
        'parked_subscriptions(uuid, integer)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO pytake_billing', name);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA public FROM pytake_billing;
GRANT EXECUTE ON FUNCTION lock_due_subscriptions, lock_due_drafts, lock_ending_trials, pay_as_you_go_tenants,
    billing_standing TO pytake_worker;
GRANT EXECUTE ON FUNCTION billing_standing, parked_subscriptions TO pytake_operator;

-- Operators act on one tenant's bills at a time: payments that a bank told of, credit notes, exemptions.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['invoices', 'invoice_lines', 'credit_notes', 'credit_note_lines', 'payments',
        'ledger_transactions', 'ledger_entries', 'credit_balances', 'billing_profiles', 'subscriptions', 'test_clocks']
    LOOP
        EXECUTE format(
            $policy$
            CREATE POLICY operator_acts ON %I TO pytake_operator
            USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
            WITH CHECK (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid))
            $policy$,
            name);
    END LOOP;
END
$$;
CREATE POLICY operator_acts ON tenants FOR SELECT TO pytake_operator
    USING (id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
GRANT SELECT ON invoices, invoice_lines, credit_notes, credit_note_lines, payments, ledger_transactions, ledger_entries,
    credit_balances, billing_profiles, subscriptions, test_clocks TO pytake_operator;
GRANT SELECT (id, name) ON tenants TO pytake_operator;
GRANT INSERT ON credit_notes, credit_note_lines, payments, ledger_transactions, ledger_entries TO pytake_operator;
GRANT INSERT, UPDATE ON credit_balances, billing_profiles TO pytake_operator;
GRANT UPDATE (status, paid_minor, credited_minor, ended_at) ON invoices TO pytake_operator;
-- What follows from their acts is done by jobs, and a repeated call is answered as the first.
GRANT EXECUTE ON FUNCTION apalis.enqueue_all TO pytake_operator;
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO pytake_operator;
