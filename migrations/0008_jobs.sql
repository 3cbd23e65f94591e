-- The job queue: the schema that the runtime (apalis-postgres 1.0.0) expects, as one file, and what we add.
--
-- The library's own migrations are not run: they need pgcrypto, notify once a row, and would keep a second
-- history. When the library is raised, its `migrations/` folder is compared with this file.
--
-- Nobody enqueues but through apalis.enqueue(): pytake_api may add jobs and can neither read nor change them.
-- Payloads hold ids, never a secret or personal data.

-- Trusted: the database's owner may create it. In `public`, where the driver looks the type up.
CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;

CREATE SCHEMA apalis;

-- One row a worker of a process, kept alive while the process lives.
CREATE TABLE apalis.workers (
    id           text        NOT NULL PRIMARY KEY,
    worker_type  text        NOT NULL,
    storage_name text        NOT NULL,
    layers       text        NOT NULL DEFAULT '',
    last_seen    timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz
);
CREATE INDEX workers_by_last_seen ON apalis.workers (last_seen);

-- The library reads columns by position: their order is part of its interface.
-- The checks refuse rows that would end every worker which fetches them.
CREATE TABLE apalis.jobs (
    -- JSON: {"version", "job"}.
    job             bytea       NOT NULL CHECK (octet_length(job) <= 65536),
    -- A ULID.
    id              text        NOT NULL PRIMARY KEY CHECK (id ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$'),
    -- The queue.
    job_type        text        NOT NULL CHECK (char_length(job_type) BETWEEN 1 AND 100),
    -- Waiting: Pending, or Failed with attempts left. Held by a worker: Queued, Running.
    -- At its end: Done; dead: Failed with no attempts left (it kept failing), Killed (it was discarded).
    status          text        NOT NULL DEFAULT 'Pending'
        CHECK (status IN ('Pending', 'Queued', 'Running', 'Done', 'Failed', 'Killed')),
    attempts        integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    max_attempts    integer     NOT NULL DEFAULT 25 CHECK (max_attempts >= 1),
    -- Not before.
    run_at          timestamptz NOT NULL DEFAULT now(),
    -- {"Ok": …} or {"Err": "why"} of the last attempt.
    last_result     jsonb,
    lock_at         timestamptz,
    lock_by         text        REFERENCES apalis.workers (id),
    done_at         timestamptz,
    -- Higher first.
    priority        integer     NOT NULL DEFAULT 0 CHECK (priority >= 0),
    idempotency_key text        CHECK (char_length(idempotency_key) <= 300),
    -- Tenant and trace, for whoever looks at the queue.
    metadata        public.hstore CHECK (array_position(public.avals(metadata), NULL) IS NULL),
    -- Ours, behind what the library knows. Whose job it is, for a fair order; zeros: nobody's.
    tenant_id       uuid        NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- Its time has come: what may be fetched is told from what waits for its time by an index.
    due             boolean     NOT NULL DEFAULT false,
    -- The last failures, oldest first: [{"attempt", "at", "worker", "error"}].
    errors          jsonb       NOT NULL DEFAULT '[]'
);
-- Rows are written three times and deleted within a day: vacuumed early, so that a fetch does not walk over the dead.
ALTER TABLE apalis.jobs SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05);
-- Partial: most jobs have no key, and need no entry.
CREATE UNIQUE INDEX jobs_idempotency_key_unique ON apalis.jobs (job_type, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_due ON apalis.jobs (job_type, tenant_id, priority DESC, run_at)
    WHERE due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts));
CREATE INDEX jobs_preferred ON apalis.jobs (job_type, priority DESC, run_at)
    WHERE due AND priority > 0 AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts));
CREATE INDEX jobs_later ON apalis.jobs (job_type, run_at)
    WHERE NOT due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts));
CREATE INDEX jobs_held ON apalis.jobs (lock_by) WHERE lock_by IS NOT NULL;
CREATE INDEX jobs_ended ON apalis.jobs (job_type, status, done_at)
    WHERE status IN ('Done', 'Killed', 'Failed');

