-- What is counted of a tenant's use: the catalogue of meters, and the periods that counts are billed by.

-- Control table: the same for every tenant, and public. Filled from config/plans.toml.
CREATE TABLE meters (
    name        text        PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$'),
    -- sum of quantities, count of events, greatest or latest quantity, number of different values.
    -- Never changed: what was counted one way is not to be read another.
    aggregation text        NOT NULL CHECK (aggregation IN ('sum', 'count', 'max', 'latest', 'unique')),
    -- Who counts, and nobody else: the edges, applications by events, the webhook sender, the database itself.
    source      text        NOT NULL CHECK (source IN ('edge', 'events', 'webhooks', 'derived')),
    title       text        NOT NULL CHECK (char_length(title) BETWEEN 1 AND 100),
    unit        text        NOT NULL CHECK (char_length(unit) BETWEEN 1 AND 40),
    created_at  timestamptz NOT NULL
);
GRANT SELECT ON meters TO pytake_api, pytake_worker, pytake_rollup;

-- Every period that a subscription ever began, so that usage which arrives late is booked where it belongs.
-- A period lasts until the next one begins, whatever end it was given first: an upgrade may cut it short.
CREATE TABLE subscription_periods (
    tenant_id    uuid        NOT NULL REFERENCES tenants (id),
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    -- Usage is counted by the minute: the minute in which a period begins belongs to it whole.
    first_minute timestamptz NOT NULL
        GENERATED ALWAYS AS (date_bin('1 minute', starts_at, timestamptz '2000-01-01 00:00:00+00')) STORED,
    last_minute  timestamptz NOT NULL
        GENERATED ALWAYS AS (date_bin('1 minute', ends_at, timestamptz '2000-01-01 00:00:00+00')) STORED,
    PRIMARY KEY (tenant_id, starts_at)
);
CREATE INDEX subscription_periods_by_minute ON subscription_periods (tenant_id, first_minute DESC);
CALL protect_tenant_table('subscription_periods');
GRANT SELECT, INSERT, UPDATE ON subscription_periods TO pytake_api, pytake_worker;
GRANT SELECT ON subscription_periods TO pytake_rollup;
CREATE POLICY rollup_reads ON subscription_periods FOR SELECT TO pytake_rollup USING (true);

-- A trigger, so that no code path can forget. It runs as whoever changes the subscription.
CREATE FUNCTION record_subscription_period() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
BEGIN
    INSERT INTO subscription_periods (tenant_id, starts_at, ends_at)
    VALUES (NEW.tenant_id, NEW.period_start, NEW.period_end)
    ON CONFLICT (tenant_id, starts_at) DO UPDATE SET ends_at = excluded.ends_at;
    RETURN NULL;
END
$$;
CREATE TRIGGER record_period AFTER INSERT OR UPDATE OF period_start, period_end ON subscriptions
    FOR EACH ROW EXECUTE FUNCTION record_subscription_period();

GRANT SELECT (id, status, time_zone) ON tenants TO pytake_rollup;
CREATE POLICY rollup_reads ON tenants FOR SELECT TO pytake_rollup USING (true);
