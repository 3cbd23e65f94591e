-- How invoices are collected: ways to pay, attempts, what providers tell, refunds, disputes, and the chasing of those who
-- do not pay.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

CREATE TABLE payment_methods (
    tenant_id   uuid        NOT NULL REFERENCES tenants (id),
    id          uuid        NOT NULL,
    provider    text        NOT NULL CHECK (provider IN ('Sandbox', 'Stripe', 'PayPal', 'BankTransfer', 'BtcPay')),
    -- What the provider knows it by, sealed by the vault under the tenant's key.
    token_sealed bytea      NOT NULL,
    -- What may be shown of it (payment::MethodLabel).
    label       jsonb       NOT NULL,
    state       text        NOT NULL CHECK (state IN ('Usable', 'NeedsConfirmation', 'Refused', 'Removed')),
    -- Where its owner confirms it, while that is needed.
    confirm_url text        CHECK (char_length(confirm_url) <= 2000),
    -- The provider's last word, where it refuses it for good.
    refusal     text        CHECK (char_length(refusal) <= 200),
    is_default  boolean     NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL,
    -- Until when it is good (a copy of the label's), and the notice that this ends was sent.
    expires_on  date,
    expiry_noticed boolean  NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT payment_methods_default_is_usable CHECK (NOT is_default OR state = 'Usable')
);
CREATE UNIQUE INDEX payment_methods_one_default ON payment_methods (tenant_id) WHERE is_default;
CREATE INDEX payment_methods_expiring ON payment_methods (expires_on)
    WHERE state = 'Usable' AND is_default AND NOT expiry_noticed;
CALL protect_tenant_table('payment_methods');
GRANT SELECT, INSERT, UPDATE ON payment_methods TO pytake_api, pytake_worker;

-- Attempts to collect an invoice. The row is made by what causes the attempt, in its transaction, with the job that
-- carries it out; it is one charge at the provider, however often the job runs.
CREATE TABLE charges (
    tenant_id         uuid        NOT NULL,
    id                uuid        NOT NULL,
    invoice_id        uuid        NOT NULL,
    attempt           integer     NOT NULL CHECK (attempt > 0),
    provider          text        NOT NULL CHECK (provider IN ('Sandbox', 'Stripe', 'PayPal', 'BankTransfer', 'BtcPay')),
    payment_method_id uuid        NOT NULL,
    state             text        NOT NULL CHECK (state IN ('Pending', 'Processing', 'ActionRequired', 'Succeeded',
        'Declined', 'Canceled')),
    currency          text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- How much; NULL until it is sent. What it was then it stays, so that a repetition asks for the same.
    amount_minor      bigint      CHECK (amount_minor > 0),
    created_at        timestamptz NOT NULL,
    -- From when on it may have reached the provider.
    sent_at           timestamptz,
    -- Until then whoever asks the provider asks alone: not all of them know a key by which two calls are one.
    asked_until       timestamptz,
    -- The provider's id of it, once it is known.
    reference         text        CHECK (char_length(reference) BETWEEN 1 AND 255),
    -- Where the customer confirms it.
    action_url        text        CHECK (char_length(action_url) <= 2000),
    -- The provider's word for why not, and whether asking again is of no use.
    decline_code      text        CHECK (char_length(decline_code) <= 200),
    decline_hard      boolean,
    settled_at        timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id),
    FOREIGN KEY (tenant_id, payment_method_id) REFERENCES payment_methods (tenant_id, id),
    CONSTRAINT charges_once UNIQUE (tenant_id, invoice_id, attempt),
    CONSTRAINT charges_sent_whole CHECK ((sent_at IS NULL) = (amount_minor IS NULL)),
    CONSTRAINT charges_declined_why CHECK ((state = 'Declined') = (decline_code IS NOT NULL)),
    CONSTRAINT charges_succeeded_known CHECK (state <> 'Succeeded' OR reference IS NOT NULL)
);
-- One at a time: nobody asks a second time while the first may yet get through.
CREATE UNIQUE INDEX charges_one_at_a_time ON charges (tenant_id, invoice_id)
    WHERE state IN ('Pending', 'Processing', 'ActionRequired');
