//! Every question about access that a database answers, asked of everybody.

use crate::acl_oracle::ids;
use crate::dump_world::{How, NOTES, PASSWORD, PEOPLE, Person, TABLES, World, rows};
use crate::filter_oracle::INSERT;
use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};
use std::collections::BTreeMap;

/// Question and answer.
pub type Answers = BTreeMap<String, String>;

/// Somebody's session; the logins are those of the database that the world was made in.
pub fn session(database: &Database, made_in: &str, person: &Person, api_token: &str) -> Client {
    let own = person.how == How::DatabaseRole;
    let mut client = database.connect(&format!("{made_in}_{}", if own { person.name } else { "app" }));
    match person.how {
        How::Password => {
            let token = token(&mut client, person.name, PASSWORD);
            authenticate(&mut client, &token, true);
        }
        How::ApiToken => authenticate(&mut client, api_token, true),
        How::Nobody | How::DatabaseRole => {}
    }
    client
}

fn text(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(" ")
}

/// What the model says.
pub fn expected(world: &World) -> Answers {
    let mut answers = Answers::new();
    for person in &PEOPLE {
        let name = person.name;
        for table in TABLES {
            for action in ["select", "update", "delete"] {
                let reached = world.reached(person, table, action);
                // What is updated there must be his own afterwards.
                let refused = |id: &i32| {
                    table == NOTES
                        && action == "update"
                        && !person.roles().contains("admins")
                        && rows().any(|row| row.id == *id && (row.owner.is_none() || row.owner != person.id))
                };
                let (refused, reached): (Vec<i32>, Vec<i32>) = reached.iter().partition(|id| refused(id));
                answers.insert(format!("{name} {action} {table}"), text(&reached));
                answers.insert(format!("{name} {action} {table} refused"), text(&refused));
            }
        }
        answers.insert(format!("{name} insert things"), text(&world.inserted(person)));
        answers.insert(format!("{name} roles"), person.roles().into_iter().collect::<Vec<_>>().join("|"));
        answers.insert(format!("{name} is the user"), person.id.unwrap_or("").to_owned());
        let works = person.roles().contains("r4") || person.roles().contains("admins");
        answers.insert(format!("{name} pops from jobs"), works.to_string());
        let (r0, admin) = (person.roles().contains("r0"), person.roles().contains("admins"));
        let cells = rows().filter_map(|row| {
            let own = person.id.is_some() && row.owner == person.id;
            let amount = (own || admin).then(|| (row.id * 10).to_string());
            let note = (r0 || admin).then(|| format!("note {}", row.id));
            (own || r0 || admin)
                .then(|| format!("{} {} {}", row.id, amount.unwrap_or_default(), note.unwrap_or_default()))
        });
        answers.insert(format!("{name} sees salaries"), cells.collect::<Vec<_>>().join("|"));
    }
    answers
}

/// What one gets by a statement: its rows, or the error's code.
fn got(client: &mut Client, sql: &str) -> String {
    let mut transaction = client.transaction().unwrap();
    let query = format!("SELECT coalesce(string_agg(q::text, '|' ORDER BY q::text), '') FROM ({sql}) q");
    match transaction.query_one(&query, &[]) {
        Ok(row) => row.get(0),
        Err(error) => error.code().map_or_else(|| panic!("{sql}: {error}"), |code| code.code().to_owned()),
    }
}

/// The rows that one may update, and those that would not be his to write afterwards: one of them makes the whole
/// statement fail, so then each is tried by itself.
fn updated(client: &mut Client, table: &str) -> (Vec<i32>, Vec<i32>) {
    let update = |client: &mut Client, condition: &str| {
        let mut transaction = client.transaction().unwrap();
        let rows = transaction.query(&format!("UPDATE {table} SET id = id {condition} RETURNING id"), &[])?;
        let mut ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        ids.sort_unstable();
        Ok::<_, postgres::Error>(ids)
    };
    if let Ok(all) = update(client, "") {
        return (all, Vec::new());
    }
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for id in ids(client, &format!("SELECT id FROM {table}")) {
        match update(client, &format!("WHERE id = {id}")) {
            Ok(ids) => done.extend(ids),
            Err(error) => {
                assert_eq!(error.code().unwrap().code(), "42501", "{table} {id}");
                refused.push(id);
            }
        }
    }
    (done, refused)
}

