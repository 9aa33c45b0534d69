//! What the stories about faults share: a database in which every function has something to do, a statement for each,
//! and the rules as they can be compared.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Account, Cluster, Database};
use std::collections::BTreeSet;

/// Whose session runs a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A superuser without a login: an administrator.
    Admin,
    /// The application's login, where ada has authenticated.
    Ada,
    /// The application's login, nobody.
    Nobody,
    /// A gateway's login.
    Gateway,
}
use Who::{Ada, Admin, Gateway, Nobody};

/// A statement for every function that people may call; the first function it names is the one it is about.
pub const CALLS: &[(Who, &str)] = &[
    (Ada, "SELECT rolecall.authenticate((SELECT token FROM tokens), true)"),
    (Gateway, r#"SELECT rolecall.assume('{"sub": "u2", "exp": 4102444800}')"#),
    (Admin, "SELECT rolecall.become('ben', 'ticket 4711')"),
    (Ada, "SELECT rolecall.logout()"),
    (Ada, "SELECT rolecall.require_login()"),
    (Ada, "SELECT rolecall.whoami()"),
    (Ada, "SELECT rolecall.user_id()"),
    (Ada, "SELECT rolecall.user_id_as_uuid()"),
    (Ada, "SELECT rolecall.user_id_as_bigint()"),
    (Ada, "SELECT rolecall.user_email()"),
    (Ada, "SELECT rolecall.api_token_id()"),
    (Ada, "SELECT rolecall.api_token_id_as_uuid()"),
    (Admin, "SELECT rolecall.set_signing_key('ES256')"),
    (
        Admin,
        r#"SELECT rolecall.add_verification_key('https://b.example', '{"kty": "OKP", "crv": "Ed25519", "kid": "2",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}')"#,
    ),
    (Admin, "SELECT rolecall.drop_key('1', issuer => 'https://a.example')"),
    (Ada, "SELECT rolecall.jwks()"),
    (Admin, "SELECT rolecall.create_api_token('import', '{editor}')"),
    (Admin, "SELECT rolecall.revoke_api_token((SELECT id FROM rolecall.api_tokens))"),
    (Ada, "SELECT rolecall.revoke_sessions('ada')"),
    (Admin, "SELECT rolecall.create_user('eve', 'eve@example.org', 'welcome', '{editor}')"),
    (Nobody, "SELECT rolecall.login('ada', 'analytical engine')"),
    (Admin, "SELECT rolecall.drop_user('ben')"),
    (Admin, "SELECT rolecall.disable_user('ben')"),
    (Admin, "SELECT rolecall.enable_user('cleo')"),
    (Admin, "SELECT rolecall.set_password('ben', 'see you soon')"),
    (Ada, "SELECT rolecall.change_password('analytical engine', 'christmas 1843')"),
    (Admin, "SELECT rolecall.bootstrap_admin('root', '$2y$04$wMpETcgCKDMJUGJNtbLcKOGPrpAcjEZCKtsTdtcHGxzfLYQBbHFDy')"),
    (
        Admin,
        "SELECT rolecall.enable_authentication() FROM rolecall.bootstrap_admin('root',
        '$2y$04$wMpETcgCKDMJUGJNtbLcKOGPrpAcjEZCKtsTdtcHGxzfLYQBbHFDy')",
    ),
    (Admin, "SELECT rolecall.disable_authentication()"),
    (Nobody, "SELECT rolecall.register('dora', 'dora@example.org', 'a rabbit, 2 hats')"),
    (Nobody, "SELECT rolecall.registration()"),
    (Admin, "SELECT rolecall.set_registration('domain', '{example.org}', '{editor}')"),
    (Admin, "SELECT rolecall.invite('fay@example.org', '{editor}')"),
    (Admin, "SELECT rolecall.create_role('visitor')"),
    (Admin, "SELECT rolecall.rename_role('editor', 'writer')"),
    (Admin, "SELECT rolecall.drop_role('editor')"),
    (Admin, "SELECT rolecall.grant_role('editor', 'ben')"),
    (Admin, "SELECT rolecall.revoke_role('editor', 'ada')"),
    (Ada, "SELECT rolecall.has_role('editor')"),
    (Admin, "SELECT rolecall.roles_of('ada')"),
    (Admin, "SELECT rolecall.add_default_roles('openflow')"),
    (Admin, "SELECT rolecall.set_api_allow_anonymous(false)"),
    (Admin, "SELECT rolecall.grant_scopes('editor', '{fly,get_result:spatial}')"),
    (Admin, "SELECT rolecall.revoke_scopes('editor', '{run}')"),
    (Ada, "SELECT rolecall.has_scope('run')"),
    (Ada, "SELECT rolecall.has_scopes('{run}')"),
    (Ada, "SELECT rolecall.require_scope('run')"),
    (Ada, r#"SELECT rolecall.query_scopes('{"query_kind": "dummy_query"}', 'admin3')"#),
    (Ada, r#"SELECT rolecall.can_query('run', '{"query_kind": "dummy_query"}', 'admin3')"#),
    (Ada, r#"SELECT rolecall.explain_query('run', '{"query_kind": "dummy_query"}', 'admin3')"#),
    (Admin, r#"SELECT rolecall.register_server('south', '{"scopes": ["run", "read"]}')"#),
    (Admin, "SELECT rolecall.drop_server('idle')"),
    (Ada, "SELECT rolecall.issue_token('north', '{analyst}')"),
    (Admin, "SELECT rolecall.revoke_token((SELECT id FROM rolecall.server_tokens))"),
    (Admin, "SELECT rolecall.revoked_tokens('north')"),
    (Admin, "SELECT rolecall.token_is_good((SELECT id FROM rolecall.server_tokens))"),
    (Ada, "SELECT rolecall.server_key()"),
    (Admin, "SELECT rolecall.protect('people')"),
    (Admin, "SELECT rolecall.unprotect('posts')"),
    (
        Admin,
        r#"SELECT rolecall.allow('editor', 'posts', 'all', '{"author": {"name": {"equals": "Ben"}}}', '{id,author_id}',
        preset => '{"author_id": 1}')"#,
    ),
    (Admin, "SELECT rolecall.disallow('editor', 'posts', 'select')"),
    (Admin, "SELECT rolecall.expose('posts')"),
    (Admin, "SELECT rolecall.file_store('pictures') FROM rolecall.add_default_roles('openflow')"),
    (Ada, r#"SELECT rolecall.compile_filter('posts', '{"id": {"gt": 1}}')"#),
    (Ada, r#"SELECT rolecall.matches('posts', '{"id": {"gt": 1}}', '{"id": 2}')"#),
    (Admin, r#"SELECT rolecall.preview('posts', '{"id": {"gt": 1}}', 'ada')"#),
    (Admin, "SELECT rolecall.add_default_filters('editor', 'people', 'pictures')"),
    (Admin, "SELECT rolecall.relate('people', 'works', 'posts', '{id}', '{author_id}')"),
    (Admin, "SELECT rolecall.users_table('people', 'user_id')"),
    (Ada, r#"SELECT rolecall.acl_allows('[{"id": "u1", "rights": ["read"]}]', 'read')"#),
    (Ada, r#"SELECT rolecall.acl_denies('[{"id": "u1", "rights": ["read"]}]', 'read')"#),
    (Ada, "SELECT rolecall.acl_holders()"),
    (Ada, "SELECT rolecall.new_acl(NULL)"),
    (Ada, r#"SELECT rolecall.changed_acl('[]', '[{"id": "u2", "rights": ["read"]}]')"#),
    (Admin, "SELECT rolecall.grant_right('documents', '1', 'ben', '{read}')"),
    (Admin, "SELECT rolecall.revoke_right('documents', '1', 'ada')"),
    (Ada, "SELECT rolecall.send('ada', '1')"),
    (Ada, "SELECT rolecall.receive()"),
    (Ada, "SELECT rolecall.done(1, '2')"),
    (Ada, "SELECT rolecall.busy(1)"),
    (Ada, "SELECT rolecall.extend(1, '2 days')"),
    (Ada, "SELECT rolecall.expire()"),
    (Ada, "SELECT rolecall.listen()"),
    (Admin, "SELECT rolecall.create_work_queue('parcels', 'packers')"),
    (Admin, "SELECT rolecall.drop_work_queue('orders')"),
    (Ada, "SELECT rolecall.push_item('orders', '3')"),
    (Ada, "SELECT rolecall.pop_item('orders')"),
    (Ada, "SELECT rolecall.extend_item(1, '2 days')"),
    (Ada, "SELECT rolecall.item_done(1)"),
    (Ada, "SELECT rolecall.item_failed(1, 'torn')"),
    (Ada, "SELECT rolecall.retry_item(2)"),
    (Ada, "SELECT rolecall.may_use('packers', '[]', 'invoke')"),
    (Ada, "SELECT rolecall.identity()"),
    (Ada, "SELECT rolecall.publish_workflow('labels')"),
    (Ada, "SELECT rolecall.invoke_workflow('vision', '{}')"),
    (Ada, "SELECT rolecall.unpublish_workflow('vision')"),
    (Ada, "SELECT rolecall.workflows()"),
    (Ada, "SELECT rolecall.actor()"),
    (Ada, "SELECT rolecall.acting_as()"),
    (Ada, "SELECT rolecall.is_administrator()"),
    (Admin, "SELECT rolecall.explain_access('posts', 'select', '1', 'ben')"),
    (Admin, "SELECT rolecall.who_can('posts', 'select', '1')"),
    (Admin, "SELECT rolecall.diff_access('-infinity')"),
    (Admin, "SELECT rolecall.doctor()"),
    (Admin, "SELECT rolecall.purge('0')"),
    (Admin, "SELECT rolecall.add_auth_schema()"),
];

/// The function a statement is about.
pub fn function_of(call: &str) -> &str {
    let name = call.split_once("rolecall.").expect("a function of rolecall's").1;
    name.split('(').next().unwrap_or(name)
}

/// The database and its logins.
pub struct World<'a> {
    pub database: Database<'a>,
    app: String,
    gateway: String,
}

const SETUP: &str = r#"
    SELECT rolecall.set_signing_key('HS256');
    SELECT rolecall.add_verification_key('https://a.example', '{"kty": "OKP", "crv": "Ed25519", "kid": "1",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}');
    SELECT rolecall.set_registration('open'), rolecall.set_api_allow_anonymous(true);
    SELECT rolecall.create_role('editor'), rolecall.create_role('packers', pool => true);
    SELECT rolecall.create_user('ada', 'ada@example.org', 'welcome', '{editor,packers}', id => 'u1');
    SELECT rolecall.create_user('ben', 'ben@example.org', 'welcome', id => 'u2');
    SELECT rolecall.create_user('cleo', 'cleo@example.org', 'welcome', '{editor}', id => 'u3');
    SELECT rolecall.disable_user('cleo');
    SELECT rolecall.grant_scopes('editor', '{run}');
    SELECT rolecall.register_server('north', '{"scopes": ["run", "read"], "audience": "north"}');
    SELECT rolecall.register_server('idle', '{"scopes": ["run"]}');
    SELECT rolecall.create_role('analyst', server => 'north'), rolecall.grant_scopes('analyst', '{run}');
    SELECT rolecall.grant_role('analyst', 'ada');
    SELECT rolecall.create_api_token('export', '{editor}') IS NULL;
    CREATE TABLE people (id int PRIMARY KEY, name text, user_id text);
    CREATE TABLE posts (id int PRIMARY KEY, author_id int REFERENCES people, title text);
    CREATE TABLE documents (id int PRIMARY KEY, title text, acl jsonb);
    CREATE TABLE pictures (id int PRIMARY KEY, public boolean, created_by_id text);
    INSERT INTO people VALUES (1, 'Ada', 'u1'), (2, 'Ben', 'u2');
    INSERT INTO posts SELECT n, 1 + n % 2, 'post ' || n FROM generate_series(1, 10) n;
    INSERT INTO documents SELECT n, 'document ' || n, '[{"id": "u1", "rights": ["read"]}]' FROM generate_series(1, 5) n;
    INSERT INTO pictures VALUES (1, true, 'u1'), (2, false, 'u2');
    SELECT rolecall.protect('posts'), rolecall.protect('documents', 'acl');
    SELECT rolecall.allow('users', 'posts', 'select', '{"author": {"user_id": {"equals": "__loggedInUserId"}}}');
    SELECT rolecall.allow('editor', 'posts', 'select', '{"id": {"lte": 4}}');
    SELECT rolecall.allow('editor', 'documents', 'all', '{"id": {"equals": 2}}');
    SELECT rolecall.create_work_queue('orders', 'packers');"#;

impl<'a> World<'a> {
    /// Made in a database of its own, to be copied: [`World::copy`].
    pub fn new(cluster: &'a Cluster) -> Self {
        let database = cluster.database();
        let (app, gateway) = (database.login("app"), database.login("gateway"));
        let mut admin = database.admin();
        run(&mut admin, SETUP);
        let token = first_token(&mut admin, "ada", "welcome", "analytical engine");
        run(
            &mut admin,
            &format!(
                "CREATE TABLE tokens AS SELECT '{token}' AS token;
                GRANT SELECT, INSERT, UPDATE, DELETE ON people, posts, documents, pictures, tokens TO {app};
                GRANT rolecall_authenticator TO {gateway}"
            ),
        );
        let world = Self { database, app, gateway };
        run(
            &mut world.connect(Ada),
            r#"SELECT rolecall.send('ada', '1', NULL, reply_to => 'ada'), rolecall.receive('1 day');
            SELECT rolecall.send('ada', '2', NULL);
            SELECT rolecall.push_item('orders', '1'), rolecall.push_item('orders', '2', priority => 1);
            SELECT rolecall.item_failed((rolecall.pop_item('orders') ->> 'item')::bigint, final => true);
            SELECT rolecall.pop_item('orders', '1 day');
            SELECT rolecall.push_item('orders', '3');
            SELECT rolecall.publish_workflow('vision');
            SELECT rolecall.issue_token('north', '{analyst}')"#,
        );
        world
    }

    /// A copy, while nobody is connected to this one.
    pub fn copy(&self) -> Self {
        let database = self.database.cluster().copy(&self.database);
        Self { database, app: self.app.clone(), gateway: self.gateway.clone() }
    }

    /// A session of one of them.
    pub fn connect(&self, who: Who) -> Client {
        let mut client = self.database.connect(self.login(who));
        log_in(&mut client, who);
        client
    }

    fn login(&self, who: Who) -> &str {
        match who {
            Admin => "postgres",
            Gateway => &self.gateway,
            Nobody | Ada => &self.app,
        }
    }

    /// Everything that rules are made of, as a superuser's session sees it, and what people see.
    pub fn rules(&self) -> (String, String) {
        (stored(&mut self.database.admin()), self.seen())
    }

    /// How many rows ada, ben and nobody see.
    fn seen(&self) -> String {
        let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM posts), (SELECT count(*) FROM documents),
            (SELECT count(*) FROM pictures), (SELECT count(*) FROM people))";
        let mut admin = self.database.admin();
        let mut seen = Vec::new();
        for user in ["ada", "ben", "cleo", ""] {
            run(&mut admin, "BEGIN");
            // Somebody who is gone or disabled sees nothing, and says so.
            let sees = if user.is_empty() {
                Ok(())
            } else {
                admin.batch_execute(&format!("SELECT rolecall.become('{user}', 'to see what he sees')"))
            };
            let sees = sees.and_then(|()| {
                admin.batch_execute(&format!("SET LOCAL ROLE {}", self.app))?;
                Ok(admin.query_one(counts, &[])?.get::<_, String>(0))
            });
            seen.push(format!(
                "{user}: {}",
                sees.unwrap_or_else(|e| e.as_db_error().map_or(e.to_string(), |e| e.message().into()))
            ));
            run(&mut admin, "ROLLBACK");
        }
        seen.join("; ")
    }
}

fn log_in(client: &mut Client, who: Who) {
    if who == Ada {
        run(client, "SELECT rolecall.authenticate(token, true) FROM tokens");
    }
}

/// Sets a limit (of `setrlimit()`) of a backend, or lifts it.
pub fn set_limit(pid: i32, resource: &str, value: Option<u64>) {
    let value = value.map_or("unlimited".to_owned(), |value| value.to_string());
    let mut prlimit = Account::current().command("prlimit");
    let status = prlimit.arg(format!("--pid={pid}")).arg(format!("--{resource}={value}:unlimited")).status();
    assert!(status.expect("prlimit runs").success(), "the backend may be limited");
}

/// Times, numbers in the audit log's JSON, and what is drawn at random.
const MASKED: &str = r#"[0-9-]{10}T[0-9:.+]+|[0-9]{10}\.[0-9]+|(?<="id": |"queue": )[0-9]+|[A-Za-z0-9+/_=$-]{26,}"#;

/// Everything that rules are made of, without what is different each time: times, numbers that are counted, what is
/// drawn at random.
pub fn stored(client: &mut Client) -> String {
    let tables = column(
        client,
        "SELECT format('SELECT %L || string_agg(r, E''\\n'' ORDER BY r) FROM (SELECT (to_jsonb(t) - ARRAY[%s]::text[])::text AS r FROM %s t) q',
                c.oid::regclass || E'\\n',
                (SELECT string_agg(quote_literal(attname), ', ') FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0
                    AND atttypid IN ('timestamptz'::regtype, 'int8'::regtype)), c.oid::regclass)
           FROM pg_class c WHERE relnamespace IN ('rolecall'::regnamespace, 'public'::regnamespace) AND relkind = 'r' ORDER BY c.oid::regclass::text",
    );
    let catalog = [
        "SELECT string_agg(p::text, E'\\n' ORDER BY tablename, policyname) FROM pg_policies p",
        "SELECT string_agg(concat_ws(' ', c.oid::regclass, relrowsecurity, relforcerowsecurity, relacl, pg_get_viewdef(c.oid)), E'\\n' ORDER BY c.oid::regclass::text)
           FROM pg_class c WHERE relkind IN ('r', 'v') AND relnamespace <> ALL ('{pg_catalog,information_schema}'::regnamespace[])",
        "SELECT string_agg(pg_get_triggerdef(oid), E'\\n' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT string_agg(pg_get_functiondef(oid) || coalesce(proacl::text, ''), E'\\n' ORDER BY proname) FROM pg_proc p WHERE pronamespace <> ALL ('{pg_catalog,information_schema}'::regnamespace[])
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')",
    ];
    let all: Vec<String> = tables
        .iter()
        .map(String::as_str)
        .chain(catalog)
        .map(|query| {
            let masked = format!("SELECT regexp_replace(coalesce(({query}), ''), '{MASKED}', '…', 'g')");
            one::<String>(client, &masked)
        })
        .collect();
    // What is drawn at random decides about the order, too.
    let mut lines: Vec<&str> = all.iter().flat_map(|part| part.lines()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The lines that one has more of than the other.
pub fn beyond<'a>(one: &'a str, other: &'a str) -> Vec<(&'a str, i32)> {
    let mut count = std::collections::BTreeMap::new();
    one.lines().for_each(|line| *count.entry(line).or_insert(0) += 1);
    other.lines().for_each(|line| *count.entry(line).or_insert(0) -= 1);
    count.into_iter().filter(|(_, more)| *more != 0).collect()
}

#[test]
fn every_function_has_a_statement_that_works() {
    let cluster = Cluster::start(&["session_preload_libraries=rolecall"]);
    let world = World::new(&cluster);
    let callable = "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'rolecall'::regnamespace
        AND has_function_privilege('public', oid, 'EXECUTE')
        AND prorettype <> ALL ('{trigger,event_trigger,internal}'::regtype[])";
    let all: BTreeSet<String> = column(&mut world.database.admin(), callable).into_iter().collect();
    let named: BTreeSet<String> = CALLS.iter().map(|(_, call)| function_of(call).to_owned()).collect();
    assert_eq!(all.difference(&named).collect::<Vec<_>>(), Vec::<&String>::new(), "functions without a statement");
    let mut wrong = Vec::new();
    for (who, call) in CALLS {
        let mut client = world.connect(*who);
        if let Err(error) = client.batch_execute(&format!("BEGIN; {call}; ROLLBACK")) {
            wrong.push(format!("{call}: {error:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
