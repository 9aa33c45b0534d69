-- What doctor() finds about protected tables themselves. Each check is one query over the catalogs, however many tables
-- there are; nothing that users define is executed, and every name in an advice is quoted.

CREATE VIEW rolecall.bypassing_roles AS SELECT oid AS role FROM pg_roles WHERE rolsuper OR rolbypassrls;
COMMENT ON VIEW rolecall.bypassing_roles IS 'Roles whom no policy restricts';
COMMENT ON COLUMN rolecall.bypassing_roles.role IS 'The role';

CREATE VIEW rolecall.guarded_tables AS
    WITH RECURSIVE below AS (
        SELECT target::oid AS target, target::oid AS root FROM rolecall.protected_tables
         UNION
        SELECT i.inhrelid, b.root FROM below b JOIN pg_inherits i ON i.inhparent = b.target
         WHERE NOT EXISTS (SELECT FROM rolecall.protected_tables p WHERE p.target = i.inhrelid)),
    -- Of thousands of policies few are not rolecall's.
    others AS MATERIALIZED (
        SELECT oid, polrelid FROM pg_policy WHERE polname !~ '^rolecall_(select|insert|update|delete)(_gate)?$'),
    by_hand AS (
        SELECT DISTINCT p.polrelid AS target
          FROM others p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
          JOIN pg_proc f ON f.oid = d.refobjid AND f.pronamespace = 'rolecall'::regnamespace)
    SELECT b.target, b.root, format('%I.%I', n.nspname, c.relname) AS name, format('%I.%I', m.nspname, r.relname) AS root_name,
           c.relowner AS owner, c.relkind = 'f' AS is_foreign,
           b.by_hand, NOT b.by_hand AND EXISTS (SELECT FROM rolecall.compiled_policies p WHERE p.target = b.target) AS has_rules
      FROM (SELECT target, root, false AS by_hand FROM below
             UNION ALL
            SELECT target, target, true FROM by_hand WHERE target NOT IN (SELECT target FROM below)) b
      JOIN pg_class c ON c.oid = b.target JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_class r ON r.oid = b.root JOIN pg_namespace m ON m.oid = r.relnamespace;
COMMENT ON VIEW rolecall.guarded_tables IS 'Protected tables with their partitions and children, which have their rules, and tables with policies by hand that ask rolecall';
COMMENT ON COLUMN rolecall.guarded_tables.target IS 'The table';
COMMENT ON COLUMN rolecall.guarded_tables.root IS 'The table that was protected';
COMMENT ON COLUMN rolecall.guarded_tables.name IS 'The table''s name in SQL';
COMMENT ON COLUMN rolecall.guarded_tables.root_name IS 'The name of the table that was protected, in SQL';
COMMENT ON COLUMN rolecall.guarded_tables.owner IS 'The table''s owner';
COMMENT ON COLUMN rolecall.guarded_tables.is_foreign IS 'A foreign table, which can have no rules';
COMMENT ON COLUMN rolecall.guarded_tables.by_hand IS 'It is not protected, but has policies that somebody has written';
COMMENT ON COLUMN rolecall.guarded_tables.has_rules IS 'It was given the rules';

CREATE FUNCTION rolecall.grantee_name(grantee oid) RETURNS text LANGUAGE sql STABLE
    RETURN CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END;
COMMENT ON FUNCTION rolecall.grantee_name(oid) IS 'A grantee as GRANT and REVOKE name him';

CREATE FUNCTION rolecall.column_list(target oid, numbers int2[]) RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT string_agg(quote_ident(attname), ', ' ORDER BY position)
              FROM unnest(numbers) WITH ORDINALITY u (number, position) JOIN pg_attribute ON attrelid = target AND attnum = number);
COMMENT ON FUNCTION rolecall.column_list(oid, int2[]) IS 'Columns as a constraint lists them';

CREATE FUNCTION rolecall.policy_says(target oid, clauses text, using_tree pg_node_tree, check_tree pg_node_tree) RETURNS boolean
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'policy_says_wrapper';
COMMENT ON FUNCTION rolecall.policy_says(oid, text, pg_node_tree, pg_node_tree) IS 'Whether a policy has just these clauses';

