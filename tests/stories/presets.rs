//! Columns that are set on writing, whatever the writer says.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};

/// Tasks that workers make as drafts of their own and managers as they like.
struct Tasks {
    database: Database<'static>,
    admin: Client,
    app: Client,
    login: String,
    /// A worker (`7`).
    wim: String,
    /// A worker and manager (`8`).
    mia: String,
    /// An administrator (`9`).
    dora: String,
}

const PRESET: &str = r#"'{"owner_id": "__loggedInUserId", "state": "it''s a draft"}'"#;

impl Tasks {
    fn new() -> Self {
        let database = database();
        let login = database.login("app");
        let mut admin = database.admin();
        run(
            &mut admin,
            &format!(
                r#"SELECT rolecall.create_role('worker'), rolecall.create_role('manager');
                SELECT rolecall.create_user('wim', password => 'welcome', roles => '{{worker}}', id => '7'),
                       rolecall.create_user('mia', password => 'welcome', roles => '{{worker,manager}}', id => '8'),
                       rolecall.create_user('dora', password => 'welcome', roles => '{{admins}}', id => '9');
                CREATE TABLE tasks (id int PRIMARY KEY, owner_id bigint, state text DEFAULT 'new', title text);
                GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO {login};
                SELECT rolecall.protect('tasks');
                SELECT rolecall.allow('worker', 'tasks', 'select'), rolecall.allow('manager', 'tasks', 'select');
                SELECT rolecall.allow('worker', 'tasks', 'insert', preset => {PRESET});"#
            ),
        );
        let mut first = |name| first_token(&mut admin, name, "welcome", "a long enough password");
        let (wim, mia, dora) = (first("wim"), first("mia"), first("dora"));
        let app = database.connect(&login);
        Self { database, admin, app, login, wim, mia, dora }
    }
}

fn tasks(client: &mut Client) -> Vec<String> {
    column(client, "SELECT concat_ws(' ', id, owner_id, state, title) FROM tasks ORDER BY id")
}

fn triggers(client: &mut Client) -> Vec<String> {
    column(
        client,
        "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE tgname ~ '^rolecall_preset' ORDER BY 1",
    )
}

/// Trap 28.
#[test]
fn a_row_is_its_writers_whatever_he_says() {
    let Tasks { mut admin, mut app, wim, dora, .. } = Tasks::new();
    authenticate(&mut app, &wim, true);
    run(
        &mut app,
        "INSERT INTO tasks (id) VALUES (1);
         INSERT INTO tasks VALUES (2, 9, 'done', 'theirs');
         INSERT INTO tasks VALUES (3, NULL, NULL) RETURNING owner_id;
         MERGE INTO tasks USING (SELECT 4 AS i) s ON id = i WHEN NOT MATCHED THEN INSERT VALUES (i, 1, 'done');
         INSERT INTO tasks VALUES (4, 9, 'x') ON CONFLICT (id) DO NOTHING",
    );
    let draft = |id: i32| format!("{id} 7 it's a draft");
    assert_eq!(tasks(&mut admin), [draft(1), draft(2) + " theirs", draft(3), draft(4)]);
    // Administrators and superusers write what they like, whatever else they are.
    run(&mut admin, "SELECT rolecall.grant_role('worker', 'dora')");
    authenticate(&mut app, &dora, true);
    run(&mut app, "INSERT INTO tasks VALUES (5, 1, 'free')");
    authenticate(&mut admin, &wim, true);
    run(&mut admin, "INSERT INTO tasks VALUES (6, 1, 'free'); SELECT rolecall.logout()");
    assert_eq!(tasks(&mut admin)[4..], ["5 1 free", "6 1 free"]);
    let count = "INSERT INTO tasks SELECT n, 1 FROM generate_series(100, 199) n";
    authenticate(&mut app, &wim, true);
    assert_eq!(app.execute(count, &[]).unwrap(), 100);
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM tasks WHERE owner_id = 7 AND id >= 100"), 100);
}

