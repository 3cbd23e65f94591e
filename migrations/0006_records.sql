-- What was done, and what was already answered.

-- Append-only: no application role may update or delete.
CREATE TABLE audit_events (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    id         uuid        NOT NULL,
    at         timestamptz NOT NULL,
    actor_kind text        NOT NULL CHECK (actor_kind IN ('User', 'ApiKey', 'Anonymous', 'System')),
    actor_id   text,
    action     text        NOT NULL,
    target     text        NOT NULL,
    -- Before and after of what changed, secrets left out.
    changes    jsonb       NOT NULL DEFAULT '{}',
    address    inet,
    request_id text,
    PRIMARY KEY (tenant_id, id)
);
CALL protect_tenant_table('audit_events');
GRANT SELECT, INSERT ON audit_events TO pytake_api, pytake_worker;

-- Control table: anonymous requests have keys too. Nothing in it can be read without the header's value:
-- the key is a hash, the answer is sealed under a key derived from the header.
CREATE TABLE idempotency_keys (
    -- Hash over tenant, principal, route and the header's value.
    scope         bytea       PRIMARY KEY CHECK (octet_length(scope) = 32),
    request_hash  bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
    status        smallint    NOT NULL,
    answer_sealed bytea       NOT NULL,
    created_at    timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO pytake_api;
GRANT SELECT, DELETE ON idempotency_keys TO pytake_worker;
