//! What PostgreSQL itself has got wrong and a story can try. What only a newer minor version mends, `doctor()` tells.

use crate::rule_attacks::Firm;
use crate::support::*;
use rolecall_tests::{Cluster, sqlstate};

/// Whether `doctor()` calls this server old: the corrections of 15.19 and 15.20 are not in it.
fn is_old(firm: &mut Firm) -> bool {
    one(&mut firm.admin, r#"SELECT EXISTS (SELECT FROM rolecall.doctor() WHERE "check" = 'server-version')"#)
}

/// CVE-2017-15099, CVE-2018-10925, CVE-2021-20229, CVE-2026-120154, CVE-2026-16237: ON CONFLICT asks for the privileges and
/// rules of reading and updating, of the table and through a view.
#[test]
fn on_conflict_asks_for_what_it_reads_and_changes() {
    let mut firm = Firm::new();
    let app = firm.app.clone();
    run(
        &mut firm.admin,
        &format!(
            "CREATE TABLE plain (id int PRIMARY KEY, body text, other text); INSERT INTO plain VALUES (1, 'hidden', 'hidden');
             GRANT INSERT, UPDATE (body), SELECT (id) ON plain TO {app};
             CREATE VIEW low WITH (security_invoker) AS SELECT * FROM papers_low WHERE id < 3; GRANT ALL ON low TO {app}"
        ),
    );
    // A privilege for one column is none for another.
    for statement in [
        "INSERT INTO plain VALUES (1) ON CONFLICT (id) DO UPDATE SET body = plain.other",
        "INSERT INTO plain VALUES (1) ON CONFLICT (id) DO UPDATE SET body = 'w' WHERE plain.other <> ''",
        "INSERT INTO plain VALUES (1) ON CONFLICT (id) DO UPDATE SET body = 'w' RETURNING other",
        "SELECT plain FROM plain",
        "SELECT id, p.* FROM plain p JOIN (VALUES (1)) v (id) USING (id)",
    ] {
        let printed = firm.psql(statement);
        assert!(printed.contains("42501") && !printed.contains("hidden"), "{statement}\n{printed}");
    }
    let before = firm.others();
    let is_old = is_old(&mut firm);
    for statement in [
        "INSERT INTO papers VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = 'w'",
        "INSERT INTO papers VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = papers.body RETURNING papers.body",
        "INSERT INTO papers VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = excluded.body WHERE papers.id > 0",
        "INSERT INTO papers_high VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = 'w'",
        "INSERT INTO low VALUES (30, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = 'w' RETURNING body",
        // The row of the conflict is shown to the condition before the rules are asked, up to 15.19.
        if is_old {
            "SELECT 1"
        } else {
            "INSERT INTO papers VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = 'w' WHERE tell(papers.body)"
        },
    ] {
        let printed = firm.psql(statement);
        assert!(
            !printed.contains("hidden") && (statement.starts_with("SELECT") || printed.contains("42501")),
            "{statement}\n{printed}"
        );
        assert_eq!(firm.others(), before, "{statement}");
    }
    // A row of bob's that the view's WHERE hides.
    firm.psql(
        "INSERT INTO low VALUES (4, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = 'through the view'",
    );
    let changed = one::<String>(&mut firm.admin, "SELECT body FROM papers WHERE id = 4") == "through the view";
    assert!(!changed || is_old, "CVE-2026-16237");
}

/// CVE-2023-39418: MERGE is an update and a read to the rules.
#[test]
fn merge_asks_for_the_rules_of_what_it_does() {
    let mut firm = Firm::new();
    run(
        &mut firm.admin,
        r#"SELECT rolecall.allow('users', 'papers', 'select'); SELECT rolecall.disallow('users', 'papers', 'delete')"#,
    );
    let before = firm.others();
    let merge = |action: &str| format!("MERGE INTO papers p USING numbers n ON p.id = n.id AND n.id = 700 {action}");
    for (action, state) in [
        ("WHEN MATCHED THEN UPDATE SET body = 'w'", "42501"),
        ("WHEN MATCHED THEN DELETE", "42501"),
        ("WHEN MATCHED THEN UPDATE SET owner_id = 'bob', project_id = 1", "42501"),
        ("WHEN MATCHED AND p.body <> '' THEN UPDATE SET title = p.body", "42501"),
    ] {
        let printed = firm.psql(&merge(action));
        assert!(printed.contains(state) && !printed.contains("hidden"), "{action}\n{printed}");
    }
    let own = "MERGE INTO papers p USING numbers n ON p.id = n.id AND n.id = 3 WHEN MATCHED THEN";
    assert!(firm.psql(&format!("{own} DELETE")).contains("42501"));
    assert!(firm.psql(&format!("{own} UPDATE SET project_id = 2")).contains("42501"));
    assert_eq!(firm.psql(&format!("{own} UPDATE SET body = 'w'")), "");
    assert_eq!(firm.others(), before);
}

/// CVE-2019-10208, CVE-2020-25695, CVE-2022-1552, CVE-2024-0985, CVE-2026-116316: nobody's function, cast or type runs with
/// more rights where the server itself works for the owner, nor does an identity change there.
#[test]
fn nothing_is_taken_on_where_the_server_works_for_somebody() {
    let mut firm = Firm::new();
    let trap = format!(
        "CREATE FUNCTION mine.trap(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
             $f$ BEGIN IF current_setting('mine.safe', true) = 'yes' THEN RETURN x; END IF;
                 PERFORM rolecall.authenticate('{}', true); RETURN 1; END $f$;
         CREATE FUNCTION mine.later() RETURNS int LANGUAGE plpgsql AS
             $f$ BEGIN CREATE TEMP TABLE IF NOT EXISTS x (i int) ON COMMIT DROP; RETURN mine.trap(1); END $f$;
         CREATE TABLE mine.t (x int); INSERT INTO mine.t VALUES (1);",
        firm.ann
    );
    assert_eq!(firm.psql(&trap), "");
    for statement in [
        "CREATE INDEX ON mine.t (mine.trap(x))",
        "CREATE MATERIALIZED VIEW mine.m AS SELECT mine.trap(1)",
        "CREATE MATERIALIZED VIEW mine.m AS SELECT mine.later()",
        "CREATE MATERIALIZED VIEW mine.m AS SELECT 1 AS a WITH NO DATA; CREATE UNIQUE INDEX ON mine.m ((mine.trap(a))); REFRESH MATERIALIZED VIEW mine.m",
        "CREATE INDEX later ON mine.t ((1)) WHERE mine.trap(x) = 1; REINDEX TABLE mine.t; ANALYZE mine.t; CLUSTER mine.t USING later; VACUUM FULL mine.t",
    ] {
        let printed = firm.psql(&format!("{statement};\nSELECT 'I am ' || rolecall.user_id()"));
        assert!(printed.contains("42501") && printed.contains("I am bob"), "{statement}\n{printed}");
    }
    // Likewise where a superuser maintains what bob has made.
    let made = "SET mine.safe = 'yes'; CREATE INDEX i ON mine.t (mine.trap(x)); CREATE MATERIALIZED VIEW mine.k AS SELECT mine.trap(1) AS a;
        CREATE UNIQUE INDEX ON mine.k (a)";
    assert_eq!(firm.psql(made), "");
    for statement in [
        "REINDEX TABLE mine.t",
        "ANALYZE mine.t",
        "CLUSTER mine.t USING i",
        "VACUUM FULL mine.t",
        "REFRESH MATERIALIZED VIEW mine.k",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mine.k",
    ] {
        let (state, message) = sqlstate(firm.admin.batch_execute(statement));
        assert!(state == "42501" && message.contains("restricted"), "{statement}: {state} {message}");
        assert_eq!(one::<Option<String>>(&mut firm.admin, "SELECT rolecall.user_id()"), None, "{statement}");
    }
}

/// CVE-2018-1058, CVE-2020-14350, CVE-2022-2625, CVE-2023-2454, CVE-2023-39417, CVE-2026-6467, CVE-2026-120153: what
/// somebody has put in the way of CREATE EXTENSION is not taken over, and no name of his becomes SQL in its script.
#[test]
fn the_script_takes_over_nothing() {
    let install = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/install")).unwrap();
    for file in install {
        let script = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(
            !script.contains("@ext")
                && !script.contains("CREATE OR REPLACE FUNCTION")
                && !script.contains("IF NOT EXISTS rolecall")
        );
    }
    let control = include_str!("../../rolecall.control");
    for line in ["relocatable = false", "schema = pg_catalog", "superuser = true"] {
        assert!(control.contains(line), "{line}");
    }
    assert!(!control.contains("trusted"));
    let cluster = Cluster::shared();
    for (put, state) in [
        ("CREATE SCHEMA rolecall AUTHORIZATION {}; CREATE TABLE rolecall.users (id text)", "42P06"),
        (
            "CREATE SCHEMA rolecall AUTHORIZATION {}; CREATE FUNCTION rolecall.user_id() RETURNS text LANGUAGE sql AS 'SELECT ''u1'''",
            "42P06",
        ),
        ("CREATE SCHEMA rolecall_relations AUTHORIZATION {}", "42P06"),
        ("CREATE SCHEMA rolecall_triggers AUTHORIZATION {}", "42P06"),
    ] {
        let database = cluster.plain_database();
        let (mut admin, login) = (database.admin(), database.login("mallory"));
        run(&mut admin, &put.replace("{}", &login));
        let (got, message) = sqlstate(admin.batch_execute("CREATE EXTENSION rolecall"));
        assert_eq!(got, state, "{put}: {message}");
    }
    // A path of somebody's in which everything is another thing.
    let database = cluster.plain_database();
    let login = database.login("mallory");
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE SCHEMA lab AUTHORIZATION {login}; SET ROLE {login};
             CREATE FUNCTION lab.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
             CREATE OPERATOR lab.= (FUNCTION = lab.trap, LEFTARG = text, RIGHTARG = text);
             CREATE FUNCTION lab.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
             RESET ROLE; SET search_path = lab, pg_catalog; CREATE EXTENSION rolecall; SELECT rolecall.create_role('x')"
        ),
    );
    let mut mallory = database.connect(&login);
    assert_ne!(sqlstate(mallory.batch_execute("CREATE EXTENSION rolecall SCHEMA pg_temp")).0, "XX000");
    assert_eq!(sqlstate(mallory.batch_execute("ALTER EXTENSION rolecall SET SCHEMA lab")).0, "42501");
}

