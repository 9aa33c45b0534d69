-- Every backend keeps what it looked up about its identity. A change here tells all of them, hot standbys included, to
-- look again. ENABLE ALWAYS: also while a dump is restored.
CREATE FUNCTION rolecall.invalidate_sessions() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'invalidate_sessions_wrapper';
COMMENT ON FUNCTION rolecall.invalidate_sessions() IS 'Makes every session look its roles up again';

-- A new hash of the same password changes nothing for anybody, and neither does the last use of a token.
CREATE TRIGGER invalidate_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, username, email, database_role,
    must_change_password, disabled, session_generation, sessions_revoked_at, kept_token
    ON rolecall.users FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
CREATE TRIGGER invalidate_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, owner, expires_at
    ON rolecall.api_tokens FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.users ENABLE ALWAYS TRIGGER invalidate_sessions;
ALTER TABLE rolecall.api_tokens ENABLE ALWAYS TRIGGER invalidate_sessions;

CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.roles ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.user_roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.user_roles ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.role_members FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.role_members ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.api_token_roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.api_token_roles ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.signing_keys FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.signing_keys ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.verification_keys FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.verification_keys ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.settings FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.settings ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.role_scopes FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.role_scopes ENABLE ALWAYS TRIGGER invalidate_sessions;

-- What logical replication brings fires no statement's triggers, but rows' do. Only there, so that elsewhere no row costs
-- anything.
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN SELECT tgrelid FROM pg_trigger
                 WHERE tgname = 'invalidate_sessions' AND tgfoid = 'rolecall.invalidate_sessions()'::regprocedure LOOP
        EXECUTE format('CREATE TRIGGER invalidate_replicated AFTER INSERT OR UPDATE OR DELETE ON %s
            FOR EACH ROW EXECUTE FUNCTION rolecall.invalidate_sessions()', name);
        EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER invalidate_replicated', name);
    END LOOP;
END $$;
