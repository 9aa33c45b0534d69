//! `rolecall explain` and `rolecall who` as a person meets them.

use crate::provisioner_world::rolecall;
use crate::support::run;
use rolecall_tests::{Cluster, Database};

/// The name of a role of this story alone.
fn shop(db: &Database<'_>) -> impl Fn(&str) -> String {
    let prefix = db.name.clone();
    let named = move |name: &str| format!("{prefix}_{name}");
    let [owner, reader, writer, analysts, alice, bob] =
        ["owner", "reader", "writer", "analysts", "alice", "bob"].map(&named);
    let sql = format!(
        "CREATE ROLE {owner}; CREATE ROLE {reader}; CREATE ROLE {writer}; CREATE ROLE {analysts} IN ROLE {reader};
         CREATE ROLE {alice} LOGIN IN ROLE {analysts} VALID UNTIL '2020-02-03 04:05:06Z';
         CREATE ROLE {bob} LOGIN NOINHERIT IN ROLE {writer};
         CREATE SCHEMA shop AUTHORIZATION {owner}; SET ROLE {owner};
         CREATE TABLE shop.orders (id int, note text); CREATE TABLE shop.secret (id int);
         CREATE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION shop.f(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
         SELECT 1; GRANT USAGE ON SCHEMA shop TO {reader};
         GRANT SELECT ON shop.orders TO {reader}; GRANT UPDATE (note) ON shop.orders TO {analysts};
         GRANT INSERT ON shop.orders TO {writer}; RESET ROLE"
    );
    run(&mut db.admin(), &sql);
    for number in 1..=9 {
        let sql = format!(
            "CREATE TABLE shop.t{number} (); ALTER TABLE shop.t{number} OWNER TO {owner}; GRANT SELECT ON shop.t{number} TO {reader}"
        );
        run(&mut db.admin(), &sql);
    }
    named
}

/// Runs of spaces are layout.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn answer(db: &Database<'_>, arguments: &[&str]) -> String {
    let outcome = rolecall(db, arguments, "");
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{outcome:?}");
    squeezed(&outcome.out)
}

