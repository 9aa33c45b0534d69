CREATE TABLE rolecall.workflows (
    queue     text COLLATE "C" PRIMARY KEY CHECK (queue <> ''),
    role      text COLLATE "C" NOT NULL UNIQUE REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    publisher text COLLATE "C" REFERENCES rolecall.users ON UPDATE CASCADE ON DELETE SET NULL
);
CREATE INDEX workflows_publisher ON rolecall.workflows (publisher);
COMMENT ON TABLE rolecall.workflows IS 'Workflows that users have published for the members of a role';
COMMENT ON COLUMN rolecall.workflows.queue IS 'What it is called, and its queue after workflow:';
COMMENT ON COLUMN rolecall.workflows.role IS 'Whose members may invoke it';
COMMENT ON COLUMN rolecall.workflows.publisher IS 'Who consumes what is sent to it; NULL: the user is gone';

-- Who knows a channel's name hears when something is sent, so it can be guessed from nothing.
CREATE FUNCTION rolecall.new_channel() RETURNS text LANGUAGE sql VOLATILE
    RETURN 'rolecall_' || replace(gen_random_uuid()::text, '-', '');
COMMENT ON FUNCTION rolecall.new_channel() IS 'A name for a channel that nobody guesses';

CREATE TABLE rolecall.queues (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id  text COLLATE "C" UNIQUE REFERENCES rolecall.users ON UPDATE CASCADE ON DELETE CASCADE,
    role     text COLLATE "C" UNIQUE REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    workflow text COLLATE "C" UNIQUE REFERENCES rolecall.workflows ON UPDATE CASCADE ON DELETE CASCADE,
    channel  text NOT NULL UNIQUE DEFAULT rolecall.new_channel(),
    former   text,
    acl      jsonb NOT NULL DEFAULT '[]',
    CHECK (num_nonnulls(user_id, role, workflow) = 1)
);
-- Of the users' queues there may be millions.
CREATE INDEX queues_pools ON rolecall.queues (id) WHERE role IS NOT NULL;
COMMENT ON TABLE rolecall.queues IS 'Where messages wait: of users, of roles that are pools, of workflows';
COMMENT ON COLUMN rolecall.queues.id IS 'What messages call it';
COMMENT ON COLUMN rolecall.queues.user_id IS 'The user whose queue it is; there is none before somebody needs it';
COMMENT ON COLUMN rolecall.queues.role IS 'The pool whose queue it is';
COMMENT ON COLUMN rolecall.queues.workflow IS 'The workflow whose queue it is';
COMMENT ON COLUMN rolecall.queues.channel IS 'What is notified when there is something to receive';
COMMENT ON COLUMN rolecall.queues.former IS 'The channel before that: a sender that is not done yet has seen it';
COMMENT ON COLUMN rolecall.queues.acl IS 'Who else may send (invoke), who may not (invoke, denied), which members may not receive (read, denied)';

CREATE TABLE rolecall.change_channel (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    channel  text NOT NULL DEFAULT rolecall.new_channel()
);
INSERT INTO rolecall.change_channel DEFAULT VALUES;
COMMENT ON TABLE rolecall.change_channel IS 'The channel that is notified when somebody may consume from more queues. Not dumped: another database has another one';
COMMENT ON COLUMN rolecall.change_channel.only_row IS 'There is one row';
COMMENT ON COLUMN rolecall.change_channel.channel IS 'The channel';

