//! Small flawed databases: what somebody does to a healthy one, and what `doctor()` says to that. $app is a plain login
//! of the application's, $group a role that cannot log in.

/// What is wrong, how it came to be, and the findings: level, check and object, one a line.
pub type Flaw = (&'static str, &'static str, &'static str);

pub const TABLES: &[Flaw] = &[
    ("rules are off", "ALTER TABLE files DISABLE ROW LEVEL SECURITY", "error row-security public.files"),
    ("the owner has none", "ALTER TABLE files NO FORCE ROW LEVEL SECURITY", "error row-security public.files"),
    (
        "policies by hand, switched off",
        "CREATE TABLE letters (owner text); CREATE POLICY own ON letters USING (owner = rolecall.user_id())",
        "error row-security public.letters",
    ),
    (
        "policies by hand that its owner passes",
        "CREATE TABLE letters (owner text); CREATE POLICY own ON letters USING (owner = rolecall.user_id());
         ALTER TABLE letters ENABLE ROW LEVEL SECURITY, OWNER TO $group",
        "notice row-security public.letters",
    ),
    ("a gate is gone", "DROP POLICY rolecall_select_gate ON files", "error policy public.files"),
    ("a rule was opened", "ALTER POLICY rolecall_select ON files USING (true)", "error policy public.files"),
    (
        "a rule and its gate were opened",
        "ALTER POLICY rolecall_select ON files USING (true); ALTER POLICY rolecall_select_gate ON files USING (true)",
        "error policy public.files",
    ),
    (
        "by a word",
        "DO $$ BEGIN EXECUTE (SELECT format('ALTER POLICY rolecall_delete ON files %1$s; ALTER POLICY rolecall_delete_gate ON files %1$s',
            replace(clauses, 'admins', 'guest')) FROM rolecall.compiled_policies
              WHERE target = 'files'::regclass AND action = 'delete'); END $$",
        "error policy public.files",
    ),
    (
        "nobody knows what was opened",
        "ALTER TABLE files ADD acl jsonb; SELECT rolecall.protect('files', 'acl'); ALTER TABLE files RENAME TO papers",
        "warning policy public.papers\nwarning policy public.papers\nwarning policy public.papers\nwarning policy public.papers",
    ),
    ("a check was opened", "ALTER POLICY rolecall_insert_gate ON files WITH CHECK (true)", "error policy public.files"),
    ("a gate is for some", "ALTER POLICY rolecall_delete_gate ON files TO $app", "error policy public.files"),
    (
        "a gate that is none",
        "DROP POLICY rolecall_update_gate ON files; CREATE POLICY rolecall_update_gate ON files FOR UPDATE USING (true)",
        "error policy public.files",
    ),
    (
        "a partition's rule was opened",
        "ALTER POLICY rolecall_select ON logs_1 USING (true)",
        "error policy public.logs_1",
    ),
    (
        "somebody else's permission",
        "CREATE POLICY \"all of it\" ON files USING (true)",
        "notice foreign-policy \"all of it\" on public.files",
    ),
    (
        "somebody else's restriction",
        "CREATE POLICY mine ON files AS RESTRICTIVE USING (id > 1)",
        "notice foreign-policy mine on public.files",
    ),
    (
        "a policy by hand makes no other table of it",
        "CREATE POLICY mine ON files USING (created_by = rolecall.user_id());
         ALTER TABLE files NO FORCE ROW LEVEL SECURITY, OWNER TO $group",
        "error row-security public.files\nnotice foreign-policy mine on public.files",
    ),
    (
        "a partition without rules",
        "ALTER EVENT TRIGGER rolecall_after_table DISABLE;
         CREATE TABLE logs_2 PARTITION OF logs FOR VALUES IN (2);
         ALTER EVENT TRIGGER rolecall_after_table ENABLE ALWAYS",
        "error unprotected-partition public.logs_2",
    ),
    (
        "parents without rules",
        "CREATE TABLE top (id int); CREATE TABLE base () INHERITS (top); CREATE TABLE leaf () INHERITS (base);
         SELECT rolecall.protect('leaf')",
        "error unprotected-parent public.base\nerror unprotected-parent public.top",
    ),
    (
        "a foreign table among the children",
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
         CREATE FOREIGN TABLE far () INHERITS (files) SERVER s; GRANT SELECT ON far TO $app, PUBLIC",
        "error foreign-table public.far",
    ),
    ("TRUNCATE is not guarded", "DROP TRIGGER rolecall_truncate ON logs_1", "warning truncate public.logs_1"),
    ("nor here", "ALTER TABLE files DISABLE TRIGGER rolecall_truncate", "warning truncate public.files"),
    (
        "presets are not set",
        "DO $$ BEGIN EXECUTE format('DROP TRIGGER %I ON files', (SELECT preset_trigger FROM rolecall.protected_tables
            WHERE target = 'files'::regclass)); END $$",
        "warning preset public.files",
    ),
    (
        "nor now",
        "DO $$ BEGIN EXECUTE format('ALTER TABLE files DISABLE TRIGGER %I', (SELECT preset_trigger
            FROM rolecall.protected_tables WHERE target = 'files'::regclass)); END $$",
        "warning preset public.files",
    ),
    ("GRANT ALL", "GRANT ALL ON files TO $app, PUBLIC", "warning privilege public.files\nwarning privilege public.files"),
    ("a column's keys", "GRANT REFERENCES (name) ON files TO $app", "warning privilege public.files"),
    (
        "passed on",
        "GRANT SELECT, TRIGGER ON files TO $group WITH GRANT OPTION; SET ROLE $group; GRANT TRIGGER ON files TO $app; RESET ROLE",
        "warning privilege public.files",
    ),
    (
        "deleted along",
        "CREATE TABLE people (id text PRIMARY KEY); GRANT SELECT, DELETE ON people TO $app;
         ALTER TABLE files ADD CONSTRAINT made_by FOREIGN KEY (created_by) REFERENCES people ON DELETE CASCADE",
        "warning cascade made_by on public.files",
    ),
    (
        "changed along",
        "CREATE SCHEMA hr; CREATE TABLE hr.\"a\"\"b\" (id text PRIMARY KEY); GRANT UPDATE ON hr.\"a\"\"b\" TO PUBLIC;
         ALTER TABLE files ADD CONSTRAINT \"made by\" FOREIGN KEY (created_by) REFERENCES hr.\"a\"\"b\"
            ON DELETE SET NULL (created_by) ON UPDATE CASCADE DEFERRABLE",
        "warning cascade \"made by\" on public.files",
    ),
];

