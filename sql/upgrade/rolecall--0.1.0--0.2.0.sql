\echo Use "ALTER EXTENSION rolecall UPDATE" to load this file. \quit
-- One section for each file of sql/install that has changed.

-- 20-invalidation.sql
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

-- 75-ddl.sql
COMMENT ON EVENT TRIGGER rolecall_after_table IS 'Carries rules to new partitions and to new names of columns';
COMMENT ON EVENT TRIGGER rolecall_after_drop IS 'Forgets tables that are gone and keeps the policies of those that stay';

-- 76-doctor-ways.sql
CREATE OR REPLACE FUNCTION rolecall.doctor_functions() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH definer AS MATERIALIZED (
    SELECT p.oid, p.prosrc, p.proconfig, l.lanname, n.nspname, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
           p.proowner IN (SELECT role FROM bypassing_roles) AS bypasses
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
     WHERE p.prosecdef AND n.nspname <> 'rolecall_triggers'
       AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner)
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
       AND (p.proowner IN (SELECT role FROM bypassing_roles) OR p.proowner IN (SELECT owner FROM guarded_tables))),
-- A body in SQL that was parsed says what it uses, of others the words say what it may use.
uses AS (
    SELECT d.objid AS oid, 'warning' AS level FROM pg_depend d JOIN guarded_tables g ON g.target = d.refobjid
     WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
     UNION ALL
    SELECT word.oid, 'notice'
      FROM (SELECT DISTINCT oid, regexp_split_to_table(lower(prosrc), '[^[:alnum:]_$]+') AS text FROM definer WHERE bypasses) word
      JOIN guarded_tables g ON true JOIN pg_class c ON c.oid = g.target AND lower(c.relname) = word.text)
SELECT max(u.level), 'definer-function', d.name,
       format('ALTER ROUTINE %s SECURITY INVOKER; -- or let nobody call it who may not see all that it reads', d.name)
  FROM definer d JOIN uses u USING (oid) WHERE d.bypasses GROUP BY d.name
 UNION ALL
SELECT 'warning', 'search-path', name, format('ALTER ROUTINE %s SET search_path = pg_catalog, %I, pg_temp;', name, nspname)
  FROM definer
 WHERE lanname NOT IN ('c', 'internal') AND NOT EXISTS (SELECT FROM unnest(proconfig) setting WHERE setting LIKE 'search_path=%')
 UNION ALL
-- The planner lets it see rows before the policies do.
SELECT 'warning', 'leakproof', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
       format('ALTER FUNCTION %I.%I(%s) NOT LEAKPROOF;', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.proleakproof AND p.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname <> 'rolecall'
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
 UNION ALL
SELECT 'notice', 'publication', pubname::text, statement || '; -- whoever subscribes gets all rows'
  FROM pg_publication p, LATERAL (
        SELECT format('DROP PUBLICATION %I', pubname) WHERE p.puballtables AND EXISTS (SELECT FROM guarded_tables)
         UNION ALL
        SELECT format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA %I', pubname, n.nspname)
          FROM pg_publication_namespace s JOIN pg_namespace n ON n.oid = s.pnnspid
         WHERE s.pnpubid = p.oid AND EXISTS (SELECT FROM guarded_tables g JOIN pg_class c ON c.oid = g.target WHERE c.relnamespace = n.oid)
         UNION ALL
        SELECT format('ALTER PUBLICATION %I DROP TABLE %s', pubname, string_agg(DISTINCT g.name, ', '))
          FROM pg_publication_rel r JOIN guarded_tables g ON g.target = r.prrelid WHERE r.prpubid = p.oid HAVING count(*) > 0) q (statement)
 UNION ALL
-- Only PostgreSQL's own decoder asks for publications.
SELECT 'notice', 'slot', slot_name::text, format('SELECT pg_drop_replication_slot(%L); -- whoever reads it gets all rows', slot_name)
  FROM pg_replication_slots
 WHERE database = current_database() AND plugin <> 'pgoutput' AND EXISTS (SELECT FROM guarded_tables)
$$;
COMMENT ON FUNCTION rolecall.doctor_functions() IS 'What doctor() finds of functions, publications and slots that lead past the rules';

-- 77-doctor-own.sql
CREATE OR REPLACE FUNCTION rolecall.doctor_own() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH extension AS (SELECT oid, extowner AS owner FROM pg_extension WHERE extname = 'rolecall'),
member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_depend d JOIN extension e ON e.oid = d.refobjid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
own AS MATERIALIZED (
    SELECT m.classid, m.objid, 'TABLE' AS kind, format('%I.%I', n.nspname, c.relname) AS name, c.relowner AS owner,
           c.relacl AS acl, NULL::aclitem[] AS default_acl, c.relkind::text AS relkind
      FROM member m JOIN pg_class c ON c.oid = m.objid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'v', 'S')
     UNION ALL
    SELECT m.classid, m.objid, 'FUNCTION', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner,
           coalesce(p.proacl, acldefault('f', p.proowner)), acldefault('f', p.proowner), ''
      FROM member m JOIN pg_proc p ON p.oid = m.objid JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE m.classid = 'pg_proc'::regclass
     UNION ALL
    SELECT m.classid, m.objid, 'SCHEMA', format('%I', n.nspname), n.nspowner, n.nspacl, NULL, ''
      FROM member m JOIN pg_namespace n ON n.oid = m.objid
     WHERE m.classid = 'pg_namespace'::regclass),
