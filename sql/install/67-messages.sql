CREATE FUNCTION rolecall.wake(queues bigint[]) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp
    AS $$SELECT pg_notify(channel, '') FROM queues WHERE id = ANY ($1)$$;
COMMENT ON FUNCTION rolecall.wake(bigint[]) IS 'Wakes who listens to these queues';

CREATE FUNCTION rolecall.send(
    queue text, payload jsonb, expires_in interval DEFAULT '60 seconds', reply_to text DEFAULT NULL,
    priority int DEFAULT 2) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    expiry timestamptz := coalesce(moment + expires_in, 'infinity');
    target queues := queue_to_send_to(send.queue);
    answers queues;
    message bigint;
BEGIN
    IF send.payload IS NULL OR send.priority IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'payload and priority must not be NULL';
    ELSIF expiry <= moment THEN
        RAISE invalid_parameter_value USING MESSAGE = 'expires_in must be positive',
            HINT = 'NULL lets the message wait for ever.';
    END IF;
    IF send.reply_to IS NOT NULL THEN
        answers := queue_to_send_to(send.reply_to);
    END IF;
    INSERT INTO messages (queue, payload, sender, sender_key, priority, due, expires_at, reply_to, sent_at)
        VALUES (target.id, send.payload, coalesce(acting_as(), actor()), identity_key(), send.priority, expiry, expiry,
                answers.id, moment)
        RETURNING id INTO message;
    PERFORM pg_notify(target.channel, '');
    RETURN message;
END
$$;
COMMENT ON FUNCTION rolecall.send(text, jsonb, interval, text, int) IS
    'Sends a message to a user, role:NAME or workflow:NAME; the result, or that there is none, goes to reply_to';

