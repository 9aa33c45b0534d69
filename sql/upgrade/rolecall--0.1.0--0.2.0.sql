\echo Use "ALTER EXTENSION rolecall UPDATE" to load this file. \quit
-- One section for each file of sql/install that has changed.

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

-- Rules are to say what this version makes of them. Last: it takes all of the above.
SELECT rolecall.recompile(target) FROM rolecall.protected_tables;
