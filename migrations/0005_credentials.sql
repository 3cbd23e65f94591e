-- What proves who is calling: API keys, the keys that sign access tokens, and the network allowlist.

CREATE TABLE api_keys (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    id         uuid        NOT NULL,
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- Keyed hash (pepper outside the database) of the whole key; the key itself is shown once and not kept.
    hash       bytea       NOT NULL CHECK (octet_length(hash) = 32),
    last_four  text        NOT NULL CHECK (char_length(last_four) = 4),
    scopes     text[]      NOT NULL,
    -- Calls a minute, beside the plan's; NULL: only the plan's.
    rate_limit integer     CHECK (rate_limit > 0),
    -- Empty: any address that the tenant's list allows.
    networks   cidr[]      NOT NULL DEFAULT '{}',
    created_by uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES memberships (tenant_id, id)
);
-- A key may do no more than its creator, so a member's change concerns the keys they made.
CREATE INDEX api_keys_by_creator ON api_keys (tenant_id, created_by);
CALL protect_tenant_table('api_keys');

-- Empty or absent: every address may call.
CREATE TABLE ip_allowlists (
    tenant_id  uuid        PRIMARY KEY REFERENCES tenants (id),
    networks   cidr[]      NOT NULL,
    version    bigint      NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL
);
CALL protect_tenant_table('ip_allowlists');

-- Control table: the platform's own keys. The private half is sealed by the vault.
CREATE TABLE signing_keys (
    id             uuid        PRIMARY KEY,
    public_jwk     jsonb       NOT NULL,
    private_sealed bytea       NOT NULL,
    created_at     timestamptz NOT NULL,
    -- Published still, so that tokens signed before verify until they expire; signs no more.
    retired_at     timestamptz
);

-- The vault's data keys, each wrapped by the key-encryption key. Destroying one destroys what it sealed.
CREATE TABLE tenant_data_keys (
    tenant_id  uuid        NOT NULL REFERENCES tenants (id),
    purpose    text        NOT NULL,
    version    integer     NOT NULL,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, purpose, version)
);
CALL protect_tenant_table('tenant_data_keys');

CREATE TABLE platform_data_keys (
    purpose    text        NOT NULL,
    version    integer     NOT NULL,
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (purpose, version)
);

GRANT SELECT, INSERT, UPDATE ON api_keys, ip_allowlists TO pytake_api, pytake_worker;
GRANT SELECT ON signing_keys TO pytake_api;
GRANT SELECT, INSERT ON tenant_data_keys TO pytake_api, pytake_worker;
GRANT SELECT ON platform_data_keys TO pytake_api, pytake_worker;
