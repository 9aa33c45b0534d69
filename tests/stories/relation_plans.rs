//! The planner takes the form of a relation that fits the query.

use crate::support::*;
use postgres::Client;

/// 40,000 posts of 4,000 authors of 2,000 users, with indexes; a login that is bob, user 7.
fn posts() -> (rolecall_tests::Database<'static>, Client, Client) {
    let database = database();
    let mut admin = database.admin();
    let login = database.login("app");
    run(
        &mut admin,
        &format!(
            r#"CREATE TABLE people (id bigint PRIMARY KEY, email text);
            CREATE TABLE authors (id bigint PRIMARY KEY, person_id bigint REFERENCES people, verified boolean);
            CREATE TABLE posts (id bigint PRIMARY KEY, author_id bigint REFERENCES authors, body text);
            CREATE TABLE comments (id bigint PRIMARY KEY, post_id bigint REFERENCES posts);
            INSERT INTO people SELECT n, n || '@example.org' FROM generate_series(0, 1999) n;
            INSERT INTO authors SELECT n, n % 2000, n % 2 = 0 FROM generate_series(0, 3999) n;
            INSERT INTO posts SELECT n, n % 4000, repeat('x', 50) FROM generate_series(0, 39999) n;
            INSERT INTO comments SELECT n, n FROM generate_series(0, 39999) n;
            CREATE INDEX ON authors (person_id); CREATE INDEX ON posts (author_id); CREATE INDEX ON comments (post_id);
            ANALYZE people, authors, posts, comments;
            GRANT SELECT, INSERT, UPDATE ON posts, comments TO {login};
            SELECT rolecall.protect('posts'), rolecall.protect('comments');
            SELECT rolecall.allow('users', 'comments', 'all');
            SELECT rolecall.create_role('reviewer'), rolecall.create_role('editor');
            SELECT rolecall.create_user('bob', password => 'p', id => '7', roles => '{{}}');
            SELECT rolecall.create_user('rev', password => 'p', id => '8', roles => '{{reviewer}}');
            SELECT rolecall.create_user('edi', password => 'p', id => '9', roles => '{{reviewer,editor}}');
            SELECT rolecall.allow('users', 'posts', 'all', '{{"author": {{"person_id": {{"equals": "__loggedInUserId"}}}}}}');
            SELECT rolecall.allow('reviewer', 'posts', 'select', '{{"author": {{"verified": {{"equals": true}}}}}}');
            SELECT rolecall.allow('editor', 'posts', 'select');"#
        ),
    );
    let app = database.connect(&login);
    (database, admin, app)
}

fn log_in(admin: &mut Client, app: &mut Client, name: &str) {
    let token = first_token(admin, name, "p", "seven dwarfs, 1 giant");
    authenticate(app, &token, true);
}

#[test]
fn a_few_related_rows_are_an_index_scan_and_many_are_none() {
    let (_database, mut admin, mut app) = posts();
    log_in(&mut admin, &mut app, "bob");
    let bobs = plan(&mut app, "SELECT * FROM posts");
    assert!(bobs.contains("Index Cond: (author_id = ANY (rolecall_relations.ids_of"), "{bobs}");
    assert!(!bobs.contains("Seq Scan") && !bobs.contains("has_role") && !bobs.contains("related("), "{bobs}");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts"), 20);
    log_in(&mut admin, &mut app, "rev");
    let broad = plan(&mut app, "SELECT * FROM posts");
    assert!(broad.contains("Seq Scan on posts") && broad.contains("is_in(author_id, $"), "{broad}");
    assert!(!broad.contains("SubPlan"), "nothing is looked up row by row: {broad}");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts"), 20_000);
    log_in(&mut admin, &mut app, "edi");
    assert_eq!(plan(&mut app, "SELECT * FROM posts"), "Seq Scan on posts");
}

#[test]
fn one_row_is_looked_up_by_its_key() {
    let (_database, mut admin, mut app) = posts();
    log_in(&mut admin, &mut app, "rev");
    for query in [
        "SELECT * FROM posts WHERE id = 5",
        "SELECT * FROM posts p WHERE 5 = p.id AND body <> ''",
        "SELECT * FROM posts WHERE id IN (5, 6)",
        "SELECT * FROM (SELECT * FROM posts) q WHERE id = 5",
        "SELECT * FROM comments c JOIN posts p ON p.id = c.post_id WHERE c.id = 5",
        "SELECT * FROM comments c LEFT JOIN posts p ON p.id = c.post_id WHERE c.id = 5",
        "UPDATE posts SET body = 'y' WHERE id = 5",
        "INSERT INTO posts VALUES (50000, 7, 'z')",
        "INSERT INTO posts VALUES (5, 7, 'z') ON CONFLICT (id) DO UPDATE SET body = 'z'",
    ] {
        let by_row = plan(&mut app, query);
        assert!(!by_row.contains("is_in("), "{query}: {by_row}");
    }
    for query in [
        "SELECT * FROM posts WHERE id > 5",
        "SELECT * FROM posts WHERE author_id = 5",
        "SELECT * FROM comments c JOIN posts p ON p.id = c.post_id",
        "SELECT * FROM posts p JOIN posts q ON p.id = q.id",
        "SELECT * FROM posts WHERE id = 5 OR body = ''",
    ] {
        let by_set = plan(&mut app, query);
        assert!(by_set.contains("is_in("), "{query}: {by_set}");
    }
    for mode in ["force_generic_plan", "force_custom_plan"] {
        run(
            &mut app,
            &format!("SET plan_cache_mode = {mode}; DEALLOCATE ALL; PREPARE one AS SELECT * FROM posts WHERE id = $1"),
        );
        let one = plan(&mut app, "EXECUTE one(5)");
        assert!(!one.contains("is_in(") && one.contains("SubPlan"), "{mode}: {one}");
    }
}

/// Trap 6.
#[test]
fn parallel_plans_are_kept() {
    let (_database, mut admin, mut app) = posts();
    log_in(&mut admin, &mut app, "rev");
    run(
        &mut app,
        "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
         SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off",
    );
    let parallel = plan(&mut app, "SELECT count(*) FROM posts");
    assert!(parallel.contains("Workers Planned: 2") && parallel.contains("is_in("), "{parallel}");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts"), 20_000);
}

#[test]
fn several_roles_share_one_scan_of_the_indexes() {
    let (_database, mut admin, mut app) = posts();
    run(
        &mut admin,
        r#"CREATE INDEX ON posts (body); UPDATE posts SET body = 'mine ' || id WHERE id < 1000; ANALYZE posts;
           SELECT rolecall.allow('guest', 'posts', 'select', '{"body": {"equals": "mine 5"}}')"#,
    );
    log_in(&mut admin, &mut app, "bob");
    let union = plan(&mut app, "SELECT * FROM posts");
    assert!(union.contains("BitmapOr") && union.contains("author_id = ANY"), "{union}");
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM posts"), 21);
}
