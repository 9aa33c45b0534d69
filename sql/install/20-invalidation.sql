-- Every backend keeps what it looked up about its identity. A change here tells all of them, hot standbys included, to
-- look again. ENABLE ALWAYS: also under logical replication and restores.
CREATE FUNCTION rolecall.invalidate_sessions() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'invalidate_sessions_wrapper';
COMMENT ON FUNCTION rolecall.invalidate_sessions() IS 'Makes every session look its roles up again';

-- A new password changes nothing for anybody.
CREATE TRIGGER invalidate_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, username, email, database_role
    ON rolecall.users FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.user_roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.role_members FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.users ENABLE ALWAYS TRIGGER invalidate_sessions;
ALTER TABLE rolecall.roles ENABLE ALWAYS TRIGGER invalidate_sessions;
ALTER TABLE rolecall.user_roles ENABLE ALWAYS TRIGGER invalidate_sessions;
ALTER TABLE rolecall.role_members ENABLE ALWAYS TRIGGER invalidate_sessions;
