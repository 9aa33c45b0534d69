CREATE FUNCTION rolecall.add_auth_schema() RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $body$
BEGIN
    IF NOT rolecall.is_administrator() THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied: add_auth_schema() needs an administrator';
    END IF;
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'auth') THEN
        RAISE duplicate_object USING MESSAGE = 'schema "auth" exists already',
            HINT = 'Rename it, or make the four functions in it by hand.';
    END IF;
    CREATE SCHEMA auth;
    COMMENT ON SCHEMA auth IS 'What policies written for Supabase call, answered by rolecall';
    -- Plain SQL functions without a SET clause, so that the planner sees through them.
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
        AS 'SELECT rolecall.user_id_as_uuid()';
    COMMENT ON FUNCTION auth.uid() IS 'The logged-in user''s id where it is a UUID, else NULL';
    CREATE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        AS 'SELECT rolecall.user_email()';
    COMMENT ON FUNCTION auth.email() IS 'The logged-in user''s e-mail address, or NULL';
    CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        AS $$SELECT CASE WHEN rolecall.user_id() IS NULL THEN 'anon' ELSE 'authenticated' END$$;
    COMMENT ON FUNCTION auth.role() IS 'authenticated or anon';
    CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
        AS $$SELECT CASE WHEN rolecall.user_id() IS NOT NULL THEN pg_catalog.jsonb_build_object(
            'sub', rolecall.user_id(), 'email', rolecall.user_email(), 'role', 'authenticated') END$$;
    COMMENT ON FUNCTION auth.jwt() IS 'What rolecall vouches for: sub, email, role; NULL for nobody';
    GRANT USAGE ON SCHEMA auth TO PUBLIC;
END
$body$;
COMMENT ON FUNCTION rolecall.add_auth_schema() IS
    'Makes auth.uid(), auth.email(), auth.role() and auth.jwt(), which policies written for Supabase call (administrators)';
