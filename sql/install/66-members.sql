-- Who waits for messages sleeps until one of his channels is notified. What he may consume changes meanwhile: who may
-- more has to wake and listen to more, and who may less must hear nothing any more.

CREATE FUNCTION rolecall.tell_of_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM queues WHERE role IS NOT NULL) OR TG_TABLE_NAME = 'queues' THEN
        PERFORM pg_notify(channel, '') FROM change_channel;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.tell_of_change() IS 'Wakes everybody who waits, to see whether there are more queues for him';
CREATE TRIGGER tell_of_change AFTER INSERT ON rolecall.queues
    FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION rolecall.tell_of_change();
CREATE TRIGGER tell_of_change AFTER INSERT ON rolecall.user_roles
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.tell_of_change();
CREATE TRIGGER tell_of_change AFTER INSERT ON rolecall.role_members
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.tell_of_change();

CREATE FUNCTION rolecall.change_channels(of_queues bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    left_behind text;
BEGIN
    FOR left_behind IN
        UPDATE queues SET channel = new_channel(), former = channel WHERE id = ANY (of_queues) RETURNING former
    LOOP
        PERFORM pg_notify(left_behind, '');
    END LOOP;
END
$$;
COMMENT ON FUNCTION rolecall.change_channels(bigint[]) IS
    'Gives queues new channels and wakes who listens to the old ones: who still may asks for the new name';

CREATE FUNCTION rolecall.pools_of(of_roles text[]) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    -- Without pools nothing need be looked up, however large the organisation.
    RETURN (
        WITH RECURSIVE held AS (
            SELECT role COLLATE "C" AS role FROM unnest(of_roles) role WHERE EXISTS (SELECT FROM queues WHERE role IS NOT NULL)
             UNION
            SELECT m.role FROM held JOIN role_members m ON m.member = held.role)
        SELECT array_agg(id) FROM queues JOIN held USING (role));
END
$$;
COMMENT ON FUNCTION rolecall.pools_of(text[]) IS 'The queues of the pools that holders of these roles consume';

CREATE FUNCTION rolecall.leave_channels() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM change_channels(pools_of(ARRAY(SELECT DISTINCT role FROM gone)));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.leave_channels() IS 'Leaves those who lost a role with channels on which nothing comes';
CREATE TRIGGER leave_channels AFTER DELETE ON rolecall.user_roles REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.leave_channels();
CREATE TRIGGER leave_channels AFTER DELETE ON rolecall.role_members REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.leave_channels();
CREATE TRIGGER leave_channels AFTER DELETE ON rolecall.api_token_roles REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.leave_channels();

CREATE FUNCTION rolecall.disabled_user_leaves() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM change_channels(pools_of(ARRAY(
        SELECT 'users'
         UNION SELECT role FROM user_roles WHERE user_id = NEW.id
         UNION SELECT role FROM api_token_roles r JOIN api_tokens t ON t.id = r.token WHERE owner = NEW.id))
        || ARRAY(SELECT q.id FROM queues q LEFT JOIN workflows w ON w.queue = workflow
                  WHERE user_id = NEW.id OR publisher = NEW.id));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.disabled_user_leaves() IS 'Leaves a disabled user with channels on which nothing comes';
CREATE TRIGGER leave_channels AFTER UPDATE OF disabled ON rolecall.users
    FOR EACH ROW WHEN (NEW.disabled AND NOT OLD.disabled) EXECUTE FUNCTION rolecall.disabled_user_leaves();

-- Before he is gone: his messages' dead letters say his name.
CREATE FUNCTION rolecall.drop_queue_of_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    DELETE FROM queues WHERE user_id = OLD.id;
    PERFORM change_channels(pools_of('{users}')
        || ARRAY(SELECT q.id FROM queues q JOIN workflows w ON w.queue = workflow WHERE publisher = OLD.id));
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION rolecall.drop_queue_of_user() IS 'Drops the queue of a user who is dropped';
CREATE TRIGGER drop_queue BEFORE DELETE ON rolecall.users
    FOR EACH ROW EXECUTE FUNCTION rolecall.drop_queue_of_user();

CREATE FUNCTION rolecall.keep_queue_of_pool() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    -- A restore has the queues as well, with what waits in them: pg_dump's own statement, alone.
    IF current_query() ~ '^COPY rolecall\.\w+ (\([^;]*\) )?FROM stdin;?\s*$' THEN
        RETURN NULL;
    ELSIF NEW.pool THEN
        INSERT INTO queues (role) VALUES (NEW.name) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM queues WHERE role = NEW.name;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.keep_queue_of_pool() IS 'Makes the queue of a role that is a pool, and drops that of one that no longer is';
CREATE TRIGGER keep_queue AFTER INSERT OR UPDATE OF pool ON rolecall.roles
    FOR EACH ROW EXECUTE FUNCTION rolecall.keep_queue_of_pool();