pub const WAYS: &[Flaw] = &[
    ("a view", "CREATE VIEW v AS SELECT * FROM files; GRANT SELECT ON v TO $app", "error view public.v"),
    (
        "a view past policies by hand",
        "CREATE TABLE letters (owner text); CREATE POLICY own ON letters USING (owner = rolecall.user_id());
         ALTER TABLE letters ENABLE ROW LEVEL SECURITY; CREATE VIEW v AS TABLE letters; GRANT SELECT ON v TO $app",
        "error view public.v",
    ),
    ("a view for nobody yet", "CREATE VIEW v AS SELECT * FROM files", "warning view public.v"),
    (
        "a view with the owner's privileges",
        "CREATE VIEW v AS SELECT * FROM files; ALTER VIEW v OWNER TO $group",
        "notice view public.v",
    ),
    (
        "a view on an honest view",
        "CREATE VIEW v WITH (security_invoker) AS SELECT * FROM files; CREATE SCHEMA \"x y\";
         CREATE VIEW \"x y\".\"W;\" WITH (security_invoker = off) AS SELECT * FROM v; GRANT SELECT ON \"x y\".\"W;\" TO $app",
        "error view \"x y\".\"W;\"",
    ),
    (
        "a view of a partition",
        "CREATE VIEW v AS SELECT 1 AS one WHERE EXISTS (SELECT FROM logs_1); GRANT SELECT ON v TO $app",
        "error view public.v",
    ),
    (
        "a materialized view",
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM files; GRANT SELECT ON m TO $app, PUBLIC",
        "error materialized-view public.m",
    ),
    (
        "a materialized view of a view",
        "CREATE VIEW v WITH (security_invoker) AS SELECT * FROM files; CREATE MATERIALIZED VIEW m AS SELECT * FROM v;
         CREATE MATERIALIZED VIEW n AS SELECT * FROM m; ALTER MATERIALIZED VIEW n OWNER TO $group; GRANT SELECT ON m, n TO $app",
        "error materialized-view public.m\nwarning materialized-view public.n",
    ),
    (
        "a rule on the table",
        "CREATE RULE \"no\" AS ON DELETE TO files DO INSTEAD NOTHING",
        "error rule no on public.files",
    ),
    (
        "a rule that writes into it",
        "CREATE TABLE inbox (id int); CREATE RULE pass AS ON INSERT TO inbox DO ALSO INSERT INTO files VALUES (NEW.id);
         ALTER TABLE inbox OWNER TO $group",
        "warning rule pass on public.inbox",
    ),
    (
        "a function with the superuser's powers",
        "CREATE FUNCTION f(a int, OUT n bigint) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog
            BEGIN ATOMIC SELECT count(*) FROM files WHERE id > a; END",
        "warning definer-function public.f(a integer, OUT n bigint)",
    ),
    (
        "a procedure that names the table",
        "CREATE PROCEDURE p(INOUT n int) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
            AS 'BEGIN SELECT count(*) INTO n FROM public.\"files\"; END'",
        "notice definer-function public.p(INOUT n integer)",
    ),
    (
        "no search path",
        "CREATE FUNCTION f(text[]) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "warning search-path public.f(text[])",
    ),
    (
        "an operator that tells",
        "CREATE FUNCTION tell(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS 'BEGIN RETURN true; END'",
        "warning leakproof public.tell(text)",
    ),
    ("a published table", "CREATE PUBLICATION p FOR TABLE files, logs", "notice publication p"),
    ("a published schema", "CREATE PUBLICATION \"%I\" FOR TABLES IN SCHEMA public", "notice publication %I"),
    (
        "decoded without a publication",
        "SELECT pg_create_logical_replication_slot('copies', 'test_decoding')",
        "notice slot copies",
    ),
    ("all published", "CREATE PUBLICATION p FOR ALL TABLES", "notice publication p"),
    (
        "the application owns the tables",
        "ALTER TABLE logs OWNER TO $app; ALTER TABLE files OWNER TO $app",
        "warning owner $app",
    ),
    ("the application can be the owner", "ALTER TABLE files OWNER TO $group; GRANT $group TO $app", "notice owner $app"),
    ("everybody makes objects", "GRANT CREATE ON SCHEMA public TO PUBLIC", "warning create schema public"),
    (
        "because somebody lets them",
        "GRANT CREATE ON SCHEMA public TO $group WITH GRANT OPTION; SET ROLE $group; GRANT CREATE ON SCHEMA public TO PUBLIC",
        "warning create schema public",
    ),
];

