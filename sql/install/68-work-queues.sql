-- Work that members of a pool share: items wait, are processed by one at a time, are tried again, and end.

CREATE TABLE rolecall.work_queues (
    name          text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    pool          text COLLATE "C" NOT NULL REFERENCES rolecall.roles ON UPDATE CASCADE,
    max_retries   int NOT NULL CHECK (max_retries >= 1),
    retry_delay   interval NOT NULL CHECK (retry_delay >= '0'),
    initial_delay interval NOT NULL CHECK (initial_delay >= '0'),
    success_queue text COLLATE "C" REFERENCES rolecall.work_queues CHECK (success_queue <> name),
    failed_queue  text COLLATE "C" REFERENCES rolecall.work_queues CHECK (failed_queue <> name),
    acl           jsonb NOT NULL DEFAULT '[]',
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX work_queues_pool ON rolecall.work_queues (pool);
COMMENT ON TABLE rolecall.work_queues IS 'Queues of work that members of a pool share';
COMMENT ON COLUMN rolecall.work_queues.name IS 'The name';
COMMENT ON COLUMN rolecall.work_queues.pool IS 'The role whose members push and pop';
COMMENT ON COLUMN rolecall.work_queues.max_retries IS 'How many runs an item has before it is failed';
COMMENT ON COLUMN rolecall.work_queues.retry_delay IS 'How long an item waits after a run that failed';
COMMENT ON COLUMN rolecall.work_queues.initial_delay IS 'How long a new item waits, unless it says otherwise';
COMMENT ON COLUMN rolecall.work_queues.success_queue IS 'Where successful items are copied to';
COMMENT ON COLUMN rolecall.work_queues.failed_queue IS 'Where failed items are copied to';
COMMENT ON COLUMN rolecall.work_queues.acl IS 'Who else may push (create) and pop (invoke), and who may not';
COMMENT ON COLUMN rolecall.work_queues.created_at IS 'When the queue was made';

-- A pop is not to wait for what it does not take: it finds the next item by the first index, however many are delayed,
-- processed or finished, and by the second what has come due. No other index begins with the queue: a plan could take it.
CREATE TABLE rolecall.work_items (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue       text COLLATE "C" NOT NULL REFERENCES rolecall.work_queues ON DELETE CASCADE,
    payload     jsonb NOT NULL,
    priority    int NOT NULL,
    state       text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'processing', 'retry', 'successful', 'failed')),
    due         timestamptz,
    retries     int NOT NULL DEFAULT 0,
    run         int NOT NULL DEFAULT 0,
    consumer    text,
    result      jsonb,
    error       text,
    source      jsonb,
    created_by  text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK (state <> 'processing' OR (due IS NOT NULL AND consumer IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX work_items_ready ON rolecall.work_items (queue, priority, id)
    WHERE state IN ('new', 'retry') AND due IS NULL;
CREATE INDEX work_items_due ON rolecall.work_items (queue, due);
COMMENT ON TABLE rolecall.work_items IS 'The items of work queues';
COMMENT ON COLUMN rolecall.work_items.id IS 'The number, in the order of pushing';
COMMENT ON COLUMN rolecall.work_items.queue IS 'The queue';
COMMENT ON COLUMN rolecall.work_items.payload IS 'What is to be done';
COMMENT ON COLUMN rolecall.work_items.priority IS 'Lower ones first';
COMMENT ON COLUMN rolecall.work_items.state IS 'new, processing, retry, successful or failed';
COMMENT ON COLUMN rolecall.work_items.due IS 'When something happens to it: while it waits, the end of its delay (NULL: ready); while it is processed, the end of the lease';
COMMENT ON COLUMN rolecall.work_items.retries IS 'How often it was put back after a run that failed';
COMMENT ON COLUMN rolecall.work_items.run IS 'How often it was popped';
COMMENT ON COLUMN rolecall.work_items.consumer IS 'Who processes it, or did last, as identity() spells it';
COMMENT ON COLUMN rolecall.work_items.result IS 'What the consumer gave back';
COMMENT ON COLUMN rolecall.work_items.error IS 'Why the last run failed';
COMMENT ON COLUMN rolecall.work_items.source IS 'The item this is a copy of, and how that ended';
COMMENT ON COLUMN rolecall.work_items.created_by IS 'Who pushed it, as identity() spells it; NULL: a copy';
COMMENT ON COLUMN rolecall.work_items.created_at IS 'When it was pushed';
COMMENT ON COLUMN rolecall.work_items.finished_at IS 'When it became successful or failed';

SELECT pg_extension_config_dump('rolecall.work_queues', '');
SELECT pg_extension_config_dump('rolecall.work_items', '');
SELECT pg_extension_config_dump('rolecall.work_items_id_seq', '');

-- Nothing in these two can be replaced by a search path, and so the planner may put them in place of the call.
CREATE FUNCTION rolecall.may_use(role text, acl jsonb, "right" text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT rolecall.is_administrator()
        OR (NOT rolecall.acl_denies(acl, "right") AND (rolecall.has_role(role) OR rolecall.acl_allows(acl, "right")))
$$;
COMMENT ON FUNCTION rolecall.may_use(text, jsonb, text) IS
    'Whether one holds the role or has the right by the ACL, which may deny it; administrators always';
CREATE FUNCTION rolecall.identity() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN rolecall.user_id() IS NOT NULL THEN 'user:' OPERATOR(pg_catalog.||) rolecall.user_id()
                WHEN rolecall.api_token_id() IS NOT NULL THEN 'api_token:' OPERATOR(pg_catalog.||) rolecall.api_token_id()
                ELSE 'role:' OPERATOR(pg_catalog.||) session_user::pg_catalog.text END
$$;
COMMENT ON FUNCTION rolecall.identity() IS
    'Who acts, by what is not given to anybody else: user:ID, api_token:ID or, without a login, role:NAME';

CREATE VIEW rolecall.my_work_items WITH (security_barrier) AS
    SELECT i.id AS item, i.queue, i.state, i.payload, i.priority, i.retries, i.run, i.consumer, i.due, i.result, i.error,
           i.source, i.created_by, i.created_at, i.finished_at
      FROM rolecall.work_items i
      JOIN (SELECT name, rolecall.may_use(pool, acl, 'invoke') AS pops, rolecall.may_use(pool, acl, 'create') AS pushes
              FROM rolecall.work_queues OFFSET 0) q ON q.name = i.queue
     WHERE q.pops OR (q.pushes AND i.created_by = rolecall.identity());
COMMENT ON VIEW rolecall.my_work_items IS 'The items of the queues one may pop from, and those one has pushed oneself';
COMMENT ON COLUMN rolecall.my_work_items.item IS 'The number, in the order of pushing';
COMMENT ON COLUMN rolecall.my_work_items.queue IS 'The queue';
COMMENT ON COLUMN rolecall.my_work_items.state IS 'new, processing, retry, successful or failed';
COMMENT ON COLUMN rolecall.my_work_items.payload IS 'What is to be done';
COMMENT ON COLUMN rolecall.my_work_items.priority IS 'Lower ones first';
COMMENT ON COLUMN rolecall.my_work_items.retries IS 'How often it was put back after a run that failed';
COMMENT ON COLUMN rolecall.my_work_items.run IS 'How often it was popped';
COMMENT ON COLUMN rolecall.my_work_items.consumer IS 'Who processes it, or did last, as identity() spells it';
COMMENT ON COLUMN rolecall.my_work_items.due IS 'When something happens to it: while it waits, the end of its delay (NULL: ready); while it is processed, the end of the lease';
COMMENT ON COLUMN rolecall.my_work_items.result IS 'What the consumer gave back';
COMMENT ON COLUMN rolecall.my_work_items.error IS 'Why the last run failed';
COMMENT ON COLUMN rolecall.my_work_items.source IS 'The item this is a copy of, and how that ended';
COMMENT ON COLUMN rolecall.my_work_items.created_by IS 'Who pushed it, as identity() spells it; NULL: a copy';
COMMENT ON COLUMN rolecall.my_work_items.created_at IS 'When it was pushed';
COMMENT ON COLUMN rolecall.my_work_items.finished_at IS 'When it became successful or failed';
