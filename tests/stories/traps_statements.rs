//! Trap 19, and 12, 13, 16 to 18 with it: each kind of statement. On a table of the same rows without rules it shows or
//! changes what is hidden, on the protected one it does not.

use crate::rule_attacks::Firm;
use crate::support::*;

/// Statements that show hidden texts; `{part}` is a partition of `{t}`, which has some, too.
const READS: &[&str] = &[
    "SELECT body FROM {t}",
    "SELECT body FROM {t} FOR UPDATE",
    "SELECT body FROM {t} FOR NO KEY UPDATE",
    "SELECT body FROM {t} FOR SHARE SKIP LOCKED",
    "SELECT body FROM {t} FOR KEY SHARE NOWAIT",
    "SELECT body FROM (SELECT * FROM {t} FOR UPDATE) q",
    "WITH q AS (SELECT * FROM {t} FOR SHARE) SELECT body FROM q",
    "WITH d AS (DELETE FROM {t} RETURNING body) TABLE d",
    "WITH u AS (UPDATE {t} SET title = title RETURNING body) TABLE u",
    "WITH i AS (INSERT INTO mine.got SELECT * FROM {t} RETURNING body) TABLE i",
    "MERGE INTO mine.got g USING {t} t ON g.id = t.id WHEN NOT MATCHED THEN INSERT VALUES (t.id, 1, '', '', t.body); TABLE mine.got",
    "MERGE INTO {t} t USING mine.numbers n ON t.id = n.id WHEN MATCHED AND mine.tell(t.body) THEN DO NOTHING",
    "MERGE INTO {t} t USING mine.numbers n ON t.id = n.id AND mine.tell(t.body) WHEN MATCHED THEN UPDATE SET title = 'w'",
    "UPDATE {t} SET title = 'w' RETURNING body",
    "UPDATE mine.numbers n SET id = n.id FROM {t} t WHERE t.id = n.id RETURNING t.body",
    "DELETE FROM {t} RETURNING {t}",
    "DELETE FROM mine.numbers n USING {t} t WHERE t.id = n.id RETURNING t.*",
    "BEGIN; DECLARE c CURSOR FOR SELECT id FROM {t} ORDER BY id DESC FOR UPDATE; FETCH 1 c;
     UPDATE {t} SET title = 'w' WHERE CURRENT OF c RETURNING body",
    "BEGIN; DECLARE c CURSOR FOR SELECT id FROM {t} WHERE id > 500 FOR UPDATE; FETCH 1 c; DELETE FROM {t} WHERE CURRENT OF c RETURNING body",
    "SELECT body FROM {t} TABLESAMPLE system (100)",
    "SELECT body FROM {t} TABLESAMPLE bernoulli (100) REPEATABLE (1) WHERE mine.tell(body)",
    "SELECT t FROM {t} t",
    "SELECT (t).body FROM {t} t",
    "SELECT ROW(t.*) FROM {t} t",
    "SELECT to_json(t), row_to_json(t) FROM {t} t",
    "SELECT count(*) FROM {t} t WHERE mine.tell(t::text)",
    "SELECT array_agg(t) FROM {t} t",
    "SELECT min(body) FROM {t} WHERE ctid >= '(0,0)'",
    "SELECT body FROM {t} WHERE ctid = ANY (ARRAY(SELECT format('(%s,%s)', p, i)::tid FROM generate_series(0, 9) p, generate_series(1, 200) i))",
    "SELECT a.body FROM {t} a JOIN {t} b ON a.ctid = b.ctid AND a.tableoid = b.tableoid",
    "SELECT body FROM {t} WHERE xmin::text <> '0' AND cmin::text <> 'x' AND tableoid > 0",
    "COPY {part} TO STDOUT",
    "COPY {part} (body) TO STDOUT",
    "COPY (SELECT body FROM {t}) TO STDOUT",
    "COPY (UPDATE {t} SET title = 'w' RETURNING body) TO STDOUT",
    "PREPARE q AS SELECT body FROM {t}; EXECUTE q",
    "CREATE TABLE mine.made AS SELECT body FROM {t}; TABLE mine.made",
    "SELECT body INTO mine.made FROM {t}; TABLE mine.made",
    "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM {t} LOOP RAISE NOTICE '%', r; END LOOP; END $$",
    "INSERT INTO {t} VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = {t}.body RETURNING body",
];

