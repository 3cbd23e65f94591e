-- Usage, from what edges and applications submit to what tenants see and are billed for.
--
--   edge.submit_usage, submit_usage_events   a batch, once, whatever is sent twice
--     → usage_batches, usage_batch_rows      as it came; no role of a program can read it
--   fold_usage                               each batch once → usage_hours, usage_uniques; their days are dirty
--   settle_usage                             dirty days, computed anew → usage_days → usage_periods
--   check_usage                              what edges say they counted = batches = hours = days = periods
--
-- Batches hold many tenants, so nobody who serves requests may touch them: the functions belong to
-- pytake_rollup, which cannot log in, and which alone writes the usage tables, of all tenants.

-- What a route's request counts as. The same label has the same number for ever.
CREATE TABLE usage_labels (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- '' for events.
    route  text    NOT NULL,
    -- '' for none but api_calls.
    meter  text    NOT NULL,
    weight bigint  NOT NULL CHECK (weight >= 0),
    CONSTRAINT usage_labels_unique UNIQUE (route, meter, weight)
);

-- Every batch that ever came, by the number that its sender gave it: a second one of that number is the first.
CREATE TABLE usage_batches (
    -- The edge, or the service credential.
    source_id    uuid        NOT NULL,
    -- One life of an edge, or one call of an application.
    boot_id      uuid        NOT NULL,
    number       bigint      NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('edge', 'events')),
    received_at  timestamptz NOT NULL DEFAULT now(),
    received_on  date        NOT NULL,
    -- When an edge's requests were counted; events have a time each.
    minute       timestamptz,
    -- What an edge says it had counted before; requests of its batches must add up to it.
    total_before bigint      NOT NULL,
    requests     bigint      NOT NULL,
    rows         integer     NOT NULL,
    rolled_up_at timestamptz,
    PRIMARY KEY (source_id, boot_id, number)
);
CREATE INDEX usage_batches_waiting ON usage_batches (received_at) WHERE rolled_up_at IS NULL;
CREATE INDEX usage_batches_by_minute ON usage_batches (minute);
CREATE INDEX usage_batches_by_age ON usage_batches (received_on);

-- What the batches say, an array a column: one row a batch costs a hundredth of one row a count.
CREATE TABLE usage_batch_rows (
    received_on  date       NOT NULL,
    source_id    uuid       NOT NULL,
    boot_id      uuid       NOT NULL,
    number       bigint     NOT NULL,
    tenants      uuid[]     NOT NULL,
    labels       integer[]  NOT NULL,
    quantities   bigint[]   NOT NULL,
    -- Of edges. Nobody: the id of zeros. Outcomes: 0 to 4 for 2xx, 3xx, 4xx, 5xx, refused.
    api_keys     uuid[],
    users        uuid[],
    outcomes     smallint[],
    -- Of events.
    at           timestamptz[],
    fingerprints uuid[],
    -- What a meter of different values counts the values of; NULL for others.
    "values"     uuid[],
    PRIMARY KEY (received_on, source_id, boot_id, number)
) PARTITION BY RANGE (received_on);
CREATE TABLE usage_batch_rows_other PARTITION OF usage_batch_rows DEFAULT;

-- One row for each event that was ever accepted, for as long as it might be sent again.
CREATE TABLE usage_event_ids (
    -- Of tenant, source and id.
    fingerprint uuid PRIMARY KEY,
    received_on date NOT NULL
);
CREATE INDEX usage_event_ids_by_age ON usage_event_ids USING brin (received_on);

-- How far each life of an edge has told what it counted.
CREATE TABLE usage_edges (
    edge_id     uuid        NOT NULL,
    boot_id     uuid        NOT NULL,
    -- Nothing that it tells from here on was counted earlier.
    watermark   timestamptz NOT NULL,
    -- Of its newest batch; NULL before the first.
    last_number bigint,
    -- All that it had counted in its batches.
    total       bigint      NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT now(),
    -- It will tell no more.
    ended_at    timestamptz,
    PRIMARY KEY (edge_id, boot_id)
);
CREATE INDEX usage_edges_running ON usage_edges (watermark) WHERE ended_at IS NULL;

-- Days whose hours have changed.
CREATE TABLE usage_dirty (
    tenant_id uuid        NOT NULL,
    meter     text        NOT NULL,
    day       timestamptz NOT NULL,
    period    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, meter, day)
);

