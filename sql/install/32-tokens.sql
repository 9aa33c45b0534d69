CREATE FUNCTION rolecall.set_signing_key(alg text, key text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'set_signing_key_wrapper';
COMMENT ON FUNCTION rolecall.set_signing_key(text, text) IS
    'Makes or takes a key that signs from now on, HS256, RS256, ES256 or EdDSA, and returns its id; former keys still verify (administrators)';

CREATE FUNCTION rolecall.add_verification_key(issuer text, jwk jsonb, audience text DEFAULT 'rolecall') RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'add_verification_key_wrapper';
COMMENT ON FUNCTION rolecall.add_verification_key(text, jsonb, text) IS
    'Accepts tokens of another issuer; the same issuer and kid again replaces the key (administrators)';

CREATE FUNCTION rolecall.drop_key(kid text, issuer text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'drop_key_wrapper';
COMMENT ON FUNCTION rolecall.drop_key(text, text) IS
    'Forgets a key: what it has signed stops working (administrators)';

CREATE FUNCTION rolecall.jwks() RETURNS jsonb
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'jwks_wrapper';
COMMENT ON FUNCTION rolecall.jwks() IS 'The public keys that verify rolecall''s own tokens, as a JWK set (RFC 7517)';

CREATE FUNCTION rolecall.create_api_token(
    name text, roles text[], expires_at timestamptz DEFAULT NULL, owner text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'create_api_token_wrapper';
COMMENT ON FUNCTION rolecall.create_api_token(text, text[], timestamptz, text) IS
    'Makes an API token with these roles and returns it, this once (administrators)';

CREATE FUNCTION rolecall.revoke_api_token(id text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_api_token_wrapper';
COMMENT ON FUNCTION rolecall.revoke_api_token(text) IS 'Ends an API token (administrators and its owner)';

CREATE FUNCTION rolecall.revoke_sessions(username text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_sessions_wrapper';
COMMENT ON FUNCTION rolecall.revoke_sessions(text) IS
    'Ends every login of a user so far and his tokens for other servers (administrators, or the user himself)';