/// Statements that change rows of others, or make some.
const WRITES: &[&str] = &[
    "UPDATE {t} SET body = 'w' WHERE id > 20",
    "UPDATE {t} SET body = 'w' WHERE ctid > '(0,0)'",
    "DELETE FROM {t} WHERE id > 20",
    "DELETE FROM {t}",
    "INSERT INTO {t} VALUES (3000, 2, 'ann', 'w', 'w')",
    "INSERT INTO {t} SELECT id + 3000, 2, 'ann', 'w', 'w' FROM mine.numbers",
    "INSERT INTO {t} VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET body = 'w'",
    "INSERT INTO {t} VALUES (777, 1, 'bob', 'w', 'w') ON CONFLICT (id) DO UPDATE SET owner_id = 'bob', project_id = 1",
    "MERGE INTO {t} t USING mine.numbers n ON t.id = n.id WHEN MATCHED THEN UPDATE SET body = 'w'",
    "MERGE INTO {t} t USING mine.numbers n ON t.id = n.id AND t.id > 20 WHEN MATCHED THEN DELETE",
    "MERGE INTO {t} t USING (VALUES (3000)) n(i) ON t.id = i WHEN NOT MATCHED THEN INSERT VALUES (i, 2, 'ann', 'w', 'w')",
    "WITH w AS (UPDATE {t} SET body = 'w' WHERE id > 20 RETURNING id) SELECT count(*) FROM w",
    "WITH w AS (DELETE FROM {t} WHERE id > 20) SELECT 1",
    "BEGIN; DECLARE c CURSOR FOR SELECT id FROM {t} WHERE id > 500 FOR UPDATE; FETCH 1 c; UPDATE {t} SET body = 'w' WHERE CURRENT OF c; COMMIT",
    "BEGIN; DECLARE c CURSOR FOR SELECT id FROM {t} WHERE id > 500 FOR UPDATE; FETCH 1 c; DELETE FROM {t} WHERE CURRENT OF c; COMMIT",
    "TRUNCATE {t}",
    "COPY {t} FROM STDIN;\n3000\t2\tann\tw\tw\n\\.\n",
];

/// The firm, and its papers again in a table without rules.
fn firm() -> Firm {
    let mut firm = Firm::new();
    let app = firm.app.clone();
    run(
        &mut firm.admin,
        &format!(
            "CREATE TABLE copy (LIKE papers INCLUDING ALL); CREATE TABLE open (LIKE papers INCLUDING ALL);
                  INSERT INTO copy SELECT * FROM papers; GRANT ALL ON open, papers TO {app}"
        ),
    );
    firm
}

/// What psql prints for a statement with the open table, which has all rows, and with the protected one.
fn both(firm: &mut Firm, statement: &str) -> [String; 2] {
    run(&mut firm.admin, "TRUNCATE open; INSERT INTO open SELECT * FROM copy; ANALYZE open");
    [("open", "open"), ("papers", "papers_low")].map(|(table, part)| {
        firm.psql("DROP TABLE IF EXISTS mine.made; TRUNCATE mine.got");
        firm.psql(&statement.replace("{t}", table).replace("{part}", part))
    })
}

/// Trap 19.
#[test]
fn no_kind_of_statement_shows_what_is_hidden() {
    let mut firm = firm();
    for statement in READS {
        // What is bob's he may write; the next statement begins anew.
        let script =
            if statement.starts_with("BEGIN") { (*statement).to_owned() } else { format!("BEGIN; {statement}") };
        let [open, papers] = both(&mut firm, &script);
        assert!(open.contains("hidden"), "the statement would show it: {statement}\n{open}");
        assert!(!papers.contains("hidden"), "{statement}\n{papers}");
        // What fails does so because of the rules, or because a cursor has no row.
        let reasons = ["row-level security", "24000"];
        assert!(!papers.contains("ERROR") || reasons.iter().any(|why| papers.contains(why)), "{statement}\n{papers}");
    }
}

/// Traps 12 and 19.
#[test]
fn no_kind_of_statement_changes_what_is_hidden() {
    let mut firm = firm();
    let others = "SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM open p WHERE id > 20";
    for statement in WRITES {
        let before = firm.others();
        assert_eq!(before.1, 0);
        let [open, papers] = both(&mut firm, statement);
        let changed: Option<String> = one(&mut firm.admin, others);
        let unchanged: Option<String> = one(&mut firm.admin, &others.replace("open", "copy"));
        assert_ne!(changed, unchanged, "the statement would change it: {statement}\n{open}");
        assert_eq!(firm.others(), before, "{statement}\n{papers}");
    }
}

