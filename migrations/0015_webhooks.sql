-- Outgoing webhooks: where tenants want to be told of events, what they are told, and how that went.
--
-- A message is written in the transaction of its event, with a delivery for each endpoint that wants it. Deliveries
-- are the queue of record; 0016_webhook_dispatch.sql hands them out.

CREATE TABLE webhook_endpoints (
    tenant_id       uuid        NOT NULL REFERENCES tenants (id),
    id              uuid        NOT NULL,
    url             text        NOT NULL CHECK (char_length(url) BETWEEN 1 AND 2000),
    description     text        NOT NULL CHECK (char_length(description) <= 500),
    -- 'invoice.paid', 'invoice.*', '*'.
    event_types     text[]      NOT NULL CHECK (cardinality(event_types) BETWEEN 1 AND 50),
    -- Conditions on fields of the message, which must all hold; NULL: none.
    filter          jsonb,
    -- Headers of the tenant's own: their names for all to see, all of them sealed, as they may hold credentials.
    header_names    text[]      NOT NULL DEFAULT '{}',
    headers_sealed  bytea,
    signature       text        NOT NULL CHECK (signature IN ('Hmac', 'Ed25519')),
    -- In any order; one at a time for each ordering key; one at a time altogether.
    ordering        text        NOT NULL CHECK (ordering IN ('None', 'ByKey', 'Strict')),
    -- Deliveries a minute; NULL: as many as it takes.
    rate_limit      integer     CHECK (rate_limit > 0),
    -- Deliveries at the same time.
    in_flight_max   smallint    NOT NULL CHECK (in_flight_max BETWEEN 1 AND 100),
    -- Deleted: kept until what was sent to it is forgotten.
    status          text        NOT NULL CHECK (status IN ('Enabled', 'Disabled', 'Deleted')),
    -- ByUser; Gone: it answered 410; Failing: nothing got through for five days.
    disabled_reason text        CHECK (disabled_reason IN ('ByUser', 'Gone', 'Failing')),
    disabled_at     timestamptz,
    version         bigint      NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT webhook_endpoints_disabled_has_reason
        CHECK (status <> 'Disabled' OR (disabled_reason IS NOT NULL AND disabled_at IS NOT NULL))
);
CALL protect_tenant_table('webhook_endpoints');

-- What signs; during a rotation the one before, too.
CREATE TABLE webhook_secrets (
    tenant_id     uuid        NOT NULL,
    endpoint_id   uuid        NOT NULL,
    id            uuid        NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('Hmac', 'Ed25519')),
    secret_sealed bytea       NOT NULL,
    -- Of Ed25519.
    public_key    text,
    created_at    timestamptz NOT NULL,
    -- Signs no more from then on; NULL: the current one.
    expires_at    timestamptz,
    PRIMARY KEY (tenant_id, endpoint_id, id),
    FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoints (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX webhook_secrets_one_current ON webhook_secrets (tenant_id, endpoint_id) WHERE expires_at IS NULL;
CALL protect_tenant_table('webhook_secrets');

-- How it goes with an endpoint, written by those who deliver. A row of its own: who publishes an event reads
-- endpoints, and must not wait for those who deliver, nor they for each other's events.
CREATE TABLE webhook_lanes (
    tenant_id        uuid        NOT NULL,
    endpoint_id      uuid        NOT NULL,
    -- It has answered well since it last did not: it may have its whole share at once.
    proven           boolean     NOT NULL DEFAULT false,
    -- Attempts that failed in a row; past a few the circuit is open.
    failures         integer     NOT NULL DEFAULT 0,
    -- Nothing is sent before: the circuit breaker, or what the endpoint asked for by Retry-After.
    open_until       timestamptz,
    -- Since when, and until when, nothing has got through.
    first_failure_at timestamptz,
    last_failure_at  timestamptz,
    -- Of the five days after which it is disabled, so many per cent were told of.
    warned_percent   smallint    NOT NULL DEFAULT 0,
    -- GCRA: the theoretical arrival time of the next delivery of its rate limit.
    throttled_until  timestamptz NOT NULL DEFAULT '-infinity',
    -- The ordering key that was looked at last, so that the turn is everybody's.
    turn             text        NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, endpoint_id),
    FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoints (tenant_id, id) ON DELETE CASCADE
);
CALL protect_tenant_table('webhook_lanes');

