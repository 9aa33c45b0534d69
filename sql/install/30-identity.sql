CREATE FUNCTION rolecall.authenticate(token text, for_session boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'authenticate_wrapper';
COMMENT ON FUNCTION rolecall.authenticate(text, boolean) IS
    'Verifies a token and becomes that identity for this transaction, or for the session; returns the user id';

CREATE FUNCTION rolecall.assume(claims jsonb DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'assume_wrapper';
COMMENT ON FUNCTION rolecall.assume(jsonb) IS
    'Becomes the user of claims that a gateway has verified, by default of request.jwt.claims, for this transaction (logins in rolecall_authenticator)';

CREATE FUNCTION rolecall.become(username text, reason text, for_session boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'become_wrapper';
COMMENT ON FUNCTION rolecall.become(text, text, boolean) IS
    'Becomes another user, which the audit log records with the reason (administrators)';

CREATE FUNCTION rolecall.logout() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'logout_wrapper';
COMMENT ON FUNCTION rolecall.logout() IS 'Forgets the identity at once';

CREATE FUNCTION rolecall.require_login() RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'require_login_wrapper';
COMMENT ON FUNCTION rolecall.require_login() IS 'Raises an error (28000) unless somebody is logged in';

CREATE FUNCTION rolecall.whoami() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'whoami_wrapper';
COMMENT ON FUNCTION rolecall.whoami() IS 'The present identity with its roles and scopes';

-- A gateway that has verified a token itself, as PostgREST does, connects as a member of this role.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rolecall_authenticator') THEN
        CREATE ROLE rolecall_authenticator NOLOGIN;
    END IF;
EXCEPTION
    -- Another database's CREATE EXTENSION was faster.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- The planner calls the support functions: two replace has_role() and has_scope() of a constant by true or false, the other marks
-- plans whose rows depend on who asks, so that the identity cannot change under them.
CREATE FUNCTION rolecall.has_role_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'has_role_support';
COMMENT ON FUNCTION rolecall.has_role_support(internal) IS 'Planner support: folds has_role() of a constant';
CREATE FUNCTION rolecall.has_scope_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'has_scope_support';
COMMENT ON FUNCTION rolecall.has_scope_support(internal) IS 'Planner support: folds has_scope() of a constant';
CREATE FUNCTION rolecall.identity_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'identity_support';
COMMENT ON FUNCTION rolecall.identity_support(internal) IS 'Planner support: marks plans that depend on the identity';

CREATE FUNCTION rolecall.user_id() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_id';
COMMENT ON FUNCTION rolecall.user_id() IS 'The logged-in user''s id, or NULL';
CREATE FUNCTION rolecall.user_id_as_uuid() RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_id_as_uuid';
COMMENT ON FUNCTION rolecall.user_id_as_uuid() IS 'The logged-in user''s id where it is a UUID, else NULL';
CREATE FUNCTION rolecall.user_id_as_bigint() RETURNS bigint
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_id_as_bigint';
COMMENT ON FUNCTION rolecall.user_id_as_bigint() IS 'The logged-in user''s id where it is an integer, else NULL';
CREATE FUNCTION rolecall.user_email() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_email';
COMMENT ON FUNCTION rolecall.user_email() IS 'The logged-in user''s e-mail address, or NULL';
CREATE FUNCTION rolecall.api_token_id() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'api_token_id';
COMMENT ON FUNCTION rolecall.api_token_id() IS 'The id of the API token that acts, or NULL';
CREATE FUNCTION rolecall.api_token_id_as_uuid() RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support
    AS 'MODULE_PATHNAME', 'api_token_id_as_uuid';
COMMENT ON FUNCTION rolecall.api_token_id_as_uuid() IS 'The id of the API token that acts as a UUID, or NULL';
