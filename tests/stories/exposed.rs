//! The view beside a table: NULL in the cells that one may not read, instead of an error.

use crate::fields::Posts;
use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;

/// What one sees in the view, a row a line.
fn seen(client: &mut Client) -> Vec<String> {
    column(client, "SELECT concat_ws(' ', id, author_id, title, body) FROM posts_exposed ORDER BY id")
}

/// The rows of whole posts by this author and of the titles of others.
fn expected(own: &str, others: bool) -> Vec<String> {
    let author = |n: usize| ["a", "b", "c"][n % 3];
    let row = |n: usize| {
        if own.contains(author(n)) {
            Some(format!("{n} {} title {n} body {n}", author(n)))
        } else {
            others.then(|| format!("{n} title {n}"))
        }
    };
    (1..=9).filter_map(row).collect()
}

fn exposed() -> Posts {
    let mut posts = Posts::new();
    assert_eq!(column(&mut posts.admin, "SELECT rolecall.expose('posts')"), ["posts_exposed"]);
    posts
}

#[test]
fn a_cell_is_shown_where_a_role_that_covers_it_matches() {
    let Posts { mut app, ann, ben, cleo, dora, .. } = exposed();
    for (token, rows) in [
        (&ann, expected("a", false)),
        (&ben, expected("", true)),
        (&cleo, expected("c", true)),
        (&dora, expected("abc", true)),
    ] {
        authenticate(&mut app, token, true);
        assert_eq!(seen(&mut app), rows);
    }
    run(&mut app, "SELECT rolecall.logout()");
    assert!(seen(&mut app).is_empty());
}

#[test]
fn nothing_of_it_is_left_in_a_plan() {
    let Posts { mut app, ben, dora, .. } = exposed();
    for token in [&ben, &dora] {
        authenticate(&mut app, token, true);
        let plan = plan(&mut app, "SELECT id, title, body FROM posts_exposed");
        assert!(!plan.contains("has_role") && !plan.contains("Join") && !plan.contains("Nested"), "{plan}");
        assert!(plan.contains("One-Time Filter: has_table_privilege"), "once per query: {plan}");
    }
}

/// Neither a function that tells what it gets nor a condition on the column brings out what is not shown.
/// Trap 25.
#[test]
fn what_is_not_shown_does_not_leak() {
    let Posts { mut admin, mut app, ann, cleo, .. } = exposed();
    run(
        &mut admin,
        "CREATE FUNCTION tell(x text, shown text) RETURNS boolean LANGUAGE plpgsql COST 0.000001 AS
             $$ BEGIN IF x !~ shown THEN RAISE 'got %', x; END IF; RETURN true; END $$",
    );
    authenticate(&mut app, &cleo, true);
    assert_eq!(seen(&mut app).len(), 9);
    run(&mut app, "SELECT count(*) FROM posts_exposed p WHERE tell(p.body, '[258]$') AND body > '' AND id > 0");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts_exposed WHERE body = 'body 1'"), 0);
    refused(&mut app, "SELECT count(*) FROM posts_exposed WHERE tell(title, '[258]$')", "P0001", "got title");
    authenticate(&mut app, &ann, true);
    run(&mut app, "SELECT count(*) FROM posts_exposed WHERE tell(title, '[369]$') AND tell(body, '[369]$')");
}

