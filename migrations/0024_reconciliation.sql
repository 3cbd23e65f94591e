-- What providers say moved, against what is on record here: every difference, until somebody has repaired or accepted it.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

-- Control table: how far a provider was compared, and what came of it.
CREATE TABLE reconciliations (
    provider    text        NOT NULL CHECK (provider IN ('Stripe', 'PayPal', 'BtcPay')),
    -- What was begun in `[from_at, to_at)`.
    from_at     timestamptz NOT NULL,
    to_at       timestamptz NOT NULL,
    compared_at timestamptz NOT NULL,
    -- How much there was to compare, on both sides together.
    compared    bigint      NOT NULL CHECK (compared >= 0),
    -- Differences that were open when it ended.
    open        bigint      NOT NULL CHECK (open >= 0),
    PRIMARY KEY (provider, from_at, to_at),
    CONSTRAINT reconciliations_forward CHECK (from_at < to_at)
);
GRANT SELECT, INSERT, UPDATE ON reconciliations TO pytake_worker;
GRANT SELECT ON reconciliations TO pytake_operator;

-- Control table: a difference, once for what it is about. Whose it is, is known where it is one of ours.
CREATE TABLE reconciliation_differences (
    id           uuid        PRIMARY KEY,
    provider     text        NOT NULL CHECK (provider IN ('Stripe', 'PayPal', 'BtcPay')),
    -- What moved the money.
    what         text        NOT NULL CHECK (what IN ('Payment', 'Refund', 'Dispute')),
    -- The provider's id of it.
    reference    text        NOT NULL CHECK (char_length(reference) BETWEEN 1 AND 255),
    tenant_id    uuid        REFERENCES tenants (id),
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- In minor units; NULL: on that side it is not there.
    ours_minor   bigint,
    theirs_minor bigint,
    begun_at     timestamptz NOT NULL,
    found_at     timestamptz NOT NULL,
    -- 'Matched': it was there on both sides when it was looked at again. 'Repaired': by entries that were posted for it.
    -- 'Accepted': an operator says why it may stay.
    state        text        NOT NULL DEFAULT 'Open' CHECK (state IN ('Open', 'Matched', 'Repaired', 'Accepted')),
    reason       text        CHECK (char_length(reason) <= 500),
    ended_at     timestamptz,
    CONSTRAINT reconciliation_differences_once UNIQUE (provider, what, reference),
    CONSTRAINT reconciliation_differences_differ CHECK (ours_minor IS DISTINCT FROM theirs_minor),
    CONSTRAINT reconciliation_differences_ended_whole CHECK ((state = 'Open') = (ended_at IS NULL)),
    CONSTRAINT reconciliation_differences_accepted_why CHECK (state <> 'Accepted' OR reason IS NOT NULL)
);
CREATE INDEX reconciliation_differences_open ON reconciliation_differences (id) WHERE state = 'Open';
GRANT SELECT, INSERT, UPDATE ON reconciliation_differences TO pytake_worker;
GRANT SELECT, UPDATE (state, reason, ended_at) ON reconciliation_differences TO pytake_operator;

-- What is on record of a provider's money: of these references, or begun in `[from_at, to_at)`.
CREATE FUNCTION recorded_movements(of_provider text, from_at timestamptz, to_at timestamptz, of_references text[])
RETURNS TABLE (what text, reference text, tenant_id uuid, currency text, amount_minor bigint, begun_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT 'Payment', payments.reference, payments.tenant_id, payments.currency, payments.amount_minor,
        coalesce(charges.created_at, received_at)
    FROM payments
    LEFT JOIN charges ON charges.tenant_id = payments.tenant_id AND charges.provider = payments.provider
        AND charges.reference = payments.reference
    WHERE payments.provider = of_provider
        AND (payments.reference = ANY (of_references)
            OR (coalesce(charges.created_at, received_at) >= from_at AND coalesce(charges.created_at, received_at) < to_at))
    UNION ALL
    SELECT 'Refund', refunds.reference, refunds.tenant_id, refunds.currency, refunds.amount_minor,
        coalesce(begun_at, refunds.created_at)
    FROM refunds
    JOIN payments ON (payments.tenant_id, payments.id) = (refunds.tenant_id, refunds.payment_id)
    WHERE payments.provider = of_provider AND refunds.state = 'Succeeded'
        AND (refunds.reference = ANY (of_references)
            OR (coalesce(begun_at, refunds.created_at) >= from_at AND coalesce(begun_at, refunds.created_at) < to_at))
    UNION ALL
    SELECT 'Dispute', disputes.reference, disputes.tenant_id, disputes.currency, disputes.amount_minor, opened_at
    FROM disputes
    JOIN payments ON (payments.tenant_id, payments.id) = (disputes.tenant_id, disputes.payment_id)
    WHERE payments.provider = of_provider AND disputes.state <> 'Won'
        AND (disputes.reference = ANY (of_references) OR (opened_at >= from_at AND opened_at < to_at))
$$;

-- Who owns a function must be able to make it.
GRANT CREATE ON SCHEMA public TO pytake_billing;
ALTER FUNCTION recorded_movements(text, timestamptz, timestamptz, text[]) OWNER TO pytake_billing;
REVOKE CREATE ON SCHEMA public FROM pytake_billing;
REVOKE EXECUTE ON FUNCTION recorded_movements(text, timestamptz, timestamptz, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recorded_movements TO pytake_worker;
