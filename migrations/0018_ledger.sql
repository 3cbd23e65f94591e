-- Double entry. Debits are positive, credits negative; every transaction adds up to zero when it commits.

CREATE TABLE ledger_transactions (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    -- What happened, and to what: each is booked once.
    kind       text        NOT NULL
        CHECK (kind IN ('Invoice', 'Payment', 'CreditNote', 'Void', 'Uncollectible', 'Recovered', 'Refund', 'Refunded',
            'RefundFailed', 'Dispute', 'DisputeWon', 'DisputeLost', 'Repair')),
    source_id  uuid        NOT NULL,
    invoice_id uuid        NOT NULL,
    currency   text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    posted_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT ledger_transactions_once UNIQUE (tenant_id, kind, source_id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id)
);
CREATE INDEX ledger_transactions_by_invoice ON ledger_transactions (tenant_id, invoice_id);
CALL protect_tenant_table('ledger_transactions');

CREATE TABLE ledger_entries (
    tenant_id      uuid   NOT NULL,
    transaction_id uuid   NOT NULL,
    account        text   NOT NULL CHECK (account IN ('Receivable', 'Revenue', 'Tax', 'Credit', 'CashSandbox',
        'CashStripe', 'CashPayPal', 'CashBankTransfer', 'CashBtcPay', 'CashManual', 'Refunding', 'Disputed', 'BadDebt')),
    amount_minor   bigint NOT NULL CHECK (amount_minor <> 0),
    PRIMARY KEY (tenant_id, transaction_id, account),
    FOREIGN KEY (tenant_id, transaction_id) REFERENCES ledger_transactions (tenant_id, id)
);
CALL protect_tenant_table('ledger_entries');
GRANT SELECT, INSERT ON ledger_transactions, ledger_entries TO pytake_api, pytake_worker;

-- At commit, not before: entries of one transaction may come by several statements.
CREATE FUNCTION balance_ledger() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
DECLARE
    off numeric;
BEGIN
    SELECT sum(amount_minor) INTO off FROM ledger_entries
    WHERE tenant_id = NEW.tenant_id AND transaction_id = NEW.transaction_id;
    IF off <> 0 THEN
        RAISE EXCEPTION 'the entries of ledger transaction % do not add up: %', NEW.transaction_id, off
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ledger_balanced';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER ledger_balanced AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION balance_ledger();

CREATE FUNCTION keep_ledger() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is only added to' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION keep_ledger();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON ledger_transactions FOR EACH ROW EXECUTE FUNCTION keep_ledger();

-- What a tenant has in credit: its entries on that account, added up, so that nobody adds up a life of them for each
-- invoice. Never less than nothing.
CREATE TABLE credit_balances (
    tenant_id     uuid   NOT NULL REFERENCES tenants (id),
    currency      text   NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    balance_minor bigint NOT NULL CONSTRAINT credit_balances_not_negative CHECK (balance_minor >= 0),
    PRIMARY KEY (tenant_id, currency)
);
CALL protect_tenant_table('credit_balances');
GRANT SELECT, INSERT, UPDATE ON credit_balances TO pytake_api, pytake_worker;

CREATE FUNCTION add_to_credit_balance() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
BEGIN
    INSERT INTO credit_balances (tenant_id, currency, balance_minor)
    SELECT NEW.tenant_id, currency, 0 FROM ledger_transactions
    WHERE tenant_id = NEW.tenant_id AND id = NEW.transaction_id
    ON CONFLICT DO NOTHING;
    UPDATE credit_balances SET balance_minor = balance_minor - NEW.amount_minor
    FROM ledger_transactions AS booked
    WHERE (booked.tenant_id, booked.id) = (NEW.tenant_id, NEW.transaction_id)
        AND credit_balances.tenant_id = booked.tenant_id AND credit_balances.currency = booked.currency;
    RETURN NULL;
END
$$;
CREATE TRIGGER balance AFTER INSERT ON ledger_entries
    FOR EACH ROW WHEN (NEW.account = 'Credit') EXECUTE FUNCTION add_to_credit_balance();

-- What recurs each month, by its movements: what they add up to by a day is what recurred on that day, for ever.
CREATE TABLE revenue_movements (
    tenant_id       uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    at              timestamptz NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('New', 'Reactivation', 'Expansion', 'Contraction', 'Churn')),
    currency        text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    from_plan       text        NOT NULL,
    to_plan         text        NOT NULL,
    from_minor      bigint      NOT NULL CHECK (from_minor >= 0),
    to_minor        bigint      NOT NULL CHECK (to_minor >= 0 AND to_minor <> from_minor),
    -- Several at one instant are told apart by the order in which they came.
    position        bigint      GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, subscription_id, at, position),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions (tenant_id, id)
);
CALL protect_tenant_table('revenue_movements');
GRANT SELECT, INSERT ON revenue_movements TO pytake_api, pytake_worker;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON revenue_movements FOR EACH ROW EXECUTE FUNCTION keep_ledger();

-- A tenant's own time, where it has one. It moves to `target` while a job advances it.
CREATE TABLE test_clocks (
    tenant_id  uuid        PRIMARY KEY REFERENCES tenants (id),
    now_at     timestamptz NOT NULL,
    target_at  timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT test_clocks_forward CHECK (now_at <= target_at)
);
CALL protect_tenant_table('test_clocks');
GRANT SELECT, INSERT, UPDATE ON test_clocks TO pytake_api, pytake_worker;