#[test]
fn it_is_for_reading_and_for_readers_of_the_table() {
    let Posts { database, mut admin, mut app, ben, dora, login, .. } = exposed();
    // Even where somebody grants all of a schema.
    run(&mut admin, &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {login}"));
    authenticate(&mut app, &dora, true);
    for statement in [
        "UPDATE posts_exposed SET title = 'x'",
        "DELETE FROM posts_exposed",
        "INSERT INTO posts_exposed (id) VALUES (20)",
    ] {
        refused(&mut app, statement, "55000", "view \"posts_exposed\"");
    }
    let other = database.login("other");
    let mut other_client = database.connect(&other);
    authenticate(&mut other_client, &ben, true);
    refused(&mut other_client, "SELECT FROM posts_exposed", "42501", "permission denied for view");
    run(&mut admin, &format!("GRANT SELECT ON posts_exposed TO {other}"));
    assert!(seen(&mut other_client).is_empty(), "who may not read the table sees nothing");
    run(&mut admin, &format!("REVOKE SELECT ON posts_exposed FROM {other}; GRANT SELECT ON posts TO {other}"));
    run(&mut admin, "SELECT rolecall.expose('posts')");
    assert_eq!(seen(&mut other_client), expected("", true));
    run(&mut admin, &format!("REVOKE SELECT ON posts FROM {login}"));
    assert!(seen(&mut app).is_empty());
}

#[test]
fn it_follows_the_rules_and_the_columns() {
    let Posts { mut admin, mut app, ben, cleo, .. } = exposed();
    authenticate(&mut app, &ben, true);
    run(&mut admin, "SELECT rolecall.allow('reader', 'posts', 'select', '{\"id\": {\"lt\": 3}}', '{id,title,body}')");
    assert_eq!(seen(&mut app), ["1 title 1 body 1", "2 title 2 body 2"]);
    run(&mut admin, "SELECT rolecall.allow('reader', 'posts', 'select', '{}', '{id,title}')");
    let columns = "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum)
                     FROM pg_attribute WHERE attrelid = 'posts_exposed'::regclass AND attnum > 0";
    run(&mut admin, "ALTER TABLE posts ADD note varchar(5) DEFAULT 'note'");
    assert_eq!(
        one::<String>(&mut admin, columns),
        "id integer,author_id text,title text,body text,note character varying(5)"
    );
    let note = "SELECT DISTINCT coalesce(note, '-') FROM posts_exposed ORDER BY 1";
    assert_eq!(column(&mut app, note), ["-"]);
    authenticate(&mut app, &cleo, true);
    assert_eq!(column(&mut app, note), ["-", "note"]);
    run(&mut admin, "ALTER TABLE posts RENAME note TO \"No\"\"te\"");
    assert_eq!(column(&mut app, "SELECT DISTINCT \"No\"\"te\" FROM posts_exposed WHERE body <> ''"), ["note"]);
    let (state, _) = sqlstate(admin.batch_execute("ALTER TABLE posts DROP \"No\"\"te\""));
    assert_eq!(state, "2BP01", "the view uses it");
    run(&mut admin, "ALTER TABLE posts DROP \"No\"\"te\" CASCADE");
    assert_eq!(seen(&mut app), expected("c", true), "with CASCADE it is made again");
    run(&mut admin, "SELECT rolecall.drop_role('reader')");
    assert_eq!(seen(&mut app), expected("c", false));
}

#[test]
fn it_goes_with_the_table_or_when_somebody_drops_it() {
    let Posts { database, mut admin, cleo: _, login, .. } = exposed();
    let views = "SELECT shown_as FROM rolecall.exposed_views";
    let restored = crate::dump::restore(&database);
    let mut app = restored.connect(&login);
    authenticate(&mut app, &token(&mut restored.admin(), "cleo", "a long enough password"), true);
    assert_eq!(seen(&mut app), expected("c", true));
    run(&mut restored.admin(), "SELECT rolecall.disallow('reader', 'posts', 'all')");
    assert_eq!(seen(&mut app), expected("c", false));

    run(&mut admin, "DROP VIEW posts_exposed; SELECT rolecall.allow('guest', 'posts', 'select', columns => '{id}')");
    assert!(column(&mut admin, views).is_empty(), "it is not made again");
    run(&mut admin, "SELECT rolecall.expose('posts'); SELECT rolecall.unprotect('posts')");
    assert!(column(&mut admin, views).is_empty());
    assert!(!one::<bool>(&mut admin, "SELECT to_regclass('posts_exposed') IS NOT NULL"));
    refused(&mut admin, "SELECT rolecall.expose('posts')", "55000", "is not protected");
    run(&mut admin, "SELECT rolecall.protect('posts'); CREATE TABLE posts_exposed ()");
    refused(&mut admin, "SELECT rolecall.expose('posts')", "42P07", "already exists");
    run(&mut admin, "DROP TABLE posts_exposed; SELECT rolecall.expose('posts'); DROP TABLE posts CASCADE");
    assert!(column(&mut admin, views).is_empty());
}