-- The last tick of each schedule that was turned into jobs. The process that moves it on adds them, in the same
-- transaction.
CREATE TABLE apalis.schedules (
    name      text        PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 100),
    last_tick timestamptz NOT NULL
);

-- Hands due jobs to a worker, in the name and form that the library calls. Unlike its own:
-- - v_job_count is how many jobs the worker may hold at once, so that what is handed out begins at once: the library
--   stores no result and tells of no life while jobs that it fetched wait for a slot.
-- - It is fair: of each tenant that has jobs as many as of any other, so that a hundred thousand of one delay nobody
--   else's; and one tenant's jobs take at most three quarters of a worker, however long they run. Which tenants have
--   some is asked of the index, a step each, from a random one on.
-- - It says how long each has waited, by the database's own clock.
CREATE FUNCTION apalis.get_jobs(worker_id text, v_job_type text, v_job_count integer DEFAULT 5)
RETURNS SETOF apalis.jobs
LANGUAGE plpgsql
SET search_path = pg_catalog, public
AS $$
DECLARE
    nobody   CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    begun    CONSTANT uuid := gen_random_uuid();
    most     CONSTANT integer := ceil(v_job_count * 0.75);
    at       uuid := begun;
    found    uuid;
    wrapped  boolean := false;
    tenants  uuid[] := ARRAY[nobody];
    free     integer := v_job_count - (SELECT count(*) FROM apalis.jobs WHERE lock_by = worker_id);
    missing  integer := free;
    share    integer;
    picked   text[];
BEGIN
    IF free <= 0 THEN
        RETURN;
    END IF;

    -- What has come due since.
    UPDATE apalis.jobs SET due = true
    WHERE id IN (
        SELECT id FROM apalis.jobs
        WHERE NOT due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts))
            AND job_type = v_job_type AND run_at <= now()
        ORDER BY run_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED);

    -- More urgent than others, whoever they are for; but not all that is free.
    picked := ARRAY(
        SELECT id FROM apalis.jobs
        WHERE due AND priority > 0 AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts))
            AND job_type = v_job_type
        ORDER BY priority DESC, run_at
        LIMIT ceil(free * 0.75)
        FOR UPDATE SKIP LOCKED);
    missing := free - cardinality(picked);

    WHILE cardinality(tenants) <= missing LOOP
        SELECT tenant_id INTO found FROM apalis.jobs
        WHERE due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts))
            AND job_type = v_job_type AND tenant_id > at
        ORDER BY tenant_id
        LIMIT 1;
        IF found IS NULL THEN
            EXIT WHEN wrapped;
            wrapped := true;
            at := nobody;
            CONTINUE;
        END IF;
        EXIT WHEN wrapped AND found > begun;
        tenants := tenants || found;
        at := found;
    END LOOP;

    FOR turn IN 1..cardinality(tenants) LOOP
        EXIT WHEN missing = 0;
        share := ceil(missing::numeric / (cardinality(tenants) - turn + 1));
        IF tenants[turn] <> nobody THEN
            share := least(share, most - (
                SELECT count(*) FROM apalis.jobs WHERE lock_by = worker_id AND tenant_id = tenants[turn]));
        END IF;
        picked := picked || ARRAY(
            SELECT id FROM apalis.jobs
            WHERE due AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts))
                AND job_type = v_job_type AND tenant_id = tenants[turn]
                AND id <> ALL (picked)
            ORDER BY priority DESC, run_at
            LIMIT greatest(share, 0)
            FOR UPDATE SKIP LOCKED);
        missing := free - cardinality(picked);
    END LOOP;

    RETURN QUERY
    UPDATE apalis.jobs
    SET status = 'Queued', lock_by = worker_id, lock_at = now()
    WHERE id = ANY (picked)
    RETURNING
        job, id, job_type, status, attempts, max_attempts, run_at, last_result, lock_at, lock_by, done_at, priority,
        idempotency_key, metadata || hstore('waited_us', (extract(epoch FROM now() - run_at) * 1000000)::bigint::text),
        tenant_id, due, errors;
END
$$;

