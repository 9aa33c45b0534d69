//! Behind pgbouncer, clients take turns with a few connections, and none inherits another's identity or rows.

use crate::support::*;
use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use rolecall_tests::{Cluster, Pooler};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

/// What a client must see of the table, with who it is.
const SEEN: &str = "SELECT pg_backend_pid()::text, rolecall.user_id(), count(*)::text, min(owner_id), max(owner_id),
                           count(*) FILTER (WHERE rolecall.has_role('editor'))::text FROM notes";

/// One client's user.
struct Person {
    id: String,
    token: String,
    editor: bool,
}

impl Person {
    /// What `SEEN` gives this person, but for the connection.
    fn sees(&self) -> [Option<String>; 5] {
        let own = || Some(self.id.clone());
        let (all, bobs) = (Some(ALL.to_string()), Some(BOBS.to_string()));
        if self.editor {
            return [own(), all.clone(), Some("u0".to_owned()), Some("u99".to_owned()), all];
        }
        [own(), bobs, own(), own(), Some("0".to_owned())]
    }
}

/// What `SEEN` gives nobody.
fn nothing() -> [Option<String>; 5] {
    [None, Some("0".to_owned()), None, None, Some("0".to_owned())]
}

/// An editor and seven others.
fn people(story: &Notes<'_>) -> Vec<Person> {
    let person = |id: &str, token: String, editor| Person { id: id.to_owned(), token, editor };
    let mut people = vec![person("u1", story.alice.clone(), true), person("u2", story.bob.clone(), false)];
    people.extend((3..=8).map(|n| format!("u{n}")).map(|id| person(&id, story.user(&id), false)));
    people
}

/// Who had which connection: that the clients really shared them is part of the test.
#[derive(Default)]
struct Tally {
    rounds: AtomicU64,
    handovers: AtomicU64,
    last: Mutex<HashMap<String, String>>,
    pairs: Mutex<HashSet<(String, String)>>,
}

impl Tally {
    fn round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    fn served(&self, connection: &str, id: &str) {
        let former = self.last.lock().unwrap().insert(connection.to_owned(), id.to_owned());
        if former.is_some_and(|former| former != id) {
            self.handovers.fetch_add(1, Ordering::Relaxed);
        }
        self.pairs.lock().unwrap().insert((connection.to_owned(), id.to_owned()));
    }
}

