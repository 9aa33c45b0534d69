CREATE FUNCTION rolecall.acl_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'acl_support';
COMMENT ON FUNCTION rolecall.acl_support(internal) IS
    'Planner support: administrators pass, and an index of the ACL finds the rows of others';

CREATE FUNCTION rolecall.acl_allows(acl jsonb, "right" text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.acl_support COST 10 AS 'MODULE_PATHNAME', 'acl_allows';
COMMENT ON FUNCTION rolecall.acl_allows(jsonb, text) IS
    'Whether an ACL gives the present identity the right create, read, update, delete, invoke or full_control; a deny wins';

CREATE FUNCTION rolecall.acl_denies(acl jsonb, "right" text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.acl_support COST 10 AS 'MODULE_PATHNAME', 'acl_denies';
COMMENT ON FUNCTION rolecall.acl_denies(jsonb, text) IS 'Whether an ACL denies the present identity the right';

CREATE FUNCTION rolecall.acl_holders() RETURNS jsonpath
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'acl_holders';
COMMENT ON FUNCTION rolecall.acl_holders() IS
    'The condition that an ACL names the present identity, for an index: acl @@ acl_holders()';

CREATE FUNCTION rolecall.new_acl(given jsonb) RETURNS jsonb
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'new_acl_wrapper';
COMMENT ON FUNCTION rolecall.new_acl(jsonb) IS
    'The ACL of a new row: without one full control for its creator and admins; whoever could not read and update what he makes gets full control too';

CREATE FUNCTION rolecall.changed_acl(former jsonb, given jsonb) RETURNS jsonb
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'changed_acl_wrapper';
COMMENT ON FUNCTION rolecall.changed_acl(jsonb, jsonb) IS
    'The ACL of a row that had another one: whoever writes it keeps his rights where he would lock himself out';

CREATE FUNCTION rolecall.grant_right(
    target regclass, key text, member text, rights text[], deny boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'grant_right_wrapper';
COMMENT ON FUNCTION rolecall.grant_right(regclass, text, text, text[], boolean) IS
    'Gives a user, or a role written role:NAME, rights to the row of that primary key, or denies them; for who may update the row';

CREATE FUNCTION rolecall.revoke_right(
    target regclass, key text, member text, rights text[] DEFAULT NULL, deny boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'revoke_right_wrapper';
COMMENT ON FUNCTION rolecall.revoke_right(regclass, text, text, text[], boolean) IS
    'Takes rights to a row, or their denial, from a user or a role; all of them where none is named';
