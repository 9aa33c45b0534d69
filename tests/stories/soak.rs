//! For a long time many connections change who they are while administrators change the rules. What each sees is what
//! the rules said at some moment of the statement. `ROLECALL_SOAK`: for how many seconds (a minute; `make soak`: half an hour).

use crate::jwt::{Key, now};
use crate::soak_model::*;
use crate::support::*;
use jsonwebtoken::Algorithm;
use postgres::{Client, Error};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const READERS: usize = 16;
/// How much a connection's own memory may grow, in kB, once its caches are warm.
const GROWTH: i64 = 4096;

struct Soak {
    people: Versions<People>,
    allowed: Versions<Allowed>,
    acls: Versions<Acls>,
    key: Key,
    end: Instant,
    seen: AtomicUsize,
    /// Statements that had to be repeated, as PostgreSQL says.
    repeated: AtomicUsize,
}

/// PostgreSQL's words for "try again": a deadlock, or roles that changed just then.
fn is_to_be_repeated(error: &Error) -> bool {
    error.code().is_some_and(|code| ["40001", "40P01"].contains(&code.code()))
}

fn refuses(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code() == "28000")
}

impl Soak {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    fn token(&self, user: usize) -> (String, i64) {
        let generation = self.people.newest().generation[user];
        let claims =
            json!({"sub": format!("u{user}"), "iat": now(), "exp": now() + 9999, "jti": format!("x.{generation}")});
        (self.key.sign(claims.to_string()), generation)
    }

