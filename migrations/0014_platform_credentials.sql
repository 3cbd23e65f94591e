-- Credentials that belong to no tenant, and what is done with them.

-- Control table. Of the operator's applications behind the edge, which tell of usage for any tenant ('Service'), and of
-- whoever operates the installation ('Operator'). Made and revoked by the owner, on the command line; listeners may look
-- them up and do no more.
CREATE TABLE platform_credentials (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('Service', 'Operator')),
    name       text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- Keyed hash (pepper outside the database); the key itself is shown once and not kept.
    hash       bytea       NOT NULL CONSTRAINT platform_credentials_hash_unique UNIQUE
        CHECK (octet_length(hash) = 32),
    last_four  text        NOT NULL CHECK (char_length(last_four) = 4),
    created_at timestamptz NOT NULL,
    -- NULL: until it is revoked.
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT platform_credentials_operators_expire CHECK (kind <> 'Operator' OR expires_at IS NOT NULL)
);
GRANT SELECT ON platform_credentials TO pytake_api, pytake_operator;

-- Control table, append-only: what operators did, in the transaction that did it.
CREATE TABLE operator_events (
    id         uuid        PRIMARY KEY,
    at         timestamptz NOT NULL,
    -- The credential, or the account on the machine where a command was run.
    operator   text        NOT NULL CHECK (char_length(operator) BETWEEN 1 AND 200),
    action     text        NOT NULL,
    -- To what, and how much of it.
    details    jsonb       NOT NULL,
    address    inet,
    request_id text
);
GRANT SELECT, INSERT ON operator_events TO pytake_operator;
-- `pytake-workers jobs …`
GRANT INSERT ON operator_events TO pytake_worker;
