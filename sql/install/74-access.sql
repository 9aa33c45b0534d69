-- Who may what, and what changed in it.

-- Administrators need no permission, so theirs are written down nowhere.
CREATE VIEW rolecall.access_matrix WITH (security_barrier) AS
    SELECT role, target, action, filter, columns, new_row, preset, acl_column
      FROM (SELECT role, target, action, filter, columns, new_row, preset FROM rolecall.permissions
             UNION
            SELECT 'admins', target, action, '{}', NULL, NULL, NULL
              FROM rolecall.protected_tables, unnest('{select,insert,update,delete}'::text[]) action) p
      JOIN rolecall.protected_tables USING (target)
     WHERE rolecall.is_administrator() OR rolecall.has_role(role);
COMMENT ON VIEW rolecall.access_matrix IS
    'Which role may do what with which rows; administrators see all, others the roles that they hold';
COMMENT ON COLUMN rolecall.access_matrix.role IS 'Who. Members of admins may do everything';
COMMENT ON COLUMN rolecall.access_matrix.target IS 'With which table';
COMMENT ON COLUMN rolecall.access_matrix.action IS 'select, insert, update or delete';
COMMENT ON COLUMN rolecall.access_matrix.filter IS 'With which rows; {}: all';
COMMENT ON COLUMN rolecall.access_matrix.columns IS 'Which columns it may touch; NULL: all';
COMMENT ON COLUMN rolecall.access_matrix.new_row IS 'What must hold for a row that is written; NULL: the filter';
COMMENT ON COLUMN rolecall.access_matrix.preset IS 'What columns of a row that is written are set to';
COMMENT ON COLUMN rolecall.access_matrix.acl_column IS
    'The column with each row''s own access-control list, which allows and denies besides; NULL: there is none';

-- What the log says of one thing is folded into what it was and what it is. A role or table goes by its last name: it
-- stays the same thing when it is renamed, which is no change of who may what.
CREATE FUNCTION rolecall.folded_changes(since timestamptz)
    RETURNS TABLE (entry bigint, object text, keys text[], before jsonb, after jsonb)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
    WITH RECURSIVE kinds (object, keys, facts) AS (VALUES
        ('users', '{id}'::text[], '{username,disabled,database_role}'::text[]),
        ('roles', '{name}', '{database_role}'),
        ('user_roles', '{user_id,role}', '{}'),
        ('api_token_roles', '{token,role}', '{}'),
        ('role_members', '{member,role}', '{}'),
        ('role_scopes', '{role,scope}', '{}'),
        ('protected_tables', '{target}', '{acl_column}'),
        ('permissions', '{role,target,action}', '{filter,columns,new_row,preset}')),
    entries AS MATERIALIZED (
        SELECT id, object, action, old, new, coalesce(new, old) AS row, keys, facts
          FROM audit_entries JOIN kinds USING (object)
         WHERE at > since AND action IN ('insert', 'update', 'delete')),
    renames AS (
        SELECT object, id, old ->> keys[1] AS name, new ->> keys[1] AS new_name FROM entries
         WHERE object IN ('roles', 'protected_tables') AND old ->> keys[1] <> new ->> keys[1]),
    -- Who bore the name before is gone once it is given to another.
    ends AS (
        SELECT object, id, name, new_name FROM renames
         UNION ALL
        SELECT object, id, new_name, NULL FROM renames
         UNION ALL
        SELECT object, id, new ->> keys[1], NULL FROM entries WHERE object IN ('roles', 'protected_tables') AND action = 'insert'),
    -- From when to when a name was one thing's.
    spans AS (
        SELECT object, name, lag(id, 1, 0::bigint) OVER (PARTITION BY object, name ORDER BY id) AS start, id AS until, new_name
          FROM ends
         UNION ALL
        SELECT object, name, max(id), NULL, NULL FROM ends GROUP BY object, name),
    chains AS (
        SELECT object, name, start, until, jsonb_build_array(name, until) AS thing FROM spans WHERE new_name IS NULL
         UNION ALL
        SELECT s.object, s.name, s.start, s.until, c.thing
          FROM spans s JOIN chains c ON c.object = s.object AND c.name = s.new_name AND c.start = s.until),
    things AS (
        SELECT *, first_value(name) OVER (PARTITION BY object, thing ORDER BY start) AS first_name FROM chains),
    named AS (
        SELECT id, object, action, keys, facts, key, old || coalesce(first_names, '{}') AS old, new || coalesce(last_names, '{}') AS new
          FROM entries e, LATERAL (
            SELECT jsonb_agg(coalesce(thing, row -> k) ORDER BY n) AS key,
                   jsonb_object_agg(k, first_name) FILTER (WHERE thing IS NOT NULL) AS first_names,
                   jsonb_object_agg(k, thing -> 0) FILTER (WHERE thing IS NOT NULL) AS last_names
              FROM unnest(keys) WITH ORDINALITY u (k, n)
              LEFT JOIN things t ON t.name = row ->> k AND e.id >= t.start AND (e.id >= t.until) IS NOT TRUE
               AND t.object = CASE WHEN k IN ('role', 'member') OR e.object = 'roles' THEN 'roles'
                                   WHEN k = 'target' THEN 'protected_tables' END) k),
    folded AS (
        SELECT max(id) AS id, object, keys, key,
               CASE WHEN (array_agg(action ORDER BY id))[1] <> 'insert'
                    THEN jsonb_object_agg(k, old -> k ORDER BY id DESC) FILTER (WHERE old ? k) END AS before,
               CASE WHEN (array_agg(action ORDER BY id DESC))[1] <> 'delete'
                    THEN jsonb_object_agg(k, new -> k ORDER BY id) FILTER (WHERE new ? k) END AS after
          FROM named, unnest(keys || facts) k GROUP BY object, keys, key),
    -- What is gone under the name of something that is new was replaced by it.
    paired AS (
        SELECT max(id) AS id, object, keys, jsonb_agg(before) FILTER (WHERE before IS NOT NULL) -> 0 AS before,
               jsonb_agg(after) FILTER (WHERE after IS NOT NULL) -> 0 AS after
          FROM folded
         GROUP BY object, keys, CASE WHEN before IS NULL OR after IS NULL
                                     THEN (SELECT jsonb_agg(coalesce(before, after) -> k ORDER BY n)
                                             FROM unnest(keys) WITH ORDINALITY u (k, n))
                                     ELSE jsonb_build_object('still', key) END)
    SELECT id, object, keys, before, after FROM paired
     WHERE CASE WHEN before IS NULL OR after IS NULL OR object IN ('roles', 'protected_tables')
                THEN before IS DISTINCT FROM after
                ELSE before - keys <> after - keys END