/// What the database says.
pub fn answers(database: &Database, made_in: &str, world: &World, api_token: &str) -> Answers {
    let mut answers = Answers::new();
    for person in &PEOPLE {
        let client = &mut session(database, made_in, person, api_token);
        let mut add = |question: &str, answer: String| {
            let question = format!("{} {question}", person.name);
            assert!(answers.insert(question.clone(), answer).is_none(), "{question}: asked twice");
        };
        for table in TABLES {
            add(&format!("select {table}"), text(&ids(client, &format!("SELECT id FROM {table}"))));
            add(&format!("delete {table}"), text(&ids(client, &format!("DELETE FROM {table} RETURNING id"))));
            for action in ["select", "delete"] {
                add(&format!("{action} {table} refused"), String::new());
            }
            let (done, refused) = updated(client, table);
            add(&format!("update {table}"), text(&done));
            add(&format!("update {table} refused"), text(&refused));
        }
        let mut inserted = Vec::new();
        for (id, row) in (0..).zip(&world.things) {
            let mut transaction = client.transaction().unwrap();
            if transaction.execute(INSERT, &[&(id + 1000), &serde_json::to_string(row).unwrap()]).is_ok() {
                inserted.push(id);
            }
        }
        add("insert things", text(&inserted));
        let roles = column(
            client,
            "SELECT r FROM jsonb_array_elements_text(rolecall.whoami() -> 'roles') r ORDER BY r COLLATE \"C\"",
        );
        add("roles", roles.join("|"));
        add("is the user", one::<Option<String>>(client, "SELECT rolecall.user_id()").unwrap_or_default());
        let pops = "BEGIN; SELECT rolecall.pop_item('jobs'); ROLLBACK";
        let pops = client.batch_execute(pops).is_ok();
        run(client, "ROLLBACK");
        add("pops from jobs", pops.to_string());
        let cells = "SELECT concat_ws(' ', id, coalesce(amount::text, ''), coalesce(note, '')) FROM salaries_exposed ORDER BY id";
        add("sees salaries", column(client, cells).join("|"));
        for question in [
            "SELECT rolecall.whoami() -> 'username', rolecall.user_email(), rolecall.whoami() -> 'scopes'",
            "SELECT r, rolecall.has_role(r) FROM unnest('{admins,users,guest,r0,r1,r2,r3,r4,desk,nobody}'::text[]) r",
            "SELECT s, rolecall.has_scope(s) FROM unnest('{a,a:b,a:b:c,c,d,nodered:api:call,filestore}'::text[]) s",
            "SELECT id, r, rolecall.acl_allows(acl, r), rolecall.acl_denies(acl, r) FROM objects, unnest('{create,read,invoke}'::text[]) r",
            "SELECT id FROM objects WHERE acl @@ rolecall.acl_holders()",
            "SELECT id FROM salaries",
            "SELECT owner, amount FROM salaries",
            "SELECT note FROM salaries",
            "TABLE salaries",
            "TABLE people",
            "SELECT role, target, action, filter, columns, new_row, preset, acl_column FROM rolecall.access_matrix",
            "TABLE rolecall.my_queues",
            "TABLE rolecall.my_dead_letters",
            "TABLE rolecall.my_work_items",
            "TABLE rolecall.my_tokens",
            "SELECT * FROM rolecall.audit_log WHERE object <> 'signing_keys'",
            "SELECT * FROM rolecall.workflows()",
            "SELECT rolecall.registration()",
            "TABLE rolecall.users",
            "SELECT rolecall.receive('1 minute') - 'lease_until'",
            "SELECT rolecall.receive('1 minute', 'role:r4') - 'lease_until'",
            "SELECT rolecall.pop_item('jobs', '0:01') - 'lease_until'",
            "SELECT rolecall.send('role:r4', '1') > 0",
            "SELECT rolecall.send('workflow:invoices', '1') > 0",
            "SELECT rolecall.push_item('jobs', '1') > 0",
            "SELECT rolecall.explain_access('things', 'select')",
            "SELECT rolecall.explain_access('projects', 'update')",
        ] {
            add(question, got(client, question));
        }
        let insert = "INSERT INTO salaries VALUES (100, 'cid', 1, 'x') RETURNING owner";
        let mut transaction = client.transaction().unwrap();
        let owner = transaction.query_one(insert, &[]).map(|row| row.get::<_, String>(0));
        drop(transaction);
        add("inserts into salaries", owner.unwrap_or_else(|error| error.code().unwrap().code().to_owned()));
    }
    let mut admin = database.admin();
    for user in ["off", "new"] {
        let mut client = database.connect(&format!("{made_in}_app"));
        let login = client.query_one("SELECT rolecall.login($1, 'welcome')", &[&user]);
        let answer = match login {
            Ok(row) => {
                authenticate(&mut client, &row.get::<_, String>(0), true);
                sqlstate(client.execute("SELECT FROM things", &[])).0
            }
            error => sqlstate(error).0,
        };
        answers.insert(format!("{user} logs in"), answer);
    }
    for question in [
        "SELECT name, p FROM rolecall.users, rolecall.roles_of(username) p (name)",
        "SELECT t, a, w FROM rolecall.protected_tables, unnest('{select,insert,update,delete}'::text[]) a, rolecall.who_can(target, a) w, format('%s', target) t",
        "SELECT a, k, w FROM unnest('{select,update,delete}'::text[]) a, generate_series(0, 59, 7) k, rolecall.who_can('things', a, k::text) w",
        "SELECT a, k, w FROM unnest('{select,update}'::text[]) a, generate_series(0, 79, 9) k, rolecall.who_can('objects', a, k::text) w",
        "SELECT username, p.target, a, rolecall.explain_access(p.target, a, NULL, username) FROM rolecall.users, rolecall.protected_tables p,
                unnest('{select,insert,update,delete}'::text[]) a",
        "SELECT username, k, rolecall.explain_access('projects', 'select', k::text, username) FROM rolecall.users, generate_series(1, 24) k",
        "SELECT change, role, target, action FROM rolecall.diff_access('-infinity')",
        "SELECT rolecall.revoked_tokens('north')", "SELECT rolecall.token_is_good(id) FROM rolecall.server_tokens",
    ] {
        answers.insert(question.to_owned(), got(&mut admin, question));
    }
    answers
}

/// The answers that differ, for an error's text.
pub fn differences(left: &Answers, right: &Answers) -> String {
    let short = |answer: Option<&String>| {
        answer.map_or("nothing".into(), |answer| answer.chars().take(600).collect::<String>())
    };
    let differs = left.keys().filter(|key| left.get(*key) != right.get(*key));
    differs.map(|key| format!("{key}:\n  {}\n  {}\n", short(left.get(key)), short(right.get(key)))).collect()
}
