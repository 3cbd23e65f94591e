-- The price catalogue, versioned: a price or limit change makes a new version, running subscriptions
-- keep theirs. Filled from config/plans.toml. A control table: the same for every tenant, and public.

CREATE TABLE plan_versions (
    plan                 text        NOT NULL
        CONSTRAINT plan_versions_plan_known CHECK (plan IN ('Free', 'Starter', 'Pro', 'Enterprise')),
    version              integer     NOT NULL,
    -- NULL in a limit means unlimited.
    messages_per_month   bigint,
    contacts             bigint,
    users                bigint,
    api_calls_per_minute integer     NOT NULL CHECK (api_calls_per_minute > 0),
    concurrent_requests  integer     CHECK (concurrent_requests > 0),
    webhook_endpoints    bigint,
    -- Longer than a message may be on its way.
    webhook_retention_days smallint NOT NULL DEFAULT 7 CHECK (webhook_retention_days >= 5),
    storage_mb           bigint,
    automations          bigint,
    -- Counts of further meters a month, by name; that of `messages` is messages_per_month.
    quotas               jsonb       NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(quotas) = 'object' AND NOT quotas ? 'messages'),
    -- Meters that go on past their count.
    overage              text[]      NOT NULL DEFAULT '{}',
    -- What the use of a period may come to before it is billed ahead of the period's end, by currency; minor units.
    thresholds           jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(thresholds) = 'object'),
    trial_days           integer     NOT NULL CHECK (trial_days >= 0),
    created_at           timestamptz NOT NULL,
    PRIMARY KEY (plan, version)
);

CREATE TABLE plan_prices (
    plan         text    NOT NULL,
    version      integer NOT NULL,
    cycle        text    NOT NULL CHECK (cycle IN ('Monthly', 'Yearly', 'PayAsYouGo')),
    currency     text    NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_minor bigint  NOT NULL CHECK (amount_minor >= 0),
    PRIMARY KEY (plan, version, cycle, currency),
    FOREIGN KEY (plan, version) REFERENCES plan_versions (plan, version)
);

-- What is paid for use, after each period, by meter. The engine reads `charge` (billing::Charge).
CREATE TABLE plan_charges (
    plan     text     NOT NULL,
    version  integer  NOT NULL,
    cycle    text     NOT NULL CHECK (cycle IN ('Monthly', 'Yearly', 'PayAsYouGo')),
    currency text     NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- Their order on an invoice.
    position smallint NOT NULL,
    charge   jsonb    NOT NULL CHECK (jsonb_typeof(charge) = 'object'),
    PRIMARY KEY (plan, version, cycle, currency, position),
    FOREIGN KEY (plan, version) REFERENCES plan_versions (plan, version)
);

GRANT SELECT ON plan_versions, plan_prices, plan_charges TO pytake_api, pytake_worker;
GRANT SELECT ON plan_versions TO pytake_edge_views;
