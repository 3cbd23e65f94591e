-- What banks tell of our accounts: statements, and the money on them. Whose it is, is found out after it has come.

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

-- Control table: statements that were imported. A file is not kept: what matters of it is in the entries.
CREATE TABLE bank_statements (
    iban        text        NOT NULL CHECK (char_length(iban) BETWEEN 1 AND 34),
    -- The bank's name of it.
    id          text        NOT NULL CHECK (char_length(id) BETWEEN 1 AND 600),
    -- Which in the row of the account's statements, where the bank counts them.
    sequence    bigint,
    closing_on  date,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (iban, id)
);
CREATE INDEX bank_statements_by_sequence ON bank_statements (iban, sequence);
GRANT SELECT, INSERT ON bank_statements TO pytake_worker, pytake_operator;

-- Control table: money that came in, and what took it back. A tenant is named only once it is known whose it is.
CREATE TABLE bank_entries (
    id             uuid        PRIMARY KEY,
    iban           text        NOT NULL,
    statement_id   text        NOT NULL,
    -- By which it is known among all of the account: it is taken once, from whichever statement, by however many at once.
    entry_key      text        NOT NULL CHECK (char_length(entry_key) BETWEEN 1 AND 1000),
    kind           text        NOT NULL CHECK (kind IN ('Credit', 'Lump', 'Reversal', 'Return')),
    currency       text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor   bigint      NOT NULL CHECK (amount_minor > 0),
    booked_on      date,
    end_to_end_id  text,
    payer_name     text,
    payer_iban     text,
    reference      text,
    remittance     text        NOT NULL,
    imported_at    timestamptz NOT NULL,
    state          text        NOT NULL CHECK (state IN ('Matched', 'Unmatched', 'Ignored')),
    -- Why it is not matched; why an operator ignores it.
    note           text        CHECK (char_length(note) <= 500),
    matched_by     text        CHECK (matched_by IN ('Reference', 'Text', 'Payer', 'Operator')),
    tenant_id      uuid,
    invoice_id     uuid,
    payment_id     uuid,
    -- When it was matched or ignored.
    settled_at     timestamptz,
    CONSTRAINT bank_entries_once UNIQUE (iban, entry_key),
    FOREIGN KEY (iban, statement_id) REFERENCES bank_statements (iban, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices (tenant_id, id),
    FOREIGN KEY (tenant_id, payment_id) REFERENCES payments (tenant_id, id),
    CONSTRAINT bank_entries_matched_whole CHECK (CASE state
        WHEN 'Matched' THEN num_nulls(matched_by, tenant_id, invoice_id, payment_id, settled_at) = 0 AND note IS NULL
        ELSE num_nonnulls(matched_by, tenant_id, invoice_id, payment_id) = 0 AND note IS NOT NULL END),
    -- What was taken back is no payment.
    CONSTRAINT bank_entries_only_money_in_is_matched
        CHECK (state <> 'Matched' OR kind IN ('Credit', 'Lump'))
);
CREATE INDEX bank_entries_by_state ON bank_entries (state, id);
CREATE INDEX bank_entries_of_payer ON bank_entries (payer_iban, tenant_id) WHERE state = 'Matched';
CREATE UNIQUE INDEX bank_entries_one_a_payment ON bank_entries (tenant_id, payment_id) WHERE payment_id IS NOT NULL;
GRANT SELECT, INSERT, UPDATE (state, note, matched_by, tenant_id, invoice_id, payment_id, settled_at) ON bank_entries
    TO pytake_worker, pytake_operator;
GRANT SELECT ON bank_entries TO pytake_billing;

-- What was matched has been booked: it stays.
CREATE FUNCTION keep_bank_entry() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state = 'Matched' THEN
        RAISE EXCEPTION 'a bank entry that was matched stays so, and none is deleted'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON bank_entries FOR EACH ROW EXECUTE FUNCTION keep_bank_entry();

-- By what a creditor reference is made of.
CREATE INDEX invoices_by_reference ON invoices (replace(number, '-', '')) WHERE number IS NOT NULL;

-- Invoices of a number without its separators: one, unless series are named so that two numbers read alike. Two are as
-- good as many: then nobody can tell which is meant.
CREATE FUNCTION invoices_of_reference(bare_number text)
RETURNS TABLE (tenant_id uuid, invoice_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenant_id, id FROM invoices WHERE replace(number, '-', '') = bare_number AND number IS NOT NULL LIMIT 2
$$;

-- Open invoices of an amount, of tenants for whom an account has paid before. Two are as good as many.
CREATE FUNCTION open_invoices_of_payer(payer text, of_currency text, of_minor bigint)
RETURNS TABLE (tenant_id uuid, invoice_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT invoices.tenant_id, invoices.id
    FROM (SELECT DISTINCT bank_entries.tenant_id FROM bank_entries
        WHERE bank_entries.payer_iban = payer AND bank_entries.state = 'Matched') AS paid_for
    JOIN invoices ON invoices.tenant_id = paid_for.tenant_id
    WHERE invoices.status = 'Open' AND invoices.currency = of_currency AND invoices.due_minor = of_minor
    LIMIT 2
$$;

-- Who owns a function must be able to make it.
GRANT CREATE ON SCHEMA public TO pytake_billing;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['invoices_of_reference(text)', 'open_invoices_of_payer(text, text, bigint)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO pytake_billing', name);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END
$$;
REVOKE CREATE ON SCHEMA public FROM pytake_billing;
GRANT EXECUTE ON FUNCTION invoices_of_reference, open_invoices_of_payer TO pytake_worker, pytake_operator;