-- Where a job is in its life, in the words of operators.
CREATE FUNCTION apalis.state_of(status text, attempts integer, max_attempts integer, run_at timestamptz) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT CASE
        WHEN status IN ('Queued', 'Running') THEN 'held'
        WHEN status = 'Done' THEN 'done'
        WHEN status = 'Killed' THEN 'discarded'
        WHEN status = 'Failed' AND attempts >= max_attempts THEN 'dead'
        WHEN run_at <= now() THEN 'due'
        ELSE 'later'
    END
$$;

-- The jobs that an operator means: what is NULL does not matter. Inlined into the query that asks.
CREATE FUNCTION apalis.matching(ids text[], queue text, state text, tenant uuid, error text)
RETURNS SETOF apalis.jobs
LANGUAGE sql STABLE
AS $$
    SELECT * FROM apalis.jobs
    WHERE (matching.ids IS NULL OR jobs.id = ANY (matching.ids))
        AND (matching.queue IS NULL OR jobs.job_type = matching.queue)
        AND (matching.tenant IS NULL OR jobs.tenant_id = matching.tenant)
        AND (matching.error IS NULL OR position(matching.error IN jobs.last_result ->> 'Err') > 0)
        AND (matching.state IS NULL
            OR apalis.state_of(jobs.status, jobs.attempts, jobs.max_attempts, jobs.run_at) = matching.state)
$$;

-- What a failed attempt waits before the next: 1 s, 2 s, 4 s, … at most an hour, a fifth more or less so
-- that jobs which failed together do not come back together.
CREATE FUNCTION apalis.backoff(attempts integer) RETURNS interval
LANGUAGE sql VOLATILE
SET search_path = pg_catalog
AS $$
    SELECT make_interval(
        secs => least(3600, power(2, least(greatest(attempts, 1), 20) - 1)) * (0.8 + 0.4 * random()))
$$;

-- A worker lets go of a job. The library would run a failed one again at once, and one that kills its
-- process for ever; here the pause and the limit are stored, so that they survive any crash.
CREATE FUNCTION apalis.settle() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    -- Free for pruning of the worker's row, and a late second answer of that worker finds nothing.
    NEW.lock_by := NULL;
    NEW.due := NEW.run_at <= now();
    IF NEW.status = 'Done' OR NEW.attempts <= OLD.attempts THEN
        RETURN NEW;
    END IF;
    -- Handed back by a stopping worker before it was begun: no attempt was made.
    IF NEW.status = 'Pending' AND NEW.last_result ->> 'Err' = 'Re-enqueued due to worker shutdown' THEN
        NEW.attempts := OLD.attempts;
        NEW.last_result := OLD.last_result;
        RETURN NEW;
    END IF;
    -- The oldest goes where there are many.
    NEW.errors := CASE WHEN jsonb_array_length(OLD.errors) < 20 THEN OLD.errors ELSE OLD.errors - 0 END
        || jsonb_build_object(
            'attempt', NEW.attempts, 'at', now(), 'worker', OLD.lock_by, 'error', NEW.last_result ->> 'Err');
    NEW.done_at := now();
    IF NEW.status = 'Killed' THEN
        RETURN NEW;
    END IF;
    -- Failed, or its worker vanished. At the limit this is its end: a dead letter.
    NEW.status := 'Failed';
    IF NEW.attempts < NEW.max_attempts THEN
        -- A run_at that is ahead already was asked for by the job itself.
        NEW.run_at := greatest(NEW.run_at, now() + apalis.backoff(NEW.attempts));
        NEW.due := false;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER settle BEFORE UPDATE ON apalis.jobs
    FOR EACH ROW
    WHEN (OLD.status IN ('Queued', 'Running') AND NEW.status NOT IN ('Queued', 'Running'))
    EXECUTE FUNCTION apalis.settle();

-- One wake-up a statement and queue, folded by Postgres to one a transaction; the workers' poll is the net.
CREATE FUNCTION apalis.wake_workers() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('apalis_jobs', due.job_type)
    FROM (SELECT DISTINCT job_type FROM inserted WHERE run_at <= now()) AS due;
    RETURN NULL;
END
$$;

CREATE TRIGGER wake_workers AFTER INSERT ON apalis.jobs
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION apalis.wake_workers();