    /// Runs the statement of an administrator until it succeeds.
    fn administer(&self, client: &mut Client, sql: &str) {
        while let Err(error) = client.batch_execute(sql) {
            assert!(is_to_be_repeated(&error), "{sql}: {error:?}");
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads as who is logged in, or who has logged in since `start`, and compares.
    fn check(
        &self,
        who: (usize, i64),
        start: Moment,
        what: &str,
        read: impl FnOnce() -> Result<Vec<i32>, Error>,
    ) -> Result<(), Error> {
        let seen = match read() {
            Ok(rows) => Seen::Rows(rows),
            Err(error) if refuses(&error) => Seen::Refused,
            Err(error) => return Err(error),
        };
        let (people, allowed) = (self.people.since(start.people), self.allowed.since(start.allowed));
        let acls = self.acls.since(start.acls);
        let all = people.iter().flat_map(|people| {
            let acls = &acls;
            allowed.iter().flat_map(move |allowed| acls.iter().map(move |acls| sees(people, allowed, acls, who)))
        });
        let versions = (people.len(), allowed.len(), acls.len());
        assert!(
            all.clone().any(|may_be| may_be == seen),
            "{what}: u{} sees {seen:?}, and should one of {versions:?}, first {:?}",
            who.0,
            all.clone().next()
        );
        self.seen.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn now(&self) -> Moment {
        Moment { people: self.people.now(), allowed: self.allowed.now(), acls: self.acls.now() }
    }
}

/// What was in force, by the numbers of the versions.
#[derive(Clone, Copy)]
struct Moment {
    people: usize,
    allowed: usize,
    acls: usize,
}

const READ: &str = "SELECT id FROM docs ORDER BY id";

fn rows(client: &mut Client, sql: &str) -> Result<Vec<i32>, Error> {
    Ok(client.query(sql, &[])?.iter().map(|row| row.get(0)).collect())
}

/// One reader's life for a while: somebody logs in, looks, becomes somebody else, goes back.
fn read(soak: &Soak, client: &mut Client, random: &mut StdRng) -> Result<(), Error> {
    let (first, second) = (random.random_range(0..USERS), random.random_range(0..USERS));
    let ways =
        [READ, "EXECUTE docs", "SELECT id FROM docs_view ORDER BY id", "SELECT * FROM docs_function() ORDER BY 1"];
    let way = |random: &mut StdRng| ways[random.random_range(0..ways.len())];
    let login = |client: &mut Client, start: Moment, user: usize, session: bool, random: &mut StdRng| {
        let (token, generation) = soak.token(user);
        let sql = way(random);
        let outcome = soak.check((user, generation), start, sql, || {
            client.execute("SELECT rolecall.authenticate($1, $2)", &[&token, &session])?;
            rows(client, sql)
        });
        outcome.map(|()| generation)
    };
    match random.random_range(0..3) {
        // For a transaction, in which somebody else acts for a while.
        0 => {
            let keeps = random.random();
            client.batch_execute(if keeps { "BEGIN ISOLATION LEVEL REPEATABLE READ" } else { "BEGIN" })?;
            let begin = soak.now();
            // A snapshot that is kept shows rows, and so their ACLs, as they were; users and rules are always the present.
            let start = || Moment { acls: if keeps { begin.acls } else { soak.acls.now() }, ..soak.now() };
            let generation = login(client, start(), first, false, random)?;
            if client.batch_execute("SAVEPOINT s").is_err() {
                return client.batch_execute("ROLLBACK"); // it was refused
            }
            login(client, start(), second, false, random)?;
            client.batch_execute("ROLLBACK TO s")?;
            let (start, sql) = (start(), way(random));
            soak.check((first, generation), start, sql, || rows(client, sql))?;
            client.batch_execute(if random.random() { "COMMIT" } else { "ROLLBACK" })?;
        }
        // For the session, with whoever comes next taking over.
        1 => {
            for user in [first, second] {
                let generation = login(client, soak.now(), user, true, random)?;
                for _ in 0..3 {
                    let (start, sql) = (soak.now(), way(random));
                    // Whoever was refused is nobody or still the one before.
                    let who = rows_of(client)?;
                    if who == Some(user) {
                        soak.check((user, generation), start, sql, || rows(client, sql))?;
                    }
                }
            }
            client.batch_execute(if random.random() { "SELECT rolecall.logout()" } else { "DISCARD ALL" })?;
            prepare(client);
        }
        _ => {
            client.batch_execute("BEGIN")?;
            login(client, soak.now(), first, false, random)?;
            client.batch_execute("ROLLBACK")?;
        }
    }
    assert_eq!(rows(client, way(random))?, Vec::<i32>::new(), "nobody is left");
    Ok(())
}

/// The user's number, unless nobody acts or whoever does is refused.
fn rows_of(client: &mut Client) -> Result<Option<usize>, Error> {
    match client.query_one("SELECT rolecall.user_id()", &[]) {
        Ok(row) => Ok(row.get::<_, Option<String>>(0).map(|id| id[1..].parse().expect("a number"))),
        Err(error) if refuses(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn prepare(client: &mut Client) {
    run(client, &format!("DEALLOCATE ALL; PREPARE docs AS {READ}"));
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, item: T) {
    if !set.remove(&item) {
        set.insert(item);
    }
}

type Change = Box<dyn FnOnce(&mut People)>;

/// Changes who is what.
fn change_people(soak: &Soak, client: &mut Client, random: &mut StdRng) {
    let (role, user) = (random.random_range(0..ROLES), random.random_range(0..USERS));
    // None but a later one, so that there is no cycle.
    let member = random.random_range(role..ROLES);
    let people = soak.people.newest();
    let verb = |taken: bool| if taken { "revoke" } else { "grant" };
    let (sql, change): (_, Change) = match random.random_range(0..20) {
        0..10 => {
            let verb = verb(people.users.contains(&(role, user)));
            (format!("{verb}_role('r{role}', 'user{user}')"), Box::new(move |now| toggle(&mut now.users, (role, user))))
        }
        10..17 if member > role => {
            let (verb, entry) = (verb(people.nested.contains(&(role, member))), (role, member));
            (format!("{verb}_role('r{role}', 'role:r{member}')"), Box::new(move |now| toggle(&mut now.nested, entry)))
        }
        17 => (format!("revoke_sessions('user{user}')"), Box::new(move |now| now.generation[user] += 1)),
        18 => {
            let verb = if people.disabled.contains(&user) { "enable" } else { "disable" };
            (format!("{verb}_user('user{user}')"), Box::new(move |now| toggle(&mut now.disabled, user)))
        }
        _ => return,
    };
    soak.people.change(change, || soak.administer(client, &format!("SELECT rolecall.{sql}")));
}

/// Changes what is allowed.
fn change_rules(soak: &Soak, client: &mut Client, random: &mut StdRng) {
    let role = random.random_range(0..ROLES);
    let mut administer = |sql: String| soak.administer(client, &format!("SELECT rolecall.{sql}"));
    if random.random_bool(0.3) {
        let number = random.random_range(0..filters().len());
        if number == 0 {
            let disallow = format!("disallow('r{role}', 'docs', 'select')");
            soak.allowed.change(|now| now.retain(|of, _| *of != role), || administer(disallow));
        } else {
            let allow = format!("allow('r{role}', 'docs', 'select', '{}')", filters()[number].0);
            soak.allowed.change(|now| now.extend([(role, number)]), || administer(allow));
        }
        return;
    }
    let (row, deny, user) = (random.random_range(0..SHARED), random.random_bool(0.3), random.random_range(0..USERS));
    let (member, name) = match random.random() {
        true => (Member::User(user), format!("user{user}")),
        false => (Member::Role(role), format!("role:r{role}")),
    };
    let entry = (row, member, deny);
    let verb = if soak.acls.newest().contains(&entry) { "revoke" } else { "grant" };
    let sql = format!("{verb}_right('docs', '{row}', '{name}', '{{read}}', {deny})");
    soak.acls.change(|now| toggle(now, entry), || administer(sql));
}

/// How much memory a backend has that it shares with nobody, in kB.
fn memory(pid: i32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the backend runs");
    let line = status.lines().find(|line| line.starts_with("RssAnon")).expect("Linux says so");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

#[test]
fn everybody_always_sees_what_the_rules_say() {
    let duration = Duration::from_secs(std::env::var("ROLECALL_SOAK").map_or(60, |s| s.parse().expect("seconds")));
    let database = database();
    let app = database.login("app");
    let mut admin = database.admin();
    let mut key = Key::new(Algorithm::HS256, "", b'1');
    key.kid = admin.query_one("SELECT rolecall.set_signing_key($1, $2)", &[&key.alg(), &key.pem()]).unwrap().get(0);
    run(&mut admin, "CREATE TABLE docs (id int PRIMARY KEY, owner text, team int, level int, public bool, acl jsonb)");
    for row in (0..ROWS).map(Row) {
        let (id, owner, team, level, public) = (row.0, row.owner(), row.team(), row.level(), row.public());
        run(&mut admin, &format!("INSERT INTO docs VALUES ({id}, 'u{owner}', {team}, {level}, {public})"));
    }
    run(
        &mut admin,
        &format!(
            "CREATE INDEX ON docs (owner); ANALYZE docs;
             SELECT rolecall.protect('docs', 'acl');
             CREATE VIEW docs_view WITH (security_invoker) AS SELECT * FROM docs;
             CREATE FUNCTION docs_function() RETURNS SETOF int LANGUAGE plpgsql STABLE AS
                 'BEGIN RETURN QUERY SELECT id FROM docs; END';
             GRANT SELECT ON docs, docs_view TO {app};
             SELECT rolecall.create_role('r' || n) FROM generate_series(0, {ROLES} - 1) n;
             SELECT rolecall.create_user('user' || n, id => 'u' || n) FROM generate_series(0, {USERS} - 1) n"
        ),
    );
    let mut people = People::default();
    for (user, generation) in people.generation.iter_mut().enumerate() {
        *generation = one(&mut admin, &format!("SELECT session_generation FROM rolecall.users WHERE id = 'u{user}'"));
    }
    let soak = Soak {
        people: Versions::new(people),
        allowed: Versions::new(Allowed::new()),
        acls: Versions::new(Acls::new()),
        key,
        end: Instant::now() + duration,
        seen: AtomicUsize::new(0),
        repeated: AtomicUsize::new(0),
    };
    let growth: Vec<i64> = std::thread::scope(|scope| {
        let change = [change_people, change_rules];
        for (number, change) in change.into_iter().enumerate() {
            let (mut client, soak) = (database.admin(), &soak);
            scope.spawn(move || {
                let random = &mut StdRng::seed_from_u64(1000 + number as u64);
                while soak.goes_on() {
                    change(soak, &mut client, random);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let (mut client, soak) = (database.connect(&app), &soak);
                scope.spawn(move || {
                    let random = &mut StdRng::seed_from_u64(number as u64);
                    let pid = one(&mut client, "SELECT pg_backend_pid()");
                    prepare(&mut client);
                    let (warm, mut before) = (soak.end - duration * 2 / 3, None);
                    while soak.goes_on() {
                        if before.is_none() && Instant::now() > warm {
                            before = Some(memory(pid));
                        }
                        if let Err(error) = read(soak, &mut client, random) {
                            assert!(is_to_be_repeated(&error), "{error:?}");
                            soak.repeated.fetch_add(1, Ordering::Relaxed);
                            run(&mut client, "ROLLBACK; SELECT rolecall.logout()");
                        }
                    }
                    memory(pid) - before.expect("it took some time")
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().expect("what is seen is right")).collect()
    });
    println!(
        "{} readings, {} + {} + {} changes, {} statements repeated, memory grew by at most {} kB",
        soak.seen.load(Ordering::Relaxed),
        soak.people.now(),
        soak.allowed.now(),
        soak.acls.now(),
        soak.repeated.load(Ordering::Relaxed),
        growth.iter().max().expect("readers"),
    );
    assert!(soak.seen.load(Ordering::Relaxed) > 1000 && soak.people.now() > 50 && soak.acls.now() > 50);
    assert!(growth.iter().all(|growth| *growth < GROWTH), "{growth:?}");
}