/// CVE-2026-116311: DROP OWNED BY takes nobody out of a rule, since no rule of rolecall's is for certain database roles.
#[test]
fn whoever_drops_what_he_owns_leaves_no_rule() {
    let mut firm = Firm::new();
    let app = firm.app.clone();
    run(
        &mut firm.admin,
        &format!(
            "CREATE TABLE naive AS TABLE papers; GRANT SELECT ON naive, papers TO {app} WITH GRANT OPTION; ALTER TABLE naive ENABLE ROW LEVEL SECURITY;
             CREATE POLICY all_of_it ON naive USING (true); CREATE POLICY few ON naive AS RESTRICTIVE TO {app}, pg_monitor USING (id < 6)"
        ),
    );
    let policies = "SELECT concat_ws(' ', tablename, policyname, permissive, roles, cmd, qual, with_check) FROM pg_policies WHERE policyname ~ '^rolecall' ORDER BY 1";
    let before = column(&mut firm.admin, policies);
    assert!(firm.psql("SELECT count(*) FROM naive").starts_with("5\n"));
    firm.psql("DROP OWNED BY CURRENT_USER");
    let left: bool =
        one(&mut firm.admin, &format!("SELECT '{app}' = ANY (roles) FROM pg_policies WHERE policyname = 'few'"));
    assert!(left || is_old(&mut firm), "the trap springs on an old server only");
    assert_eq!(column(&mut firm.admin, policies), before);
    run(&mut firm.admin, &format!("GRANT SELECT ON papers TO {app}; GRANT USAGE ON SCHEMA public, rolecall TO {app}"));
    assert_eq!(firm.psql("SELECT count(*) FROM papers").trim(), "20");
}

