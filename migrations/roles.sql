-- Roles are the cluster's, not a database's: this file is run before the numbered migrations, each time,
-- by a login that may create roles, and changes nothing on a second run. See migrations/README.md.
--
-- Nobody who serves requests owns anything, is a superuser, or bypasses row-level security.

SET client_min_messages = warning;

DO $$
DECLARE
    role_name text;
BEGIN
    -- Two databases of one cluster may be migrated at the same time (the tests do).
    PERFORM pg_advisory_xact_lock(hashtext('pytake roles'));

    -- Owns every object; migrations run as it.
    -- pytake_edge_views, pytake_directory, pytake_rollup, pytake_dispatch, pytake_billing: own the few cross-tenant views and
    -- functions, one role per consumer, so that each is granted only the columns that its consumer needs.
    FOREACH role_name IN ARRAY
        ARRAY['pytake_owner', 'pytake_edge_views', 'pytake_directory', 'pytake_rollup', 'pytake_dispatch',
            'pytake_billing']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', role_name);
        END IF;
    END LOOP;

    FOREACH role_name IN ARRAY ARRAY['pytake_api', 'pytake_worker', 'pytake_edge', 'pytake_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOINHERIT', role_name);
        END IF;
    END LOOP;

    -- The login that migrates acts as the owner, and the owner hands views to their roles.
    EXECUTE format('GRANT pytake_owner TO %I', current_user);
    GRANT pytake_edge_views, pytake_directory, pytake_rollup, pytake_dispatch, pytake_billing TO pytake_owner;

    -- Time limits are part of isolation: one tenant's slow statement must not hold a connection for ever.
    ALTER ROLE pytake_api SET statement_timeout = '5s';
    ALTER ROLE pytake_api SET lock_timeout = '2s';
    ALTER ROLE pytake_api SET idle_in_transaction_session_timeout = '10s';
    ALTER ROLE pytake_worker SET statement_timeout = '60s';
    ALTER ROLE pytake_worker SET lock_timeout = '5s';
    ALTER ROLE pytake_worker SET idle_in_transaction_session_timeout = '60s';
    -- People wait for what they ask, and look at all of it.
    ALTER ROLE pytake_operator SET statement_timeout = '30s';
    ALTER ROLE pytake_operator SET lock_timeout = '2s';
    ALTER ROLE pytake_operator SET idle_in_transaction_session_timeout = '30s';
    ALTER ROLE pytake_edge SET statement_timeout = '30s';
    ALTER ROLE pytake_edge SET idle_in_transaction_session_timeout = '30s';

    EXECUTE format('GRANT CREATE, CONNECT ON DATABASE %I TO pytake_owner', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO pytake_api, pytake_worker, pytake_edge, pytake_operator',
        current_database());
    EXECUTE 'ALTER SCHEMA public OWNER TO pytake_owner';
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public
        TO pytake_api, pytake_worker, pytake_operator, pytake_edge_views, pytake_directory, pytake_rollup,
            pytake_dispatch, pytake_billing;
END
$$;
