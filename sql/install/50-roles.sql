CREATE FUNCTION rolecall.create_role(
    name text, description text DEFAULT NULL, pool boolean DEFAULT false, server text DEFAULT NULL,
    database_role name DEFAULT NULL, latest_expiry timestamptz DEFAULT NULL, longest_life interval DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'create_role_wrapper';
COMMENT ON FUNCTION rolecall.create_role(text, text, boolean, text, name, timestamptz, interval) IS
    'Creates a role; members of database_role hold it; for a server, with limits to the tokens made with it (administrators)';

CREATE FUNCTION rolecall.rename_role(name text, new_name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'rename_role_wrapper';
COMMENT ON FUNCTION rolecall.rename_role(text, text) IS
    'Renames a role; its members, scopes and permissions stay (administrators)';

CREATE FUNCTION rolecall.drop_role(name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'drop_role_wrapper';
COMMENT ON FUNCTION rolecall.drop_role(text) IS
    'Removes a role with its memberships, scopes and permissions (administrators)';

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
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.has_role_support AS 'MODULE_PATHNAME', 'has_role';
COMMENT ON FUNCTION rolecall.has_role(text) IS 'Whether the present identity holds the role, nesting resolved';

CREATE FUNCTION rolecall.roles_of(username text) RETURNS SETOF text
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'roles_of_wrapper';
COMMENT ON FUNCTION rolecall.roles_of(text) IS
    'The roles of a user, nesting resolved (administrators, or the user himself)';

CREATE FUNCTION rolecall.add_default_roles(kit text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'add_default_roles_wrapper';
COMMENT ON FUNCTION rolecall.add_default_roles(text) IS
    'Adds the roles of core, openflow, graphistry, floating-server or 8base, with what they may do (administrators)';

CREATE FUNCTION rolecall.set_api_allow_anonymous(allowed boolean) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'set_api_allow_anonymous_wrapper';
COMMENT ON FUNCTION rolecall.set_api_allow_anonymous(boolean) IS
    'Whether everybody, logged in or not, has the scope nodered:api:call (administrators)';
