-- The audit trail as evidence: which place each event has in its tenant's Merkle tree, and the signed heads of it
-- (shared/audit_log). Events get their place after they were committed, in the order of their ids: a chain that each writer
-- extends would have a tenant's writers wait for each other.

-- Control table, ids only: events that have no place yet.
CREATE TABLE audit_unplaced (
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    event_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
GRANT SELECT, INSERT ON audit_unplaced TO pytake_api;
GRANT SELECT, INSERT, DELETE ON audit_unplaced TO pytake_worker;

-- By a trigger, so that no event is written past it.
CREATE FUNCTION await_place() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
BEGIN
    INSERT INTO audit_unplaced (tenant_id, event_id) VALUES (NEW.tenant_id, NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_events_await_place AFTER INSERT ON audit_events
    FOR EACH ROW EXECUTE FUNCTION await_place();

-- Append-only, as the heads are: what a place was given to, and the hash of it. No foreign key: that an event is gone is to
-- be seen here.
CREATE TABLE audit_leaves (
    tenant_id uuid   NOT NULL REFERENCES tenants (id),
    -- From 0, without holes.
    position  bigint NOT NULL CHECK (position >= 0),
    event_id  uuid   NOT NULL,
    hash      bytea  NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, position),
    CONSTRAINT audit_leaves_once UNIQUE (tenant_id, event_id)
);
CALL protect_tenant_table('audit_leaves');
GRANT SELECT, INSERT ON audit_leaves TO pytake_worker;
GRANT SELECT ON audit_leaves TO pytake_api;

CREATE TABLE audit_heads (
    tenant_id uuid        NOT NULL REFERENCES tenants (id),
    -- Of so many events.
    size      bigint      NOT NULL CHECK (size > 0),
    root      bytea       NOT NULL CHECK (octet_length(root) = 32),
    -- The roots of the perfect trees that the events make, largest first: from them the tree grows on.
    frontier  bytea[]     NOT NULL,
    at        timestamptz NOT NULL,
    key_id    uuid        NOT NULL,
    signature text        NOT NULL CHECK (signature ~ '^[0-9a-f]{128}$'),
    PRIMARY KEY (tenant_id, size)
);
CALL protect_tenant_table('audit_heads');
GRANT SELECT, INSERT ON audit_heads TO pytake_worker;
GRANT SELECT ON audit_heads TO pytake_api;

-- Control table: what signs heads. Workers sign; whoever verifies reads the public half.
CREATE TABLE audit_keys (
    id             uuid        PRIMARY KEY,
    -- Ed25519.
    public         bytea       NOT NULL CHECK (octet_length(public) = 32),
    -- PKCS #8, sealed by the vault.
    private_sealed bytea       NOT NULL,
    created_at     timestamptz NOT NULL
);
GRANT SELECT ON audit_keys TO pytake_worker;
GRANT SELECT (id, public, created_at) ON audit_keys TO pytake_api;
