//! A database as applications have it, an attacker with SQL in it, and what looks through everything he gets.

use crate::support::*;
use postgres::Client;
use rolecall_tests::Database;
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

/// Every value that the attacker must not see contains one of these: words, numbers, and the words in hexadecimal.
const MARKERS: [&str; 3] = ["quokka", "6667770", "71756f6b6b61"];

/// What he tries: its name, a script for psql, and what it may print: rows, then `!` and the SQLSTATE
/// of each error; `*` is anything that shows nothing hidden.
pub type Attempt = (&'static str, &'static str, &'static str);

/// Mallory, `mal`, who is an ordinary user, a clerk and in team 1, and has the application's login and `his` schema.
pub struct World<'a> {
    pub database: Database<'a>,
    pub admin: Client,
    pub app: String,
    /// A login that is mallory without a token, and has the application's privileges.
    pub login: String,
    pub mallory: String,
    pub victor: String,
    secrets: Vec<String>,
}

const MINE: &str = r#"{"owner_id": {"equals": "__loggedInUserId"}}"#;
const MY_TEAMS: &str = r#"{"team": {"people": {"some": {"is_self": true}}}}"#;

impl<'a> World<'a> {
    pub fn new(database: Database<'a>) -> Self {
        let (app, login) = (database.login("app"), database.login("mal"));
        let mut admin = database.admin();
        run(
            &mut admin,
            &format!(
                r#"SELECT rolecall.create_role('clerk'), rolecall.create_role('desk', pool => true);
                SELECT rolecall.create_user('root', password => 'welcome', roles => '{{admins}}'),
                       rolecall.create_user('victor', 'quokka@example.org', 'welcome', '{{desk}}', id => 'vic'),
                       rolecall.create_user('mallory', 'mal@example.org', 'welcome', '{{clerk}}', id => 'mal', database_role => '{login}');
                SELECT rolecall.create_work_queue('jobs', 'desk');
                SELECT rolecall.send('role:desk', '{{"for": "quokka"}}', NULL), rolecall.send('victor', '"quokka"', NULL),
                       rolecall.send('mallory', '"mine"', NULL), rolecall.push_item('jobs', '{{"do": "quokka"}}');
                SELECT FROM rolecall.server_key(), rolecall.register_server('north', '{{"scopes": ["run"], "audience": "north"}}');
                SELECT rolecall.create_role('operator', server => 'north'), rolecall.grant_scopes('operator', '{{run}}'),
                       rolecall.grant_role('operator', 'victor');

                CREATE TABLE people (id text PRIMARY KEY, name text);
                CREATE TABLE teams (id int PRIMARY KEY, name text);
                CREATE TABLE members (team_id int REFERENCES teams, person_id text REFERENCES people, PRIMARY KEY (team_id, person_id));
                INSERT INTO people VALUES ('mal', 'Mallory'), ('vic', 'Victor quokka');
                INSERT INTO teams VALUES (1, 'one'), (2, 'quokka');
                INSERT INTO members VALUES (1, 'mal'), (2, 'vic');
                -- By relation, with a preset, in partitions.
                CREATE TABLE papers (id int PRIMARY KEY, team_id int REFERENCES teams, owner_id text, body text) PARTITION BY RANGE (id);
                CREATE TABLE papers_low PARTITION OF papers FOR VALUES FROM (0) TO (200);
                CREATE TABLE papers_high PARTITION OF papers FOR VALUES FROM (200) TO (1000);
                INSERT INTO papers VALUES (1, 1, 'mal', 'own'), (2, 1, 'vic', 'shown');
                INSERT INTO papers SELECT n, 2, 'vic', 'quokka ' || n FROM generate_series(3, 400) n;
                -- By owner, with every constraint.
                CREATE TABLE mails (id serial PRIMARY KEY, owner_id text NOT NULL, subject text UNIQUE, body text NOT NULL, score int CHECK (score > 0),
                    shout text GENERATED ALWAYS AS (upper(body)) STORED, span int4range, EXCLUDE USING gist (span WITH &&));
                CREATE INDEX ON mails (body); CREATE STATISTICS mail_facts ON owner_id, body FROM mails;
                INSERT INTO mails (id, owner_id, subject, body, score, span) VALUES (1, 'mal', 'first', 'own', 1, '[1,2)');
                INSERT INTO mails (id, owner_id, subject, body, score, span)
                    SELECT n, 'vic', 'quokka ' || n, 'quokka body ' || n, 666777000 + n, int4range(666777000 + n, 666777001 + n) FROM generate_series(2, 99) n;
                CREATE TABLE answers (id int PRIMARY KEY, mail_id int REFERENCES mails, owner_id text, body text);
                INSERT INTO answers VALUES (1, 1, 'mal', 'own'), (2, 2, 'vic', 'quokka');
                CREATE VIEW mails_seen WITH (security_invoker) AS SELECT id, subject, body FROM mails;
                -- By column, and as a view of the columns one may read.
                CREATE TABLE staff (id text PRIMARY KEY, name text, salary int);
                INSERT INTO staff VALUES ('mal', 'Mallory', 1000), ('vic', 'Victor', 666777001), ('ann', 'Ann', 666777002);
                -- By the row's own list.
                CREATE TABLE files (id int PRIMARY KEY, name text, _acl jsonb);
                INSERT INTO files VALUES (1, 'own', '[{{"id": "mal", "rights": ["read", "update"]}}]'), (2, 'quokka', '[{{"id": "vic", "rights": ["full_control"]}}]'),
                    (3, 'quokka', '[{{"id": "users", "rights": ["read"]}}, {{"id": "mal", "rights": ["read"], "deny": true}}]');
                SELECT lo_from_bytea(4711, 'quokka');
                CREATE TABLE vault (secret text); INSERT INTO vault VALUES ('quokka');
                ANALYZE;

                GRANT SELECT, INSERT, UPDATE, DELETE ON people, teams, members, papers, papers_low, papers_high, mails, answers,
                    mails_seen, staff, files TO {app};
                GRANT USAGE ON SEQUENCE mails_id_seq TO {app}; GRANT {app} TO {login};
                CREATE SCHEMA his AUTHORIZATION {app};
                SELECT rolecall.users_table('people', 'id');
                SELECT rolecall.protect(t, CASE t WHEN 'files'::regclass THEN '_acl' END::name)
                  FROM unnest('{{people,teams,members,papers,mails,answers,staff,files}}'::regclass[]) t;
                SELECT rolecall.allow('users', 'people', 'select', '{{"id": {{"equals": "__loggedInUserId"}}}}');
                SELECT rolecall.allow('users', 'papers', 'select', '{MY_TEAMS}');
                SELECT rolecall.allow('users', 'papers', 'insert', '{MY_TEAMS}', preset => '{{"owner_id": "__loggedInUserId"}}');
                SELECT rolecall.allow('users', 'papers', 'update', '{{"AND": [{MINE}, {MY_TEAMS}]}}'), rolecall.allow('users', 'papers', 'delete', '{MINE}');
                SELECT rolecall.allow('users', 'mails', 'all', '{MINE}'), rolecall.allow('users', 'answers', 'all', '{MINE}');
                SELECT rolecall.allow('clerk', 'staff', 'select', columns => '{{id,name}}');
                SELECT rolecall.allow('users', 'staff', 'select', '{{"id": {{"equals": "__loggedInUserId"}}}}');
                SELECT rolecall.expose('staff');"#
            ),
        );
        let mallory = first_token(&mut admin, "mallory", "welcome", "eavesdropping 101");
        let victor = first_token(&mut admin, "victor", "welcome", "nobody will guess");
        let mut secrets = vec!["$argon2id$".to_owned(), victor.clone()];
        for secret in [
            "SELECT rolecall.create_api_token('quokka', '{admins}')",
            "SELECT rolecall.invite('quokka@example.org', '{admins}')",
            "SELECT encode(token_hash, 'hex') FROM rolecall.api_tokens",
            "SELECT encode(secret_hash, 'hex') FROM rolecall.invitations",
            "SELECT encode(secret, 'hex') FROM rolecall.signing_keys",
            "SELECT channel FROM rolecall.queues WHERE user_id IS DISTINCT FROM 'mal'",
            "SELECT channel FROM rolecall.change_channel",
        ] {
            secrets.extend(column(&mut admin, secret));
        }
        let world = Self { database, admin, app, login, mallory, victor, secrets };
        let tools = world.psql(TOOLS);
        assert_eq!(tools, "", "his tools");
        world
    }