-- The first ten characters of a ULID: milliseconds in Crockford's base 32.
CREATE FUNCTION apalis.ulid_time(at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog
AS $$
    SELECT string_agg(
        substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((ms >> (5 * place)) & 31)::integer, 1), '' ORDER BY place DESC)
    FROM (SELECT (extract(epoch FROM at) * 1000)::bigint AS ms) AS clock, generate_series(0, 9) AS place
$$;

-- The other sixteen: random, of the digits that bases 16 and 32 share. Sixty-four bits a millisecond are enough.
CREATE FUNCTION apalis.ulid_random() RETURNS text
LANGUAGE sql VOLATILE
AS $$
    SELECT upper(left(gen_random_uuid()::text, 8) || right(gen_random_uuid()::text, 8))
$$;

-- Adds jobs of one queue in the caller's transaction, and says how many are new: one whose key is or was there is not
-- added. An array a column, of an element a job; NULL where no job has any.
-- SECURITY DEFINER: whoever enqueues needs no right on the table. The tenant is the transaction's own.
CREATE FUNCTION apalis.enqueue_all(
    queue            text,
    payloads         jsonb[],
    max_attempts     integer,
    run_ats          timestamptz[] DEFAULT NULL,
    priorities       integer[] DEFAULT NULL,
    idempotency_keys text[] DEFAULT NULL,
    traceparents     text[] DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
DECLARE
    tenant   CONSTANT text := nullif(current_setting('app.tenant_id', true), '');
    ulid     CONSTANT text := apalis.ulid_time(clock_timestamp());
    metadata CONSTANT hstore := CASE WHEN tenant IS NULL THEN '' ELSE hstore('tenant_id', tenant) END;
    added    integer;
BEGIN
    INSERT INTO apalis.jobs
        (id, job_type, job, max_attempts, run_at, priority, idempotency_key, metadata, tenant_id, due)
    SELECT
        ulid || apalis.ulid_random(), enqueue_all.queue, convert_to(new.payload::text, 'UTF8'),
        enqueue_all.max_attempts, coalesce(new.run_at, now()), coalesce(new.priority, 0), new.idempotency_key,
        CASE WHEN new.traceparent IS NULL THEN metadata ELSE metadata || hstore('traceparent', new.traceparent) END,
        coalesce(tenant::uuid, '00000000-0000-0000-0000-000000000000'), coalesce(new.run_at <= now(), true)
    FROM unnest(payloads, run_ats, priorities, idempotency_keys, traceparents)
        AS new (payload, run_at, priority, idempotency_key, traceparent)
    ON CONFLICT (job_type, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;

-- Adds one job, for SQL that does. False: one with this key is or was there, and nothing was added.
CREATE FUNCTION apalis.enqueue(
    queue           text,
    payload         jsonb,
    max_attempts    integer,
    run_at          timestamptz DEFAULT NULL,
    priority        integer DEFAULT 0,
    idempotency_key text DEFAULT NULL,
    traceparent     text DEFAULT NULL
) RETURNS boolean
LANGUAGE sql
AS $$
    SELECT apalis.enqueue_all(
        queue, ARRAY[payload], max_attempts, ARRAY[run_at], ARRAY[priority], ARRAY[idempotency_key], ARRAY[traceparent]) = 1
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA apalis FROM PUBLIC;
GRANT USAGE ON SCHEMA apalis TO pytake_api, pytake_worker;
GRANT EXECUTE ON FUNCTION apalis.enqueue_all, apalis.enqueue TO pytake_api, pytake_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON apalis.jobs, apalis.workers TO pytake_worker;
GRANT SELECT, INSERT, UPDATE ON apalis.schedules TO pytake_worker;
GRANT EXECUTE ON FUNCTION apalis.get_jobs, apalis.backoff, apalis.state_of, apalis.matching TO pytake_worker;
-- Who repairs; see 0014_platform_credentials.sql.
GRANT USAGE ON SCHEMA apalis TO pytake_operator;
GRANT SELECT, UPDATE ON apalis.jobs TO pytake_operator;
GRANT EXECUTE ON FUNCTION apalis.state_of, apalis.matching TO pytake_operator;
