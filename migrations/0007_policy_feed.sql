-- What the edge may know, and how it learns of changes.

-- Control table. One row per changed entity, written by triggers so that no code path can forget. It names
-- the entity and says nothing of its state, which is read when the change is taken notice of: so applying a
-- change twice, or late, is harmless.
-- Ids commit out of order, so nobody may read "id > the last one seen": `shared/feed` says how instead.
CREATE TABLE policy_changes (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid       xid8        NOT NULL DEFAULT pg_current_xact_id(),
    entity    text        NOT NULL
        CHECK (entity IN ('tenant', 'member', 'api_key', 'session', 'signing_keys', 'everything')),
    tenant_id uuid,
    -- The API key's or session's id, the member's user.
    entity_id uuid,
    -- The API key's hash, by which the edge knows it: a row that is gone cannot be asked for it.
    hash      bytea,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX policy_changes_by_transaction ON policy_changes (xid);
CREATE INDEX policy_changes_by_age ON policy_changes (at);

-- Control table of one row: the newest transaction whose changes are no longer listed. Who has not seen all
-- transactions up to it must read everything.
CREATE TABLE policy_feed (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    forgotten xid8    NOT NULL
);
INSERT INTO policy_feed (forgotten) VALUES ('0');

-- Arguments: entity, column with the tenant's id, column with the entity's id ('' where there is none).
-- SECURITY DEFINER: the writer needs no right on the feed itself.
CREATE FUNCTION record_policy_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        INSERT INTO policy_changes (entity) VALUES ('everything');
    ELSE
        INSERT INTO policy_changes (entity, tenant_id, entity_id, hash)
        SELECT DISTINCT
            TG_ARGV[0],
            (state ->> TG_ARGV[1])::uuid,
            (state ->> TG_ARGV[2])::uuid,
            CASE TG_ARGV[0] WHEN 'api_key' THEN (state ->> 'hash')::bytea END
        -- Both states: what a key was looked up by may itself have changed.
        FROM unnest(ARRAY[to_jsonb(OLD), to_jsonb(NEW)]) AS states (state)
        -- An invitation that nobody has accepted is nobody's membership yet.
        WHERE state IS NOT NULL AND (TG_ARGV[2] = '' OR state ->> TG_ARGV[2] IS NOT NULL);
    END IF;
    -- Equal notifications of one transaction are folded into one by Postgres.
    NOTIFY policy_changes;
    RETURN NULL;
END
$$;

-- On every table that a view of the edge reads; a test compares.
CREATE TRIGGER policy_feed
    AFTER INSERT OR DELETE OR UPDATE OF subdomain, status, require_two_factor ON tenants
    FOR EACH ROW EXECUTE FUNCTION record_policy_change('tenant', 'id', '');
CREATE TRIGGER policy_feed
    AFTER INSERT OR DELETE OR UPDATE OF plan, plan_version, cycle, status, standing, period_start, period_end,
        quotas
    ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION record_policy_change('tenant', 'tenant_id', '');
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON ip_allowlists
    FOR EACH ROW EXECUTE FUNCTION record_policy_change('tenant', 'tenant_id', '');
CREATE TRIGGER policy_feed
    AFTER INSERT OR DELETE OR UPDATE OF user_id, role, permissions, status ON memberships
    FOR EACH ROW EXECUTE FUNCTION record_policy_change('member', 'tenant_id', 'user_id');
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION record_policy_change('api_key', 'tenant_id', 'id');
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION record_policy_change('signing_keys', '', '');
CREATE TRIGGER policy_feed AFTER DELETE OR UPDATE OF revoked_at ON sessions
    FOR EACH ROW EXECUTE FUNCTION record_policy_change('session', '', 'id');
-- Versions of plans are added, not changed; should one ever be, it concerns whole crowds of tenants.
CREATE TRIGGER policy_feed AFTER UPDATE OR DELETE ON plan_versions
    FOR EACH STATEMENT EXECUTE FUNCTION record_policy_change('everything', '', '');

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenants', 'subscriptions', 'ip_allowlists', 'memberships', 'api_keys',
        'signing_keys', 'sessions', 'plan_versions']
    LOOP
        EXECUTE format('CREATE TRIGGER policy_feed_emptied AFTER TRUNCATE ON %I
            FOR EACH STATEMENT EXECUTE FUNCTION record_policy_change()', name);
    END LOOP;
END
$$;

-- Shortens the feed; returns how many changes it forgot. An edge that was away for longer reads everything.
CREATE FUNCTION forget_policy_changes(before timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    WITH gone AS (DELETE FROM policy_changes WHERE at < before RETURNING xid),
    noted AS (
        UPDATE policy_feed SET forgotten = greatest(forgotten, newest)
        FROM (SELECT max(xid) AS newest FROM gone) AS newest_gone
        WHERE newest IS NOT NULL
    )
    SELECT count(*) FROM gone
$$;
REVOKE EXECUTE ON FUNCTION forget_policy_changes(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_policy_changes(timestamptz) TO pytake_worker;

-- The views are the edge's whole world. Their owner is a role that can log in nowhere and may read
-- exactly these columns, of all tenants.
GRANT SELECT (id, subdomain, status, require_two_factor) ON tenants TO pytake_edge_views;
CREATE POLICY edge_reads ON tenants FOR SELECT TO pytake_edge_views USING (true);
GRANT SELECT (tenant_id, plan, plan_version, cycle, status, standing, period_start, period_end, quotas)
    ON subscriptions TO pytake_edge_views;
CREATE POLICY edge_reads ON subscriptions FOR SELECT TO pytake_edge_views USING (true);
GRANT SELECT (tenant_id, id, user_id, role, permissions, status) ON memberships TO pytake_edge_views;
CREATE POLICY edge_reads ON memberships FOR SELECT TO pytake_edge_views USING (true);
GRANT SELECT (tenant_id, id, hash, scopes, rate_limit, networks, created_by, expires_at, revoked_at)
    ON api_keys TO pytake_edge_views;
CREATE POLICY edge_reads ON api_keys FOR SELECT TO pytake_edge_views USING (true);
GRANT SELECT (tenant_id, networks) ON ip_allowlists TO pytake_edge_views;
CREATE POLICY edge_reads ON ip_allowlists FOR SELECT TO pytake_edge_views USING (true);
GRANT SELECT (id, public_jwk) ON signing_keys TO pytake_edge_views;
GRANT SELECT (id, revoked_at, expires_at) ON sessions TO pytake_edge_views;
GRANT SELECT ON policy_changes, policy_feed TO pytake_edge_views;

CREATE SCHEMA edge;
GRANT USAGE, CREATE ON SCHEMA edge TO pytake_edge_views;

CREATE VIEW edge.tenants AS
SELECT
    tenants.id,
    tenants.subdomain,
    tenants.status,
    tenants.require_two_factor,
    -- Whether it is paid for: the edge withholds what is not.
    subscriptions.standing,
    subscriptions.plan,
    plan_versions.api_calls_per_minute,
    plan_versions.concurrent_requests,
    -- Meters that stop, with their counts in the period: of a year twelve times that of a month. What is unlimited, or
    -- goes on past its count, is not there. What the tenant allowed its use to cost goes before what the plan says.
    jsonb_strip_nulls((
        SELECT coalesce(jsonb_object_agg(month.meter,
            month.count::text::bigint * CASE subscriptions.cycle WHEN 'Yearly' THEN 12 ELSE 1 END), '{}')
        FROM jsonb_each(jsonb_build_object('messages', plan_versions.messages_per_month) || plan_versions.quotas)
            AS month (meter, count)
        WHERE month.count <> 'null'
    ) - plan_versions.overage || subscriptions.quotas) AS quotas,
    subscriptions.period_start,
    subscriptions.period_end,
    coalesce(ip_allowlists.networks, '{}'::cidr[]) AS networks
FROM tenants
JOIN subscriptions ON subscriptions.tenant_id = tenants.id AND subscriptions.status <> 'Canceled'
JOIN plan_versions
    ON plan_versions.plan = subscriptions.plan AND plan_versions.version = subscriptions.plan_version
LEFT JOIN ip_allowlists ON ip_allowlists.tenant_id = tenants.id;

CREATE VIEW edge.memberships AS
SELECT tenant_id, id, user_id, role, permissions
FROM memberships
WHERE status = 'Active';

-- Revoked keys stay visible, so that their callers are told "revoked" and not "unknown".
-- With what its creator may do now, nothing when they were removed: a key never does what they cannot.
CREATE VIEW edge.api_keys AS
SELECT
    api_keys.tenant_id,
    api_keys.id,
    api_keys.hash,
    api_keys.scopes,
    api_keys.rate_limit,
    api_keys.networks,
    api_keys.expires_at,
    api_keys.revoked_at,
    creators.user_id AS creator_id,
    CASE creators.status WHEN 'Active' THEN creators.role END AS creator_role,
    creators.permissions AS creator_permissions
FROM api_keys
LEFT JOIN memberships AS creators
    ON creators.tenant_id = api_keys.tenant_id AND creators.id = api_keys.created_by;

CREATE VIEW edge.signing_keys AS
SELECT id, public_jwk
FROM signing_keys;

-- An access token outlives its session by its own life at most (10 minutes); an hour is ample.
CREATE VIEW edge.revoked_sessions AS
SELECT id, revoked_at
FROM sessions
WHERE revoked_at > now() - interval '1 hour';

CREATE VIEW edge.policy_changes AS
SELECT id, xid, entity, tenant_id, entity_id, hash, at
FROM policy_changes;

-- Where the feed is at present. The lineage changes when the database is not the one it was: another
-- cluster, or one restored to an earlier moment, where numbers of transactions are used a second time.
CREATE VIEW edge.feed_position AS
SELECT
    pg_current_snapshot() AS snapshot,
    forgotten,
    concat_ws(
        '/',
        system_identifier,
        CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
        (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS lineage
FROM policy_feed, pg_control_system();

ALTER VIEW edge.tenants OWNER TO pytake_edge_views;
ALTER VIEW edge.memberships OWNER TO pytake_edge_views;
ALTER VIEW edge.api_keys OWNER TO pytake_edge_views;
ALTER VIEW edge.signing_keys OWNER TO pytake_edge_views;
ALTER VIEW edge.revoked_sessions OWNER TO pytake_edge_views;
ALTER VIEW edge.policy_changes OWNER TO pytake_edge_views;
ALTER VIEW edge.feed_position OWNER TO pytake_edge_views;
REVOKE CREATE ON SCHEMA edge FROM pytake_edge_views;

GRANT USAGE ON SCHEMA edge TO pytake_edge;
GRANT SELECT ON ALL TABLES IN SCHEMA edge TO pytake_edge;