    /// What psql prints for a script of mallory's, with notices and everything that an error has.
    pub fn psql(&self, script: &str) -> String {
        let mut psql = self.database.psql(&self.app);
        psql.args(["--set=ON_ERROR_STOP=0", "--set=VERBOSITY=verbose", "-qAt"]);
        psql.args([format!("--set=mallory={}", self.mallory), format!("--set=victor={}", self.victor)]);

        psql.env("PGOPTIONS", "-c statement_timeout=20s");
        let script =
            format!("SELECT FROM rolecall.authenticate(:'mallory', true);\nSET search_path = public, his;\n{script}\n");
        let mut psql =
            psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("psql runs");
        psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = psql.wait_with_output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }

    /// The first of what must not be seen that is in `printed`.
    pub fn leak(&self, printed: &str) -> Option<&str> {
        let printed = printed.to_lowercase();
        let mut hidden = MARKERS.into_iter().chain(self.secrets.iter().map(String::as_str));
        hidden.find(|hidden| printed.contains(&hidden.to_lowercase()))
    }

    /// Runs attempts; each prints what it may and no more, nothing changes that is not mallory's, and he stays who he is.
    pub fn survives(&mut self, attempts: &[Attempt]) {
        let before = self.fingerprint();
        let faults: Vec<String> = attempts.iter().filter_map(|attempt| self.fault(attempt, &before)).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// What is wrong with what an attempt gets.
    pub fn fault(&mut self, (name, script, expected): &Attempt, before: &[String]) -> Option<String> {
        let end = format!("{script}\n;\nROLLBACK;\n\\o\n\\echo {END}\nSELECT rolecall.whoami();");
        let printed = self.psql(&end);
        let got = summary(&printed);
        run(&mut self.admin, RESTORE);
        let changed: Vec<_> = self.fingerprint().into_iter().filter(|line| !before.contains(line)).collect();
        let fault = if let Some(hidden) = self.leak(&printed) {
            format!("shows {hidden}")
        } else if !changed.is_empty() {
            format!("changes {changed:?}")
        } else if printed.contains("XX000") || printed.contains("server closed the connection") {
            "is an internal error".to_owned()
        } else if !is_mallory_or_nobody(&printed) {
            "makes him somebody else".to_owned()
        } else if *expected != "*" && expected.split(" or ").all(|expected| got != expected) {
            format!("gives {got:?} instead of {expected:?}")
        } else {
            return None;
        };
        Some(format!("«{name}» {fault}:\n{printed}"))
    }

    /// Everything that mallory may not change, a line for each: others' rows, rolecall's own, and who may do what.
    pub fn fingerprint(&mut self) -> Vec<String> {
        let tables = "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
                         AND relnamespace IN ('rolecall'::regnamespace, 'public'::regnamespace)";
        let mut tables = column(&mut self.admin, tables);
        tables.extend(CATALOGS.iter().map(|(catalog, _)| (*catalog).to_owned()));
        let lines: Vec<_> = tables
            .iter()
            .map(|table| {
                let rows = HIS.iter().chain(CATALOGS).find(|(name, _)| name == table).map_or("true", |(_, rows)| rows);
                format!(
                    "SELECT '{table} ' || md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t WHERE {rows}"
                )
            })
            .collect();
        let query = lines.join(" UNION ALL ").replace("DATABASE", &self.database.name);
        column(&mut self.admin, &query.replace("{ours}", "SELECT c.oid FROM pg_class c JOIN pg_namespace s ON s.oid = relnamespace AND nspname ~ '^(public|rolecall)'"))
    }
}

/// What is his to change becomes what it was.
const RESTORE: &str = "
    DELETE FROM answers WHERE owner_id = 'mal'; DELETE FROM mails WHERE owner_id = 'mal'; DELETE FROM files WHERE id NOT IN (2, 3);
    DELETE FROM papers WHERE owner_id = 'mal' AND team_id = 1; DELETE FROM his.got;
    INSERT INTO papers VALUES (1, 1, 'mal', 'own');
    INSERT INTO mails (id, owner_id, subject, body, score, span) VALUES (1, 'mal', 'first', 'own', 1, '[1,2)');
    INSERT INTO answers VALUES (1, 1, 'mal', 'own');
    INSERT INTO files VALUES (1, 'own', '[{\"id\": \"mal\", \"rights\": [\"read\", \"update\"]}]')";

/// Which rows of a table are not his to change; where none is named, all.
const HIS: &[(&str, &str)] = &[
    ("papers", "(owner_id, team_id) IS DISTINCT FROM ('mal', 1)"),
    ("mails", "owner_id IS DISTINCT FROM 'mal'"),
    ("answers", "owner_id IS DISTINCT FROM 'mal'"),
    ("files", "id IN (2, 3)"),
    ("rolecall.work_items", "created_by IS DISTINCT FROM 'user:mal'"),
    // He may end his own sessions, change his password and publish workflows, each with a role and a queue.
    ("rolecall.users", "(id, username, email, kind) IS DISTINCT FROM ('mal', 'mallory', 'mal@example.org', 'human')"),
    ("rolecall.workflows", "publisher IS DISTINCT FROM 'mal'"),
    ("rolecall.roles", "name NOT IN (SELECT role FROM rolecall.workflows WHERE publisher = 'mal')"),
    ("rolecall.user_roles", "role NOT IN (SELECT role FROM rolecall.workflows WHERE publisher = 'mal')"),
    (
        "rolecall.queues",
        "user_id IS DISTINCT FROM 'mal' AND (workflow IS NULL OR workflow NOT IN (SELECT queue FROM rolecall.workflows WHERE publisher = 'mal'))",
    ),
    (
        "rolecall.messages",
        "queue NOT IN (SELECT id FROM rolecall.queues WHERE user_id = 'mal' OR workflow IS NOT NULL)",
    ),
    (
        "rolecall.dead_letters",
        "queue NOT IN (SELECT id FROM rolecall.queues WHERE user_id = 'mal' OR workflow IS NOT NULL)",
    ),
    ("rolecall.server_tokens", "user_id IS DISTINCT FROM 'mal'"),
    // He adds to it by what he does to his own queues.
    ("rolecall.audit_entries", "actor <> 'mallory'"),
];

/// What the catalogs say about tables, functions and roles that are not his.
const CATALOGS: &[(&str, &str)] = &[
    ("pg_policy", "true"),
    ("pg_event_trigger", "true"),
    ("pg_publication", "true"),
    ("pg_trigger", "tgrelid IN ({ours})"),
    ("pg_rewrite", "ev_class IN ({ours})"),
    ("pg_constraint", "conrelid IN ({ours}) OR confrelid IN ({ours})"),
    ("pg_inherits", "inhparent IN ({ours})"),
    ("pg_index", "indrelid IN ({ours})"),
    ("pg_statistic_ext", "stxrelid IN ({ours})"),
    ("pg_attribute", "attrelid IN ({ours})"),
    (
        "(SELECT oid, relname, relowner, relacl, relrowsecurity, relforcerowsecurity, relhasrules, relhastriggers, reloptions FROM pg_class)",
        "oid IN ({ours})",
    ),
    ("pg_proc", "pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^(public|rolecall)')"),
    ("pg_namespace", "nspname ~ '^(public|rolecall)'"),
    ("pg_roles", "rolname ~ '^(DATABASE_|postgres$|rolecall)'"),
    (
        "pg_auth_members",
        "roleid::regrole::text ~ '^(DATABASE_|rolecall)' OR member::regrole::text ~ '^(DATABASE_|rolecall)'",
    ),
];

/// What comes before the question who he is now.
const END: &str = "the-end";

/// Rows up to the end, and the SQLSTATE of each error.
fn summary(printed: &str) -> String {
    let rows = printed.lines().take_while(|line| *line != END).map(str::to_owned);
    let errors =
        printed.lines().filter_map(|line| line.split_once("ERROR:  ").map(|(_, error)| format!("!{}", &error[..5])));
    rows.chain(errors).collect::<Vec<_>>().join(" ")
}

/// Whether who he is in the end has no more than he had, if he is told at all.
fn is_mallory_or_nobody(printed: &str) -> bool {
    let line = printed.lines().skip_while(|line| *line != END).nth(1).unwrap_or_default();
    let Ok(me) = serde_json::from_str::<Value>(line) else { return true };
    let allowed: &[&str] = match me["user_id"].as_str() {
        Some("mal") => &["clerk", "guest", "users"],
        None if me["api_token_id"].is_null() => &["guest"],
        _ => &[],
    };
    me["roles"]
        .as_array()
        .is_some_and(|roles| roles.iter().all(|role| allowed.contains(&role.as_str().unwrap_or_default())))
}

/// Functions, operators, casts and types that tell what they get, as cheap as the planner may want them.
const TOOLS: &str = "
    CREATE FUNCTION his.tell(x text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got %', x; RETURN true; END $$;
    CREATE FUNCTION his.tell(x text, y text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got % %', x, y; RETURN true; END $$;
    CREATE FUNCTION his.tell(x int, y int) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got % %', x, y; RETURN x = y; END $$;
    CREATE FUNCTION his.tell_row(x anyelement) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'got %', x; RETURN true; END $$;
    CREATE FUNCTION his.spy(x text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF current_user <> session_user THEN RAISE NOTICE 'with the powers of %: %', current_user, 'quo' || 'kka'; END IF;
        RETURN true;
    END $$;
    CREATE FUNCTION his.not_refused(statements text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
    DECLARE s text;
    BEGIN
        FOREACH s IN ARRAY statements LOOP
            BEGIN EXECUTE s; RETURN NEXT s; EXCEPTION WHEN insufficient_privilege THEN NULL; END;
        END LOOP;
    END $$;
    CREATE TABLE his.got (id int, x text); CREATE TABLE his.numbers AS SELECT generate_series(1, 1000) AS id; ANALYZE his.numbers;
";

/// Where the rules are not, what the stories look for is found: in rows, notices and errors, in what was changed and in
/// who he has become.
#[test]
fn the_checker_sees_a_leak() {
    let mut world = World::new(database());
    run(
        &mut world.admin,
        &format!("SELECT rolecall.unprotect('mails'), rolecall.unprotect('staff'); GRANT postgres TO {}", world.app),
    );
    let before = world.fingerprint();
    for (script, fault) in [
        ("SELECT body FROM mails", "shows quokka"),
        ("SELECT shout FROM mails", "shows quokka"),
        ("SELECT body::bytea FROM mails", "shows 71756f6b6b61"),
        ("SELECT salary FROM staff", "shows 6667770"),
        ("SELECT count(*) FROM mails WHERE tell(body)", "shows quokka"),
        ("SELECT count(*) FROM mails WHERE body::int = 1 AND id > 1", "shows quokka"),
        (
            "INSERT INTO mails (id, owner_id, subject, body, span) VALUES (1000, 'mal', 's', 'b', '[2,)')",
            "shows 6667770",
        ),
        ("SET ROLE postgres; SELECT password_hash FROM rolecall.users", "shows $argon2id$"),
        ("SELECT :'victor'", "shows "),
        ("SELECT count(*) FROM mails", r#"gives "99" instead of "1""#),
        ("SELECT 1/0", r#"gives "!22012" instead of "1""#),
        ("DELETE FROM mails WHERE id = 99", "changes [\"mails "),
        ("SET ROLE postgres; ALTER TABLE files DISABLE ROW LEVEL SECURITY", "changes ["),
    ] {
        let found = world.fault(&("a leak", script, "1"), &before).expect(script);
        assert!(found.starts_with(&format!("«a leak» {fault}")), "{script}: {found}");
    }
    let now = world.fingerprint();
    assert_eq!(world.fault(&("no leak", "SELECT 1", "1"), &now), None);
    run(&mut world.admin, "SELECT rolecall.grant_role('admins', 'mallory')");
    let now = world.fingerprint();
    let found = world.fault(&("a leak", "SELECT 1", "1"), &now).expect("he has another role");
    assert!(found.starts_with("«a leak» makes him somebody else"), "{found}");
}
