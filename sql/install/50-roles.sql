CREATE FUNCTION rolecall.create_role(name text, description text DEFAULT NULL, database_role name DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'create_role_wrapper';
COMMENT ON FUNCTION rolecall.create_role(text, text, name) IS
    'Creates a role; sessions whose session_user is a member of database_role hold it (administrators)';

CREATE FUNCTION rolecall.grant_role(role text, member text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'grant_role_wrapper';
COMMENT ON FUNCTION rolecall.grant_role(text, text) IS
    'Gives a role to a user, or to a role written role:NAME (administrators)';

CREATE FUNCTION rolecall.revoke_role(role text, member text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_role_wrapper';
COMMENT ON FUNCTION rolecall.revoke_role(text, text) IS
    'Takes a role from a user, or from a role written role:NAME (administrators)';

CREATE FUNCTION rolecall.has_role(role text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.has_role_support AS 'MODULE_PATHNAME', 'has_role_wrapper';
COMMENT ON FUNCTION rolecall.has_role(text) IS 'Whether the present identity holds the role, nesting resolved';
