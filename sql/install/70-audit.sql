CREATE TABLE rolecall.audit_entries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text NOT NULL,
    acting_as    text,
    session_role name NOT NULL DEFAULT session_user,
    address      inet DEFAULT inet_client_addr(),
    action       text NOT NULL,
    object       text NOT NULL,
    old          jsonb,
    new          jsonb
);
COMMENT ON TABLE rolecall.audit_entries IS 'Who changed what, when, from where. Nobody can change it';
COMMENT ON COLUMN rolecall.audit_entries.id IS 'In the order of writing';
COMMENT ON COLUMN rolecall.audit_entries.at IS 'When';
COMMENT ON COLUMN rolecall.audit_entries.actor IS 'Who: a user''s name, api_token:ID, or the database role of a session without a login';
COMMENT ON COLUMN rolecall.audit_entries.acting_as IS 'The user he had become() at the time';
COMMENT ON COLUMN rolecall.audit_entries.session_role IS 'The database role of the session';
COMMENT ON COLUMN rolecall.audit_entries.address IS 'The client''s address; NULL: a local socket';
COMMENT ON COLUMN rolecall.audit_entries.action IS 'insert, update, delete, become or register_server';
COMMENT ON COLUMN rolecall.audit_entries.object IS 'The table of rolecall''s that changed; for become, the user; for register_server, the server';
COMMENT ON COLUMN rolecall.audit_entries.old IS 'The row as it was, for an update its key and what changed; secrets left out';
COMMENT ON COLUMN rolecall.audit_entries.new IS 'The row as it is, for an update its key and what changed; secrets left out';
SELECT pg_extension_config_dump('rolecall.audit_entries', '');
SELECT pg_extension_config_dump('rolecall.audit_entries_id_seq', '');

CREATE FUNCTION rolecall.actor() RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'actor_wrapper';
COMMENT ON FUNCTION rolecall.actor() IS 'Who acts, as the audit log names him; behind become() the administrator';
CREATE FUNCTION rolecall.acting_as() RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'acting_as_wrapper';
COMMENT ON FUNCTION rolecall.acting_as() IS 'The user one has become(), or NULL';
CREATE FUNCTION rolecall.is_administrator() RETURNS boolean
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'is_administrator_wrapper';
COMMENT ON FUNCTION rolecall.is_administrator() IS
    'Whether one is in admins or, without a login, a superuser or a member of the extension''s owner';

CREATE FUNCTION rolecall.name_of_dropped(number oid) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT object_identity FROM pg_event_trigger_dropped_objects()
                      WHERE classid = 'pg_class'::regclass AND objid = number AND objsubid = 0), number::text);
EXCEPTION
    -- It was dropped earlier, without rolecall's event trigger.
    WHEN event_trigger_protocol_violated THEN RETURN number;
END
$$;
COMMENT ON FUNCTION rolecall.name_of_dropped(oid) IS 'What a table was called that is just being dropped, else its number';

-- The arguments are columns whose values are secret: that they changed is recorded, not what they are.
CREATE FUNCTION rolecall.record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after  jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    named  name[];
    secret text;
