CREATE FUNCTION rolecall.register_server(
    name text, spec jsonb, latest_expiry timestamptz DEFAULT NULL, longest_life interval DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'register_server_wrapper';
COMMENT ON FUNCTION rolecall.register_server(text, jsonb, timestamptz, interval) IS
    'Takes a server''s scopes and audience from its OpenAPI document, and limits to its tokens; returns what changed (administrators)';

CREATE FUNCTION rolecall.drop_server(name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'drop_server_wrapper';
COMMENT ON FUNCTION rolecall.drop_server(text) IS
    'Forgets a server that has no roles any more, with the record of its tokens (administrators)';

CREATE FUNCTION rolecall.issue_token(
    server text, roles text[], lifetime interval DEFAULT NULL, scopes text[] DEFAULT NULL,
    user_claims boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'issue_token_wrapper';
COMMENT ON FUNCTION rolecall.issue_token(text, text[], interval, text[], boolean) IS
    'A JWT (RS256) for a server with one''s own roles there, good until the earliest limit; user_claims: in FlowKit''s form';

CREATE FUNCTION rolecall.revoke_token(id text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_token_wrapper';
COMMENT ON FUNCTION rolecall.revoke_token(text) IS 'Revokes a server token (administrators, and the user whose it is)';

CREATE FUNCTION rolecall.revoked_tokens(server text) RETURNS TABLE (id text, expires_at timestamptz)
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoked_tokens_wrapper';
COMMENT ON FUNCTION rolecall.revoked_tokens(text) IS
    'The tokens that a server is to refuse before they expire: revoked, or the user or one of the roles was taken away';

CREATE FUNCTION rolecall.token_is_good(id text) RETURNS boolean
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'token_is_good_wrapper';
COMMENT ON FUNCTION rolecall.token_is_good(text) IS
    'Whether a server token is on record, not expired and not revoked: for a server that asks about each one';

CREATE FUNCTION rolecall.server_key() RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'server_key_wrapper';
COMMENT ON FUNCTION rolecall.server_key() IS 'The public key, in PEM, that verifies new server tokens';

CREATE VIEW rolecall.my_tokens WITH (security_barrier) AS
    SELECT t.id, server, roles, issued_at, expires_at,
           coalesce(revoked_at, CASE WHEN issued_at <= sessions_revoked_at THEN sessions_revoked_at END) AS revoked_at
      FROM rolecall.server_tokens t JOIN rolecall.users u ON u.id = user_id WHERE user_id = rolecall.user_id();
COMMENT ON VIEW rolecall.my_tokens IS 'The server tokens that one was issued';
COMMENT ON COLUMN rolecall.my_tokens.id IS 'The claim jti';
COMMENT ON COLUMN rolecall.my_tokens.server IS 'The server it is for';
COMMENT ON COLUMN rolecall.my_tokens.roles IS 'Its roles, each with its scopes';
COMMENT ON COLUMN rolecall.my_tokens.issued_at IS 'When it was issued';
COMMENT ON COLUMN rolecall.my_tokens.expires_at IS 'From when on it is refused';
COMMENT ON COLUMN rolecall.my_tokens.revoked_at IS 'When it was revoked, or one''s sessions were ended';