/// How long a mode is tried: 3 seconds, or `ROLECALL_POOLER_SECONDS`.
fn duration() -> Duration {
    let seconds = std::env::var("ROLECALL_POOLER_SECONDS").map_or(3, |s| s.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

/// Eight people at once, on few connections; each does his `rounds`.
fn through_pgbouncer(mode: &str, rounds: impl Fn(&Pooler, &Person, &Tally, &mut dyn Iterator<Item = u64>) + Sync) {
    // Not the shared server: other stories' changes of roles would only be noise here.
    let cluster = Cluster::start(&[]);
    let story = Notes::in_database(cluster.database());
    let people = people(&story);
    let pooler = Pooler::start(&story.database, &story.app, mode);
    let tally = Tally::default();
    let together = Barrier::new(people.len());
    std::thread::scope(|scope| {
        for person in &people {
            scope.spawn(|| {
                together.wait();
                let end = Instant::now() + duration();
                let mut numbers = (0..).take_while(|_| Instant::now() < end).inspect(|_| tally.round());
                rounds(&pooler, person, &tally, &mut numbers);
            });
        }
    });
    let connections = tally.last.lock().unwrap().len();
    let (count, handovers) = (tally.rounds.load(Ordering::Relaxed), tally.handovers.load(Ordering::Relaxed));
    let pairs = tally.pairs.lock().unwrap().len();
    eprintln!(
        "{mode} pooling: {} users, {connections} connections, {count} rounds, {handovers} handovers of a connection \
         to another user, {pairs} pairs of a connection and a user, in {:?}",
        people.len(),
        duration()
    );
    assert_eq!(connections, Pooler::CONNECTIONS);
    assert!(pairs > people.len(), "every user has kept to one connection: {pairs}");
    assert!(2 * handovers > count, "{handovers} of {count}");
}

/// The only row of the last query of a batch, by the protocol that prepares nothing.
fn simple(client: &mut Client, sql: &str) -> SimpleQueryRow {
    let messages = client.simple_query(sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let row = messages.into_iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.unwrap_or_else(|| panic!("no row: {sql}"))
}

/// The connection, and what the client saw of the table.
fn seen_simply(client: &mut Client, sql: &str) -> (String, [Option<String>; 5]) {
    let row = simple(client, sql);
    (row.get(0).unwrap().to_owned(), std::array::from_fn(|i| row.get(i + 1).map(str::to_owned)))
}

/// Prepares `login` and `seen` on the connection that this transaction has got, unless a former client has.
fn prepare(client: &mut Client) {
    for (name, statement) in [("login (text)", "SELECT rolecall.authenticate($1)"), ("seen", SEEN)] {
        let bare = name.split(' ').next().unwrap();
        let known = format!("SELECT count(*) FROM pg_prepared_statements WHERE name = '{bare}'");
        if simple(client, &known).get(0) == Some("0") {
            run(client, &format!("PREPARE {name} AS {statement}"));
        }
    }
}

/// There is no DISCARD ALL between transactions: statements that others prepared stay, identities do not.
/// Trap 32.
#[test]
fn in_transaction_mode_an_identity_ends_with_its_transaction() {
    through_pgbouncer("transaction", |pooler, person, tally, rounds| {
        let mut client = pooler.connect();
        for n in rounds {
            assert_eq!(seen_simply(&mut client, SEEN).1, nothing());
            run(&mut client, "BEGIN");
            prepare(&mut client);
            assert_eq!(seen_simply(&mut client, "EXECUTE seen").1, nothing());
            let login = format!("EXECUTE login('{}')", person.token);
            assert_eq!(simple(&mut client, &login).get(0), Some(person.id.as_str()));
            let (connection, seen) = seen_simply(&mut client, "EXECUTE seen");
            assert_eq!(seen, person.sees());
            assert_eq!(seen_simply(&mut client, SEEN), (connection.clone(), person.sees()));
            tally.served(&connection, &person.id);
            match n % 3 {
                0 => run(&mut client, "COMMIT"),
                1 => run(&mut client, "ROLLBACK"),
                _ => {
                    client.batch_execute("SELECT 1 / 0").unwrap_err();
                    run(&mut client, "COMMIT");
                }
            }
            assert_eq!(simple(&mut client, "SELECT rolecall.user_id()").get(0), None);
        }
    });
}

/// A client leaves without logging out; DISCARD ALL makes the connection nobody's before the next gets it.
/// Trap 32.
#[test]
fn in_session_mode_an_identity_ends_with_its_session() {
    through_pgbouncer("session", |pooler, person, tally, rounds| {
        for n in rounds {
            let mut client = pooler.connect();
            let statement = client.prepare(SEEN).unwrap();
            let seen = |client: &mut Client| -> (String, [Option<String>; 5]) {
                let row = client.query_one(&statement, &[]).unwrap();
                (row.get(0), std::array::from_fn(|i| row.get(i + 1)))
            };
            assert_eq!(seen(&mut client).1, nothing());
            if n % 2 == 0 {
                authenticate(&mut client, &person.token, true);
                run(&mut client, "BEGIN; SELECT 1; ROLLBACK");
            } else {
                run(&mut client, "BEGIN");
                authenticate(&mut client, &person.token, false);
            }
            let (connection, rows) = seen(&mut client);
            assert_eq!(rows, person.sees());
            tally.served(&connection, &person.id);
            if n % 2 == 0 {
                assert_eq!(seen(&mut client), (connection, person.sees()));
            } else {
                run(&mut client, "COMMIT");
                assert_eq!(seen(&mut client), (connection, nothing()));
            }
        }
    });
}
