-- From what was agreed and used to what is owed: profiles, coupons, invoices, credit notes.

-- Whom invoices are made out to. Without a row: the tenant's name, and no country.
CREATE TABLE billing_profiles (
    tenant_id   uuid        PRIMARY KEY REFERENCES tenants (id),
    name        text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    email       text        CHECK (char_length(email) <= 320),
    -- Street and the like, a line each.
    address     text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(address) <= 4),
    postal_code text        CHECK (char_length(postal_code) <= 20),
    city        text        CHECK (char_length(city) <= 100),
    country     text        CHECK (country ~ '^[A-Z]{2}$'),
    region      text        CHECK (char_length(region) BETWEEN 1 AND 10),
    tax_id      text        CHECK (char_length(tax_id) <= 30),
    -- Set by operators only, who have seen the certificate.
    tax_exempt  boolean     NOT NULL DEFAULT false,
    version     bigint      NOT NULL DEFAULT 1,
    updated_at  timestamptz NOT NULL
);
CALL protect_tenant_table('billing_profiles');
GRANT SELECT, INSERT, UPDATE ON billing_profiles TO pytake_api, pytake_worker;

-- Control table: the coupons there are. Filled from config/plans.toml.
CREATE TABLE coupons (
    code            text        PRIMARY KEY CHECK (code ~ '^[A-Z0-9_-]{3,40}$'),
    discount        jsonb       NOT NULL,
    duration        jsonb       NOT NULL,
    expires_at      timestamptz,
    redemptions_max integer     CHECK (redemptions_max > 0),
    redemptions     integer     NOT NULL DEFAULT 0
        CONSTRAINT coupons_not_exhausted CHECK (redemptions_max IS NULL OR redemptions <= redemptions_max),
    created_at      timestamptz NOT NULL
);
GRANT SELECT, UPDATE (redemptions) ON coupons TO pytake_api;
GRANT SELECT ON coupons TO pytake_worker;

-- The coupons that a tenant has redeemed, each once.
CREATE TABLE redeemed_coupons (
    tenant_id   uuid        NOT NULL REFERENCES tenants (id),
    code        text        NOT NULL REFERENCES coupons (code),
    -- As they were when it was redeemed.
    discount    jsonb       NOT NULL,
    duration    jsonb       NOT NULL,
    -- Invoices that it still holds for; NULL: for good.
    uses_left   integer     CHECK (uses_left >= 0),
    redeemed_at timestamptz NOT NULL,
    CONSTRAINT redeemed_coupons_once PRIMARY KEY (tenant_id, code)
);
CALL protect_tenant_table('redeemed_coupons');
GRANT SELECT, INSERT, UPDATE ON redeemed_coupons TO pytake_api, pytake_worker;

-- Control table: the last number of each series and year. Taken in the transaction that finalises, so that one that
-- is rolled back leaves no hole.
CREATE TABLE document_series (
    series text    NOT NULL CHECK (series ~ '^[A-Z][A-Z0-9]{0,9}$'),
    year   integer NOT NULL,
    last   integer NOT NULL CHECK (last >= 0),
    PRIMARY KEY (series, year)
);
GRANT SELECT, INSERT, UPDATE ON document_series TO pytake_api, pytake_worker, pytake_operator;