pub const OWN: &[Flaw] = &[
    ("users are read", "GRANT SELECT ON rolecall.users TO $app", "error granted table rolecall.users"),
    (
        "hashes are read",
        "GRANT SELECT (password_hash) ON rolecall.users TO PUBLIC",
        "error granted table rolecall.users",
    ),
    (
        "numbers are drawn",
        "GRANT ALL ON SEQUENCE rolecall.messages_id_seq TO $app",
        "error granted table rolecall.messages_id_seq",
    ),
    (
        "the closed schema is open",
        "GRANT USAGE ON SCHEMA rolecall_relations TO $app",
        "error granted schema rolecall_relations",
    ),
    ("rolecall's schema takes more", "GRANT CREATE ON SCHEMA rolecall TO $app", "error granted schema rolecall"),
    (
        "inner functions are called",
        "GRANT EXECUTE ON FUNCTION rolecall.wake_pool(text) TO PUBLIC",
        "error granted function rolecall.wake_pool(pool text)",
    ),
    (
        "in the way of others",
        "CREATE FUNCTION rolecall.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1';
         CREATE OPERATOR rolecall.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int); CREATE TABLE rolecall.extra (id int)",
        "error not-ours function rolecall.lower(pg_catalog.text)\nerror not-ours operator rolecall.===(integer,integer)\n\
         error not-ours table rolecall.extra",
    ),
    (
        "a function is somebody's",
        "ALTER FUNCTION rolecall.disallow(text, regclass, text) OWNER TO $app",
        "error own-owner function rolecall.disallow(role text, target regclass, action text)",
    ),
    ("a table is somebody's", "ALTER TABLE rolecall.servers OWNER TO $app", "error own-owner table rolecall.servers"),
    (
        "a view of rules' is somebody's",
        "CREATE TABLE teams (id int PRIMARY KEY, lead text); ALTER TABLE files ADD team_id int REFERENCES teams;
         SELECT rolecall.allow('users', 'files', 'select', '{\"team\": {\"lead\": {\"equals\": \"__loggedInUserId\"}}}');
         ALTER VIEW rolecall_relations.teams_1 OWNER TO $group",
        "error own-owner view rolecall_relations.teams_1",
    ),
    (
        "rolecall's own tables are open to pg_read_all_data",
        "ALTER TABLE rolecall.signing_keys DISABLE ROW LEVEL SECURITY",
        "error own-row-security rolecall.signing_keys",
    ),
    (
        "by a policy",
        "CREATE POLICY \"read me\" ON rolecall.signing_keys USING (true)",
        "error own-policy \"read me\" on rolecall.signing_keys",
    ),
    (
        "nothing is recorded",
        "ALTER TABLE rolecall.permissions DISABLE TRIGGER record_change",
        "error own-trigger record_change on rolecall.permissions",
    ),
    (
        "sessions keep roles they lost",
        "ALTER TABLE rolecall.user_roles ENABLE TRIGGER invalidate_sessions",
        "error own-trigger invalidate_sessions on rolecall.user_roles",
    ),
    (
        "sessions keep roles they lost by replication",
        "ALTER TABLE rolecall.user_roles ENABLE TRIGGER invalidate_replicated",
        "error own-trigger invalidate_replicated on rolecall.user_roles",
    ),
    (
        "rules do not follow",
        "ALTER EVENT TRIGGER rolecall_after_drop ENABLE",
        "error event-trigger rolecall_after_drop",
    ),
    (
        "an entry finds what the caller put there",
        "ALTER FUNCTION rolecall.logout() SECURITY DEFINER; ALTER FUNCTION rolecall.login(text, text, interval) SET search_path = public",
        "error own-search-path rolecall.login(username text, password text, lifetime interval)\n\
         error own-search-path rolecall.logout()",
    ),
    (
        "a test of roles sees rows first",
        "ALTER FUNCTION rolecall.has_role(text) LEAKPROOF",
        "warning leakproof rolecall.has_role(role text)",
    ),
];

