-- What doctor() finds about rolecall's own objects: PostgreSQL keeps what they were when the extension was installed.
CREATE FUNCTION rolecall.doctor_own() RETURNS TABLE (level text, "check" text, object text, advice text)
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
COMMENT ON FUNCTION rolecall.doctor_own() IS 'What doctor() finds about rolecall''s own objects';