BEGIN
    -- A restore loads what was recorded when it was first written: pg_dump's own statement, alone.
    IF current_query() ~ '^COPY rolecall\.\w+ (\([^;]*\) )?FROM stdin;?\s*$' THEN
        RETURN NULL;
    END IF;
    IF before = after THEN
        RETURN NULL;
    ELSIF TG_TABLE_NAME = 'protected_tables' THEN
        before := (before || jsonb_build_object('target', before -> 'called')) - 'called';
        after := (after || jsonb_build_object('target', after -> 'called')) - 'called';
    ELSIF TG_OP = 'DELETE' AND before ->> 'target' ~ '^\d+$' THEN
        before := before || jsonb_build_object('target', name_of_dropped((before ->> 'target')::oid));
    END IF;
    IF TG_OP = 'UPDATE' THEN
        -- What did not change is left out, but for what says which row it is.
        SELECT array_agg(attname) || '{username}' INTO named
          FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
         WHERE indrelid = TG_RELID AND indisprimary;
        SELECT jsonb_object_agg(key, o.value), jsonb_object_agg(key, n.value) INTO before, after
          FROM jsonb_each(before) o JOIN jsonb_each(after) n USING (key)
         WHERE o.value <> n.value OR key = ANY (named);
    END IF;
    FOREACH secret IN ARRAY coalesce(TG_ARGV, '{}') LOOP
        before := CASE WHEN before ? secret THEN before || jsonb_build_object(secret, '(secret)') ELSE before END;
        after := CASE WHEN after ? secret THEN after || jsonb_build_object(secret, '(secret)') ELSE after END;
    END LOOP;
    INSERT INTO audit_entries (actor, acting_as, action, object, old, new)
        VALUES (actor(), acting_as(), lower(TG_OP), TG_TABLE_NAME, before, after);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.record_change() IS 'Records a change in the audit log, without the columns named';

CREATE FUNCTION rolecall.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'the audit log cannot be changed';
END
$$;
COMMENT ON FUNCTION rolecall.refuse_change() IS 'Keeps the audit log as it was written';
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE
    ON rolecall.audit_entries FOR EACH STATEMENT EXECUTE FUNCTION rolecall.refuse_change();
ALTER TABLE rolecall.audit_entries ENABLE ALWAYS TRIGGER refuse_change;

CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE OF id, username, email, kind, database_role, password_hash,
    must_change_password, disabled, session_generation, issuer
    ON rolecall.users FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('password_hash', 'kept_token');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.roles FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.user_roles FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.role_members FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.servers FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.role_scopes FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.server_tokens FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.signing_keys FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('secret', 'jwk');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.verification_keys FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('jwk');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE OF id, name, token_hash, owner, expires_at
    ON rolecall.api_tokens FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('token_hash');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.api_token_roles FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.invitations FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('secret_hash');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.settings FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE OF acl_column, called
    ON rolecall.protected_tables FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.permissions FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.workflows FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER UPDATE OF acl
    ON rolecall.queues FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('channel', 'former');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.work_queues FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.users_tables FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
-- Relations that foreign keys show, and the text of a view, only follow what else changes.
CREATE TRIGGER record_change AFTER INSERT
    ON rolecall.relations FOR EACH ROW WHEN (NOT NEW.found) EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_drop AFTER DELETE
    ON rolecall.relations FOR EACH ROW WHEN (NOT OLD.found) EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE
    ON rolecall.exposed_views FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();

CREATE VIEW rolecall.audit_log WITH (security_barrier) AS
    SELECT id, at, actor, acting_as, session_role, address, action, object, old, new
      FROM rolecall.audit_entries WHERE rolecall.is_administrator();
COMMENT ON VIEW rolecall.audit_log IS 'Who changed what, when, from where, old and new; for administrators, others see nothing';
COMMENT ON COLUMN rolecall.audit_log.id IS 'In the order of writing';
COMMENT ON COLUMN rolecall.audit_log.at IS 'When';
COMMENT ON COLUMN rolecall.audit_log.actor IS 'Who: a user''s name, api_token:ID, or the database role of a session without a login';
COMMENT ON COLUMN rolecall.audit_log.acting_as IS 'The user he had become() at the time';
COMMENT ON COLUMN rolecall.audit_log.session_role IS 'The database role of the session';
COMMENT ON COLUMN rolecall.audit_log.address IS 'The client''s address; NULL: a local socket';
COMMENT ON COLUMN rolecall.audit_log.action IS 'insert, update, delete, become or register_server';
COMMENT ON COLUMN rolecall.audit_log.object IS 'The table of rolecall''s that changed; for become, the user; for register_server, the server';
COMMENT ON COLUMN rolecall.audit_log.old IS 'The row as it was, for an update its key and what changed; secrets left out';
COMMENT ON COLUMN rolecall.audit_log.new IS 'The row as it is, for an update its key and what changed; secrets left out';