CREATE TABLE invoices (
    tenant_id            uuid        NOT NULL REFERENCES tenants (id),
    id                   uuid        NOT NULL,
    subscription_id      uuid        NOT NULL,
    kind                 text        NOT NULL CHECK (kind IN ('Period', 'Adjustment', 'Threshold', 'Final', 'Manual')),
    -- The boundary of the subscription's periods at which it was made; of a threshold, the period's start.
    boundary             timestamptz NOT NULL,
    -- The change that it is for.
    change_id            uuid,
    -- Which of its period.
    threshold            integer,
    status               text        NOT NULL CHECK (status IN ('Draft', 'Open', 'Paid', 'Uncollectible', 'Void')),
    currency             text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    period_start         timestamptz NOT NULL,
    period_end           timestamptz NOT NULL,
    -- What it will bill (billing::Draft), and when that is decided.
    draft                jsonb       NOT NULL,
    finalize_at          timestamptz NOT NULL,
    created_at           timestamptz NOT NULL,
    -- From here on: NULL or 0 in a draft, and never changed after it.
    number               text        CONSTRAINT invoices_number_unique UNIQUE,
    issued_on            date,
    due_on               date,
    finalized_at         timestamptz,
    subtotal_minor       bigint      NOT NULL DEFAULT 0,
    discount_minor       bigint      NOT NULL DEFAULT 0,
    net_minor            bigint      NOT NULL DEFAULT 0,
    tax_minor            bigint      NOT NULL DEFAULT 0,
    total_minor          bigint      NOT NULL DEFAULT 0,
    credit_applied_minor bigint      NOT NULL DEFAULT 0,
    tax_groups           jsonb       NOT NULL DEFAULT '[]',
    -- Who issued it to whom, as they were.
    issuer               jsonb,
    customer             jsonb,
    -- Whether it was to be charged to a way to pay on file; else the customer is asked to pay.
    charged              boolean     NOT NULL DEFAULT false,
    -- From here on: what becomes of it.
    paid_minor           bigint      NOT NULL DEFAULT 0 CHECK (paid_minor >= 0),
    credited_minor       bigint      NOT NULL DEFAULT 0 CHECK (credited_minor >= 0),
    due_minor            bigint      NOT NULL
        GENERATED ALWAYS AS (total_minor - credit_applied_minor - paid_minor - credited_minor) STORED,
    ended_at             timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions (tenant_id, id),
    FOREIGN KEY (tenant_id, change_id) REFERENCES subscription_changes (tenant_id, id),
    CONSTRAINT invoices_sums CHECK (net_minor + tax_minor = total_minor),
    CONSTRAINT invoices_due_not_negative
        CHECK (total_minor - credit_applied_minor - paid_minor - credited_minor >= 0),
    CONSTRAINT invoices_finalized_whole CHECK ((status = 'Draft') = (number IS NULL)
        AND (status = 'Draft') = (finalized_at IS NULL) AND (status = 'Draft') = (issuer IS NULL)),
    CONSTRAINT invoices_paid_is_settled
        CHECK (status <> 'Paid' OR total_minor - credit_applied_minor - paid_minor - credited_minor = 0),
    CONSTRAINT invoices_adjustment_has_change CHECK ((kind = 'Adjustment') = (change_id IS NOT NULL)),
    CONSTRAINT invoices_threshold_has_number CHECK ((kind = 'Threshold') = (threshold IS NOT NULL))
);
-- Exactly once, by keys: whoever comes second inserts nothing.
CREATE UNIQUE INDEX invoices_one_a_boundary ON invoices (tenant_id, subscription_id, boundary)
    WHERE kind IN ('Period', 'Final') AND status <> 'Void';
CREATE UNIQUE INDEX invoices_one_a_change ON invoices (tenant_id, change_id) WHERE kind = 'Adjustment';
CREATE UNIQUE INDEX invoices_one_a_threshold ON invoices (tenant_id, subscription_id, boundary, threshold)
    WHERE kind = 'Threshold';
CREATE INDEX invoices_open ON invoices (tenant_id, id) WHERE status IN ('Draft', 'Open', 'Uncollectible');
CALL protect_tenant_table('invoices');

CREATE TABLE invoice_lines (
    tenant_id      uuid        NOT NULL,
    invoice_id     uuid        NOT NULL,
    line           integer     NOT NULL CHECK (line > 0),
    description    text        NOT NULL,
    -- How the amount came about, in words; `rule` says it for machines (billing::Rule).
    detail         text        NOT NULL,
    -- For which plan it is; NULL: as an operator wrote it.
    plan           text,
    period_start   timestamptz NOT NULL,
    period_end     timestamptz NOT NULL,
    quantity       bigint      NOT NULL,
    unit           text        NOT NULL,
    unit_price     text,
    amount_minor   bigint      NOT NULL,
    discount_minor bigint      NOT NULL,
    net_minor      bigint      NOT NULL,
    tax_minor      bigint      NOT NULL,
    tax            jsonb       NOT NULL,
    rule           jsonb       NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id, line),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id)
);
CALL protect_tenant_table('invoice_lines');

-- Use that was billed: what comes in later for these periods is told from it.
CREATE TABLE billed_usage (
    tenant_id    uuid        NOT NULL REFERENCES tenants (id),
    meter        text        NOT NULL,
    period_start timestamptz NOT NULL,
    period_end   timestamptz NOT NULL,
    plan         text        NOT NULL,
    plan_version integer     NOT NULL,
    cycle        text        NOT NULL,
    currency     text        NOT NULL,
    quantity     bigint      NOT NULL CHECK (quantity >= 0),
    -- The spending cap that held: what comes late costs no more than it leaves.
    cap_minor    bigint,
    PRIMARY KEY (tenant_id, meter, period_start),
    FOREIGN KEY (plan, plan_version) REFERENCES plan_versions (plan, version)
);
CALL protect_tenant_table('billed_usage');
GRANT SELECT, INSERT, UPDATE ON billed_usage TO pytake_api, pytake_worker;

-- The invoice as a document, as it was rendered once.
CREATE TABLE invoice_documents (
    tenant_id   uuid        NOT NULL,
    document_id uuid        NOT NULL,
    pdf         bytea       NOT NULL,
    sha256      bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    rendered_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, document_id)
);
CALL protect_tenant_table('invoice_documents');
GRANT SELECT ON invoice_documents TO pytake_api;
GRANT SELECT, INSERT ON invoice_documents TO pytake_worker;

