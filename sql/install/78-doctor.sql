CREATE FUNCTION rolecall.doctor_accounts() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
SELECT 'warning', 'first-user', 'registration', 'SELECT rolecall.set_registration(''invite''); -- else whoever registers first is an administrator'
 WHERE NOT EXISTS (SELECT FROM users) AND NOT EXISTS (SELECT FROM settings WHERE registration <> 'open')
 UNION ALL
-- An address that is typed in is nobody's until it is verified.
SELECT CASE WHEN by_email THEN 'warning' ELSE 'notice' END, 'registration', registration,
       'SELECT rolecall.set_registration(''invite'');' || CASE WHEN by_email THEN ' -- filters compare __loggedInUserEmail' ELSE '' END
  FROM settings, LATERAL (SELECT EXISTS (SELECT FROM permissions WHERE concat(filter, new_row) LIKE '%"__loggedInUserEmail"%') AS by_email) p
 WHERE EXISTS (SELECT FROM users) AND (registration = 'open' OR registration = 'domain' AND by_email)
 UNION ALL
SELECT 'notice', 'temporary-password', quote_ident(min(username)) || CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) ELSE '' END,
       'SELECT rolecall.disable_user(username) FROM rolecall.users WHERE must_change_password AND NOT disabled AND created_at < now() - interval ''30 days'';'
  FROM users WHERE must_change_password AND NOT disabled AND created_at < now() - interval '30 days'
HAVING count(*) > 0
 UNION ALL
SELECT 'notice', 'api-token', format('%I (%s)', name, id), format('SELECT rolecall.revoke_api_token(%L); -- once another one that expires has taken its place', id)
  FROM api_tokens WHERE expires_at IS NULL
 UNION ALL
SELECT 'notice', 'dead-letters', 'rolecall.dead_letters', 'SELECT rolecall.purge(''30 days'');'
 WHERE EXISTS (SELECT FROM dead_letters WHERE died_at < now() - interval '30 days' OFFSET 999)
 UNION ALL
SELECT 'notice', 'expired-messages', 'rolecall.messages', 'SELECT rolecall.expire(); -- by a job, where nobody receives'
 WHERE EXISTS (SELECT FROM messages WHERE due < now() - interval '1 day')
$$;
COMMENT ON FUNCTION rolecall.doctor_accounts() IS 'What doctor() finds about users, tokens and messages';

-- Of small tables the planner reads all rows anyway.
CREATE FUNCTION rolecall.doctor_speed() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH RECURSIVE part AS (
    SELECT target::oid AS target, filter AS part FROM permissions
     UNION
    SELECT p.target, inner_part
      FROM part p, unnest(ARRAY[p.part -> 'AND', p.part -> 'OR']) list,
           jsonb_array_elements(CASE jsonb_typeof(list) WHEN 'array' THEN list ELSE '[]' END) inner_part),
field AS (SELECT p.target, e.key, e.value FROM part p, jsonb_each(CASE jsonb_typeof(p.part) WHEN 'object' THEN p.part ELSE '{}' END) e),
-- Columns that are compared with who acts: of all rows these find few.
compared AS (
    SELECT target, key AS name FROM field
     WHERE value ->> 'equals' LIKE '\_\_%' OR value @@ '$.in[*] starts with "__"'
     UNION
    SELECT f.target, r.columns[1]
      FROM field f JOIN relations r ON r.target = f.target AND r.name = f.key AND NOT r.many AND r.through IS NULL AND cardinality(r.columns) = 1
     WHERE f.value @> '{"is_self": true}'),
large AS (
    SELECT g.root AS target, g.root_name AS name FROM guarded_tables g JOIN pg_class c ON c.oid = g.target
     GROUP BY g.root, g.root_name HAVING sum(greatest(c.reltuples, 0)) >= 10000)
SELECT 'notice', 'index', format('%s(%I)', l.name, a.attname), format('CREATE INDEX ON %s (%I);', l.name, a.attname)
  FROM large l JOIN compared c USING (target) JOIN pg_attribute a ON a.attrelid = l.target AND a.attname = c.name
 WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.target AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL)
 UNION ALL
SELECT 'notice', 'index', format('%s(%I)', l.name, a.attname), format('CREATE INDEX ON %s USING gin (%I jsonb_path_ops);', l.name, a.attname)
  FROM large l JOIN protected_tables p ON p.target = l.target JOIN pg_attribute a ON a.attrelid = l.target AND a.attname = p.acl_column
 WHERE NOT EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                    WHERE i.indrelid = l.target AND a.attnum = ANY (i.indkey::int2[]) AND m.amname = 'gin' AND i.indisvalid AND i.indpred IS NULL)
$$;
COMMENT ON FUNCTION rolecall.doctor_speed() IS 'What doctor() finds that makes queries slow';

-- Of how many rows the catalogs' recursions find the planner has no idea, so it would compile each query.
CREATE FUNCTION rolecall.doctor() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp SET jit = off AS $$
BEGIN
    PERFORM must_administer('doctor()');
    RETURN QUERY
        SELECT f.* FROM (
            SELECT * FROM doctor_tables() UNION SELECT * FROM doctor_views() UNION SELECT * FROM doctor_functions()
             UNION SELECT * FROM doctor_roles() UNION SELECT * FROM doctor_server() UNION SELECT * FROM doctor_own()
             UNION SELECT * FROM doctor_accounts() UNION SELECT * FROM doctor_speed()) f (l, c, o, a)
         ORDER BY array_position('{error,warning,notice}'::text[], f.l), f.c COLLATE "C", f.o COLLATE "C", f.a COLLATE "C";
END
$$;
COMMENT ON FUNCTION rolecall.doctor() IS
    'What leads past the rules, weakens them or makes them slow, and the statement that mends it: error, warning, notice (administrators)';
