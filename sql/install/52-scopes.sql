CREATE FUNCTION rolecall.grant_scopes(role text, scopes text[]) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'grant_scopes_wrapper';
COMMENT ON FUNCTION rolecall.grant_scopes(text, text[]) IS
    'Gives a role scopes; a node stands for all below it; for a server''s role they must be the server''s (administrators)';

CREATE FUNCTION rolecall.revoke_scopes(role text, scopes text[]) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_scopes_wrapper';
COMMENT ON FUNCTION rolecall.revoke_scopes(text, text[]) IS
    'Takes scopes, and all below them, from a role (administrators)';

CREATE FUNCTION rolecall.has_scope(scope text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.has_scope_support AS 'MODULE_PATHNAME', 'has_scope';
COMMENT ON FUNCTION rolecall.has_scope(text) IS 'Whether some role of the present identity covers the scope';

CREATE FUNCTION rolecall.has_scopes(scopes text[]) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'has_scopes_wrapper';
COMMENT ON FUNCTION rolecall.has_scopes(text[]) IS
    'Whether one single role of the present identity covers all the scopes; of no scopes, none does';

CREATE FUNCTION rolecall.require_scope(scope text) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'require_scope_wrapper';
COMMENT ON FUNCTION rolecall.require_scope(text) IS 'Raises an error unless some role of the present identity covers the scope';

CREATE FUNCTION rolecall.query_scopes(query jsonb, unit text) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'query_scopes_wrapper';
COMMENT ON FUNCTION rolecall.query_scopes(jsonb, text) IS
    'unit:TOP:kind for every query_kind in a FlowKit query, TOP being the outermost; no unit is nonspatial';

CREATE FUNCTION rolecall.can_query(action text, query jsonb, unit text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'can_query_wrapper';
COMMENT ON FUNCTION rolecall.can_query(text, jsonb, text) IS
    'Whether one role of the present identity covers what the action (run, poll, get_result ...) on the query needs';

CREATE FUNCTION rolecall.explain_query(action text, query jsonb, unit text) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'explain_query_wrapper';
COMMENT ON FUNCTION rolecall.explain_query(text, jsonb, text) IS
    'Whether the action on the query is allowed, what it needs, what is missing, and the role that comes nearest';