/// The trigger is a convenience; it is the policies that keep the values.
/// Trap 28.
#[test]
fn without_the_trigger_the_row_is_refused() {
    let Tasks { mut admin, mut app, wim, login, .. } = Tasks::new();
    run(&mut admin, &format!("ALTER TABLE tasks OWNER TO {login}; ALTER TABLE tasks DISABLE TRIGGER USER"));
    authenticate(&mut app, &wim, true);
    for values in ["(1, 9, 'it''s a draft')", "(1, NULL, 'it''s a draft')", "(1, 7, 'done')", "(1, 7)"] {
        refused(&mut app, &format!("INSERT INTO tasks VALUES {values}"), "42501", "row-level security");
    }
    run(&mut app, "INSERT INTO tasks VALUES (1, 7, 'it''s a draft')");
    run(
        &mut admin,
        "ALTER TABLE tasks ENABLE TRIGGER USER; CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.owner_id := 9; RETURN NEW; END $$;
        CREATE TRIGGER zzz BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION later()",
    );
    refused(&mut app, "INSERT INTO tasks VALUES (2, 7)", "42501", "row-level security");
}

#[test]
fn an_absent_variable_refuses_the_write() {
    let Tasks { mut admin, mut app, wim, login, .. } = Tasks::new();
    run(
        &mut admin,
        r#"SELECT rolecall.allow('guest', 'tasks', 'insert', preset => '{"owner_id": "__loggedInUserId"}')"#,
    );
    refused(&mut app, "INSERT INTO tasks VALUES (1, 7)", "42501", "row-level security");
    refused(&mut app, "INSERT INTO tasks VALUES (1)", "42501", "row-level security");
    // An id that is no number is no value of the column either.
    run(&mut admin, "SELECT rolecall.create_user('x', password => 'welcome', id => 'x7')");
    authenticate(&mut app, &first_token(&mut admin, "x", "welcome", "a long enough password"), true);
    refused(&mut app, "INSERT INTO tasks VALUES (1, 7)", "42501", "row-level security");
    authenticate(&mut app, &wim, true);
    run(&mut app, "INSERT INTO tasks VALUES (1)");
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE mails (sender text, body text); GRANT INSERT ON mails TO {login}; SELECT rolecall.protect('mails');
               SELECT rolecall.allow('users', 'mails', 'insert', preset => '{{"sender": "__loggedInUserEmail"}}')"#
        ),
    );
    refused(&mut app, "INSERT INTO mails VALUES ('wim@example.org', '')", "42501", "row-level security");
}

#[test]
fn a_role_without_a_preset_leaves_the_choice_and_the_first_of_several_wins() {
    let Tasks { mut admin, mut app, wim, mia, .. } = Tasks::new();
    run(&mut admin, r#"SELECT rolecall.allow('manager', 'tasks', 'insert', preset => '{"state": "planned"}')"#);
    authenticate(&mut app, &mia, true);
    run(&mut app, "INSERT INTO tasks VALUES (1, 7), (2, 8); INSERT INTO tasks VALUES (3, NULL, 'x')");
    assert_eq!(
        tasks(&mut admin),
        ["1 7 planned", "2 8 planned", "3 planned"],
        "the manager's preset says nothing of owners"
    );
    authenticate(&mut app, &wim, true);
    run(&mut app, "INSERT INTO tasks VALUES (4, 8, 'x')");
    assert_eq!(tasks(&mut admin)[3], "4 7 it's a draft");
    run(&mut admin, "SELECT rolecall.allow('manager', 'tasks', 'insert')");
    authenticate(&mut app, &mia, true);
    run(&mut app, "INSERT INTO tasks VALUES (5, 7, 'done')");
    assert_eq!(tasks(&mut admin)[4], "5 7 done");
}

#[test]
fn an_update_is_preset_too_and_new_values_must_still_pass() {
    let Tasks { mut admin, mut app, wim, .. } = Tasks::new();
    run(
        &mut admin,
        r#"SELECT rolecall.allow('worker', 'tasks', 'update', '{"owner_id": {"equals": "__loggedInUserId"}}',
            columns => '{title}', preset => '{"state": "changed"}')"#,
    );
    authenticate(&mut app, &wim, true);
    run(&mut app, "INSERT INTO tasks VALUES (1)");
    assert_eq!(app.execute("UPDATE tasks SET title = 'x'", &[]).unwrap(), 1);
    assert_eq!(tasks(&mut admin), ["1 7 changed x"], "a preset column need not be one of the columns");
    refused(&mut app, "UPDATE tasks SET state = 'mine'", "42501", "may write column \"state\"");
    let upsert = "INSERT INTO tasks (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET title = excluded.state";
    assert_eq!(app.execute(upsert, &[]).unwrap(), 1);
    assert_eq!(tasks(&mut admin), ["1 7 changed it's a draft"]);
    run(
        &mut admin,
        r#"SELECT rolecall.allow('worker', 'tasks', 'update', '{"state": {"equals": "changed"}}', preset => '{"state": "x"}')"#,
    );
    refused(&mut app, "UPDATE tasks SET title = 'y'", "42501", "row-level security");
}

