-- People are the platform's: one address, many memberships. `users`, `sessions` and `refresh_tokens` are
-- control tables without row-level security, reached only through store/users.rs and store/sessions.rs.

CREATE TABLE users (
    id                  uuid        PRIMARY KEY,
    email               text        NOT NULL CHECK (char_length(email) <= 254 AND email = lower(email)),
    name                text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- argon2id in PHC form; NULL until the mailed link is opened.
    password_hash       text,
    email_verified_at   timestamptz,
    -- Mailed tokens are a keyed hash of (purpose, id, generation); a new generation ends the older link.
    email_generation    integer     NOT NULL DEFAULT 1,
    password_generation integer     NOT NULL DEFAULT 1,
    -- Until when the newest password link works.
    password_link_until timestamptz,
    created_at          timestamptz NOT NULL,
    CONSTRAINT users_password_needs_verification
        CHECK (password_hash IS NULL OR email_verified_at IS NOT NULL)
);
-- Anyone may sign up with any address; only its holder can verify it. So the address is unique among
-- verified users, and nobody can pre-empt another's account.
CREATE UNIQUE INDEX users_verified_email_unique ON users (email) WHERE email_verified_at IS NOT NULL;

CREATE TABLE sessions (
    id            uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Set: good for this tenant only (a sign-up by an unverified owner).
    tenant_id     uuid        REFERENCES tenants (id),
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz,
    address       inet,
    user_agent    text        CHECK (char_length(user_agent) <= 300)
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE refresh_tokens (
    -- Keyed hash of the token; the token itself is never stored.
    hash             bytea       PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_id       uuid        NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at       timestamptz NOT NULL,
    rotated_at       timestamptz,
    -- The successor, sealed under a key derived from this very token, so that a client whose answer was
    -- lost gets the same one again within the grace window.
    successor_sealed bytea
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

-- Failed sign-ins by account and by address, for the progressive delay. The subject is a keyed hash.
CREATE TABLE login_attempts (
    subject         bytea       PRIMARY KEY CHECK (octet_length(subject) = 32),
    failures        integer     NOT NULL,
    last_failure_at timestamptz NOT NULL
);

-- A person's place in a tenant. Invited ones have no user yet; they take a seat already.
CREATE TABLE memberships (
    tenant_id   uuid        NOT NULL REFERENCES tenants (id),
    id          uuid        NOT NULL,
    user_id     uuid        REFERENCES users (id),
    email       text        NOT NULL CHECK (char_length(email) <= 254 AND email = lower(email)),
    name        text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    role        text        NOT NULL CHECK (role IN ('Owner', 'Admin', 'Manager', 'User', 'ReadOnly')),
    -- Granted beside the role; a new role starts without.
    permissions text[]      NOT NULL DEFAULT '{}',
    status      text        NOT NULL CHECK (status IN ('Invited', 'Active', 'Removed')),
    created_at  timestamptz NOT NULL,
    version     bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT memberships_active_has_user CHECK (status <> 'Active' OR user_id IS NOT NULL)
);
CREATE UNIQUE INDEX memberships_email_unique ON memberships (tenant_id, email) WHERE status <> 'Removed';
CREATE UNIQUE INDEX memberships_user_unique ON memberships (tenant_id, user_id) WHERE status = 'Active';
-- For tenants_of_user, which crosses tenants.
CREATE INDEX memberships_of_user ON memberships (user_id) WHERE status = 'Active';
CALL protect_tenant_table('memberships');

CREATE TABLE invitations (
    tenant_id     uuid        NOT NULL,
    id            uuid        NOT NULL,
    membership_id uuid        NOT NULL,
    invited_by    uuid,
    -- The mailed token is a keyed hash of (id, generation); resending raises the generation.
    generation    integer     NOT NULL DEFAULT 1,
    token_hash    bytea       NOT NULL CHECK (octet_length(token_hash) = 32),
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    accepted_at   timestamptz,
    revoked_at    timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, membership_id) REFERENCES memberships (tenant_id, id)
);
-- For tenant_of_invitation, which crosses tenants.
CREATE INDEX invitations_by_id ON invitations (id);
CREATE INDEX invitations_by_membership ON invitations (tenant_id, membership_id);
CALL protect_tenant_table('invitations');

GRANT SELECT, INSERT, UPDATE, DELETE ON users, sessions, refresh_tokens, login_attempts TO pytake_api;
-- Whom to mail; never the password's hash.
GRANT SELECT (id, email, name, email_verified_at, email_generation, password_generation)
    ON users TO pytake_worker;
-- What to mail about a sign-in.
GRANT SELECT (id, user_id, created_at, address, user_agent, revoked_at) ON sessions TO pytake_worker;
GRANT SELECT, INSERT, UPDATE ON memberships, invitations TO pytake_api, pytake_worker;

-- Which tenants a person belongs to: the one question about people that crosses tenants.
GRANT SELECT (tenant_id, id, user_id, role, status) ON memberships TO pytake_directory;
CREATE POLICY directory_reads ON memberships FOR SELECT TO pytake_directory USING (true);
GRANT SELECT (id, name, subdomain, status) ON tenants TO pytake_directory;
CREATE POLICY directory_reads ON tenants FOR SELECT TO pytake_directory USING (true);
GRANT SELECT (tenant_id, id) ON invitations TO pytake_directory;
CREATE POLICY directory_reads ON invitations FOR SELECT TO pytake_directory USING (true);

-- Bodies are planned at creation as the owner, whom row_security = off rightly stops; they run as another.
SET LOCAL check_function_bodies = off;

CREATE FUNCTION tenants_of_user(wanted uuid)
RETURNS TABLE (tenant_id uuid, membership_id uuid, name text, subdomain text, role text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT tenants.id, memberships.id, tenants.name, tenants.subdomain, memberships.role
    FROM memberships
    JOIN tenants ON tenants.id = memberships.tenant_id
    WHERE memberships.user_id = wanted
        AND memberships.status = 'Active'
        AND tenants.status = 'Active'
    ORDER BY tenants.name, tenants.id
$$;

-- The tenant in which an invitation lives: the mailed token names only the invitation.
CREATE FUNCTION tenant_of_invitation(wanted uuid)
RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT invitations.tenant_id FROM invitations WHERE invitations.id = wanted
$$;

-- CREATE is needed for a moment to become an owner of something in the schema.
GRANT CREATE ON SCHEMA public TO pytake_directory;
ALTER FUNCTION tenants_of_user OWNER TO pytake_directory;
ALTER FUNCTION tenant_of_invitation OWNER TO pytake_directory;
REVOKE CREATE ON SCHEMA public FROM pytake_directory;
REVOKE ALL ON FUNCTION tenants_of_user, tenant_of_invitation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_of_user, tenant_of_invitation TO pytake_api;
