CREATE FUNCTION rolecall.doctor_roles() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH extension AS (SELECT extowner AS owner FROM pg_extension WHERE extname = 'rolecall'),
may_log_in AS (SELECT oid FROM pg_roles WHERE rolcanlogin AND NOT rolsuper)
-- No policy restricts them. The two that made the server and the extension are an administrator's.
SELECT 'notice', 'superuser', rolname::text, format('ALTER ROLE %I NOSUPERUSER; -- if a program logs in with it', rolname)
  FROM pg_roles, extension WHERE rolsuper AND rolcanlogin AND oid NOT IN (10, owner)
 UNION ALL
SELECT 'warning', 'bypassrls', rolname::text, format('ALTER ROLE %I NOBYPASSRLS;', rolname)
  FROM pg_roles r
 WHERE rolbypassrls AND NOT rolsuper AND (rolcanlogin OR EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid))
   AND EXISTS (SELECT FROM guarded_tables g WHERE has_table_privilege(r.oid, g.target, 'SELECT, INSERT, UPDATE, DELETE')
                                               OR has_any_column_privilege(r.oid, g.target, 'SELECT, INSERT, UPDATE'))
 UNION ALL
-- An owner has the rules of everybody, but he may drop them.
SELECT 'warning', 'owner', rolname::text,
       string_agg(format('ALTER TABLE %s OWNER TO %I;', g.name, pg_get_userbyid(e.owner)), ' ' ORDER BY g.name) || ' -- and grant it what it needs'
  FROM (SELECT DISTINCT name, owner FROM guarded_tables) g JOIN pg_roles r ON r.oid = g.owner, extension e
 WHERE r.rolcanlogin AND NOT r.rolsuper
 GROUP BY rolname
 UNION ALL
SELECT 'notice', 'owner', rolname::text, format('REVOKE %I FROM %I; -- if a program logs in with it', pg_get_userbyid(a.roleid), rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid IN (SELECT owner FROM guarded_tables) AND NOT m.rolsuper
   AND EXISTS (SELECT FROM may_log_in l WHERE pg_has_role(l.oid, m.oid, 'MEMBER'))
 UNION ALL
-- The views through which rules read related tables are closed to all but these.
SELECT 'warning', 'all-data', rolname::text, format('REVOKE %I FROM %I;', pg_get_userbyid(a.roleid), rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid IN ('pg_read_all_data'::regrole, 'pg_write_all_data'::regrole) AND NOT m.rolsuper
   AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'rolecall_relations'::regnamespace AND c.relkind = 'v')
 UNION ALL
-- Who reads or writes the server's files has its tables, and can be a superuser.
SELECT 'error', 'server-files', rolname::text, format('REVOKE %I FROM %I;', pg_get_userbyid(a.roleid), rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid IN ('pg_read_server_files'::regrole, 'pg_write_server_files'::regrole, 'pg_execute_server_program'::regrole) AND NOT m.rolsuper
 UNION ALL
-- Before PostgreSQL 16 it gives oneself any role but superusers.
SELECT 'warning', 'createrole', rolname::text, format('ALTER ROLE %I NOCREATEROLE;', rolname)
  FROM pg_roles WHERE rolcreaterole AND NOT rolsuper AND current_setting('server_version_num')::int < 160000
 UNION ALL
SELECT 'notice', 'replication', rolname::text, format('ALTER ROLE %I NOREPLICATION; -- unless it belongs to a replica or to backups', rolname)
  FROM pg_roles WHERE rolreplication AND rolcanlogin AND NOT rolsuper
 UNION ALL
-- A gateway acts as whom it says; who may make others gateways is an administrator in all but name.
SELECT 'warning', 'gateway', rolname::text, format('REVOKE ADMIN OPTION FOR rolecall_authenticator FROM %I;', rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid = to_regrole('rolecall_authenticator') AND a.admin_option AND NOT m.rolsuper
 UNION ALL
-- Whoever may make objects there puts them in the way of others.
SELECT 'warning', 'create', format('schema %I', n.nspname),
       format('REVOKE CREATE ON SCHEMA %I FROM %s CASCADE;', n.nspname, grantee_name(CASE WHEN a.grantor <> n.nspowner THEN a.grantor ELSE 0 END))
  FROM pg_namespace n, aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'
$$;
COMMENT ON FUNCTION rolecall.doctor_roles() IS 'What doctor() finds of database roles that may do more than the rules say';
