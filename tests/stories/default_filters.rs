//! The default filters of the 8base page.

use crate::support::*;

#[test]
fn ones_own_record_and_files_that_are_public_or_ones_own() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE people (id text PRIMARY KEY, name text);
             CREATE TABLE files (id int PRIMARY KEY, public boolean, created_by_id text REFERENCES people);
             INSERT INTO people VALUES ('u2', 'Bob'), ('u1', 'Alice');
             INSERT INTO files VALUES (1, true, 'u1'), (2, false, 'u1'), (3, false, 'u2'), (4, NULL, NULL);
             GRANT SELECT, UPDATE ON people, files TO {};
             SELECT rolecall.add_default_filters('users', users => 'people', files => 'files')",
            story.app
        ),
    );
    let mut app = story.connect();
    let files = "SELECT id::text FROM files ORDER BY 1";
    assert!(column(&mut app, "SELECT id FROM people").is_empty() && column(&mut app, files).is_empty());
    authenticate(&mut app, &story.bob, true);
    assert_eq!(column(&mut app, "SELECT id FROM people"), ["u2"]);
    assert_eq!(column(&mut app, files), ["1", "3"]);
    assert_eq!(
        app.execute("UPDATE files SET public = false", &[]).unwrap_err().code().unwrap().code(),
        "42501",
        "1 would be gone"
    );
    assert_eq!(app.execute("UPDATE files SET public = true", &[]).unwrap(), 2);
    assert_eq!(app.execute("DELETE FROM files", &[]).err().unwrap().code().unwrap().code(), "42501");
    // The users table is known from now on.
    run(&mut admin, r#"SELECT rolecall.allow('users', 'files', 'select', '{"created_by": {"not_self": true}}')"#);
    assert_eq!(column(&mut app, files), ["1", "2"]);
}

#[test]
fn tables_without_the_columns_are_refused_as_they_were() {
    let database = database();
    let mut admin = database.admin();
    run(&mut admin, "CREATE TABLE a (id int, public boolean); CREATE TABLE b (id int PRIMARY KEY, created_by int)");
    for (arguments, problem) in [
        ("'users'", "one of users and files must not be NULL"),
        ("'users', 'a'", "has no primary key of one column"),
        ("'users', files => 'a'", "has no column \"created_by_id\""),
        ("'users', files => 'b'", "has no column \"public\""),
        ("'users', 'b', 'a'", "has no column \"created_by_id\""),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.add_default_filters({arguments})"), "22023", problem);
    }
    refused(
        &mut admin,
        "SELECT rolecall.add_default_filters('nobody', 'b')",
        "42704",
        "role \"nobody\" does not exist",
    );
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM pg_policy"), 0);
}
