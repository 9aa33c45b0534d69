//! The attacker asks the catalogs, the server and rolecall itself.

use crate::attacker_world::{Attempt, World};
use crate::support::database;

pub const CATALOGS: &[Attempt] = &[
    (
        "statistics of columns",
        "SELECT * FROM pg_stats WHERE schemaname = 'public'; SELECT * FROM pg_statistic",
        "!42501",
    ),
    (
        "statistics together",
        "SELECT * FROM pg_stats_ext WHERE schemaname = 'public'; SELECT * FROM pg_stats_ext_exprs;
         SELECT stxdmcv FROM pg_statistic_ext_data",
        "!42501",
    ),
    (
        "who does what",
        "SELECT query FROM pg_stat_activity WHERE usename <> CURRENT_USER AND datname = :'DBNAME'
         AND query !~ 'insufficient'; TABLE pg_stat_replication; TABLE pg_stat_ssl",
        "*",
    ),
    ("locks", "SELECT * FROM pg_locks", "*"),
    (
        "rules and triggers as text",
        "TABLE pg_policies; SELECT pg_get_triggerdef(oid) FROM pg_trigger; SELECT pg_get_viewdef('staff_exposed');
         SELECT pg_get_expr(polqual, polrelid) FROM pg_policy; TABLE pg_rules",
        "*",
    ),
    (
        "functions as text",
        "SELECT pg_get_functiondef(oid), prosrc FROM pg_proc WHERE pronamespace::regnamespace::text ~ 'rolecall'
         AND prokind = 'f'",
        "*",
    ),
    (
        "comments and descriptions",
        "SELECT description FROM pg_description WHERE objoid > 16000;
         SELECT pg_describe_object(classid, objid, objsubid), pg_identify_object(classid, objid, objsubid)
         FROM pg_depend WHERE objid > 16000",
        "*",
    ),
    (
        "the information schema",
        "SELECT * FROM information_schema.columns, information_schema.check_constraints;
         TABLE information_schema.views; TABLE information_schema.routines; TABLE information_schema.triggers",
        "*",
    ),
    (
        "settings",
        "SELECT name, setting, reset_val FROM pg_settings WHERE name ~ 'rolecall'; SHOW rolecall.identity;
         SELECT current_setting('rolecall.identity')",
        "!42501 !42501",
    ),
    (
        "all settings",
        "SHOW ALL; TABLE pg_db_role_setting; SELECT * FROM pg_config; SELECT * FROM pg_file_settings",
        "*",
    ),
    (
        "passwords of the database",
        "SELECT rolpassword FROM pg_authid; SELECT passwd FROM pg_shadow; TABLE pg_hba_file_rules;
         TABLE pg_user_mappings",
        "!42501 !42501 !42501",
    ),
    (
        "the server's files",
        "SELECT pg_read_file('postgresql.conf'); SELECT pg_ls_dir('.'); SELECT pg_stat_file('PG_VERSION');
         SELECT pg_read_binary_file(pg_relation_filepath('mails')); SELECT pg_ls_waldir(); SELECT pg_ls_tmpdir();
         SELECT pg_ls_logdir()",
        "!42501 !42501 !42501 !42501 !42501 !42501 !42501",
    ),
    (
        "sizes and places",
        "SELECT pg_relation_filepath('rolecall.users') IS NULL, pg_relation_size('mails') > 0, pg_column_size(m) > 0
         FROM mails m; SELECT pg_stat_get_live_tuples('mails'::regclass) >= 0",
        "*",
    ),
    (
        "large objects",
        "SELECT lo_get(oid) FROM pg_largeobject_metadata; SELECT data FROM pg_largeobject;
         SELECT loread(lo_open(4711, 262144), 99); SELECT lo_put(4711, 0, 'x'); SELECT lo_unlink(4711)",
        "!42501 !42501 !42501 !42501 !42501",
    ),
    (
        "files as large objects",
        "SELECT lo_import('/etc/passwd'); SELECT lo_export(4711, '/tmp/his'); SELECT lo_from_bytea(4712, 'x');
         SELECT lo_export(4712, '/tmp/his')",
        "4712 !42501 !42501 !42501",
    ),
    (
        "the write-ahead log",
        "SELECT pg_create_logical_replication_slot('his', 'test_decoding');
         SELECT pg_logical_slot_peek_changes('his', NULL, NULL); SELECT pg_switch_wal();
         SELECT pg_logical_emit_message(true, 'x', 'y') IS NULL; SELECT pg_walfile_name('0/1');
         SELECT pg_backup_start('x')",
        "f 000000010000000000000000 !42501 !42501 !42501 !42501",
    ),
    (
        "the server's memory",
        "TABLE pg_shmem_allocations; TABLE pg_backend_memory_contexts;
         SELECT pg_log_backend_memory_contexts(pg_backend_pid())",
        "!42501 !42501 !42501",
    ),
    (
        "the server's life",
        "SELECT pg_reload_conf(); SELECT pg_rotate_logfile(); SELECT pg_promote(); SELECT pg_stat_reset();
         SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'; CHECKPOINT;
         ALTER SYSTEM SET work_mem = '1MB'",
        "!42501 !42501 !42501 !42501 !42501 !42501 !42501",
    ),
    (
        "what one may",
        "SELECT has_table_privilege('rolecall.users', 'SELECT'), has_column_privilege('rolecall.users',
         'password_hash', 'SELECT'), has_any_column_privilege('rolecall.signing_keys', 'SELECT'),
         has_schema_privilege('rolecall', 'CREATE'), has_schema_privilege('rolecall_relations', 'USAGE'),
         has_sequence_privilege('rolecall.messages_id_seq', 'USAGE'), pg_has_role('postgres', 'MEMBER')",
        "f|f|f|f|f|f|f",
    ),
    (
        "extensions that read elsewhere",
        "CREATE EXTENSION dblink; CREATE EXTENSION file_fdw; CREATE EXTENSION pageinspect;
         CREATE EXTENSION postgres_fdw; CREATE EXTENSION hstore; CREATE SERVER s FOREIGN DATA WRAPPER x",
        "!42501 !42501 !42501 !42501 !42501 !42704",
    ),
    (
        "rows by their types",
        "SELECT (NULL::rolecall.users).password_hash IS NULL, jsonb_populate_record(NULL::rolecall.signing_keys,
         '{}') IS NULL; SELECT password_hash(u) FROM rolecall.users u",
        "t|t !42501",
    ),
];