CREATE TABLE webhook_messages (
    tenant_id      uuid        NOT NULL REFERENCES tenants (id),
    -- `webhook-id`.
    id             uuid        NOT NULL,
    event_type     text        NOT NULL CHECK (char_length(event_type) BETWEEN 3 AND 100),
    occurred_at    timestamptz NOT NULL,
    -- A second event of the tenant under this id is the first; NULL: has none.
    uid            text        CHECK (char_length(uid) BETWEEN 1 AND 255),
    ordering_key   text        CHECK (char_length(ordering_key) <= 200),
    -- The body, byte by byte, sealed under the tenant's key: with the key goes every copy.
    payload_sealed bytea       NOT NULL CHECK (octet_length(payload_sealed) <= 66560),
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX webhook_messages_uid_unique ON webhook_messages (tenant_id, uid) WHERE uid IS NOT NULL;
CALL protect_tenant_table('webhook_messages');

-- A message on its way to an endpoint; one row for ever, however often it is sent.
CREATE TABLE webhook_deliveries (
    tenant_id        uuid        NOT NULL,
    endpoint_id      uuid        NOT NULL,
    message_id       uuid        NOT NULL,
    -- The order of events that follow from each other, whatever the clocks of programs say.
    seq              bigint      GENERATED ALWAYS AS IDENTITY,
    -- Pending: waits for its time. Sending: leased. Delivered. Failed: given up. Held: its endpoint was disabled.
    status           text        NOT NULL CHECK (status IN ('Pending', 'Sending', 'Delivered', 'Failed', 'Held')),
    -- Those of one key go one at a time, in order; NULL: in any order. Never ''.
    ordering_key     text        CHECK (ordering_key <> ''),
    ordered          boolean     NOT NULL GENERATED ALWAYS AS (ordering_key IS NOT NULL) STORED,
    -- Sent again by the thousand: behind what is new.
    replayed         boolean     NOT NULL DEFAULT false,
    -- All that were made; those of the current round that failed.
    attempts         integer     NOT NULL DEFAULT 0,
    failures         integer     NOT NULL DEFAULT 0,
    next_attempt_at  timestamptz,
    -- Its time has come: what may be sent is told from what waits for its time by an index.
    due              boolean     NOT NULL DEFAULT false,
    -- Whose it is while it is sent, and until when; then it is anybody's again.
    lease            uuid,
    leased_until     timestamptz,
    -- How often it got through; counted as use the first time.
    delivered        integer     NOT NULL DEFAULT 0,
    last_status_code smallint,
    last_error_code  text,
    created_at       timestamptz NOT NULL,
    ended_at         timestamptz,
    PRIMARY KEY (tenant_id, endpoint_id, message_id),
    -- None to the message: looking for what refers to one that is forgotten would walk over all of its tenant's.
    FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoints (tenant_id, id),
    CONSTRAINT webhook_deliveries_pending_has_time CHECK ((status = 'Pending') = (next_attempt_at IS NOT NULL)),
    CONSTRAINT webhook_deliveries_sending_is_leased CHECK ((status = 'Sending') = (lease IS NOT NULL)),
    CONSTRAINT webhook_deliveries_due_is_pending CHECK (NOT due OR status = 'Pending')
);
-- Rows are written three times within moments: vacuumed early, so that a look does not walk over the dead.
ALTER TABLE webhook_deliveries SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05);
-- What may be sent now: a step for each tenant, and each of its endpoints, however many wait.
CREATE INDEX webhook_deliveries_due
    ON webhook_deliveries (tenant_id, endpoint_id, ordered, replayed, next_attempt_at) WHERE due;
-- The first of each ordering key, sent or not.
CREATE INDEX webhook_deliveries_ordered ON webhook_deliveries (tenant_id, endpoint_id, ordering_key, seq)
    WHERE ordering_key IS NOT NULL AND status IN ('Pending', 'Sending');
CREATE INDEX webhook_deliveries_sending ON webhook_deliveries (tenant_id, endpoint_id) WHERE status = 'Sending';
CREATE INDEX webhook_deliveries_later ON webhook_deliveries (next_attempt_at) WHERE status = 'Pending' AND NOT due;
CALL protect_tenant_table('webhook_deliveries');

-- Each attempt, as a person would want to know of it. Written beside its delivery's row and forgotten with it; without a
-- foreign key, whose check would cost as much as the row.
CREATE TABLE webhook_attempts (
    tenant_id     uuid        NOT NULL,
    endpoint_id   uuid        NOT NULL,
    message_id    uuid        NOT NULL,
    -- From 1.
    number        integer     NOT NULL,
    started_at    timestamptz NOT NULL,
    took_ms       integer     NOT NULL,
    -- NULL: there was no answer.
    status_code   smallint,
    -- NULL: it got through. A word for programs, and a sentence for people.
    error_code    text,
    error         text        CHECK (char_length(error) <= 500),
    -- The first bytes of the answer, sealed under the tenant's key.
    answer_sealed bytea,
    PRIMARY KEY (tenant_id, endpoint_id, message_id, number)
);
CALL protect_tenant_table('webhook_attempts');

-- Messages that are sent to an endpoint again, by the thousand.
CREATE TABLE webhook_replays (
    tenant_id   uuid        NOT NULL,
    id          uuid        NOT NULL,
    endpoint_id uuid        NOT NULL,
    -- Failed: what was given up or held. All: whatever the endpoint wants, sent or not.
    scope       text        NOT NULL CHECK (scope IN ('Failed', 'All')),
    event_types text[],
    since       timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    status      text        NOT NULL CHECK (status IN ('Running', 'Done', 'Canceled')),
    -- Messages of that time; how many were looked at; how many are sent again.
    total       bigint      NOT NULL,
    seen        bigint      NOT NULL DEFAULT 0,
    queued      bigint      NOT NULL DEFAULT 0,
    -- The last message that was looked at.
    position    uuid,
    created_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoints (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_replays_time_forward CHECK (since < until),
    CONSTRAINT webhook_replays_ended_has_time CHECK ((status = 'Running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX webhook_replays_one_running ON webhook_replays (tenant_id, endpoint_id) WHERE status = 'Running';
CALL protect_tenant_table('webhook_replays');

-- One wake-up a statement, folded by Postgres to one a transaction; the dispatchers' poll is the net.
CREATE FUNCTION wake_dispatchers() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('apalis_jobs', 'webhook deliveries') FROM (SELECT FROM inserted WHERE due LIMIT 1) AS due;
    RETURN NULL;
END
$$;
CREATE TRIGGER wake_dispatchers AFTER INSERT ON webhook_deliveries
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION wake_dispatchers();

GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_secrets, webhook_lanes TO pytake_api, pytake_worker;
GRANT SELECT, INSERT ON webhook_messages TO pytake_api, pytake_worker;
GRANT SELECT, INSERT, UPDATE ON webhook_deliveries, webhook_replays TO pytake_api, pytake_worker;
GRANT SELECT ON webhook_attempts TO pytake_api, pytake_worker;
-- Only what is too old is deleted.
GRANT DELETE ON webhook_messages, webhook_deliveries, webhook_attempts, webhook_replays TO pytake_worker;