CREATE INDEX charges_under_way ON charges (created_at) WHERE state IN ('Pending', 'Processing', 'ActionRequired');
CALL protect_tenant_table('charges');
GRANT SELECT, INSERT, UPDATE ON charges TO pytake_api, pytake_worker;

-- Control table: what providers told, as it came, each once. It is looked into before it is known whose it is; what it
-- says is a hint only, and read again from the provider.
CREATE TABLE provider_events (
    provider     text        NOT NULL CHECK (provider IN ('Stripe', 'PayPal', 'BtcPay')),
    event_id     text        NOT NULL CHECK (char_length(event_id) BETWEEN 1 AND 255),
    -- The provider's word for it.
    kind         text        NOT NULL CHECK (char_length(kind) <= 255),
    -- What it is about (payments::About).
    about        jsonb       NOT NULL,
    payload      bytea       NOT NULL,
    received_at  timestamptz NOT NULL,
    processed_at timestamptz,
    -- What came of it: 'Applied', 'Ignored' (nothing that concerns us, or not ours).
    outcome      text        CHECK (outcome IN ('Applied', 'Ignored')),
    PRIMARY KEY (provider, event_id),
    CONSTRAINT provider_events_processed_whole CHECK ((processed_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX provider_events_by_age ON provider_events (received_at);
GRANT SELECT (provider, event_id), INSERT ON provider_events TO pytake_api;
GRANT SELECT, UPDATE (processed_at, outcome), DELETE ON provider_events TO pytake_worker;

-- Money that goes back: first it is taken from the balance, then sent.
CREATE TABLE refunds (
    tenant_id      uuid        NOT NULL,
    id             uuid        NOT NULL,
    payment_id     uuid        NOT NULL,
    -- Without one: of what was paid too much.
    credit_note_id uuid,
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    state          text        NOT NULL CHECK (state IN ('Pending', 'Processing', 'Succeeded', 'Failed')),
    -- The provider's id of it, once it is known.
    reference      text        CHECK (char_length(reference) BETWEEN 1 AND 255),
    failure        text        CHECK (char_length(failure) <= 200),
    created_at     timestamptz NOT NULL,
    sent_at        timestamptz,
    asked_until    timestamptz,
    -- By the provider's clock, once it has told of it; that may be days after it was asked for.
    begun_at       timestamptz,
    settled_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payments (tenant_id, id),
    FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes (tenant_id, id)
);
CREATE INDEX refunds_by_payment ON refunds (tenant_id, payment_id);
CREATE INDEX refunds_under_way ON refunds (created_at) WHERE state IN ('Pending', 'Processing');
CALL protect_tenant_table('refunds');
GRANT SELECT, INSERT, UPDATE ON refunds TO pytake_worker;
GRANT SELECT ON refunds TO pytake_api;

-- Payments that their payers dispute: the provider holds the money back until it is decided.
CREATE TABLE disputes (
    tenant_id    uuid        NOT NULL,
    id           uuid        NOT NULL,
    payment_id   uuid        NOT NULL,
    -- The provider's id of it.
    reference    text        NOT NULL CHECK (char_length(reference) BETWEEN 1 AND 255),
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    reason       text        NOT NULL CHECK (char_length(reason) <= 200),
    state        text        NOT NULL CHECK (state IN ('Open', 'Won', 'Lost')),
    -- By the provider's clock; it may be heard of days later.
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payments (tenant_id, id),
    CONSTRAINT disputes_once UNIQUE (tenant_id, reference),
    CONSTRAINT disputes_closed_has_time CHECK ((state = 'Open') = (closed_at IS NULL))
);
CREATE INDEX disputes_open ON disputes (id) WHERE state = 'Open';
CREATE INDEX disputes_by_payment ON disputes (tenant_id, payment_id);
CALL protect_tenant_table('disputes');
GRANT SELECT, INSERT, UPDATE ON disputes TO pytake_worker;
GRANT SELECT ON disputes TO pytake_api;

-- The chasing of a tenant, from the first failure to the end. At most one at a time; the invoice that began it drives it.
CREATE TABLE dunning_cases (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    id         uuid        NOT NULL,
    invoice_id uuid        NOT NULL,
    began_at   timestamptz NOT NULL,
    -- What will happen when (billing::DunningSchedule), as it was when it began.
    schedule   jsonb       NOT NULL,
    -- The next step of the schedule, and when it is due; NULL: it has none, or waits for a dispute.
    next_step  integer     NOT NULL CHECK (next_step >= 0),
    next_at    timestamptz,
    -- How far it had come when a dispute stopped it; it goes on from there.
    paused_at  timestamptz,
    ended_at   timestamptz,
    outcome    text        CHECK (outcome IN ('Recovered', 'Canceled')),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id),
    CONSTRAINT dunning_cases_ended_whole CHECK ((ended_at IS NULL) = (outcome IS NULL)),
    CONSTRAINT dunning_cases_ended_waits_no_more CHECK (ended_at IS NULL OR next_at IS NULL)
);
CREATE UNIQUE INDEX dunning_cases_one_open ON dunning_cases (tenant_id) WHERE ended_at IS NULL;
CREATE INDEX dunning_cases_due ON dunning_cases (next_at) WHERE ended_at IS NULL;
CALL protect_tenant_table('dunning_cases');
GRANT SELECT, INSERT, UPDATE ON dunning_cases TO pytake_worker;
GRANT SELECT ON dunning_cases TO pytake_api;

-- Each step once, whoever comes to it.
CREATE TABLE dunning_steps (
    tenant_id uuid        NOT NULL,
    case_id   uuid        NOT NULL,
    step      integer     NOT NULL CHECK (step >= 0),
    -- What was done (billing::DunningStep).
    kind      text        NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, case_id, step),
    FOREIGN KEY (tenant_id, case_id) REFERENCES dunning_cases (tenant_id, id)
);
CALL protect_tenant_table('dunning_steps');
GRANT SELECT, INSERT ON dunning_steps TO pytake_worker;
GRANT SELECT ON dunning_steps TO pytake_api;

-- For runs over all tenants.
GRANT SELECT ON charges, refunds, dunning_cases, disputes, payment_methods, payments TO pytake_billing;
GRANT UPDATE (next_step) ON dunning_cases TO pytake_billing;
GRANT UPDATE (expiry_noticed) ON payment_methods TO pytake_billing;
CREATE POLICY billing_reads ON charges FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_reads ON refunds FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_reads ON disputes FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_reads ON payments FOR SELECT TO pytake_billing USING (true);
CREATE POLICY billing_runs ON dunning_cases TO pytake_billing USING (true) WITH CHECK (false);
CREATE POLICY billing_runs ON payment_methods TO pytake_billing USING (true) WITH CHECK (false);

-- Up to `count` cases with a step that is due by `as_of`, longest ago first, with the tenant's subscription locked first,
-- as whoever changes what a tenant owes does.
CREATE FUNCTION lock_due_dunning(as_of timestamptz, count integer)
RETURNS TABLE (tenant_id uuid, case_id uuid)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT dunning_cases.tenant_id, dunning_cases.id
    FROM dunning_cases
    JOIN subscriptions ON subscriptions.tenant_id = dunning_cases.tenant_id AND subscriptions.status <> 'Canceled'
    WHERE dunning_cases.ended_at IS NULL AND next_at <= as_of AND NOT on_test_clock
    ORDER BY next_at
    LIMIT count
    FOR UPDATE OF subscriptions SKIP LOCKED
$$;

-- Tenants with open invoices of at least `due_min` that were due before `on_day`, and who are not chased yet, in pages: the
-- clock of who pays by transfer starts here.
CREATE FUNCTION overdue_tenants(on_day date, due_min bigint, after_tenant uuid, count integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT DISTINCT invoices.tenant_id
    FROM invoices
    JOIN subscriptions
        ON (subscriptions.tenant_id, subscriptions.id) = (invoices.tenant_id, invoices.subscription_id)
    WHERE invoices.status = 'Open' AND due_on < on_day AND due_minor >= due_min AND NOT on_test_clock
        AND (after_tenant IS NULL OR invoices.tenant_id > after_tenant)
        AND NOT EXISTS (SELECT FROM dunning_cases AS running
            WHERE running.tenant_id = invoices.tenant_id AND running.ended_at IS NULL)
        AND NOT EXISTS (SELECT FROM charges AS processing
            WHERE (processing.tenant_id, processing.invoice_id) = (invoices.tenant_id, invoices.id)
                AND processing.state = 'Processing')
    ORDER BY invoices.tenant_id
    LIMIT count
$$;

-- Attempts and refunds that nobody has heard of for a while, in pages: they are looked up. The net under the webhooks.
CREATE FUNCTION unsettled_charges(created_before timestamptz, after_id uuid, count integer)
RETURNS TABLE (tenant_id uuid, charge_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenant_id, id FROM charges
    WHERE state IN ('Pending', 'Processing', 'ActionRequired') AND created_at < created_before
        AND (after_id IS NULL OR id > after_id)
    ORDER BY id
    LIMIT count
$$;

CREATE FUNCTION unsettled_refunds(created_before timestamptz, after_id uuid, count integer)
RETURNS TABLE (tenant_id uuid, refund_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenant_id, id FROM refunds
    WHERE state IN ('Pending', 'Processing') AND created_at < created_before
        AND (after_id IS NULL OR id > after_id)
    ORDER BY id
    LIMIT count
$$;

-- Disputes that are open, in pages: how they end is looked up, too, in case nobody tells.
CREATE FUNCTION open_disputes(after_id uuid, count integer)
RETURNS TABLE (dispute_id uuid, provider text, reference text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT disputes.id, payments.provider, disputes.reference
    FROM disputes
    JOIN payments ON (payments.tenant_id, payments.id) = (disputes.tenant_id, disputes.payment_id)
    WHERE disputes.state = 'Open' AND (after_id IS NULL OR disputes.id > after_id)
    ORDER BY disputes.id
    LIMIT count
$$;

-- Up to `count` ways to pay that are used and run out by `before`, and whose owners were not told.
CREATE FUNCTION lock_expiring_methods(before date, count integer)
RETURNS TABLE (tenant_id uuid, payment_method_id uuid)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT payment_methods.tenant_id, payment_methods.id
    FROM payment_methods
    JOIN subscriptions ON subscriptions.tenant_id = payment_methods.tenant_id AND subscriptions.status <> 'Canceled'
    WHERE payment_methods.state = 'Usable' AND is_default AND NOT expiry_noticed AND expires_on < before
        AND NOT on_test_clock
    ORDER BY expires_on
    LIMIT count
    FOR UPDATE OF payment_methods SKIP LOCKED
$$;

-- Who owns a function must be able to make it.
GRANT CREATE ON SCHEMA public TO pytake_billing;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['lock_due_dunning(timestamptz, integer)', 'overdue_tenants(date, bigint, uuid, integer)',
        'unsettled_charges(timestamptz, uuid, integer)', 'unsettled_refunds(timestamptz, uuid, integer)',
        'open_disputes(uuid, integer)',
        'lock_expiring_methods(date, integer)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO pytake_billing', name);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA public FROM pytake_billing;
GRANT EXECUTE ON FUNCTION lock_due_dunning, overdue_tenants, unsettled_charges, unsettled_refunds,
    open_disputes, lock_expiring_methods TO pytake_worker;

-- Operators give money back, and see what became of it.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['payment_methods', 'charges', 'refunds', 'disputes', 'dunning_cases', 'dunning_steps']
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
GRANT SELECT ON charges, refunds, disputes, dunning_cases, dunning_steps TO pytake_operator;
GRANT SELECT (tenant_id, id, provider, state, is_default) ON payment_methods TO pytake_operator;
GRANT INSERT ON refunds TO pytake_operator;
GRANT UPDATE ON dunning_cases TO pytake_operator;
GRANT UPDATE (standing) ON subscriptions TO pytake_operator;