granted AS (
    SELECT o.*, a.grantor, a.grantee, a.privilege_type FROM own o, aclexplode(o.acl) a
     UNION ALL
    SELECT o.*, a.grantor, a.grantee, a.privilege_type
      FROM own o JOIN pg_attribute c ON o.kind = 'TABLE' AND c.attrelid = o.objid, aclexplode(c.attacl) a),
-- What everybody was given by the extension itself.
public AS (
    SELECT o.classid, o.objid, a.privilege_type
      FROM own o LEFT JOIN pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = 0 AND i.privtype = 'e',
           aclexplode(coalesce(i.initprivs, o.default_acl)) a
     WHERE a.grantee = 0),
-- Every session looks its roles up again because of these, and a restore too must not go without.
always (function) AS (VALUES ('invalidate_sessions'), ('refuse_change'), ('note_columns'), ('keep_one_everybody'))
SELECT 'error', 'granted', format('%s %s', lower(kind), name),
       format('REVOKE %s ON %s %s FROM %s CASCADE;', string_agg(DISTINCT privilege_type, ', '),
              CASE WHEN relkind = 'S' THEN 'SEQUENCE' ELSE kind END, name, grantee_name(grantee))
  FROM granted g
 WHERE grantee <> owner AND grantor = owner
   AND NOT EXISTS (SELECT FROM public p WHERE p.classid = g.classid AND p.objid = g.objid AND p.privilege_type = g.privilege_type)
 GROUP BY kind, name, relkind, grantee
 UNION ALL
SELECT 'error', 'not-ours', format('%s %s', i.type, i.identity), format('ALTER %s %s SET SCHEMA public; -- or drop it', upper(i.type), i.identity)
  FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'rolecall'::regnamespace AND d.deptype = 'n' AND i.schema = 'rolecall'
   AND (d.classid, d.objid) NOT IN (SELECT classid, objid FROM member)
 UNION ALL
SELECT 'error', 'own-owner', format('%s %s', lower(kind), name),
       format('ALTER %s %s OWNER TO %I;', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE kind END, name, pg_get_userbyid(e.owner))
  FROM own o, extension e
 WHERE o.owner <> e.owner
   -- A sequence's owner is its table's.
   AND NOT (relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = o.objid AND d.deptype IN ('a', 'i')))
 UNION ALL
-- The views that rules read through, too.
SELECT 'error', 'own-owner', format('view %I.%I', 'rolecall_relations', c.relname), format('ALTER VIEW rolecall_relations.%I OWNER TO %I;', c.relname, pg_get_userbyid(e.owner))
  FROM pg_class c, extension e WHERE c.relnamespace = 'rolecall_relations'::regnamespace AND c.relkind = 'v' AND c.relowner <> e.owner
 UNION ALL
SELECT 'error', 'own-row-security', name, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', name)
  FROM own o JOIN pg_class c ON c.oid = o.objid WHERE o.relkind = 'r' AND NOT c.relrowsecurity
 UNION ALL
SELECT 'error', 'own-policy', format('%I on %s', p.polname, o.name), format('DROP POLICY %I ON %s;', p.polname, o.name)
  FROM own o JOIN pg_policy p ON o.kind = 'TABLE' AND p.polrelid = o.objid
 UNION ALL
SELECT 'error', 'own-trigger', format('%I on %s', t.tgname, o.name),
       format('ALTER TABLE %s ENABLE %sTRIGGER %I;', o.name, CASE wanted WHEN 'A' THEN 'ALWAYS ' WHEN 'R' THEN 'REPLICA ' ELSE '' END, t.tgname)
  FROM own o JOIN pg_trigger t ON o.relkind = 'r' AND t.tgrelid = o.objid AND NOT t.tgisinternal JOIN pg_proc f ON f.oid = t.tgfoid,
       LATERAL (SELECT CASE WHEN t.tgname = 'invalidate_replicated' THEN 'R'
                            WHEN f.proname IN (SELECT function FROM always) THEN 'A' ELSE 'O' END) w (wanted)
 WHERE t.tgenabled NOT IN ('A', wanted)
 UNION ALL
SELECT 'error', 'event-trigger', evtname::text, format('ALTER EVENT TRIGGER %I ENABLE ALWAYS;', evtname)
  FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid WHERE evtenabled <> 'A'
 UNION ALL
SELECT 'error', 'own-search-path', o.name, format('ALTER FUNCTION %s SET search_path = pg_catalog, rolecall, pg_temp;', o.name)
  FROM own o JOIN pg_proc p ON o.kind = 'FUNCTION' AND p.oid = o.objid
 WHERE p.prosecdef AND NOT EXISTS (SELECT FROM unnest(p.proconfig) setting WHERE setting = 'search_path=pg_catalog, rolecall, pg_temp')
$$;

-- 77-doctor-server.sql
CREATE OR REPLACE FUNCTION rolecall.doctor_server() RETURNS TABLE (level text, "check" text, object text, advice text)
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

-- Rules are to say what this version makes of them. Last: it takes all of the above.
SELECT rolecall.recompile(target) FROM rolecall.protected_tables;