CREATE TABLE credit_notes (
    tenant_id     uuid        NOT NULL,
    id            uuid        NOT NULL,
    invoice_id    uuid        NOT NULL,
    number        text        NOT NULL CONSTRAINT credit_notes_number_unique UNIQUE,
    issued_on     date        NOT NULL,
    currency      text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    reason        text        NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 500),
    net_minor     bigint      NOT NULL,
    tax_minor     bigint      NOT NULL,
    total_minor   bigint      NOT NULL CHECK (total_minor = net_minor + tax_minor),
    -- Taken off what was still due, and put into the balance.
    offset_minor  bigint      NOT NULL,
    balance_minor bigint      NOT NULL,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id),
    CONSTRAINT credit_notes_sums CHECK (offset_minor + balance_minor = total_minor)
);
CREATE INDEX credit_notes_by_invoice ON credit_notes (tenant_id, invoice_id);
CALL protect_tenant_table('credit_notes');

CREATE TABLE credit_note_lines (
    tenant_id      uuid    NOT NULL,
    credit_note_id uuid    NOT NULL,
    position       integer NOT NULL CHECK (position > 0),
    invoice_id     uuid    NOT NULL,
    line           integer NOT NULL,
    description    text    NOT NULL,
    net_minor      bigint  NOT NULL CHECK (net_minor > 0),
    tax_minor      bigint  NOT NULL,
    tax            jsonb   NOT NULL,
    PRIMARY KEY (tenant_id, credit_note_id, position),
    FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id, line) REFERENCES invoice_lines (tenant_id, invoice_id, line)
);
CREATE INDEX credit_note_lines_by_line ON credit_note_lines (tenant_id, invoice_id, line);
CALL protect_tenant_table('credit_note_lines');

-- Money that came in, once for each reference of whoever reports it.
CREATE TABLE payments (
    tenant_id    uuid        NOT NULL,
    id           uuid        NOT NULL,
    invoice_id   uuid        NOT NULL,
    provider     text        NOT NULL CHECK (provider IN ('Sandbox', 'Stripe', 'PayPal', 'BankTransfer', 'BtcPay',
        -- An operator says so; it was taken from the balance.
        'Manual', 'Balance')),
    reference    text        NOT NULL CHECK (char_length(reference) BETWEEN 1 AND 255),
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    -- More than was due: it went to the balance.
    excess_minor bigint      NOT NULL CHECK (excess_minor BETWEEN 0 AND amount_minor),
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id),
    CONSTRAINT payments_once UNIQUE (tenant_id, provider, reference)
);
CREATE INDEX payments_by_invoice ON payments (tenant_id, invoice_id);
CALL protect_tenant_table('payments');

GRANT SELECT, INSERT, UPDATE, DELETE ON invoices TO pytake_api, pytake_worker;
GRANT SELECT, INSERT ON invoice_lines, credit_notes, credit_note_lines, payments TO pytake_api, pytake_worker;

-- Finalised is final: a draft becomes a numbered invoice once, and then nothing of it changes but what becomes of it.
-- For everybody, whatever program asks.
CREATE FUNCTION keep_invoice() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
DECLARE
    mutable text[] := ARRAY['status', 'paid_minor', 'credited_minor', 'due_minor', 'ended_at'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.status <> 'Draft' THEN
            RAISE EXCEPTION 'invoice % is finalised and stays', OLD.number USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.status = 'Draft' THEN
        RETURN NEW;
    END IF;
    IF to_jsonb(OLD) - mutable IS DISTINCT FROM to_jsonb(NEW) - mutable
        OR NOT (OLD.status = NEW.status OR (OLD.status, NEW.status) IN (('Open', 'Paid'), ('Open', 'Void'),
            ('Open', 'Uncollectible'), ('Uncollectible', 'Paid'), ('Uncollectible', 'Void')))
        OR (NEW.status = 'Void' AND (NEW.paid_minor, NEW.credited_minor) <> (0, 0))
        OR NEW.paid_minor < OLD.paid_minor OR NEW.credited_minor < OLD.credited_minor
    THEN
        RAISE EXCEPTION 'invoice % is finalised and does not change', OLD.number
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'correct it by a credit note';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION keep_invoice();

-- Lines come while the invoice is a draft, and stay as they are.
CREATE FUNCTION keep_invoice_lines() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION '% keeps what it holds', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (
        SELECT FROM added JOIN invoices ON (invoices.tenant_id, invoices.id) = (added.tenant_id, added.invoice_id)
        WHERE invoices.status <> 'Draft'
    ) THEN
        RAISE EXCEPTION 'a finalised invoice takes no more lines' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_added AFTER INSERT ON invoice_lines REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION keep_invoice_lines();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON invoice_lines FOR EACH ROW EXECUTE FUNCTION keep_invoice_lines();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON credit_notes FOR EACH ROW EXECUTE FUNCTION keep_invoice_lines();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON credit_note_lines FOR EACH ROW EXECUTE FUNCTION keep_invoice_lines();
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON invoice_documents FOR EACH ROW EXECUTE FUNCTION keep_invoice_lines();