-- Whoever was allowed to name the queue when he sent gets the answer there.
CREATE FUNCTION rolecall.answer(queue bigint, payload jsonb, in_reply_to bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    expiry timestamptz := clock_timestamp() + interval '1 hour';
BEGIN
    INSERT INTO messages (queue, payload, sender, sender_key, due, expires_at, in_reply_to)
        SELECT id, answer.payload, coalesce(acting_as(), actor()), identity_key(), expiry, expiry, answer.in_reply_to
          FROM queues WHERE id = answer.queue;
    PERFORM wake(ARRAY[answer.queue]);
END
$$;
COMMENT ON FUNCTION rolecall.answer(bigint, jsonb, bigint) IS 'Sends the result of a message; it waits for an hour';

CREATE FUNCTION rolecall.bury(ids bigint[], dropped boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    told bigint[];
BEGIN
    WITH dead AS (
        DELETE FROM messages WHERE id = ANY (ids) RETURNING *),
    named AS (
        SELECT dead.*, name FROM dead LEFT JOIN queue_names n ON n.id = queue),
    kept AS (
        INSERT INTO dead_letters (message, queue, queue_name, payload, sender, sender_key, priority, in_reply_to, attempts,
                                  lost, sent_at, expires_at, reason)
        SELECT id, queue, name, payload, sender, sender_key, priority, in_reply_to, attempts, lost, sent_at, expires_at,
               CASE WHEN dropped THEN 'dropped' WHEN expires_at <= moment THEN 'expired' ELSE 'attempts' END
          FROM named),
    timeouts AS (
        INSERT INTO messages (queue, payload, due, expires_at, in_reply_to)
        SELECT reply_to,
               jsonb_build_object('command', 'timeout', 'message', d.id, 'queue', d.name, 'payload', d.payload),
               moment + interval '1 hour', moment + interval '1 hour', d.id
          FROM named d JOIN queues q ON q.id = reply_to
        RETURNING queue)
    SELECT array_agg(DISTINCT queue) INTO told FROM timeouts;
    PERFORM wake(told);
END
$$;
COMMENT ON FUNCTION rolecall.bury(bigint[], boolean) IS 'Moves messages to the dead letters and tells those who wait for a result';

CREATE FUNCTION rolecall.bury_all() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM bury(ARRAY(SELECT id FROM messages WHERE queue = OLD.id), true);
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION rolecall.bury_all() IS 'Moves what waits in a queue that is dropped to the dead letters';
CREATE TRIGGER bury_all BEFORE DELETE ON rolecall.queues FOR EACH ROW EXECUTE FUNCTION rolecall.bury_all();

-- What somebody else is seeing to is passed over. A message whose consumers die again and again may be why they die.
CREATE FUNCTION rolecall.tidy(most int, OUT seen_to bigint, OUT died bigint)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    given_back bigint[];
    dead bigint[];
BEGIN
    SELECT array_agg(id) FILTER (WHERE lives), array_agg(id) FILTER (WHERE NOT lives) INTO given_back, dead
      FROM (SELECT id, state = 'leased' AND expires_at > moment AND lost < 9 AS lives
              FROM messages WHERE due <= moment ORDER BY due LIMIT most FOR UPDATE SKIP LOCKED) overdue;
    IF given_back IS NOT NULL THEN
        WITH again AS (
            UPDATE messages SET state = 'ready', due = expires_at, consumer = NULL, lost = lost + 1
             WHERE id = ANY (given_back) RETURNING queue)
        SELECT wake(array_agg(DISTINCT queue)) FROM again INTO moment;
    END IF;
    IF dead IS NOT NULL THEN
        PERFORM bury(dead);
    END IF;
    died := coalesce(cardinality(dead), 0);
    seen_to := died + coalesce(cardinality(given_back), 0);
END
$$;
COMMENT ON FUNCTION rolecall.tidy(int) IS
    'Buries messages that have expired, or whose leases have ended ten times, and gives others back whose lease has';

CREATE FUNCTION rolecall.expire() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    orphans bigint[] := ARRAY(
        SELECT id FROM messages WHERE queue NOT IN (SELECT id FROM queues) FOR UPDATE SKIP LOCKED);
    total bigint := cardinality(orphans);
    done record;
BEGIN
    -- They were sent while their queue was being dropped.
    PERFORM bury(orphans, true);
    LOOP
        done := tidy(1000);
        EXIT WHEN done.seen_to = 0;
        total := total + done.died;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION rolecall.expire() IS
    'Moves expired messages to the dead letters, gives back what a consumer has had too long; how many died';

CREATE FUNCTION rolecall.lease_end(lease interval) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    IF (moment + lease > moment) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'lease must be positive';
    END IF;
    RETURN moment + lease;
END
$$;
COMMENT ON FUNCTION rolecall.lease_end(interval) IS 'When a lease that starts now ends';

CREATE FUNCTION rolecall.queue_name(queue bigint) RETURNS text
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    RETURN (SELECT name FROM queue_names WHERE id = queue);
END
$$;
COMMENT ON FUNCTION rolecall.queue_name(bigint) IS 'What a queue is called';

-- Called for every message, and so without a statement; what changes the row is done as the extension's owner.
CREATE FUNCTION rolecall.receive(lease interval DEFAULT '60 seconds', queue text DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'receive_wrapper';
COMMENT ON FUNCTION rolecall.receive(interval, text) IS
    'The next message for the user, from a pool whose role one holds, or for one''s workflow; nobody else gets it while the lease lasts';

CREATE FUNCTION rolecall.not_leased(message bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    RAISE object_not_in_prerequisite_state
        USING MESSAGE = format('message %s is not yours (any more)', coalesce(message::text, 'NULL')),
              HINT = 'Its lease has ended, or it is done: receive another one.';
END
$$;
COMMENT ON FUNCTION rolecall.not_leased(bigint) IS
    'Raises the error of whoever has not got a message, whether there is one or not';

CREATE FUNCTION rolecall.done(message bigint, result jsonb DEFAULT NULL, attempt int DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'done_wrapper';
COMMENT ON FUNCTION rolecall.done(bigint, jsonb, int) IS
    'Ends a message that one has received; a result goes to reply_to. attempt: only if it is still this delivery';

CREATE FUNCTION rolecall.extend(message bigint, lease interval) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    me text := identity_key();
    until timestamptz := lease_end(lease);
BEGIN
    UPDATE messages SET due = until WHERE id = message AND state = 'leased' AND consumer = me;
    IF NOT FOUND THEN
        PERFORM not_leased(message);
    END IF;
    RETURN until;
END
$$;
COMMENT ON FUNCTION rolecall.extend(bigint, interval) IS 'Keeps a message for so long from now; until when that is';

CREATE FUNCTION rolecall.busy(message bigint, delay interval DEFAULT '1 second') RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    me text := identity_key();
    until timestamptz := clock_timestamp() + delay;
    waits_in bigint;
BEGIN
    IF (until >= clock_timestamp() - interval '1 second') IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'delay must not be negative';
    END IF;
    UPDATE messages SET state = 'ready', due = expires_at, consumer = NULL,
           declined = coalesce(declined, '{}') || jsonb_build_object(me, extract(epoch FROM until))
     WHERE id = message AND state = 'leased' AND consumer = me
    RETURNING queue INTO waits_in;
    IF NOT FOUND THEN
        PERFORM not_leased(message);
    END IF;
    PERFORM wake(ARRAY[waits_in]);
END
$$;
COMMENT ON FUNCTION rolecall.busy(bigint, interval) IS
    'Gives a message back: at once to others, to oneself after the delay';

-- A channel of its own tells the session, and nobody else, to look again: for what was sent before it listened.
CREATE FUNCTION rolecall.follow_channels() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    listening text[] := ARRAY(SELECT c FROM pg_listening_channels() c WHERE starts_with(c, 'rolecall_'));
    own text := coalesce((SELECT c FROM unnest(listening) c WHERE starts_with(c, 'rolecall_self_')),
                         replace(new_channel(), 'rolecall_', 'rolecall_self_'));
    wanted text[] := ARRAY(SELECT own UNION SELECT channel FROM change_channel
        UNION SELECT channel FROM consumable WHERE channel IS NOT NULL
        UNION SELECT former FROM consumable WHERE former IS NOT NULL);
    name text;
BEGIN
    FOREACH name IN ARRAY listening LOOP
        IF name <> ALL (wanted) THEN
            EXECUTE format('UNLISTEN %I', name);
        END IF;
    END LOOP;
    IF wanted <@ listening THEN
        RETURN;
    END IF;
    FOREACH name IN ARRAY wanted LOOP
        EXECUTE format('LISTEN %I', name);
    END LOOP;
    PERFORM pg_notify(own, '');
END
$$;
COMMENT ON FUNCTION rolecall.follow_channels() IS 'Listens to the channels of the queues that one may receive from, and to no others';

CREATE FUNCTION rolecall.listen() RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF identity_key() IS NULL THEN
        PERFORM require_login();
    END IF;
    PERFORM queue_of(user_id());
    PERFORM follow_channels();
    RETURN QUERY SELECT name FROM consumable ORDER BY name;
END
$$;
COMMENT ON FUNCTION rolecall.listen() IS
    'Notifies this connection from now on when there may be something to receive(); the queues';
