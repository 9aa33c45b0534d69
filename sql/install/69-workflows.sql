CREATE FUNCTION rolecall.remove_role(name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'remove_role_wrapper';
COMMENT ON FUNCTION rolecall.remove_role(text) IS 'What drop_role() does, for whoever may unpublish a workflow';

CREATE FUNCTION rolecall.publish_workflow(queue text, prefix text DEFAULT 'nodered1') RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    me text := user_id();
    role text := prefix || publish_workflow.queue || 'users';
BEGIN
    IF me IS NULL THEN
        RAISE invalid_authorization_specification USING MESSAGE = 'publish_workflow() needs a user who is logged in',
            HINT = 'Get a token with rolecall.login() and pass it to rolecall.authenticate().';
    ELSIF (publish_workflow.queue <> '' AND prefix <> '' AND length(role) <= 255) IS NOT TRUE THEN
        RAISE invalid_parameter_value
            USING MESSAGE = 'queue and prefix must not be empty, and the role''s name not be longer than 255 characters';
    END IF;
    INSERT INTO roles (name, description) VALUES (role, format('May invoke the workflow %s', publish_workflow.queue))
        ON CONFLICT DO NOTHING;
    -- Whoever holds a role that is there was not meant to invoke this.
    IF NOT FOUND THEN
        RAISE duplicate_object USING MESSAGE = format('role "%s" exists already', role),
            HINT = 'Choose another queue or prefix.';
    END IF;
    INSERT INTO workflows (queue, role, publisher) VALUES (publish_workflow.queue, role, me) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE duplicate_object USING MESSAGE = format('workflow "%s" exists already', publish_workflow.queue),
            HINT = 'Choose another queue.';
    END IF;
    INSERT INTO queues (workflow) VALUES (publish_workflow.queue);
    INSERT INTO user_roles (user_id, role) VALUES (me, role);
    RETURN role;
END
$$;
COMMENT ON FUNCTION rolecall.publish_workflow(text, text) IS
    'Makes a queue workflow:NAME that one receives from, and the role whose members may invoke it; returns the role';

CREATE FUNCTION rolecall.invoke_workflow(
    queue text, payload jsonb, expires_in interval DEFAULT '60 seconds', reply_to text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    RETURN send('workflow:' || queue, payload, expires_in, reply_to);
END
$$;
COMMENT ON FUNCTION rolecall.invoke_workflow(text, jsonb, interval, text) IS
    'Sends a message to a workflow that one may invoke';

CREATE FUNCTION rolecall.unpublish_workflow(queue text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    hit workflows;
BEGIN
    SELECT * INTO hit FROM workflows WHERE queue = unpublish_workflow.queue;
    IF (is_administrator() OR hit.publisher = user_id()) IS NOT TRUE THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('permission denied: workflow "%s" is not yours', coalesce(unpublish_workflow.queue, 'NULL')),
                  HINT = 'Its publisher and administrators may unpublish it.';
    ELSIF hit.queue IS NULL THEN
        RAISE undefined_object
            USING MESSAGE = format('workflow "%s" does not exist', coalesce(unpublish_workflow.queue, 'NULL'));
    END IF;
    PERFORM remove_role(hit.role);
END
$$;
COMMENT ON FUNCTION rolecall.unpublish_workflow(text) IS
    'Removes a workflow and its role (its publisher, or an administrator)';

CREATE FUNCTION rolecall.workflows() RETURNS TABLE (queue text, role text, publisher text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    administrator boolean := is_administrator();
    invoke text := 'invoke';
BEGIN
    RETURN QUERY SELECT w.queue, w.role, username
        FROM workflows w JOIN queues ON workflow = w.queue LEFT JOIN users u ON u.id = publisher
       WHERE administrator OR has_role(w.role) AND NOT acl_denies(acl, invoke) ORDER BY 1;
END
$$;
COMMENT ON FUNCTION rolecall.workflows() IS 'The workflows that one may invoke';
