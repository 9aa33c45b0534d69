-- What is done with work queues. The functions for everybody find their queue or item by work_queue() or held_item(),
-- which check the caller; the others are for them only.

CREATE FUNCTION rolecall.must_administer(action text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF NOT is_administrator() THEN
        RAISE insufficient_privilege USING MESSAGE = format('permission denied: %s needs an administrator', action),
            HINT = 'Log in as a member of the role "admins", or connect as the extension''s owner.';
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.must_administer(text) IS 'Raises an error unless one is an administrator';

CREATE FUNCTION rolecall.create_work_queue(
    name text, pool text, max_retries int DEFAULT 3, retry_delay interval DEFAULT '0', initial_delay interval DEFAULT '0',
    success_queue text DEFAULT NULL, failed_queue text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q      ALIAS FOR name;
    p      ALIAS FOR pool;
    target text;
    problem text;
    is_pool boolean;
BEGIN
    PERFORM must_administer('create_work_queue()');
    problem := CASE
        WHEN q IS NULL THEN 'name must not be NULL'
        WHEN p IS NULL THEN 'pool must not be NULL'
        WHEN q = '' THEN 'work queue name "" must not be empty'
        WHEN length(q) > 255 THEN 'the work queue''s name is longer than 255 characters'
        WHEN (max_retries >= 1) IS NOT TRUE THEN 'max_retries must be 1 or more'
        WHEN (retry_delay >= '0') IS NOT TRUE THEN 'retry_delay must be 0 or more'
        WHEN (initial_delay >= '0') IS NOT TRUE THEN 'initial_delay must be 0 or more'
        WHEN q IN (success_queue, failed_queue) THEN format('work queue "%s" cannot copy to itself', q)
    END;
    IF problem IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = problem;
    END IF;
    SELECT r.pool INTO is_pool FROM roles r WHERE r.name = p FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', p),
            HINT = 'Create it with rolecall.create_role(.., pool => true).';
    ELSIF NOT is_pool THEN
        RAISE invalid_parameter_value USING MESSAGE = format('role "%s" is no pool', p),
            HINT = 'Name a role that was made with rolecall.create_role(.., pool => true).';
    END IF;
    FOREACH target IN ARRAY array_remove(ARRAY[success_queue, failed_queue], NULL) LOOP
        PERFORM FROM work_queues w WHERE w.name = target FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE undefined_object USING MESSAGE = format('work queue "%s" does not exist', target),
                HINT = 'Create it first with rolecall.create_work_queue().';
        END IF;
    END LOOP;
    INSERT INTO work_queues VALUES (q, p, max_retries, retry_delay, initial_delay, success_queue, failed_queue)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE duplicate_object USING MESSAGE = format('work queue "%s" exists already', q);
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.create_work_queue(text, text, int, interval, interval, text, text) IS
    'Makes a queue of work for the members of a pool: max_retries runs for each item, copies of those that end to other queues (administrators)';

CREATE FUNCTION rolecall.drop_work_queue(name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q      ALIAS FOR name;
    copies text;
BEGIN
    PERFORM must_administer('drop_work_queue()');
    PERFORM FROM work_queues w WHERE w.name = q FOR UPDATE;
    IF NOT FOUND THEN
        RAISE undefined_object USING MESSAGE = format('work queue "%s" does not exist', q);
    END IF;
    SELECT string_agg(format('"%s"', w.name), ', ' ORDER BY w.name) INTO copies
      FROM work_queues w WHERE q IN (w.success_queue, w.failed_queue);
    IF copies IS NOT NULL THEN
        RAISE dependent_objects_still_exist USING
            MESSAGE = format('work queue "%s" gets copies from %s', q, copies), HINT = 'Drop those queues first.';
    END IF;
    DELETE FROM work_queues w WHERE w.name = q;
END
$$;
COMMENT ON FUNCTION rolecall.drop_work_queue(text) IS 'Removes a work queue with its items (administrators)';

CREATE FUNCTION rolecall.keep_pool() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    served text;
BEGIN
    SELECT string_agg(format('"%s"', name), ', ' ORDER BY name) INTO served FROM work_queues WHERE pool = OLD.name;
    IF served IS NOT NULL THEN
        RAISE dependent_objects_still_exist USING
            MESSAGE = format('role "%s" is the pool of work queue %s', OLD.name, served),
            HINT = 'Drop the queue first (rolecall.drop_work_queue()).';
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION rolecall.keep_pool() IS 'Keeps a role that is a work queue''s pool from being dropped';
CREATE TRIGGER keep_pool BEFORE DELETE ON rolecall.roles FOR EACH ROW EXECUTE FUNCTION rolecall.keep_pool();

CREATE FUNCTION rolecall.work_queue(name text, "right" text) RETURNS rolecall.work_queues
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q work_queues;
BEGIN
    SELECT * INTO q FROM work_queues w WHERE w.name = work_queue.name;
    IF q.name IS NOT NULL AND may_use(q.pool, q.acl, "right") THEN
        -- A guest may hold the pool's role, but nobody could say who has the item.
        IF NOT is_administrator() THEN
            PERFORM require_login();
        END IF;
        RETURN q;
    END IF;
    IF is_administrator() THEN
        RAISE undefined_object USING MESSAGE = format('work queue "%s" does not exist', name),
            HINT = 'Create it with rolecall.create_work_queue().';
    END IF;
    PERFORM require_login();
    RAISE insufficient_privilege USING MESSAGE = format('permission denied: you may not %s work queue "%s"',
            CASE "right" WHEN 'create' THEN 'push to' ELSE 'pop from' END, name),
        HINT = 'Ask an administrator for the role of its pool (rolecall.grant_role()).';
END
$$;
COMMENT ON FUNCTION rolecall.work_queue(text, text) IS 'The work queue, where one has the right to it';

CREATE FUNCTION rolecall.held_item(item bigint, run int) RETURNS rolecall.work_items
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    i       work_items;
    q       work_queues;
    me      text := identity();
    "right" text := 'invoke';
BEGIN
    IF NOT is_administrator() THEN
        PERFORM require_login();
    END IF;
    SELECT * INTO i FROM work_items w
     WHERE w.id = item AND w.state = 'processing' AND w.consumer = me AND w.run = coalesce(held_item.run, w.run)
       FOR NO KEY UPDATE;
    SELECT * INTO q FROM work_queues w WHERE w.name = i.queue;
    IF q.name IS NOT NULL AND may_use(q.pool, q.acl, "right") THEN
        RETURN i;
    END IF;
    RAISE object_not_in_prerequisite_state USING MESSAGE = format('you are not processing item %s', item),
        HINT = 'Where its lease has ended it may have been given to somebody else: take the next one with rolecall.pop_item().';
END
$$;
COMMENT ON FUNCTION rolecall.held_item(bigint, int) IS 'The item, where one has popped it and nobody else has since';

CREATE FUNCTION rolecall.due_after(delay interval) RETURNS timestamptz
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN delay > '0' THEN clock_timestamp() + delay END
$$;
COMMENT ON FUNCTION rolecall.due_after(interval) IS 'When a delay that begins now ends; NULL: there is none';

CREATE FUNCTION rolecall.wake_pool(pool text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM pg_notify(channel, '') FROM queues WHERE role = pool;
END
$$;
COMMENT ON FUNCTION rolecall.wake_pool(text) IS 'Wakes the members of a pool that listen';

CREATE FUNCTION rolecall.add_item(
    q rolecall.work_queues, payload jsonb, priority int, delay interval, created_by text, source jsonb) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    due  timestamptz := due_after(coalesce(delay, q.initial_delay));
    item bigint;
BEGIN
    INSERT INTO work_items (queue, payload, priority, due, created_by, source)
        VALUES (q.name, payload, priority, due, created_by, source) RETURNING id INTO item;
    IF due IS NULL THEN
        PERFORM wake_pool(q.pool);
    END IF;
    RETURN item;
END
$$;
COMMENT ON FUNCTION rolecall.add_item(rolecall.work_queues, jsonb, int, interval, text, jsonb) IS
    'Puts a new item into a work queue';

CREATE FUNCTION rolecall.finish_item(i rolecall.work_items, state text, result jsonb, error text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    target work_queues;
BEGIN
    UPDATE work_items w
       SET state = finish_item.state, result = finish_item.result, error = finish_item.error, due = NULL,
           finished_at = clock_timestamp()
     WHERE w.id = i.id;
    SELECT t.* INTO target FROM work_queues q
      JOIN work_queues t ON t.name = CASE state WHEN 'successful' THEN q.success_queue ELSE q.failed_queue END
     WHERE q.name = i.queue;
    IF FOUND THEN
        PERFORM add_item(target, i.payload, i.priority, NULL, NULL, jsonb_build_object(
            'item', i.id, 'queue', i.queue, 'state', state, 'result', result, 'error', error));
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.finish_item(rolecall.work_items, text, jsonb, text) IS
    'Ends an item and copies it to where the queue wants it';

CREATE FUNCTION rolecall.fail_run(i rolecall.work_items, error text, final boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q     work_queues;
    until timestamptz;
BEGIN
    SELECT * INTO q FROM work_queues w WHERE w.name = i.queue;
    IF final OR i.retries + 1 >= q.max_retries THEN
        PERFORM finish_item(i, 'failed', NULL, error);
        RETURN;
    END IF;
    until := due_after(q.retry_delay);
    UPDATE work_items w
       SET state = 'retry', retries = i.retries + 1, due = until, consumer = NULL, error = fail_run.error
     WHERE w.id = i.id;
    IF until IS NULL THEN
        PERFORM wake_pool(q.pool);
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.fail_run(rolecall.work_items, text, boolean) IS
    'Ends a run: the item is tried again or, when it was the last one, failed';

-- At most so much that a pop does not become slow; others who pop at the same time leave it to the first one.
CREATE FUNCTION rolecall.settle_due_items(q rolecall.work_queues, moment timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    i work_items;
BEGIN
    UPDATE work_items SET due = NULL WHERE id = ANY (ARRAY(
        SELECT w.id FROM work_items w
         WHERE w.queue = q.name AND w.due <= moment AND w.state IN ('new', 'retry')
         ORDER BY w.due LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED));
    IF FOUND THEN
        PERFORM wake_pool(q.pool);
    END IF;
    FOR i IN
        SELECT * FROM work_items w
         WHERE w.queue = q.name AND w.due <= moment AND w.state = 'processing'
         ORDER BY w.due LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM fail_run(i, 'lease ended', false);
    END LOOP;
END
$$;
COMMENT ON FUNCTION rolecall.settle_due_items(rolecall.work_queues, timestamptz) IS
    'Makes items ready whose delay has ended, and ends the runs whose lease has';

CREATE FUNCTION rolecall.push_item(queue text, payload jsonb, priority int DEFAULT 2, delay interval DEFAULT NULL)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    "right" text := 'create';
    q       work_queues := work_queue(queue, "right");
BEGIN
    IF payload IS NULL OR priority IS NULL OR delay < '0' THEN
        RAISE invalid_parameter_value USING MESSAGE = CASE
            WHEN payload IS NULL THEN 'payload must not be NULL'
            WHEN priority IS NULL THEN 'priority must not be NULL'
            ELSE 'delay must be 0 or more' END;
    END IF;
    RETURN add_item(q, payload, priority, delay, identity(), NULL);
END
$$;
COMMENT ON FUNCTION rolecall.push_item(text, jsonb, int, interval) IS
    'Puts an item into a work queue and returns its number; lower priorities go first; delay: else the queue''s';

-- Plans stay in a session from when the queue was empty: they must not be those for an empty table.
CREATE FUNCTION rolecall.pop_item(queue text, lease interval DEFAULT '60 seconds') RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    "right" text := 'invoke';
    q       work_queues := work_queue(queue, "right");
    me      text := identity();
    -- Compared with a function that is volatile, due could not be looked up in an index.
    moment  timestamptz := clock_timestamp();
    popped  jsonb;
BEGIN
    IF (lease > '0') IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'lease must be more than 0';
    END IF;
    IF EXISTS (SELECT FROM work_items w WHERE w.queue = q.name AND w.due <= moment) THEN
        PERFORM settle_due_items(q, moment);
    END IF;
    UPDATE work_items i SET state = 'processing', due = moment + lease, consumer = me, run = i.run + 1
     WHERE i.id = (SELECT w.id FROM work_items w
                    WHERE w.queue = q.name AND w.state IN ('new', 'retry') AND w.due IS NULL
                    ORDER BY w.priority, w.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING jsonb_build_object('item', i.id, 'queue', i.queue, 'payload', i.payload, 'priority', i.priority,
            'retries', i.retries, 'run', i.run, 'lease_until', i.due)
        || CASE WHEN i.source IS NULL THEN '{}' ELSE jsonb_build_object('source', i.source) END
      INTO popped;
    RETURN popped;
END
$$;
COMMENT ON FUNCTION rolecall.pop_item(text, interval) IS
    'Takes the next item of a work queue, for as long as the lease: {item, queue, payload, priority, retries, run, lease_until}, for a copy also source; NULL: there is none';

CREATE FUNCTION rolecall.extend_item(item bigint, lease interval, run int DEFAULT NULL) RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    i     work_items := held_item(item, run);
    until timestamptz := due_after(lease);
BEGIN
    IF until IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'lease must be more than 0';
    END IF;
    UPDATE work_items w SET due = until WHERE w.id = i.id;
    RETURN until;
END
$$;
COMMENT ON FUNCTION rolecall.extend_item(bigint, interval, int) IS
    'Makes one''s lease of an item end that long from now; run: only if it is still this one';

CREATE FUNCTION rolecall.item_done(item bigint, result jsonb DEFAULT NULL, run int DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM finish_item(held_item(item, run), 'successful', result, NULL);
END
$$;
COMMENT ON FUNCTION rolecall.item_done(bigint, jsonb, int) IS
    'Makes an item that one has popped successful; run: only if it is still this one';

CREATE FUNCTION rolecall.item_failed(item bigint, error text DEFAULT NULL, final boolean DEFAULT false, run int DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF final IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'final must not be NULL';
    END IF;
    PERFORM fail_run(held_item(item, run), error, final);
END
$$;
COMMENT ON FUNCTION rolecall.item_failed(bigint, text, boolean, int) IS
    'Ends a run of an item that one has popped: it is tried again while runs remain, unless final, else failed; run: only if it is still this one';

CREATE FUNCTION rolecall.retry_item(item bigint, delay interval DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    i     work_items;
    q     work_queues;
    push  text := 'create';
    pop   text := 'invoke';
    until timestamptz;
BEGIN
    IF NOT is_administrator() THEN
        PERFORM require_login();
    END IF;
    IF delay < '0' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'delay must be 0 or more';
    END IF;
    SELECT * INTO i FROM work_items w WHERE w.id = item;
    SELECT * INTO q FROM work_queues w WHERE w.name = i.queue;
    IF q.name IS NULL AND is_administrator() THEN
        RAISE undefined_object USING MESSAGE = format('item %s does not exist', item);
    ELSIF q.name IS NULL OR NOT (may_use(q.pool, q.acl, push) AND may_use(q.pool, q.acl, pop)) THEN
        RAISE insufficient_privilege USING MESSAGE = format('permission denied: you may not retry item %s', item),
            HINT = 'Ask an administrator for the role of its queue''s pool (rolecall.grant_role()).';
    END IF;
    until := due_after(delay);
    UPDATE work_items w
       SET state = 'retry', retries = 0, due = until, consumer = NULL, result = NULL, finished_at = NULL
     WHERE w.id = item AND w.state IN ('successful', 'failed');
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('item %s is neither successful nor failed', item), HINT = 'Only such items are retried.';
    ELSIF until IS NULL THEN
        PERFORM wake_pool(q.pool);
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.retry_item(bigint, interval) IS
    'Puts an item that is successful or failed back, with as many runs as a new one (whoever may push and pop there)';
