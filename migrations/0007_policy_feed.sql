-- What the edge may know, and how it learns of changes.

-- Control table. One row per changed entity, written by triggers so that no code path can forget.
-- Ids commit out of order, so nobody may read "id > the last one seen": `shared/feed` says how instead.
CREATE TABLE policy_changes (
    id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid       xid8        NOT NULL DEFAULT pg_current_xact_id(),
    entity    text        NOT NULL,
    tenant_id uuid,
    entity_id uuid,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX policy_changes_by_age ON policy_changes (at);

-- SECURITY DEFINER: the writer needs no right on the feed itself.
CREATE FUNCTION record_policy_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    INSERT INTO policy_changes (entity, tenant_id, entity_id)
    VALUES (
        TG_TABLE_NAME,
        (CASE TG_TABLE_NAME WHEN 'tenants' THEN changed ->> 'id' ELSE changed ->> 'tenant_id' END)::uuid,
        (changed ->> 'id')::uuid
    );
    -- Equal notifications of one transaction are folded into one by Postgres.
    NOTIFY policy_changes;
    RETURN NULL;
END
$$;

CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION record_policy_change();
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION record_policy_change();
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION record_policy_change();
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION record_policy_change();
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON ip_allowlists
    FOR EACH ROW EXECUTE FUNCTION record_policy_change();
CREATE TRIGGER policy_feed AFTER INSERT OR UPDATE OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION record_policy_change();
CREATE TRIGGER policy_feed AFTER DELETE OR UPDATE OF revoked_at ON sessions
    FOR EACH ROW EXECUTE FUNCTION record_policy_change();

-- The views are the edge's whole world. Their owner is a role that can log in nowhere and may read
-- exactly these columns, of all tenants.
GRANT SELECT (id, subdomain, status, require_two_factor) ON tenants TO pytake_edge_views;
CREATE POLICY edge_reads ON tenants FOR SELECT TO pytake_edge_views USING (true);
GRANT SELECT (tenant_id, plan, plan_version, status) ON subscriptions TO pytake_edge_views;
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
GRANT SELECT (id, xid, entity, tenant_id, entity_id, at) ON policy_changes TO pytake_edge_views;

CREATE SCHEMA edge;
GRANT USAGE, CREATE ON SCHEMA edge TO pytake_edge_views;

CREATE VIEW edge.tenants AS
SELECT
    tenants.id,
    tenants.subdomain,
    tenants.status,
    tenants.require_two_factor,
    subscriptions.plan,
    plan_versions.api_calls_per_minute,
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
    creators.role AS creator_role,
    creators.permissions AS creator_permissions
FROM api_keys
LEFT JOIN memberships AS creators
    ON creators.tenant_id = api_keys.tenant_id AND creators.id = api_keys.created_by
    AND creators.status = 'Active';

CREATE VIEW edge.signing_keys AS
SELECT id, public_jwk
FROM signing_keys;

-- An access token outlives its session by its own life at most (10 minutes); an hour is ample.
CREATE VIEW edge.revoked_sessions AS
SELECT id, revoked_at
FROM sessions
WHERE revoked_at > now() - interval '1 hour';

CREATE VIEW edge.policy_changes AS
SELECT id, xid, entity, tenant_id, entity_id, at
FROM policy_changes;

ALTER VIEW edge.tenants OWNER TO pytake_edge_views;
ALTER VIEW edge.memberships OWNER TO pytake_edge_views;
ALTER VIEW edge.api_keys OWNER TO pytake_edge_views;
ALTER VIEW edge.signing_keys OWNER TO pytake_edge_views;
ALTER VIEW edge.revoked_sessions OWNER TO pytake_edge_views;
ALTER VIEW edge.policy_changes OWNER TO pytake_edge_views;
REVOKE CREATE ON SCHEMA edge FROM pytake_edge_views;

GRANT USAGE ON SCHEMA edge TO pytake_edge;
GRANT SELECT ON ALL TABLES IN SCHEMA edge TO pytake_edge;