/// Trap 19: a row that changes hands while one waits for it is looked at again.
#[test]
fn a_row_that_leaves_while_one_waits_for_it_is_not_ones_own() {
    let Firm { database, mut admin, app, bob, .. } = Firm::new();
    for leave in ["project_id = 2, owner_id = 'ann', body = 'hidden'", "project_id = 2, body = 'hidden'"] {
        for statement in [
            "SELECT body FROM papers WHERE id = 1 FOR UPDATE",
            "SELECT body FROM papers WHERE id = 1 FOR KEY SHARE",
            "WITH q AS (SELECT body FROM papers WHERE id = 1 FOR SHARE) TABLE q",
            "UPDATE papers SET title = 'w' WHERE id = 1 RETURNING body",
            "DELETE FROM papers WHERE id = 1 RETURNING body",
            "MERGE INTO papers USING (VALUES (1)) v(i) ON id = i WHEN MATCHED THEN UPDATE SET title = 'w'",
        ] {
            let mut client = database.connect(&app);
            authenticate(&mut client, &bob, true);
            let pid: i32 = one(&mut client, "SELECT pg_backend_pid()");
            // A lock for the key would not wait for what leaves the key alone.
            run(
                &mut admin,
                &format!("BEGIN; SELECT FROM papers WHERE id = 1 FOR UPDATE; UPDATE papers SET {leave} WHERE id = 1"),
            );
            let waiting =
                std::thread::spawn(move || client.simple_query(statement).map(|answer| format!("{answer:?}")));
            let mut watcher = database.admin();
            wait_for_lock(&mut watcher, pid, || waiting.is_finished());
            run(&mut admin, "COMMIT");
            match waiting.join().unwrap() {
                Ok(answer) => assert!(!answer.contains("hidden"), "{statement}: {answer}"),
                Err(error) => assert_eq!(error.as_db_error().unwrap().code().code(), "42501", "{statement}"),
            }
            let kept = "SELECT title || body FROM papers WHERE id = 1";
            assert_eq!(one::<String>(&mut admin, kept), "shownhidden", "{statement}");
            run(&mut admin, "UPDATE papers SET project_id = 1, owner_id = 'bob', body = 'shown' WHERE id = 1");
        }
    }
}

/// Trap 12. With all privileges and policies by hand a table can be emptied, or made to run a trigger.
#[test]
fn privileges_past_the_rules_are_not_for_bob() {
    let mut firm = firm();
    let app = firm.app.clone();
    run(
        &mut firm.admin,
        "INSERT INTO open SELECT * FROM copy; ALTER TABLE open ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY own ON open USING (owner_id = rolecall.user_id())",
    );
    let printed = firm.psql("TRUNCATE open; TRUNCATE papers");
    assert!(
        printed.contains("ERROR:  42501: permission denied: TRUNCATE removes all rows of papers")
            || printed.contains("public.papers"),
        "{printed}"
    );
    assert_eq!(one::<i64>(&mut firm.admin, "SELECT count(*) FROM open"), 0, "the trap springs");
    assert_eq!(one::<i64>(&mut firm.admin, "SELECT count(*) FROM papers"), 1000);
    let told = r#"SELECT advice FROM rolecall.doctor() WHERE "check" = 'privilege' AND object = 'public.papers'"#;
    let told = column(&mut firm.admin, told);
    assert_eq!(told, [format!("REVOKE REFERENCES, TRIGGER, TRUNCATE ON public.papers FROM {app} CASCADE;")]);
    run(&mut firm.admin, &told[0]);
    let printed = firm.psql("TRUNCATE papers; CREATE TABLE mine.keys (id int REFERENCES papers);
        CREATE TRIGGER t BEFORE INSERT ON papers FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
        DROP TABLE papers; ALTER TABLE papers ADD x int; CREATE INDEX ON papers (id); VACUUM papers; CLUSTER papers USING papers_pkey;
        BEGIN; LOCK TABLE papers IN ACCESS EXCLUSIVE MODE");
    // Of partitions, VACUUM and CLUSTER say that they skip them.
    let refused = |line: &&str| line.contains("42501") || line.contains("skipping");
    assert!(printed.lines().filter(refused).count() >= 9, "{printed}");
}

/// Trap 13. COPY TO gives one's own rows, COPY FROM is refused, and INSERT is what there is instead.
#[test]
fn copy_gives_ones_own_rows_and_takes_none() {
    let mut firm = firm();
    let printed = firm.psql("COPY papers_low TO STDOUT");
    assert_eq!(printed.lines().count(), 20, "{printed}");
    for table in ["papers", "papers_low"] {
        let line = format!("COPY {table} FROM STDIN;\n3000\t1\tbob\tw\tw\n\\.\n");
        let printed = firm.psql(&line);
        assert!(printed.contains("0A000") && printed.contains("INSERT statements instead"), "{printed}");
    }
    assert_eq!(firm.psql("INSERT INTO papers VALUES (3000, 1, 'bob', 'w', 'w')"), "");
    assert_eq!(one::<i64>(&mut firm.admin, "SELECT count(*) FROM papers WHERE id = 3000"), 1);
    let outward = firm.psql("COPY papers TO PROGRAM 'cat'; COPY papers TO '/tmp/papers'; COPY papers FROM PROGRAM 'true'; SELECT pg_read_file('PG_VERSION')");
    assert_eq!(outward.matches("42501").count(), 4, "{outward}");
}

/// Traps 16 and 18. RETURNING and ON CONFLICT need to see the new row; the error says whose rules did not let it pass, and
/// `explain_access()` why there is nothing. The owner's column makes a new row its maker's.
#[test]
fn a_new_row_must_be_seen_where_it_is_shown() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        r#"SELECT rolecall.disallow('users', 'notes', 'all'); SELECT rolecall.allow('users', 'notes', 'insert');
        CREATE TABLE members (note int, who text); SELECT rolecall.relate('notes', 'members', 'members', '{id}', '{note}')"#,
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "INSERT INTO notes VALUES (20001, 'u2')");
    for statement in [
        "INSERT INTO notes VALUES (20002, 'u2') RETURNING id",
        "INSERT INTO notes VALUES (20002, 'u2') ON CONFLICT (id) DO NOTHING",
        "INSERT INTO notes VALUES (20002, 'u2') ON CONFLICT (id) DO UPDATE SET body = 'x'",
    ] {
        let error = app.batch_execute(statement).expect_err(statement);
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "42501", "{statement}: {error:?}");
        assert!(error.message().contains("new row violates row-level security policy"), "{statement}: {error:?}");
        assert_eq!(error.hint(), None, "{statement}");
    }
    assert_eq!(app.execute("DELETE FROM notes", &[]).unwrap(), 0, "silently");
    assert_eq!(notes(&mut app), 0, "silently");
    let why = "SELECT rolecall.explain_access('notes', 'select')::text";
    assert!(one::<String>(&mut app, why).contains("\"allowed\": false"));
    // Members see a note, but there is no member before there is a note: its owner sees it as well.
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'notes', 'select', '{"members": {"some": {"who": {"equals": "__loggedInUserId"}}}}')"#,
    );
    refused(&mut app, "INSERT INTO notes VALUES (20003, 'u2') RETURNING id", "42501", "row-level security");
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'notes', 'select',
        '{"OR": [{"owner_id": {"equals": "__loggedInUserId"}}, {"members": {"some": {"who": {"equals": "__loggedInUserId"}}}}]}')"#,
    );
    run(&mut app, "INSERT INTO notes VALUES (20003, 'u2') RETURNING id");
    run(&mut app, "INSERT INTO notes VALUES (20003, 'u2') ON CONFLICT (id) DO NOTHING");
}