/// CVE-2026-15741: what a policy is shown as is read again by `doctor()` and by a restore; nothing in a filter becomes SQL.
#[test]
fn what_a_policy_is_shown_as_says_the_same() {
    let mut firm = Firm::new();
    let odd = "year') OR true OR (''='";
    run(
        &mut firm.admin,
        &format!(
            r#"CREATE TABLE "{0}" ("{0}" text, day date); SELECT rolecall.protect($r$"{0}"$r$); SELECT rolecall.create_role($r${0}$r$);
            SELECT rolecall.allow($r${0}$r$, $r$"{0}"$r$, 'all', jsonb_build_object($r${0}$r$, jsonb_build_object('in', jsonb_build_array($r${0}$r$))))"#,
            odd
        ),
    );
    let restored = crate::dump::restore(&firm.database);
    let shown =
        "SELECT concat_ws(' ', policyname, qual, with_check) FROM pg_policies WHERE tablename ~ '^year' ORDER BY 1";
    let before = column(&mut firm.admin, shown);
    assert_eq!(before.len(), 8);
    assert_eq!(column(&mut restored.admin(), shown), before);
    assert!(before.iter().all(|policy| !policy.contains("OR true OR ('") || policy.contains("''")), "{before:?}");
}

/// CVE-2026-116303: what is turned into JSON calls no cast of somebody's with more rights than his.
#[test]
fn json_is_made_without_anybodys_casts() {
    let mut firm = Firm::new();
    let tools = "CREATE TYPE mine.mood AS ENUM ('well');
        CREATE FUNCTION mine.tell_json(x mine.mood) RETURNS json LANGUAGE plpgsql AS
            $f$ BEGIN RAISE NOTICE 'cast as %', current_user; RETURN '1'; END $f$;
        CREATE CAST (mine.mood AS json) WITH FUNCTION mine.tell_json(mine.mood);
        CREATE TABLE mine.words (id int PRIMARY KEY, w mine.mood, owner_id text); INSERT INTO mine.words VALUES (1, 'well', 'bob');";
    let printed = firm.psql(tools);
    assert!(!printed.contains("ERROR"), "{printed}");
    assert!(firm.psql("SELECT to_json(w) FROM mine.words").contains("cast as"), "the trap springs");
    run(&mut firm.admin, "SET client_min_messages = notice; SELECT rolecall.protect('mine.words')");
    let app = std::mem::replace(&mut firm.app, "postgres".into());
    let printed = firm.psql(
        "SELECT rolecall.logout(); SELECT rolecall.preview('mine.words', '{}'); SELECT rolecall.explain_access('mine.words', 'select', '1');
         SELECT rolecall.matches('mine.words', '{\"id\": {\"equals\": 1}}', '{\"id\": 1}'); SELECT rolecall.who_can('mine.words', 'select', '1')",
    );
    firm.app = app;
    assert!(!printed.contains("cast as") && printed.contains("\"w\""), "{printed}");
}
