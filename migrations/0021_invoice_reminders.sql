-- Owners are reminded of invoices that are open: once for each day of the schedule, however many workers look.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

CREATE TABLE invoice_reminders (
    tenant_id   uuid        NOT NULL,
    invoice_id  uuid        NOT NULL,
    -- Which of the schedule: days after the one on which the invoice is due, or before it where less than 0.
    days        smallint    NOT NULL,
    reminded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id, days),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id)
);
CALL protect_tenant_table('invoice_reminders');
GRANT SELECT, INSERT ON invoice_reminders TO pytake_worker;
GRANT SELECT ON invoice_reminders TO pytake_billing;
CREATE POLICY billing_reads ON invoice_reminders FOR SELECT TO pytake_billing USING (true);

CREATE INDEX invoices_due_on ON invoices (due_on) WHERE status = 'Open';

-- Which reminder of `schedule` is due on a day: the last that is, so that of several that were missed one is sent. None
-- on the day of issue, which has its own message. Inlined into the queries that ask.
CREATE FUNCTION reminder_due(issued_on date, due_on date, on_day date, schedule smallint[]) RETURNS smallint
LANGUAGE sql IMMUTABLE
AS $$
    SELECT max(days) FROM unnest(schedule) AS days WHERE due_on + days <= on_day AND due_on + days > issued_on
$$;

-- Up to `count` open invoices of which somebody is to be reminded on a day, longest due first, locked for the caller.
CREATE FUNCTION lock_due_reminders(on_day date, schedule smallint[], count integer)
RETURNS TABLE (tenant_id uuid, invoice_id uuid, days smallint)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT invoices.tenant_id, invoices.id, reminder_due(issued_on, due_on, on_day, schedule)
    FROM invoices
    JOIN subscriptions
        ON (subscriptions.tenant_id, subscriptions.id) = (invoices.tenant_id, invoices.subscription_id)
    WHERE invoices.status = 'Open' AND NOT on_test_clock
        AND due_on <= on_day - (SELECT min(days) FROM unnest(schedule) AS days)
        AND reminder_due(issued_on, due_on, on_day, schedule) IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM invoice_reminders AS sent
            WHERE (sent.tenant_id, sent.invoice_id) = (invoices.tenant_id, invoices.id)
                AND sent.days >= reminder_due(issued_on, due_on, on_day, schedule))
    ORDER BY due_on
    LIMIT count
    FOR UPDATE OF invoices SKIP LOCKED
$$;

-- Who owns a function must be able to make it.
GRANT CREATE ON SCHEMA public TO pytake_billing;
ALTER FUNCTION lock_due_reminders(date, smallint[], integer) OWNER TO pytake_billing;
REVOKE CREATE ON SCHEMA public FROM pytake_billing;
REVOKE EXECUTE ON FUNCTION lock_due_reminders(date, smallint[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_due_reminders TO pytake_worker;
REVOKE EXECUTE ON FUNCTION reminder_due FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reminder_due TO pytake_billing;