/// Trap 17. A check of new rows that was left out, or is true, lets rows go to others; a row that its writer may not see
/// afterwards is refused.
#[test]
fn an_update_gives_no_row_away() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE naive AS SELECT *, false AS deleted FROM notes; GRANT ALL ON naive TO {};
             ALTER TABLE naive ENABLE ROW LEVEL SECURITY; CREATE POLICY a ON naive FOR SELECT USING (true);
             CREATE POLICY b ON naive FOR UPDATE USING (owner_id = rolecall.user_id()) WITH CHECK (true);
             ALTER TABLE notes ADD deleted boolean NOT NULL DEFAULT false;",
            story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "BEGIN");
    assert_eq!(app.execute("UPDATE naive SET owner_id = 'u1'", &[]).unwrap(), 100, "the trap springs");
    run(&mut app, "ROLLBACK");
    refused(&mut app, "UPDATE notes SET owner_id = 'u1'", "42501", "row-level security");
    // Soft deletion: with a rule that hides what is deleted, who deletes may not be shown it, nor make it vanish unseen.
    let visible = r#"{"owner_id": {"equals": "__loggedInUserId"}, "deleted": {"equals": false}}"#;
    run(&mut admin, &format!("SELECT rolecall.allow('users', 'notes', 'select', '{visible}')"));
    refused(&mut app, "UPDATE notes SET deleted = true WHERE id = 2 RETURNING id", "42501", "row-level security");
    refused(&mut app, "UPDATE notes SET deleted = true WHERE id = 2", "42501", "row-level security");
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'notes', 'select', '{"owner_id": {"equals": "__loggedInUserId"}}')"#,
    );
    assert_eq!(app.execute("UPDATE notes SET deleted = true WHERE id = 2", &[]).unwrap(), 1);
    // The condition of SELECT counts where the statement reads nothing, too.
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'notes', 'select', '{"id": {"gt": 100}, "owner_id": {"equals": "__loggedInUserId"}}')"#,
    );
    assert_eq!(app.execute("UPDATE notes SET body = 'w'", &[]).unwrap(), 99);
}