pub const ROLECALL: &[Attempt] = &[
    (
        "every table of rolecall in every way",
        "SELECT not_refused(array_agg(format(s, t))) FROM (SELECT oid::regclass AS t FROM pg_class
         WHERE relkind IN ('r', 'p') AND relnamespace = 'rolecall'::regnamespace) c,
         unnest(ARRAY['SELECT FROM %s', 'SELECT count(*) FROM ONLY %s', 'INSERT INTO %s DEFAULT VALUES',
         'DELETE FROM %s', 'TRUNCATE %s', 'LOCK %s IN ACCESS SHARE MODE', 'UPDATE %s SET ctid = ctid',
         'MERGE INTO %s USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE',
         'ALTER TABLE %s DISABLE ROW LEVEL SECURITY', 'ALTER TABLE %s OWNER TO CURRENT_USER', 'DROP TABLE %s CASCADE',
         'CREATE POLICY his ON %s USING (true)', 'CREATE TRIGGER his AFTER INSERT ON %s EXECUTE FUNCTION his.snap()',
         'CREATE INDEX ON %s ((1))', 'GRANT SELECT ON %s TO CURRENT_USER',
         'CREATE TABLE his.child () INHERITS (%s)', 'VACUUM FULL %s']) s WHERE s !~ 'VACUUM|ctid'",
        "",
    ),
    (
        "every sequence of rolecall",
        "SELECT not_refused(array_agg(format(s, t))) FROM (SELECT oid::regclass AS t FROM pg_class
         WHERE relkind = 'S' AND relnamespace = 'rolecall'::regnamespace) c,
         unnest(ARRAY['SELECT nextval(%L)', 'SELECT setval(%L, 1)', 'SELECT currval(%L)',
         'SELECT last_value FROM %s', 'ALTER SEQUENCE %s RESTART']) s",
        "",
    ),
    (
        "the closed schemas",
        "SELECT not_refused(array_agg(format('SELECT FROM %s', oid::regclass))) FROM pg_class
         WHERE relnamespace::regnamespace::text ~ 'rolecall_';
         SELECT not_refused(array_agg(format('SELECT %s()', oid::regproc))) FROM pg_proc
         WHERE pronamespace::regnamespace::text ~ 'rolecall_';
         CREATE TABLE rolecall_relations.x (); CREATE FUNCTION rolecall_triggers.x() RETURNS int LANGUAGE sql RETURN
         1; CREATE TABLE rolecall.x ()",
        "!42501 !42501 !42501",
    ),
    (
        "views of rolecall with a function that tells",
        "SELECT * FROM rolecall.audit_log a WHERE tell_row(a); SELECT * FROM rolecall.my_tokens t WHERE tell_row(t);
         SELECT * FROM rolecall.my_dead_letters d WHERE tell_row(d);
         SELECT * FROM rolecall.my_work_items w WHERE tell_row(w);
         SELECT queue, ready FROM rolecall.my_queues q WHERE tell_row(q);
         SELECT count(*) > 0 FROM rolecall.access_matrix m WHERE tell_row(m)",
        "mallory|1 t",
    ),
    (
        "views of rolecall, written to",
        "UPDATE rolecall.audit_log SET actor = 'x'; DELETE FROM rolecall.my_tokens;
         INSERT INTO rolecall.my_work_items (queue) VALUES ('jobs'); UPDATE rolecall.access_matrix SET role = 'clerk'",
        "!42501 !55000 !55000 !55000",
    ),
    (
        "everything for administrators",
        "SELECT not_refused(array_agg(format('SELECT rolecall.%I(%s)', proname,
         (SELECT string_agg(CASE t WHEN 'text' THEN $$'mallory'::text$$ WHEN 'text[]' THEN $$'{admins}'::text[]$$
         WHEN 'jsonb' THEN $$'{}'::jsonb$$ WHEN 'regclass' THEN $$'mails'::regclass$$ ELSE format('NULL::%s', t) END,
         ', ' ORDER BY n) FROM unnest(proargtypes::regtype[]::text[]) WITH ORDINALITY u (t, n)))))
         FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace AND obj_description(oid,
         'pg_proc') ~ '\\(administrators\\)'",
        "",
    ),
    (
        "everything that is closed",
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace
         AND has_function_privilege(oid, 'EXECUTE')
         AND prosecdef AND obj_description(oid, 'pg_proc') IS NULL",
        "",
    ),
    (
        "support functions of rolecall",
        "SELECT rolecall.has_scope_support(NULL::internal);
         CREATE AGGREGATE his.raw (internal) (SFUNC = rolecall.identity_support, STYPE = internal);
         CREATE FUNCTION his.supported(text) RETURNS boolean LANGUAGE sql SUPPORT rolecall.has_role_support
         AS 'SELECT true';
         CREATE OPERATOR his.## (FUNCTION = his.tell, LEFTARG = text, RIGHTARG = text,
         RESTRICT = rolecall.has_role_support)",
        "!0A000 !42P13 !42501 !42883 or !42846 !42P13 !42501 !42883",
    ),
    (
        "triggers of rolecall on his table",
        "CREATE TABLE his.victim (id int, filter jsonb, columns text[], target regclass, name text, user_id text);
         SELECT
         not_refused(array_agg(format('CREATE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE ON his.victim FOR EACH ROW EXECUTE FUNCTION %s()', 't' || oid, oid::regproc)))
         FROM pg_proc WHERE prorettype = 'trigger'::regtype AND pronamespace::regnamespace::text ~ 'rolecall';
         INSERT INTO his.victim VALUES (1, '{}', '{id}', 'mails', 'x', 'vic')",
        "",
    ),
    (
        "event triggers",
        "CREATE EVENT TRIGGER his ON ddl_command_end EXECUTE FUNCTION rolecall.after_table();
         ALTER EVENT TRIGGER rolecall_after_table DISABLE; DROP EVENT TRIGGER rolecall_after_drop;
         SELECT rolecall.after_drop()",
        "!42501 !42501 !42501 !42501",
    ),
    (
        "messages of others",
        "SELECT rolecall.receive(queue => 'role:desk'); SELECT rolecall.receive(queue => 'victor');
         SELECT rolecall.receive() ->> 'payload'; SELECT rolecall.receive()",
        "mine  !42501 !42501",
    ),
    (
        "messages by their numbers",
        "SELECT not_refused(array_agg(format('SELECT rolecall.%s(%s)', f, n))) FROM generate_series(1, 2) n,
         unnest('{done,busy,item_done,item_failed,retry_item}'::text[]) f",
        "!55000",
    ),
    (
        "messages to others",
        "SELECT rolecall.send('role:desk', '{}'); SELECT rolecall.send('victor', '{}');
         SELECT rolecall.send('mallory', '{}', reply_to => 'role:desk'); SELECT rolecall.send('workflow:x', '{}')",
        "!42501 !42501 !42501 !42501",
    ),
    (
        "work of others",
        "SELECT rolecall.pop_item('jobs'); SELECT rolecall.push_item('jobs', '{}');
         SELECT rolecall.extend_item(1, '1 day'); SELECT rolecall.drop_work_queue('jobs')",
        "!42501 !42501 !55000 !42501",
    ),
    (
        "the list of a queue",
        "SELECT rolecall.grant_right('rolecall.queues', 'role:desk', 'mallory', '{invoke}');
         SELECT rolecall.grant_right('rolecall.work_queues', 'jobs', 'mallory', '{invoke}');
         SELECT rolecall.grant_right('rolecall.users', 'vic', 'mallory', '{read}')",
        "!42501 !42501 !55000",
    ),
    (
        "what others are told",
        "LISTEN rolecall; SELECT pg_listening_channels(); NOTIFY rolecall, 'x'; SELECT rolecall.listen();
         SELECT count(*) FROM pg_listening_channels()",
        "*",
    ),
    (
        "what others may",
        "SELECT rolecall.roles_of('victor'); SELECT rolecall.who_can('mails', 'select');
         SELECT rolecall.explain_access('mails', 'select', '5', 'victor');
         SELECT rolecall.explain_access('mails', 'select', '5');
         SELECT rolecall.preview('mails', '{}'); SELECT rolecall.doctor();
         SELECT rolecall.diff_access(now() - interval '1 day'); SELECT rolecall.explain_access('mails', 'select')",
        "{\"by\": [{\"role\": \"users\", \"action\": \"select\", \"filter\": {\"owner_id\": {\"equals\": \"__loggedInUserId\"}}}], \"user\": \"mallory\", \"action\": \"select\", \"reason\": \"a rule lets some rows through\", \"target\": \"public.mails\", \"allowed\": true} !42501 !42501 !42501 !42501 !42501 !42501 !42501",
    ),
    (
        "a filter over tables he may not read",
        "SELECT rolecall.matches('papers', '{\"team\": {\"name\": {\"starts_with\": \"q\"}}}', '{\"team_id\": 2}');
         SELECT rolecall.matches('mails', '{\"body\": {\"starts_with\": \"q\"}}', '{\"id\": 5}');
         SELECT rolecall.compile_filter('vault', '{}')",
        "f true !42501",
    ),
    (
        "tokens for other servers, of others",
        "SELECT rolecall.issue_token('north', '{operator}'); SELECT rolecall.revoke_token('x');
         SELECT rolecall.token_is_good('x'); SELECT rolecall.revoked_tokens('north');
         SELECT rolecall.revoke_api_token(id) FROM (VALUES ('x'), (NULL)) v (id)",
        "f !42501 !42501 !42501",
    ),
    ("public keys", "SELECT rolecall.jwks(); SELECT rolecall.server_key()", "*"),
    (
        "an account",
        "SELECT rolecall.register('admins', 'root@example.org', 'a good password, 2');
         SELECT rolecall.register('mal3', 'quok' || 'ka@example.org', 'a good password, 2', 'x');
         SELECT rolecall.bootstrap_admin('x', NULL); SELECT rolecall.revoke_sessions('victor')",
        "!42501 !42501 !42501 !42501",
    ),
    (
        "a workflow of somebody else's",
        "SELECT rolecall.invoke_workflow('x', '{}'); SELECT rolecall.unpublish_workflow('x');
         SELECT rolecall.workflows(); BEGIN; SELECT rolecall.publish_workflow('role:desk', 'admins');
         SELECT rolecall.whoami() -> 'roles'",
        "adminsrole:deskusers [\"adminsrole:deskusers\", \"clerk\", \"guest\", \"users\"] !42501 !42501",
    ),
];

#[test]
fn catalogs_tell_nothing() {
    let mut world = World::new(database());
    world.survives(CATALOGS);
}

#[test]
fn rolecall_tells_and_does_nothing_for_him() {
    let mut world = World::new(database());
    world.survives(ROLECALL);
}
