//! What the stories have in common.

use postgres::Client;
use postgres::types::{FromSqlOwned, ToSql};
use rolecall_tests::{Cluster, Database};
use std::os::unix::fs::PermissionsExt;

/// A new database with the extension on the shared server.
pub fn database() -> Database<'static> {
    Cluster::shared().database()
}

/// The first column of the only row.
pub fn one<T: FromSqlOwned>(client: &mut Client, sql: &str) -> T {
    client.query_one(sql, &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0)
}

/// The first column of all rows, as text.
pub fn column(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client.query(&format!("SELECT x::text FROM ({sql}) AS q(x)"), &[]);
    rows.unwrap_or_else(|e| panic!("{sql}: {e:?}")).iter().map(|row| row.get(0)).collect()
}

/// Runs statements that must succeed.
pub fn run(client: &mut Client, sql: &str) {
    client.batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
}

/// The plan of a query.
pub fn plan(client: &mut Client, sql: &str) -> String {
    let rows = client.query(&format!("EXPLAIN (COSTS OFF) {sql}"), &[]).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
}

/// Becomes the token's user.
pub fn authenticate(client: &mut Client, token: &str, for_session: bool) {
    let arguments: &[&(dyn ToSql + Sync)] = &[&token, &for_session];
    client.execute("SELECT rolecall.authenticate($1, $2)", arguments).expect("the token is good");
}

/// The token that a password gives.
pub fn token(client: &mut Client, username: &str, password: &str) -> String {
    client.query_one("SELECT rolecall.login($1, $2)", &[&username, &password]).expect("the password is right").get(0)
}

/// The token that a temporary password gives, once it was changed to `chosen`.
pub fn first_token(client: &mut Client, username: &str, temporary: &str, chosen: &str) -> String {
    let token = token(client, username, temporary);
    let mut transaction = client.transaction().expect("a transaction");
    transaction.execute("SELECT rolecall.authenticate($1)", &[&token]).expect("good to change the password with");
    transaction
        .execute("SELECT rolecall.change_password($1, $2)", &[&temporary, &chosen])
        .unwrap_or_else(|e| panic!("{username} chooses {chosen:?}: {e:?}"));
    transaction.commit().expect("the change");
    token
}

/// A server that also listens on an address of the loopback network that no other one uses.
pub fn cluster_with_address() -> (Cluster, String) {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let address = format!("127.77.{high}.{low}");
    let mut hba = tempfile::NamedTempFile::new_in(std::env::var_os("ROLECALL_SCRATCH").unwrap()).unwrap();
    std::io::Write::write_all(&mut hba, b"local all all trust\nhost all all 127.0.0.0/8 trust\n").unwrap();
    std::fs::set_permissions(hba.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let file = format!("hba_file={}", hba.path().display());
    let cluster = Cluster::start(&[&format!("listen_addresses={address}"), &file]);
    (cluster, address)
}

/// A database with a table of notes whose owners are alice (`u1`), an editor, and bob (`u2`).
pub struct Notes<'a> {
    pub database: Database<'a>,
    /// A login that may read and write the table, as an application would.
    pub app: String,
    pub alice: String,
    pub bob: String,
}

impl Notes<'static> {
    /// The story in a new database of the shared server.
    pub fn new() -> Self {
        Self::in_database(database())
    }
}

impl<'a> Notes<'a> {
    /// Editors see all notes, everybody else his own.
    pub fn in_database(database: Database<'a>) -> Self {
        let app = database.login("app");
        let mut admin = database.admin();
        run(
            &mut admin,
            &format!(
                r#"SELECT rolecall.create_role('editor');
                SELECT rolecall.create_user('alice', 'alice@example.org', 'welcome', '{{editor}}', id => 'u1');
                SELECT rolecall.create_user('bob', 'bob@example.org', 'welcome', id => 'u2');
                CREATE TABLE notes (id int PRIMARY KEY, owner_id text NOT NULL, public boolean, body text);
                INSERT INTO notes SELECT n, 'u' || n % 100, n % 500 = 0, 'note ' || n FROM generate_series(1, 10000) n;
                CREATE INDEX ON notes (owner_id);
                ANALYZE notes;
                GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO {app};
                SELECT rolecall.protect('notes');
                SELECT rolecall.allow('editor', 'notes', 'all');
                SELECT rolecall.allow('users', 'notes', 'all', '{{"owner_id": {{"equals": "__loggedInUserId"}}}}');"#
            ),
        );
        let alice = first_token(&mut admin, "alice", "welcome", "wonderland 1865");
        let bob = first_token(&mut admin, "bob", "welcome", "can we fix it");
        Self { database, app, alice, bob }
    }

    /// One more ordinary user, who owns as many notes as bob when `id` is one of `u3` to `u99`; the token.
    pub fn user(&self, id: &str) -> String {
        let mut admin = self.database.admin();
        let name = format!("user {id}");
        admin
            .execute("SELECT rolecall.create_user($1, password => 'welcome', id => $2)", &[&name, &id])
            .expect("a new user");
        first_token(&mut admin, &name, "welcome", "many notes, few words")
    }

    /// A connection of the application.
    pub fn connect(&self) -> Client {
        self.database.connect(&self.app)
    }
}

/// How many notes the client sees.
pub fn notes(client: &mut Client) -> i64 {
    one(client, "SELECT count(*) FROM notes")
}

/// What an editor sees.
pub const ALL: i64 = 10_000;
/// What bob sees.
pub const BOBS: i64 = 100;

/// Runs a statement that must fail with this SQLSTATE and a message that holds `message`.
#[track_caller]
pub fn refused(client: &mut Client, sql: &str, state: &str, message: &str) {
    let (got, text) = rolecall_tests::sqlstate(client.batch_execute(sql));
    assert!(got == state && text.contains(message), "{sql}: {got} {text}");
}

/// How often the races are run: `ROLECALL_ROUNDS`, else 3 times.
pub fn rounds() -> usize {
    std::env::var("ROLECALL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

/// Waits until the backend `pid` waits for a lock, or `finished`.
pub fn wait_for_lock(client: &mut Client, pid: i32, finished: impl Fn() -> bool) {
    let waits = format!("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {pid} AND NOT granted)");
    for _ in 0..2000 {
        if finished() || one::<bool>(client, &waits) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("backend {pid} neither waits nor ends");
}