-- What did not add up, by the bucket that is wrong. For people; pytake_worker counts them.
CREATE TABLE usage_discrepancies (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    found_at timestamptz NOT NULL DEFAULT now(),
    -- spool, hours, days, periods: where the sum differs from what it is made of.
    stage    text        NOT NULL,
    -- Edge and boot, or tenant and meter.
    subject  text        NOT NULL,
    bucket   text        NOT NULL,
    expected numeric,
    found    numeric
);
CREATE INDEX usage_discrepancies_by_age ON usage_discrepancies (found_at);

-- Buckets. An hour is an hour of the tenant's clock (there are zones of half and quarter hours), cut where a
-- billing period begins; so every minute is in one hour, one day and one period, and each is a sum of the one
-- before. No foreign key to tenants: what was counted is kept, whatever it was counted for.
CREATE TABLE usage_hours (
    tenant_id  uuid        NOT NULL,
    meter      text        NOT NULL,
    starts_at  timestamptz NOT NULL,
    -- '' where it was not a request.
    route      text        NOT NULL,
    -- '2xx', '3xx', '4xx': billed; '5xx', 'refused': counted for information. '' for events.
    outcome    text        NOT NULL,
    -- Zeros: no API key.
    api_key_id uuid        NOT NULL,
    day        timestamptz NOT NULL,
    period     timestamptz NOT NULL,
    quantity   bigint      NOT NULL,
    -- Of meters that keep the latest quantity: whose it is.
    latest_at  timestamptz,
    latest_id  uuid,
    PRIMARY KEY (tenant_id, meter, starts_at, route, outcome, api_key_id)
) PARTITION BY RANGE (starts_at);
CREATE TABLE usage_hours_other PARTITION OF usage_hours DEFAULT;

-- The different values of an hour.
CREATE TABLE usage_uniques (
    tenant_id uuid        NOT NULL,
    meter     text        NOT NULL,
    starts_at timestamptz NOT NULL,
    value     uuid        NOT NULL,
    day       timestamptz NOT NULL,
    period    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, meter, starts_at, value)
) PARTITION BY RANGE (starts_at);
CREATE INDEX usage_uniques_by_period ON usage_uniques (tenant_id, meter, period, value);
CREATE TABLE usage_uniques_other PARTITION OF usage_uniques DEFAULT;

CREATE TABLE usage_days (
    tenant_id uuid        NOT NULL,
    meter     text        NOT NULL,
    day       timestamptz NOT NULL,
    outcome   text        NOT NULL,
    period    timestamptz NOT NULL,
    quantity  bigint      NOT NULL,
    latest_at timestamptz,
    latest_id uuid,
    PRIMARY KEY (tenant_id, meter, day, outcome)
) PARTITION BY RANGE (day);
CREATE TABLE usage_days_other PARTITION OF usage_days DEFAULT;

-- What is billed and what quotas go by. `period`: the minute in which it began.
CREATE TABLE usage_periods (
    tenant_id uuid        NOT NULL,
    meter     text        NOT NULL,
    period    timestamptz NOT NULL,
    quantity  bigint      NOT NULL,
    PRIMARY KEY (tenant_id, meter, period)
);

CREATE TABLE api_key_uses (
    tenant_id    uuid        NOT NULL,
    api_key_id   uuid        NOT NULL,
    -- To the minute.
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, api_key_id)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['usage_hours', 'usage_hours_other', 'usage_uniques', 'usage_uniques_other',
        'usage_days', 'usage_days_other', 'usage_periods', 'api_key_uses']
    LOOP
        CALL protect_tenant_table(name::regclass);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['usage_hours', 'usage_uniques', 'usage_days', 'usage_periods', 'api_key_uses']
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO pytake_api, pytake_worker', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %I TO pytake_rollup', name);
        EXECUTE format('CREATE POLICY rollup_writes ON %I TO pytake_rollup USING (true) WITH CHECK (true)', name);
    END LOOP;
END
$$;
GRANT SELECT, INSERT ON usage_labels, usage_batch_rows, usage_event_ids, usage_discrepancies TO pytake_rollup;
GRANT SELECT, INSERT, UPDATE ON usage_batches, usage_edges TO pytake_rollup;
GRANT SELECT, INSERT, DELETE ON usage_dirty TO pytake_rollup;
GRANT USAGE ON SCHEMA apalis TO pytake_rollup;
GRANT EXECUTE ON FUNCTION apalis.enqueue, apalis.enqueue_all TO pytake_rollup;
-- Which quotas there are, to keep them by what was counted.
GRANT USAGE ON SCHEMA edge TO pytake_rollup;
GRANT SELECT ON edge.tenants TO pytake_rollup;