-- No foreign keys: every message would lock its queue's row. What a dropped queue leaves, expire() finds.
CREATE TABLE rolecall.messages (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue       bigint NOT NULL,
    payload     jsonb NOT NULL,
    sender      text,
    sender_key  text,
    priority    int NOT NULL DEFAULT 2,
    state       text NOT NULL DEFAULT 'ready',
    due         timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    reply_to    bigint,
    in_reply_to bigint,
    attempts    int NOT NULL DEFAULT 0,
    lost        int NOT NULL DEFAULT 0,
    consumer    text,
    declined    jsonb,
    sent_at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX messages_ready ON rolecall.messages (queue, priority, id) WHERE state = 'ready';
CREATE INDEX messages_due ON rolecall.messages (due);
COMMENT ON TABLE rolecall.messages IS 'Messages that are waiting or being worked on';
COMMENT ON COLUMN rolecall.messages.id IS 'Older ones have lower ones';
COMMENT ON COLUMN rolecall.messages.queue IS 'The queue it waits in';
COMMENT ON COLUMN rolecall.messages.payload IS 'What it says';
COMMENT ON COLUMN rolecall.messages.sender IS 'Who sent it: a user''s name, api_token:ID, or a database role; NULL: rolecall itself';
COMMENT ON COLUMN rolecall.messages.sender_key IS 'The same as identity_key() says it, which nobody else ever gets';
COMMENT ON COLUMN rolecall.messages.priority IS 'Lower ones go first';
COMMENT ON COLUMN rolecall.messages.state IS 'ready: whoever comes gets it; leased: somebody has it';
COMMENT ON COLUMN rolecall.messages.due IS 'When something has to happen to it: while ready when it expires, while leased when the lease ends';
COMMENT ON COLUMN rolecall.messages.expires_at IS 'From when on nobody gets it';
COMMENT ON COLUMN rolecall.messages.reply_to IS 'The queue that gets the result, or hears that there is none';
COMMENT ON COLUMN rolecall.messages.in_reply_to IS 'The message that this answers';
COMMENT ON COLUMN rolecall.messages.attempts IS 'How often it was received';
COMMENT ON COLUMN rolecall.messages.lost IS 'How often a lease ended';
COMMENT ON COLUMN rolecall.messages.consumer IS 'Who has it, as identity_key() says it';
COMMENT ON COLUMN rolecall.messages.declined IS 'Who was busy, and until when (seconds since the epoch) others go first';
COMMENT ON COLUMN rolecall.messages.sent_at IS 'When it was sent';

CREATE TABLE rolecall.dead_letters (
    message     bigint PRIMARY KEY,
    queue       bigint NOT NULL,
    queue_name  text,
    payload     jsonb NOT NULL,
    sender      text,
    sender_key  text,
    priority    int NOT NULL,
    in_reply_to bigint,
    attempts    int NOT NULL,
    lost        int NOT NULL,
    sent_at     timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    reason      text NOT NULL CHECK (reason IN ('expired', 'attempts', 'dropped')),
    died_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dead_letters_queue ON rolecall.dead_letters (queue);
CREATE INDEX dead_letters_sender ON rolecall.dead_letters (sender_key);
COMMENT ON TABLE rolecall.dead_letters IS 'Messages that nobody has done';
COMMENT ON COLUMN rolecall.dead_letters.message IS 'The message''s id';
COMMENT ON COLUMN rolecall.dead_letters.queue IS 'The queue it waited in';
COMMENT ON COLUMN rolecall.dead_letters.queue_name IS 'What that was called';
COMMENT ON COLUMN rolecall.dead_letters.payload IS 'What it says';
COMMENT ON COLUMN rolecall.dead_letters.sender IS 'Who sent it; NULL: rolecall itself';
COMMENT ON COLUMN rolecall.dead_letters.sender_key IS 'The same as identity_key() says it';
COMMENT ON COLUMN rolecall.dead_letters.priority IS 'Its priority';
COMMENT ON COLUMN rolecall.dead_letters.in_reply_to IS 'The message that it was to answer';
COMMENT ON COLUMN rolecall.dead_letters.attempts IS 'How often it was received';
COMMENT ON COLUMN rolecall.dead_letters.lost IS 'How often a lease ended';
COMMENT ON COLUMN rolecall.dead_letters.sent_at IS 'When it was sent';
COMMENT ON COLUMN rolecall.dead_letters.expires_at IS 'When it expired, or would have';
COMMENT ON COLUMN rolecall.dead_letters.reason IS 'expired; attempts: too many leases have ended; dropped: its queue is gone';
COMMENT ON COLUMN rolecall.dead_letters.died_at IS 'Since when it lies here';

-- Sessions remember which queues they receive from. Users' own are known beforehand.
CREATE TRIGGER invalidate_on_entry AFTER INSERT OR UPDATE OF role, workflow, acl
    ON rolecall.queues FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION rolecall.invalidate_sessions();
CREATE TRIGGER invalidate_on_exit AFTER DELETE
    ON rolecall.queues FOR EACH ROW WHEN (OLD.user_id IS NULL) EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.queues ENABLE ALWAYS TRIGGER invalidate_on_entry;
ALTER TABLE rolecall.queues ENABLE ALWAYS TRIGGER invalidate_on_exit;

SELECT pg_extension_config_dump('rolecall.workflows', '');
SELECT pg_extension_config_dump('rolecall.queues', '');
SELECT pg_extension_config_dump('rolecall.queues_id_seq', '');
SELECT pg_extension_config_dump('rolecall.messages', '');
SELECT pg_extension_config_dump('rolecall.messages_id_seq', '');
SELECT pg_extension_config_dump('rolecall.dead_letters', '');

CREATE FUNCTION rolecall.identity_key() RETURNS text LANGUAGE sql STABLE
    RETURN coalesce('user:' || rolecall.user_id(), 'api_token:' || rolecall.api_token_id());
COMMENT ON FUNCTION rolecall.identity_key() IS 'Who acts, by id: a name may be somebody else''s later. NULL: nobody is logged in';

CREATE VIEW rolecall.queue_names AS
    SELECT q.id, CASE WHEN role IS NOT NULL THEN 'role:' || role WHEN workflow IS NOT NULL THEN 'workflow:' || workflow
                      ELSE username END AS name
      FROM rolecall.queues q LEFT JOIN rolecall.users u ON u.id = user_id;
COMMENT ON VIEW rolecall.queue_names IS 'What queues are called';
COMMENT ON COLUMN rolecall.queue_names.id IS 'The queue';
COMMENT ON COLUMN rolecall.queue_names.name IS 'The user''s name, role:NAME or workflow:NAME';

CREATE VIEW rolecall.consumable AS
    SELECT q.id, username AS name, channel, former
      FROM rolecall.users u LEFT JOIN rolecall.queues q ON q.user_id = u.id
     WHERE u.id = rolecall.user_id()
     UNION ALL
    SELECT id, 'role:' || role, channel, former
      FROM rolecall.queues WHERE role IS NOT NULL AND rolecall.has_role(role)
       AND (acl = '[]' OR NOT rolecall.acl_denies(acl, 'read'))
     UNION ALL
    SELECT id, 'workflow:' || workflow, channel, former
      FROM rolecall.workflows w JOIN rolecall.queues q ON workflow = w.queue WHERE publisher = rolecall.user_id();
COMMENT ON VIEW rolecall.consumable IS 'The queues that one may receive from';
COMMENT ON COLUMN rolecall.consumable.id IS 'The queue; NULL: the user''s own, which nobody has needed yet';
COMMENT ON COLUMN rolecall.consumable.name IS 'What it is called';
COMMENT ON COLUMN rolecall.consumable.channel IS 'Its channel';
COMMENT ON COLUMN rolecall.consumable.former IS 'The channel before that';

CREATE FUNCTION rolecall.queue_of(of_user text) RETURNS rolecall.queues
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    hit queues;
BEGIN
    SELECT * INTO hit FROM queues WHERE user_id = of_user;
    IF NOT FOUND AND EXISTS (SELECT FROM users WHERE id = of_user) THEN
        INSERT INTO queues (user_id) VALUES (of_user) ON CONFLICT DO NOTHING;
        SELECT * INTO hit FROM queues WHERE user_id = of_user;
    END IF;
    RETURN hit;
END
$$;
COMMENT ON FUNCTION rolecall.queue_of(text) IS 'The queue of a user, made where there is none yet';

-- Who has no right does not learn whether there is such a queue. The rights are variables, since constants would become
-- part of the plan.
CREATE FUNCTION rolecall.queue_to_send_to(name text) RETURNS rolecall.queues
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    invoke text := 'invoke';
    owner text;
    members text;
    hit queues;
BEGIN
    IF name IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'queue must not be NULL';
    ELSIF starts_with(name, 'role:') THEN
        members := substr(name, 6);
        SELECT * INTO hit FROM queues WHERE role = members;
    ELSIF starts_with(name, 'workflow:') THEN
        SELECT * INTO hit FROM queues WHERE workflow = substr(name, 10);
        SELECT role INTO members FROM workflows WHERE queue = hit.workflow;
    ELSE
        SELECT id INTO owner FROM users WHERE username = name;
        SELECT * INTO hit FROM queues WHERE user_id = owner;
    END IF;
    IF NOT is_administrator() AND (acl_denies(coalesce(hit.acl, '[]'), invoke) IS NOT FALSE
        OR (owner = user_id() OR hit.id IS NOT NULL AND has_role(members) OR acl_allows(hit.acl, invoke)) IS NOT TRUE) THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('permission denied: you may not send to queue "%s"', name),
                  HINT = 'Ask an administrator for the role, or for a right to the queue (rolecall.grant_right()).';
    END IF;
    IF owner IS NOT NULL AND hit.id IS NULL THEN
        hit := queue_of(owner);
    END IF;
    IF hit.id IS NULL THEN
        RAISE undefined_object
            USING MESSAGE = format('queue "%s" does not exist', name),
                  HINT = 'A queue is the name of a user, role:NAME of a role that is a pool, or workflow:NAME.';
    END IF;
    RETURN hit;
END
$$;
COMMENT ON FUNCTION rolecall.queue_to_send_to(text) IS 'The queue of that name, for who may send to it; else an error';
