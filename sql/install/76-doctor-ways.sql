-- What doctor() finds of ways past row-level security: what runs with the powers of an owner whom no policy restricts, what
-- keeps copies, and roles that may do more than the rules say.

CREATE FUNCTION rolecall.doctor_views() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH RECURSIVE view AS (
    -- What reads what: a view with its own owner's privileges, or as a link of the chain with its reader's.
    SELECT DISTINCT d.refobjid AS reads, c.oid, c.relkind, c.relowner AS owner, format('%I.%I', n.nspname, c.relname) AS name,
           EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) AS is_granted,
           EXISTS (SELECT FROM pg_options_to_table(c.reloptions) WHERE option_name = 'security_invoker' AND option_value::boolean) AS is_invoker
      FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class AND c.relkind IN ('v', 'm')
      JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('rolecall', 'rolecall_relations')
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
     WHERE w.ev_type = '1'),
as_reader AS (
    SELECT target AS oid FROM guarded_tables
     UNION
    SELECT v.oid FROM as_reader r JOIN view v ON v.reads = r.oid WHERE v.is_invoker),
fed AS (
    SELECT target AS oid FROM guarded_tables
     UNION
    SELECT v.oid FROM fed f JOIN view v ON v.reads = f.oid)
SELECT CASE WHEN v.owner NOT IN (SELECT role FROM bypassing_roles) THEN 'notice' WHEN bool_or(v.is_granted) THEN 'error' ELSE 'warning' END,
       'view', v.name, format('ALTER VIEW %s SET (security_invoker = true); -- its readers then need privileges on its tables', v.name)
  FROM view v JOIN as_reader r ON r.oid = v.reads
 WHERE v.relkind = 'v' AND NOT v.is_invoker AND v.oid NOT IN (SELECT shown_as FROM exposed_views)
 GROUP BY v.name, v.owner
 UNION ALL
-- A copy of the rows that its owner, or whoever refreshed it, could see.
SELECT CASE WHEN c.relowner IN (SELECT role FROM bypassing_roles) THEN 'error' ELSE 'warning' END, 'materialized-view', v.name,
       format('REVOKE ALL ON %s FROM %s CASCADE;', v.name, string_agg(DISTINCT grantee_name(a.grantee), ', '))
  FROM (SELECT DISTINCT v.oid, v.name FROM view v JOIN fed USING (oid) WHERE v.relkind = 'm') v
  JOIN pg_class c USING (oid), aclexplode(c.relacl) a
 WHERE a.grantee <> c.relowner AND a.grantor = c.relowner
 GROUP BY v.name, c.relowner
 UNION ALL
-- Its actions run with the privileges of whoever owns the table or view it is on.
SELECT CASE WHEN c.relowner IN (SELECT role FROM bypassing_roles) THEN 'error' ELSE 'warning' END, 'rule',
       format('%I on %I.%I', w.rulename, n.nspname, c.relname), format('DROP RULE %I ON %I.%I;', w.rulename, n.nspname, c.relname)
  FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE w.ev_type <> '1' AND EXISTS (SELECT FROM pg_depend d JOIN as_reader r ON r.oid = d.refobjid
                                      WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass)
$$;
COMMENT ON FUNCTION rolecall.doctor_views() IS 'What doctor() finds of views and rules that lead past the rules';

CREATE FUNCTION rolecall.doctor_functions() RETURNS TABLE (level text, "check" text, object text, advice text)
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
