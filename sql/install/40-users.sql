CREATE FUNCTION rolecall.create_user(
    username text, email text DEFAULT NULL, password text DEFAULT NULL, roles text[] DEFAULT '{}',
    id text DEFAULT NULL, kind text DEFAULT 'human', database_role name DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'create_user_wrapper';
COMMENT ON FUNCTION rolecall.create_user(text, text, text, text[], text, text, name) IS
    'Creates a user with roles and returns the id (administrators)';

CREATE FUNCTION rolecall.login(username text, password text, lifetime interval DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'login_wrapper';
COMMENT ON FUNCTION rolecall.login(text, text, interval) IS
    'Checks a password and returns a signed JWT for authenticate(), good for an hour unless said otherwise';