-- Unknown where the clauses cannot be read any more because what they name was renamed. The table whose rules they are is
-- named in their end, for errors.
CREATE FUNCTION rolecall.policy_is_sound(target oid, root_name text, clauses text, policy pg_policy) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    clauses := regexp_replace(clauses, 'E?''([^'']|'''')*''::pg_catalog\.regclass\)\)$',
                              replace(quote_literal(root_name), '\', '\\') || '::pg_catalog.regclass))');
    RETURN policy_says(target, clauses, policy.polqual, policy.polwithcheck);
EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_schema_name OR data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.policy_is_sound(oid, text, text, pg_policy) IS 'Whether a policy says what rolecall has made it say';

CREATE FUNCTION rolecall.doctor_tables() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
SELECT CASE WHEN c.relrowsecurity AND by_hand THEN 'notice' ELSE 'error' END, 'row-security', name,
       format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', name)
  FROM guarded_tables JOIN pg_class c ON c.oid = target
 WHERE has_rules AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    OR by_hand AND NOT (c.relrowsecurity AND (c.relforcerowsecurity OR c.relowner IN (SELECT role FROM bypassing_roles)))
 UNION ALL
SELECT CASE WHEN sound IS NULL THEN 'warning' ELSE 'error' END, 'policy', g.name,
       format('DROP POLICY IF EXISTS %I ON %s; SELECT rolecall.protect(%L);', 'rolecall_' || a.action, g.name, g.root_name)
       || CASE WHEN sound IS NULL THEN ' -- what it names was renamed since it was made' ELSE '' END
  FROM guarded_tables g
 CROSS JOIN (VALUES ('select', 'r'), ('insert', 'a'), ('update', 'w'), ('delete', 'd')) a (action, command)
  LEFT JOIN compiled_policies c ON c.target = g.target AND c.action = a.action
  LEFT JOIN pg_policy p ON p.polrelid = g.target AND p.polname = 'rolecall_' || a.action
  LEFT JOIN pg_policy q ON q.polrelid = g.target AND q.polname = 'rolecall_' || a.action || '_gate',
       LATERAL (SELECT num_nulls(c.clauses, p.oid, q.oid) = 0
                   AND p.polcmd = a.command AND p.polpermissive AND p.polroles = '{0}'
                   AND q.polcmd = a.command AND NOT q.polpermissive AND q.polroles = '{0}'
                   AND policy_is_sound(g.target, g.root_name, c.clauses, p)
                   AND policy_is_sound(g.target, g.root_name, c.clauses, q)) x (sound)
 WHERE g.has_rules AND sound IS NOT TRUE
 UNION ALL
SELECT 'notice', 'foreign-policy', format('%I on %s', p.polname, g.name),
       format('DROP POLICY %I ON %s; -- %s', p.polname, g.name,
              CASE WHEN p.polpermissive THEN 'rolecall''s gates keep it from allowing anything' ELSE 'it hides rows that rolecall''s rules show' END)
  FROM guarded_tables g JOIN pg_policy p ON p.polrelid = g.target
 WHERE g.has_rules AND p.polname !~ '^rolecall_(select|insert|update|delete)(_gate)?$'
 UNION ALL
SELECT 'error', 'unprotected-partition', name, format('SELECT rolecall.protect(%L);', root_name)
  FROM guarded_tables WHERE NOT has_rules AND NOT by_hand AND NOT is_foreign
 UNION ALL
-- Who reads the parent does not pass the policies of its children.
SELECT 'error', 'unprotected-parent', format('%I.%I', n.nspname, c.relname), format('SELECT rolecall.protect(%L);', format('%I.%I', n.nspname, c.relname))
  FROM (WITH RECURSIVE above AS (
            SELECT i.inhparent FROM protected_tables p JOIN pg_inherits i ON i.inhrelid = p.target
             UNION
            SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.inhparent)
        SELECT inhparent FROM above WHERE inhparent NOT IN (SELECT target FROM guarded_tables)) a
  JOIN pg_class c ON c.oid = a.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace
 UNION ALL
SELECT 'error', 'foreign-table', g.name,
       format('REVOKE ALL ON %s FROM %s CASCADE;', g.name, string_agg(DISTINCT grantee_name(a.grantee), ', '))
  FROM guarded_tables g JOIN pg_class c ON c.oid = g.target, aclexplode(c.relacl) a
 WHERE g.is_foreign AND a.grantee <> g.owner AND a.grantor = g.owner
 GROUP BY g.name
 UNION ALL
SELECT 'warning', 'truncate', name,
       format('CREATE OR REPLACE TRIGGER rolecall_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION rolecall_relations.guard_truncate();', name)
  FROM guarded_tables g
 WHERE has_rules AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = g.target AND t.tgname = 'rolecall_truncate'
                                    AND t.tgfoid = 'rolecall_relations.guard_truncate()'::regprocedure AND t.tgenabled IN ('O', 'A'))
 UNION ALL
SELECT 'warning', 'preset', name, format('SELECT rolecall.protect(%L);', name)
  FROM guarded_tables g JOIN protected_tables p USING (target)
 WHERE p.preset_trigger IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = g.target AND t.tgname = p.preset_trigger)
 UNION ALL
SELECT 'warning', 'preset', g.name, format('ALTER TABLE %s ENABLE TRIGGER %I;', g.name, t.tgname)
  FROM guarded_tables g JOIN pg_trigger t ON t.tgrelid = g.target JOIN pg_proc f ON f.oid = t.tgfoid
 WHERE f.pronamespace = 'rolecall_triggers'::regnamespace AND t.tgenabled NOT IN ('O', 'A')
 UNION ALL
-- What the grantee has passed on goes with it. None of these knows rows: a trigger runs as whoever writes and sees what he writes, a foreign key tells which keys there are.
SELECT 'warning', 'privilege', name,
       format('REVOKE %s ON %s FROM %s CASCADE;', string_agg(DISTINCT privilege_type, ', '), name, grantee_name(grantee))
  FROM (SELECT g.name, g.owner, a.* FROM guarded_tables g JOIN pg_class c ON c.oid = g.target, aclexplode(c.relacl) a WHERE NOT g.is_foreign
         UNION ALL
        SELECT g.name, g.owner, a.* FROM guarded_tables g JOIN pg_attribute c ON c.attrelid = g.target, aclexplode(c.attacl) a) granted
 WHERE grantee <> owner AND grantor = owner AND privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
 GROUP BY name, grantee
 UNION ALL
-- What is deleted or changed along is not asked about, and whoever may delete from the other table need not see these rows.
SELECT 'warning', 'cascade', format('%I on %s', k.conname, g.name),
       -- Put together from the catalogs: a name may hold what looks like a clause.
       format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %I.%I (%s)%s%s%s%s; -- or protect the other table, too',
              g.name, k.conname, k.conname, column_list(k.conrelid, k.conkey), n.nspname, r.relname, column_list(k.confrelid, k.confkey),
              CASE WHEN k.confmatchtype = 'f' THEN ' MATCH FULL' END, CASE WHEN k.condeferrable THEN ' DEFERRABLE' END,
              CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' END, CASE WHEN NOT k.convalidated THEN ' NOT VALID' END)
  FROM guarded_tables g JOIN pg_constraint k ON k.conrelid = g.target AND k.contype = 'f' AND k.conparentid = 0
  JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE k.confrelid NOT IN (SELECT target FROM guarded_tables)
   AND EXISTS (SELECT FROM aclexplode(r.relacl) a WHERE a.grantee <> r.relowner
                  AND (a.privilege_type = 'DELETE' AND k.confdeltype IN ('c', 'n', 'd')
                    OR a.privilege_type = 'UPDATE' AND k.confupdtype IN ('c', 'n', 'd')))
$$;
COMMENT ON FUNCTION rolecall.doctor_tables() IS 'What doctor() finds about the protected tables themselves';
