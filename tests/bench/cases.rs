//! The tables, the identities and the queries.

use postgres::{Client, Statement};

/// Rows of each table.
pub const ROWS: i64 = 1_000_000;
/// The login of the application.
pub const APP: &str = "bench_app";
/// The tables: without row-level security, with rolecall's, with policies written by hand.
const TABLES: [&str; 3] = ["open_docs", "rolecall_docs", "policy_docs"];

/// What runs the query of the contender with that number once.
type Run = Box<dyn FnMut(&mut Client, usize)>;

/// One row of the report.
pub struct Case {
    pub name: &'static str,
    /// Settings and identity for all contenders.
    pub prepare: Box<dyn Fn(&mut Client)>,
    /// The measured part.
    pub run: Run,
}

/// A million documents of ten thousand owners, three times.
pub fn lay_out(admin: &mut Client) {
    admin
        .batch_execute(&format!(
            r#"CREATE ROLE {APP} LOGIN;
            SELECT rolecall.create_role('editor');
            SELECT rolecall.create_user('reader', password => 'p', id => 'u7');
            SELECT rolecall.create_user('other', password => 'p', id => 'u8');
            SELECT rolecall.create_user('editor', password => 'p', id => 'u9', roles => '{{editor}}');
            CREATE TABLE open_docs (id bigint PRIMARY KEY, owner_id text NOT NULL, public boolean, body text);
            INSERT INTO open_docs SELECT n, 'u' || n % 10000, n % 100000 = 0, 'document ' || n FROM generate_series(1, {ROWS}) n;
            CREATE INDEX ON open_docs (owner_id);
            CREATE TABLE rolecall_docs (LIKE open_docs INCLUDING ALL); INSERT INTO rolecall_docs SELECT * FROM open_docs;
            CREATE TABLE policy_docs (LIKE open_docs INCLUDING ALL); INSERT INTO policy_docs SELECT * FROM open_docs;
            GRANT SELECT ON open_docs, rolecall_docs, policy_docs TO {APP};

            SELECT rolecall.protect('rolecall_docs');
            SELECT rolecall.allow('editor', 'rolecall_docs', 'select');
            SELECT rolecall.allow('users', 'rolecall_docs', 'select', '{{"owner_id": {{"equals": "__loggedInUserId"}}}}');

            CREATE TABLE app_roles (user_id text, role text, PRIMARY KEY (user_id, role));
            INSERT INTO app_roles VALUES ('u9', 'editor');
            CREATE FUNCTION app_has_role(role text) RETURNS boolean STABLE SECURITY DEFINER SET search_path = pg_catalog, public
                LANGUAGE sql AS $$ SELECT EXISTS (SELECT FROM app_roles a
                    WHERE a.user_id = current_setting('app.user_id', true) AND a.role = app_has_role.role) $$;
            ALTER TABLE policy_docs ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON policy_docs FOR SELECT USING (owner_id = (SELECT current_setting('app.user_id', true)));
            CREATE POLICY editors ON policy_docs FOR SELECT USING ((SELECT app_has_role('editor')));"#
        ))
        .expect("the tables");
    admin.batch_execute("VACUUM ANALYZE").expect("statistics");
}

/// All cases.
pub fn all(admin: &mut Client) -> Vec<Case> {
    let [reader, other, editor] = ["reader", "other", "editor"].map(|name| log_in(admin, name));
    let serial = "SET max_parallel_workers_per_gather = 0";
    let scan = "SET max_parallel_workers_per_gather = 0; SET enable_indexscan = off; SET enable_bitmapscan = off;
                SET enable_indexonlyscan = off";
    let parallel = "SET max_parallel_workers_per_gather = 2";
    vec![
        query("own rows, index on the owner", "SELECT sum(id) FROM", Some("u7"), "true", &reader, serial),
        query("one own row by key", "SELECT body FROM", Some("u7"), "id = 7", &reader, serial),
        query("own rows, whole table read", "SELECT sum(id) FROM", Some("u7"), "true", &reader, scan),
        query("all rows for an editor", "SELECT sum(id) FROM", None, "true", &editor, serial),
        query("all rows for an editor, parallel", "SELECT sum(id) FROM", None, "true", &editor, parallel),
        query("one row by key for an editor", "SELECT body FROM", None, "id = 7", &editor, serial),
        switch("a transaction that says who acts, own rows", reader.clone(), reader.clone()),
        switch("the same for two users in turn", reader, other),
    ]
}

