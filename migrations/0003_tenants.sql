-- Tenants and their subscriptions. `tenants` is protected by its own id: a request sees its tenant and no other.

CREATE TABLE tenants (
    id                 uuid        PRIMARY KEY,
    name               text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    -- Global uniqueness is the point of a subdomain; the answer "taken" says no more than a DNS look-up.
    subdomain          text        NOT NULL CONSTRAINT tenants_subdomain_unique UNIQUE
        CHECK (char_length(subdomain) BETWEEN 3 AND 63),
    status             text        NOT NULL CHECK (status IN ('Active', 'Suspended', 'Closed')),
    company_size       text        CHECK (char_length(company_size) <= 100),
    use_case           text        CHECK (char_length(use_case) <= 500),
    time_zone          text        NOT NULL DEFAULT 'UTC' CHECK (char_length(time_zone) <= 64),
    require_two_factor boolean     NOT NULL DEFAULT false,
    version            bigint      NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    closed_at          timestamptz,
    CONSTRAINT tenants_closed_has_time CHECK ((status = 'Closed') = (closed_at IS NOT NULL))
);
CALL protect_tenant_table('tenants', 'id');

CREATE TABLE subscriptions (
    tenant_id            uuid        NOT NULL REFERENCES tenants (id),
    id                   uuid        NOT NULL,
    plan                 text        NOT NULL,
    plan_version         integer     NOT NULL,
    cycle                text        NOT NULL CHECK (cycle IN ('Monthly', 'Yearly', 'PayAsYouGo')),
    currency             text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status               text        NOT NULL CHECK (status IN ('Trialing', 'Active', 'Canceled')),
    started_at           timestamptz NOT NULL,
    trial_ends_at        timestamptz,
    -- Periods are computed from here, never from the previous end: boundary k is the anchor and k cycles.
    anchor               timestamptz NOT NULL,
    period_index         integer     NOT NULL DEFAULT 0 CHECK (period_index >= 0),
    period_start         timestamptz NOT NULL,
    period_end           timestamptz NOT NULL,
    -- Whether what is owed is paid: what is not is chased (dunning_cases), and in the end suspends the tenant, first from
    -- changing anything, then from everything but paying.
    standing             text        NOT NULL DEFAULT 'Good'
        CHECK (standing IN ('Good', 'PastDue', 'ReadOnly', 'BillingOnly')),
    -- A change that waits for the period's end; with `cancels`, it is the end of what is paid.
    next_plan            text,
    next_cycle           text,
    cancels              boolean     NOT NULL DEFAULT false,
    -- Whether use may go on past what the plan includes, and what it may then cost in a period.
    overage_allowed      boolean     NOT NULL DEFAULT false,
    spending_cap_minor   bigint      CHECK (spending_cap_minor >= 0),
    -- Quotas in place of the plan's, by meter: what the cap affords. NULL in a value: none.
    quotas               jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(quotas) = 'object'),
    -- The notice before the trial's end was sent.
    trial_end_noticed    boolean     NOT NULL DEFAULT false,
    -- The tenant lives on a time of its own, and no run by the calendar concerns it.
    on_test_clock        boolean     NOT NULL DEFAULT false,
    -- It could not be billed; why, and since when. It is tried again each hour, and stops nobody else.
    parked_at            timestamptz,
    parked_reason        text        CHECK (char_length(parked_reason) <= 1000),
    version              bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (plan, plan_version) REFERENCES plan_versions (plan, version),
    CONSTRAINT subscriptions_period_forward CHECK (period_start < period_end),
    CONSTRAINT subscriptions_trial_has_end CHECK (status <> 'Trialing' OR trial_ends_at IS NOT NULL),
    CONSTRAINT subscriptions_next_whole CHECK ((next_plan IS NULL) = (next_cycle IS NULL)),
    CONSTRAINT subscriptions_parked_has_reason CHECK ((parked_at IS NULL) = (parked_reason IS NULL))
);
-- One running subscription a tenant.
CREATE UNIQUE INDEX subscriptions_one_running ON subscriptions (tenant_id) WHERE status <> 'Canceled';
CALL protect_tenant_table('subscriptions');

-- Every change of a subscription, for ever: the billing engine computes from these.
CREATE TABLE subscription_changes (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('Started', 'Upgraded', 'Downgraded',
        'CycleChanged', 'Canceled', 'Resumed', 'Converted', 'TrialEnded')),
    from_plan       text,
    from_cycle      text,
    to_plan         text        NOT NULL,
    to_plan_version integer     NOT NULL,
    to_cycle        text        NOT NULL,
    requested_at    timestamptz NOT NULL,
    effective_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions (tenant_id, id)
);
CALL protect_tenant_table('subscription_changes');

GRANT SELECT, INSERT, UPDATE ON tenants, subscriptions TO pytake_api, pytake_worker;
GRANT SELECT, INSERT ON subscription_changes TO pytake_api, pytake_worker;