#[test]
fn explain_tells_every_way_and_what_stands_in_it() {
    let db = Cluster::shared().plain_database();
    let name = shop(&db);
    let [owner, reader, writer, analysts, alice, bob] =
        ["owner", "reader", "writer", "analysts", "alice", "bob"].map(&name);
    let told = answer(&db, &["explain", &alice, "shop.orders"]);
    for part in [
        &format!("{alice} on table shop.orders"),
        &format!("SELECT yes through {analysts} -> {reader}, granted by {owner}"),
        &format!("UPDATE part only column note: through {analysts}, granted by {owner}"),
        "DELETE no TRUNCATE no",
        "but its password has expired (2020-02-03 04:05:06",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = answer(&db, &["explain", &bob, "table shop.orders"]);
    assert!(told.contains(&format!("INSERT no after SET ROLE {writer}: granted by {owner}")), "{told}");
    let told = answer(&db, &["explain", &writer, "table shop.orders"]);
    assert!(told.contains("but no USAGE on schema shop"), "{told}");

    let told = answer(&db, &["explain", &alice]);
    for part in [
        "options LOGIN, VALID UNTIL 2020-02-03",
        &format!("member of {analysts}"),
        &format!("SELECT on 10 of 11 tables, not secret through {analysts} -> {reader}"),
        &format!("UPDATE on orders(note) through {analysts}"),
        "EXECUTE on all 2 routines through PUBLIC, as the kind's default",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = answer(&db, &["explain", &bob]);
    assert!(told.contains(&format!("member of {writer} (only by SET ROLE)")), "{told}");
    assert!(told.contains("schema shop but no USAGE on it") && !told.contains("INSERT"), "{told}");
    let all = rolecall(&db, &["explain", &alice, "shop.orders"], "").out;
    assert!(all.lines().all(|line| line.chars().count() <= 100 && line.trim_end() == line), "{all}");
}

#[test]
fn who_tells_everybody_apart_and_names_superusers_once() {
    // Roles of other stories would be told too.
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    let name = shop(&db);
    let [owner, reader, alice, bob] = ["owner", "reader", "alice", "bob"].map(&name);
    let told = answer(&db, &["who", "shop.orders"]);
    let place = |part: &str| told.find(part).unwrap_or_else(|| panic!("{part}: {told}"));
    let (logins, groups, superusers) = (place("logins"), place("groups"), place("superusers"));
    assert!(logins < place(&format!(" {alice} SELECT")) && place(&format!(" {bob} INSERT")) < groups, "{told}");
    assert!(groups < place(&format!("{owner} everything as owner")), "{told}");
    assert!(groups < place(&format!("{reader} SELECT granted by {owner}")), "{told}");
    assert!(told[superusers..].contains("postgres"), "{told}");
    assert_eq!(told.matches(" postgres").count(), 1, "{told}");
    let told = answer(&db, &["who", "function shop.f(integer)"]);
    assert!(told.contains("PUBLIC EXECUTE as the kind's default"), "{told}");
    // Who has only what everybody has is not listed again.
    assert!(!told.contains(&alice), "{told}");
}

#[test]
fn what_does_not_exist_or_is_ambiguous_is_one_clear_error() {
    let db = Cluster::shared().plain_database();
    let name = shop(&db);
    let alice = name("alice");
    let cases = [
        (name("alicee"), "shop.orders", "does not exist", format!("did you mean \"{alice}\"?")),
        (alice.clone(), "shop.ordres", "\"shop.ordres\" does not exist", "did you mean \"shop.orders\"?".into()),
        (alice.clone(), "shpo.orders", "there is no schema \"shpo\"", "did you mean \"shop\"?".into()),
        (alice.clone(), "view shop.orders", "view \"shop.orders\" does not exist", "there is table shop.orders".into()),
        (alice.clone(), "orders", "\"orders\" does not exist", "there is table shop.orders".into()),
        (alice.clone(), "shop.orders.nite", "has no column \"nite\"", "did you mean \"note\"?".into()),
        (alice.clone(), "shop.f", "\"function shop.f(integer)\" or \"function shop.f(text)\"", "say which one".into()),
        (alice.clone(), "parameter work_men", "does not exist", "did you mean \"work_mem\"?".into()),
        (alice, "tabel shop.orders", "is no kind of object", "known: database, schema".into()),
    ];
    for (role, object, message, hint) in cases {
        let outcome = rolecall(&db, &["explain", &role, object], "");
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{object}: {outcome:?}");
        assert!(outcome.err.contains(message) && outcome.err.contains(&hint), "{object}: {outcome:?}");
    }
    assert_eq!(rolecall(&db, &["who", "shop.ordres"], "").code, 1);
}

#[test]
fn names_cannot_command_the_terminal() {
    let db = Cluster::shared().plain_database();
    let odd = format!("{}\u{1b}[2J\n\u{7}x", db.name);
    let sql =
        format!("CREATE ROLE \"{odd}\" LOGIN; CREATE SCHEMA \"{odd}\"; GRANT USAGE ON SCHEMA \"{odd}\" TO \"{odd}\"");
    run(&mut db.admin(), &sql);
    let quoted = format!("schema \"{odd}\"");
    for arguments in [vec!["explain", &odd], vec!["explain", &odd, &quoted], vec!["who", &quoted]] {
        let outcome = rolecall(&db, &arguments, "");
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(outcome.out.contains("\\u{1b}[2J\\n\\u{7}x"), "{outcome:?}");
        assert!(!outcome.out.chars().any(|c| c.is_control() && c != '\n'), "{outcome:?}");
    }
}

#[test]
fn public_and_settings_that_anybody_may_set_are_understood() {
    let db = Cluster::shared().plain_database();
    let login = db.login("plain");
    let told = answer(&db, &["explain", "public", &format!("database {}", db.name)]);
    assert!(told.contains("CONNECT yes as the kind's default"), "{told}");
    let told = answer(&db, &["explain", &login, "parameter WORK_MEM"]);
    assert!(told.contains("SET yes anybody may set it ALTER SYSTEM no"), "{told}");
    assert!(answer(&db, &["explain", &login, "parameter log_statement"]).contains("SET no"));
}
