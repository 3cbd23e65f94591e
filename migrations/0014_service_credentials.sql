-- Credentials of the operator's applications behind the edge, which tell of usage for any tenant.

-- Control table: they belong to no tenant. Made and revoked by the owner, on the operator's command line; the API
-- may look them up and do no more.
CREATE TABLE service_credentials (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- Keyed hash (pepper outside the database); the key itself is shown once and not kept.
    hash       bytea       NOT NULL CONSTRAINT service_credentials_hash_unique UNIQUE
        CHECK (octet_length(hash) = 32),
    last_four  text        NOT NULL CHECK (char_length(last_four) = 4),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
GRANT SELECT ON service_credentials TO pytake_api;
