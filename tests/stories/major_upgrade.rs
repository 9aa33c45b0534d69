//! Databases that are copied whole: by `pg_upgrade`, which makes the extension's objects one by one, and as a template.

use crate::dump_answers::{answers, differences};
use crate::dump_rich::world;
use crate::support::*;
use rolecall_tests::Cluster;

/// Whichever version of PostgreSQL it comes from (see [`Cluster::start_former`]).
#[test]
fn pg_upgrade_keeps_every_answer() {
    let former = Cluster::start_former(&["shared_preload_libraries=rolecall"]);
    let database = former.database();
    let (world, before, token) = world(&database);
    let objects = "SELECT count(*), count(*) FILTER (WHERE deptype = 'e') FROM pg_depend
        WHERE refclassid = 'pg_extension'::regclass AND classid <> 'pg_type'::regclass
          AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rolecall')";
    let objects = format!("SELECT q::text FROM ({objects}) q");
    let members: String = one(&mut database.admin(), &objects);
    let findings = r#"SELECT "check" || ' ' || coalesce(object, '') FROM rolecall.doctor() WHERE "check" <> 'server-version' ORDER BY 1"#;
    let found = column(&mut database.admin(), findings);

    let latter = former.upgrade(&["shared_preload_libraries=rolecall"]);
    let upgraded = latter.existing_database(&database.name);
    let mut admin = upgraded.admin();

    assert_eq!(differences(&before, &answers(&upgraded, &database.name, &world, &token)), "");
    assert_eq!(one::<String>(&mut admin, &objects), members, "what belongs to the extension");
    assert_eq!(column(&mut admin, findings), found);
    // Rules can still be made, and follow what becomes of their tables.
    run(
        &mut admin,
        r#"CREATE TABLE later (id int, owner text); INSERT INTO later VALUES (1, 'ann-id'), (2, 'nobody');
           SELECT rolecall.protect('later'); ALTER TABLE later RENAME COLUMN owner TO holder;
           SELECT rolecall.allow('users', 'later', 'select', '{"holder": {"equals": "__loggedInUserId"}}')"#,
    );
    let ann: String = one(&mut admin, "SELECT username FROM rolecall.users WHERE id = 'ann-id'");
    run(&mut admin, &format!("GRANT SELECT ON later TO PUBLIC; SELECT rolecall.become('{ann}', 'a test', true)"));
    let login = upgraded.login("later");
    run(&mut admin, &format!("SET ROLE {login}"));
    assert_eq!(column(&mut admin, "SELECT id FROM later"), ["1"]);
}

/// A copy has the original's keys, too.
#[test]
fn a_copied_database_takes_the_originals_tokens_until_its_keys_are_its_own() {
    let story = Notes::new();
    let (app, bob) = (story.app.clone(), story.bob.clone());
    let cluster = story.database.cluster();
    let copy = cluster.copy(&story.database);
    let mut client = copy.connect(&app);
    authenticate(&mut client, &bob, true);
    assert_eq!(notes(&mut client), BOBS);
    run(&mut client, "SELECT rolecall.logout()");
    run(
        &mut copy.admin(),
        "SELECT rolecall.drop_key(kid) FROM rolecall.signing_keys; SELECT rolecall.set_signing_key('HS256')",
    );
    refused(&mut client, &format!("SELECT rolecall.authenticate('{bob}')"), "28000", "its key is unknown");
    assert_eq!(notes(&mut client), 0);
    authenticate(&mut story.connect(), &bob, true);
}