pub const ACCOUNTS: &[Flaw] = &[
    ("nobody is there yet", "DELETE FROM rolecall.users", "warning first-user registration"),
    ("everybody may register", "SELECT rolecall.set_registration('open')", "notice registration open"),
    (
        "addresses are believed",
        "SELECT rolecall.set_registration('domain', '{example.org}');
         SELECT rolecall.allow('users', 'files', 'select', '{\"name\": {\"in\": [\"__loggedInUserEmail\"]}}')",
        "warning registration domain",
    ),
    (
        "a temporary password for years",
        "SELECT rolecall.create_user('Old'); UPDATE rolecall.users SET must_change_password = true, created_at = '2020-01-01'",
        "notice temporary-password \"Old\" and 1 more",
    ),
    (
        "a token for ever",
        "SELECT rolecall.create_api_token('it''s', '{}'); UPDATE rolecall.api_tokens SET id = 't'",
        "notice api-token \"it's\" (t)",
    ),
    (
        "a thousand dead letters",
        "INSERT INTO rolecall.dead_letters SELECT (jsonb_populate_record(NULL::rolecall.dead_letters, jsonb_build_object('message', n,
            'queue', 1, 'queue_name', 'x', 'payload', n, 'priority', 2, 'attempts', 0, 'lost', 0, 'sent_at', '2020-01-01',
            'expires_at', '2020-01-01', 'reason', 'expired', 'died_at', '2020-02-01'))).* FROM generate_series(1, 1000) n",
        "notice dead-letters rolecall.dead_letters",
    ),
    (
        "expired and not buried",
        "INSERT INTO rolecall.messages (queue, payload, due, expires_at) VALUES (1, '1', '2020-01-01', '2020-01-01')",
        "notice expired-messages rolecall.messages",
    ),
    (
        "owners are looked for in all rows",
        "INSERT INTO files SELECT n, 'x', 'u' || n FROM generate_series(1, 10000) n; CREATE INDEX ON files (created_by) WHERE id < 9; ANALYZE files",
        "notice index public.files(created_by)",
    ),
    (
        "in other spellings",
        "CREATE TABLE people (id text PRIMARY KEY); SELECT rolecall.users_table('people', 'id');
         CREATE TABLE notes (id int, \"the Owner\" text, boss_id text REFERENCES people, acl jsonb); SELECT rolecall.protect('notes', 'acl');
         SELECT rolecall.allow('users', 'notes', 'select', '{\"AND\": [{\"OR\": [{\"the Owner\": {\"in\": [\"x\", \"__loggedInUserId\"]}},
            {\"boss\": {\"is_self\": true}}]}]}');
         INSERT INTO notes (id) SELECT n FROM generate_series(1, 10000) n; ANALYZE notes",
        "notice index public.notes(\"the Owner\")\nnotice index public.notes(acl)\nnotice index public.notes(boss_id)",
    ),
];

/// Before PostgreSQL 16 the attribute was nearly that of a superuser.
pub const UNTIL_15: &[Flaw] = &[("becomes anybody", "ALTER ROLE $app CREATEROLE", "warning createrole $app")];

pub const CLUSTER: &[Flaw] = &[
    ("a second superuser", "ALTER ROLE $app SUPERUSER", "notice superuser $app"),
    ("no policy restricts it", "ALTER ROLE $app BYPASSRLS", "warning bypassrls $app"),
    (
        "nor who can be that",
        "ALTER ROLE $group BYPASSRLS; GRANT $group TO $app; GRANT SELECT (id) ON files TO $group",
        "warning bypassrls $group",
    ),
    (
        "reads the views of rules",
        "CREATE TABLE teams (id int PRIMARY KEY, lead text); ALTER TABLE files ADD team_id int REFERENCES teams;
         SELECT rolecall.allow('users', 'files', 'select', '{\"team\": {\"lead\": {\"equals\": \"__loggedInUserId\"}}}');
         GRANT pg_read_all_data TO $app; GRANT pg_write_all_data TO $group",
        "warning all-data $app\nwarning all-data $group",
    ),
    ("reads the server's files", "GRANT pg_read_server_files TO $group", "error server-files $group"),
    ("runs programs", "GRANT pg_execute_server_program TO $app", "error server-files $app"),
    ("copies the server", "ALTER ROLE $app REPLICATION", "notice replication $app"),
    ("makes gateways", "GRANT rolecall_authenticator TO $app WITH ADMIN OPTION", "warning gateway $app"),
    (
        "sets the identity",
        "GRANT SET ON PARAMETER rolecall.identity TO $app",
        "warning parameter rolecall.identity of $app",
    ),
    (
        "turns triggers off",
        "GRANT ALL ON PARAMETER session_replication_role TO $app",
        "error parameter session_replication_role of $app",
    ),
    (
        "parameters are logged",
        "ALTER SYSTEM SET log_min_duration_statement = 0; SELECT pg_reload_conf()",
        "warning log log_parameter_max_length",
    ),
    (
        "of failures, too",
        "ALTER SYSTEM SET log_parameter_max_length_on_error = -1; SELECT pg_reload_conf()",
        "warning log log_parameter_max_length_on_error",
    ),
    (
        "statements are logged",
        "ALTER SYSTEM SET log_statement = 'all'; SELECT pg_reload_conf()",
        "notice log log_statement",
    ),
    (
        "not loaded before the first statement",
        "ALTER DATABASE $database SET session_preload_libraries = 'auto_explain'",
        "notice preload database $database",
    ),
];