$$;
COMMENT ON FUNCTION rolecall.folded_changes(timestamptz) IS
    'What of who may what is different since then, as rows of rolecall''s tables, with the log''s last entry about it';

CREATE FUNCTION rolecall.diff_access(since timestamptz)
    RETURNS TABLE (at timestamptz, actor text, change text, role text, target text, action text, old jsonb, new jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM must_administer('diff_access()');
    IF since IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'since must not be NULL', HINT = 'Say -infinity for all that the log has.';
    END IF;
    RETURN QUERY
    WITH changes AS MATERIALIZED (SELECT *, coalesce(after, before) AS row FROM folded_changes(since)),
    told AS (
        SELECT c.*, coalesce(u.username, g.before ->> 'username') AS username, r.row ->> 'role' AS role, r.row ->> 'target' AS target,
               (SELECT string_agg(key, ', ' ORDER BY key) FROM jsonb_each(c.before) b JOIN jsonb_each(c.after) a USING (key)
                 WHERE a.value <> b.value AND key <> ALL (c.keys)) AS differs
          FROM changes c
          CROSS JOIN LATERAL (SELECT CASE WHEN c.object = 'roles' THEN jsonb_build_object('role', c.row -> 'name') ELSE c.row END) r (row)
          LEFT JOIN users u ON u.id = c.row ->> 'user_id'
          -- Of a user who is gone, the change that took him away tells the name.
          LEFT JOIN changes g ON g.object = 'users' AND g.after IS NULL AND g.before ->> 'id' = c.row ->> 'user_id')
    SELECT e.at, e.actor,
           CASE WHEN object = 'roles' AND before ->> 'name' <> after ->> 'name'
                THEN format('role %s is called %s', before ->> 'name', after ->> 'name')
                WHEN object = 'protected_tables' AND before ->> 'target' <> after ->> 'target'
                THEN format('%s is called %s', before ->> 'target', after ->> 'target')
                WHEN object = 'users' AND differs = 'disabled'
                THEN format('user %s is %s', row ->> 'username', CASE WHEN after -> 'disabled' = 'true' THEN 'disabled' ELSE 'enabled' END)
                ELSE CASE object
                     WHEN 'permissions' THEN format('role %s may %s %s', role, row ->> 'action', target)
                     WHEN 'user_roles' THEN format('%s is in role %s', username, role)
                     WHEN 'api_token_roles' THEN format('api_token:%s is in role %s', row ->> 'token', role)
                     WHEN 'role_members' THEN format('role %s is in role %s', row ->> 'member', role)
                     WHEN 'role_scopes' THEN format('role %s has scope %s', role, row ->> 'scope')
                     WHEN 'protected_tables' THEN format('%s is protected', target)
                     WHEN 'roles' THEN format('there is a role %s', role)
                     ELSE format('there is a user %s', row ->> 'username') END
                     || CASE WHEN after IS NULL THEN ' no more' WHEN before IS NULL THEN '' ELSE ', with another ' || differs END
           END, role, target, row ->> 'action', before, after
      FROM told JOIN (SELECT id, at, actor FROM audit_entries) e ON id = entry ORDER BY entry;
END
$$;
COMMENT ON FUNCTION rolecall.diff_access(timestamptz) IS
    'What changed since then in who may what, from the audit log; what was undone is left out (administrators)';