/// Trap 7.
#[test]
fn prepared_writes_follow_the_identity() {
    let Tasks { mut admin, mut app, wim, mia, dora, .. } = Tasks::new();
    run(&mut app, "SET plan_cache_mode = force_generic_plan");
    let insert = app.prepare("INSERT INTO tasks VALUES ($1, 1)").unwrap();
    for round in 0..4 {
        for (at, token) in [&wim, &dora, &mia].into_iter().enumerate() {
            authenticate(&mut app, token, true);
            app.execute(&insert, &[&(round * 3 + at as i32)]).unwrap();
        }
    }
    assert_eq!(column(&mut admin, "SELECT owner_id FROM tasks ORDER BY id")[..6], ["7", "1", "8", "7", "1", "8"]);
}

#[test]
fn partitions_and_children_preset_too() {
    let Tasks { database, mut admin, mut app, wim, login, .. } = Tasks::new();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE mail (id int, owner_id bigint) PARTITION BY LIST (id);
             CREATE TABLE mail_1 (owner_id bigint, gone int, id int); ALTER TABLE mail_1 DROP gone;
             ALTER TABLE mail ATTACH PARTITION mail_1 FOR VALUES IN (1);
             CREATE TABLE tree (id int, owner_id bigint); CREATE TABLE tree_1 () INHERITS (tree);
             ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {login}; GRANT ALL ON mail, mail_1, tree, tree_1 TO {login};
             SELECT rolecall.protect(t), rolecall.allow('worker', t, 'all', preset => '{{\"owner_id\": \"__loggedInUserId\"}}')
               FROM unnest('{{mail,tree}}'::regclass[]) t;
             CREATE TABLE mail_2 PARTITION OF mail DEFAULT; CREATE TABLE tree_2 () INHERITS (tree_1)"
        ),
    );
    let all = ["mail", "mail_1", "mail_2", "tree", "tree_1", "tree_2"];
    authenticate(&mut app, &wim, true);
    let write = |app: &mut Client| {
        for (at, table) in all.iter().enumerate() {
            run(app, &format!("INSERT INTO {table} (id, owner_id) VALUES ({}, 9)", if at == 2 { 2 } else { 1 }));
            app.execute(&format!("UPDATE {table} SET owner_id = 9"), &[]).unwrap();
        }
        assert_eq!(column(app, "SELECT DISTINCT owner_id FROM mail UNION SELECT owner_id FROM tree"), ["7"]);
    };
    write(&mut app);
    let restored = crate::dump::restore(&database);
    assert_eq!(triggers(&mut restored.admin()), triggers(&mut admin));
    let mut again = restored.connect(&login);
    authenticate(&mut again, &token(&mut restored.admin(), "wim", "a long enough password"), true);
    write(&mut again);
    // A child with rules of its own has its own preset, or none.
    let own =
        |admin: &mut Client| triggers(admin).into_iter().filter(|it| it.starts_with("tree_1 ")).collect::<Vec<_>>();
    assert_eq!(own(&mut admin), ["tree_1 rolecall_preset_tree"]);
    run(&mut admin, "SELECT rolecall.protect('tree_1')");
    assert!(own(&mut admin).is_empty());
    run(&mut admin, "SELECT rolecall.allow('worker', 'tree_1', 'insert', preset => '{\"owner_id\": 70}')");
    run(&mut app, "INSERT INTO tree_1 VALUES (100)");
    assert_eq!(column(&mut admin, "SELECT owner_id FROM tree_1 WHERE id = 100"), ["70"]);
    run(&mut admin, "SELECT rolecall.unprotect('tree_1')");
    assert_eq!(own(&mut admin), ["tree_1 rolecall_preset_tree"]);
    run(
        &mut admin,
        "SELECT rolecall.protect('mail_1'), rolecall.allow('worker', 'mail_1', 'insert', preset => '{\"owner_id\": 7}')",
    );
    run(&mut admin, "SELECT rolecall.unprotect('mail_1'), rolecall.unprotect('mail'), rolecall.unprotect('tree')");
    assert_eq!(triggers(&mut admin), ["tasks rolecall_preset_tasks"]);
}