/// A token of a user whose password is still the temporary one.
pub fn log_in(admin: &mut Client, name: &str) -> String {
    let query = "SELECT rolecall.login($1, 'p')";
    let token: String = admin.query_one(query, &[&name]).expect("the password is right").get(0);
    let mut transaction = admin.transaction().expect("a transaction");
    transaction.execute("SELECT rolecall.authenticate($1)", &[&token]).expect("the token is good");
    let query = "SELECT rolecall.change_password('p', 'a million rows')";
    transaction.execute(query, &[]).expect("a good password");
    transaction.commit().expect("the change");
    token
}

/// A prepared query over each contender's table by the identity `token`; by hand, `owner` stands in the WHERE.
fn query(
    name: &'static str,
    select: &'static str,
    owner: Option<&'static str>,
    condition: &'static str,
    token: &str,
    settings: &'static str,
) -> Case {
    let token = token.to_owned();
    let mut statements: Option<[Statement; 3]> = None;
    let prepare = Box::new(move |app: &mut Client| {
        app.batch_execute("RESET ALL").expect("reset");
        app.batch_execute(settings).expect("settings");
        become_user(app, &token, true);
    });
    let run = Box::new(move |app: &mut Client, contender: usize| {
        let statements = statements.get_or_insert_with(|| {
            let by_hand = owner.map_or(String::new(), |owner| format!(" AND owner_id = '{owner}'"));
            [by_hand.as_str(), "", ""]
                .iter()
                .zip(TABLES)
                .map(|(rule, table)| {
                    app.prepare(&format!("{select} {table} WHERE {condition}{rule}")).expect("the query")
                })
                .collect::<Vec<_>>()
                .try_into()
                .expect("three")
        });
        app.query(&statements[contender], &[]).expect("the query runs");
    });
    Case { name, prepare, run }
}

/// A whole transaction as an application behind a pooler sends it, for two users in turn.
fn switch(name: &'static str, one: String, other: String) -> Case {
    let mut statements: Option<[Statement; 3]> = None;
    let mut turn = false;
    let prepare = Box::new(|app: &mut Client| app.batch_execute("RESET ALL").expect("reset"));
    let run = Box::new(move |app: &mut Client, contender: usize| {
        turn = !turn;
        let (token, id) = if turn { (&one, "u7") } else { (&other, "u8") };
        let statements = statements.get_or_insert_with(|| {
            [
                "SELECT sum(id) FROM open_docs WHERE owner_id = $1",
                "SELECT sum(id) FROM rolecall_docs",
                "SELECT sum(id) FROM policy_docs",
            ]
            .map(|query| app.prepare(query).expect("the query"))
        });
        let mut transaction = app.transaction().expect("begin");
        match contender {
            1 => transaction.execute("SELECT rolecall.authenticate($1)", &[token]).map(drop),
            2 => transaction.execute("SELECT set_config('app.user_id', $1, true)", &[&id]).map(drop),
            _ => transaction.execute("SELECT $1::text", &[&id]).map(drop),
        }
        .expect("who acts");
        match contender {
            0 => transaction.query(&statements[0], &[&id]),
            _ => transaction.query(&statements[contender], &[]),
        }
        .expect("the query runs");
        transaction.commit().expect("commit");
    });
    Case { name, prepare, run }
}

/// Says who acts to rolecall and, in the setting that the policies by hand read, to them.
pub fn become_user(app: &mut Client, token: &str, for_session: bool) {
    let id: String = app
        .query_one("SELECT rolecall.authenticate($1, $2)", &[&token, &for_session])
        .expect("the token is good")
        .get(0);
    app.execute("SELECT set_config('app.user_id', $1, false)", &[&id]).expect("the setting");
}
