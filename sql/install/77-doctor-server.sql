CREATE FUNCTION rolecall.doctor_server() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
-- Older ones show hidden rows to operators of the reader's, or update them; 18.6, where it was tried, does (ON CONFLICT).
SELECT 'warning', 'server-version', 'PostgreSQL ' || current_setting('server_version'),
       format('-- install PostgreSQL %s.%s or a later minor version and restart the server', major, minor)
  FROM (VALUES (15, 20), (16, 16), (17, 12), (18, 7)) fixed (major, minor)
 WHERE current_setting('server_version_num')::int / 10000 = major AND current_setting('server_version_num')::int % 10000 < minor
 UNION ALL
-- Without it, a session that has not called rolecall yet may show a value that somebody made up for rolecall.identity.
SELECT 'notice', 'preload', format('database %I', current_database()),
       format('ALTER DATABASE %I SET session_preload_libraries = %s; -- for sessions from now on', current_database(),
              (SELECT string_agg(quote_literal(trim(library, ' "')), ', ')
                 FROM unnest(string_to_array(nullif(current_setting('session_preload_libraries'), ''), ',') || 'rolecall'::text) library))
 WHERE NOT EXISTS (
        SELECT FROM (SELECT current_setting(name) FROM unnest('{shared_preload_libraries,session_preload_libraries}'::text[]) name
                      UNION ALL
                     SELECT setting FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) setting
                      WHERE s.setrole = 0 AND d.datname = current_database() AND setting LIKE 'session\_preload\_libraries=%') settings (value)
         WHERE value ~ '(^|[ ,="/])rolecall("|,| |\.so|$)')
 UNION ALL
SELECT 'warning', 'log', 'log_parameter_max_length', 'ALTER SYSTEM SET log_parameter_max_length = 0; SELECT pg_reload_conf();'
 WHERE current_setting('log_parameter_max_length') <> '0'
   AND (current_setting('log_statement') = 'all' OR current_setting('log_min_duration_statement') <> '-1'
        OR current_setting('log_min_duration_sample') <> '-1' OR current_setting('log_transaction_sample_rate') <> '0')
 UNION ALL
SELECT 'warning', 'log', 'log_parameter_max_length_on_error', 'ALTER SYSTEM SET log_parameter_max_length_on_error = 0; SELECT pg_reload_conf();'
 WHERE current_setting('log_parameter_max_length_on_error') <> '0'
 UNION ALL
SELECT 'notice', 'log', 'log_statement', 'ALTER SYSTEM SET log_statement = ''mod''; SELECT pg_reload_conf(); -- unless secrets are always passed as parameters'
 WHERE current_setting('log_statement') = 'all'
 UNION ALL
-- These turn triggers off, or load code.
SELECT CASE WHEN parname LIKE 'rolecall.%' THEN 'warning' ELSE 'error' END, 'parameter', format('%s of %s', parname, grantee_name(a.grantee)),
       format('REVOKE %s ON PARAMETER %s FROM %s;', string_agg(a.privilege_type, ', '), parname, grantee_name(a.grantee))
  FROM pg_parameter_acl, aclexplode(paracl) a
 WHERE a.grantee <> a.grantor
   AND (parname LIKE 'rolecall.%'
     OR parname IN ('session_replication_role', 'session_preload_libraries', 'shared_preload_libraries', 'dynamic_library_path'))
 GROUP BY parname, a.grantee
$$;
COMMENT ON FUNCTION rolecall.doctor_server() IS 'What doctor() finds of the server and its settings';