#[test]
fn the_trigger_comes_and_goes_with_the_permissions() {
    let Tasks { mut admin, mut app, wim, .. } = Tasks::new();
    let functions = "SELECT proname FROM pg_proc WHERE pronamespace = 'rolecall_triggers'::regnamespace ORDER BY 1";
    assert_eq!(triggers(&mut admin), ["tasks rolecall_preset_tasks"]);
    authenticate(&mut app, &wim, true);
    refused(&mut app, "SELECT rolecall_triggers.rolecall_preset_tasks()", "42501", "schema rolecall_triggers");
    run(&mut admin, "ALTER TABLE tasks RENAME owner_id TO \"Own\"\"er\"; ALTER TABLE tasks RENAME state TO owner_id");
    run(&mut app, "INSERT INTO tasks VALUES (1)");
    assert_eq!(column(&mut admin, "SELECT \"Own\"\"er\" || ' ' || owner_id FROM tasks"), ["7 it's a draft"]);
    let (state, _) = sqlstate(admin.batch_execute("ALTER TABLE tasks DROP owner_id"));
    assert_eq!(state, "2BP01", "a rule uses it");
    run(
        &mut admin,
        "ALTER TABLE tasks RENAME TO todo; CREATE TABLE tasks (id int, x int); SELECT rolecall.protect('tasks')",
    );
    run(&mut admin, "SELECT rolecall.allow('worker', 'tasks', 'all', preset => '{\"x\": 1}')");
    assert_eq!(column(&mut admin, functions), ["rolecall_preset_tasks", "rolecall_preset_tasks_2"]);
    run(&mut admin, "DROP TABLE tasks");
    assert_eq!(column(&mut admin, functions), ["rolecall_preset_tasks"]);
    // What somebody dropped is made again.
    run(&mut admin, "DROP FUNCTION rolecall_triggers.rolecall_preset_tasks() CASCADE; SELECT rolecall.protect('todo')");
    assert_eq!(triggers(&mut admin), ["todo rolecall_preset_tasks"]);
    run(&mut admin, "SELECT rolecall.rename_role('worker', 'o''brien')");
    run(&mut app, "INSERT INTO todo VALUES (2, 1)");
    assert_eq!(column(&mut admin, "SELECT \"Own\"\"er\" FROM todo WHERE id = 2"), ["7"]);
    run(&mut admin, "SELECT rolecall.allow('o''brien', 'todo', 'insert')");
    assert!(triggers(&mut admin).is_empty() && column(&mut admin, functions).is_empty());
    run(&mut admin, "SELECT rolecall.allow('o''brien', 'todo', 'insert', preset => '{\"id\": 5}')");
    run(&mut admin, "SELECT rolecall.drop_role('o''brien')");
    assert!(triggers(&mut admin).is_empty() && column(&mut admin, functions).is_empty());
}

#[test]
fn what_is_no_preset_is_refused() {
    let Tasks { mut admin, .. } = Tasks::new();
    run(&mut admin, "ALTER TABLE tasks ADD twice bigint GENERATED ALWAYS AS (owner_id * 2) STORED");
    for (action, preset, message) in [
        ("select", r#"{"state": "x"}"#, "it goes with insert, update and all"),
        ("delete", r#"{"state": "x"}"#, "it goes with insert, update and all"),
        ("insert", r#"{"twice": 2}"#, "\"twice\" of public.tasks is generated"),
        ("insert", r#"{"state": null}"#, "found null at $.state"),
        ("all", r#"{"stat": "x"}"#, "unknown field \"stat\""),
        ("all", r#"{"owner_id": "x"}"#, "at $.owner_id"),
        ("all", "{}", "an empty object"),
        ("update", "[]", "a list at $"),
    ] {
        let call = format!("SELECT rolecall.allow('worker', 'tasks', '{action}', preset => '{preset}')");
        refused(&mut admin, &call, "22023", message);
    }
}
