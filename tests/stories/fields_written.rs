//! Roles that are limited to some columns: what one may not write.

use crate::fields::Posts;
use crate::support::*;

const EDIT: &str = r#"SELECT rolecall.allow('reader', 'posts', 'update', columns => '{title}');
    SELECT rolecall.allow('reader', 'posts', 'insert', columns => '{id,title}')"#;

/// Trap 27.
#[test]
fn one_writes_only_ones_columns() {
    let Posts { mut admin, mut app, ann, ben, cleo, .. } = Posts::new();
    run(&mut admin, EDIT);
    let write = |column: &str| format!("none of your roles may write column \"{column}\" of table public.posts");
    authenticate(&mut app, &ben, true);
    for (statement, column) in [
        ("UPDATE posts SET body = 'x'", "body"),
        ("UPDATE posts SET title = 'x', body = DEFAULT", "body"),
        ("UPDATE posts SET (title, author_id) = ROW('x', 'b')", "author_id"),
        ("INSERT INTO posts (id, title, body) VALUES (20, 't', NULL)", "body"),
        ("INSERT INTO posts (id, body) VALUES (20, DEFAULT)", "body"),
        ("INSERT INTO posts VALUES (20, 'b')", "author_id"),
        ("INSERT INTO posts (id, title) VALUES (1, 't') ON CONFLICT (id) DO UPDATE SET id = 50", "id"),
        ("MERGE INTO posts USING (SELECT 1 AS i) s ON id = i WHEN MATCHED THEN UPDATE SET body = 'x'", "body"),
        (
            "MERGE INTO posts USING (SELECT 20 AS i) s ON id = i WHEN NOT MATCHED THEN INSERT (id, body) VALUES (i, 'x')",
            "body",
        ),
    ] {
        refused(&mut app, statement, "42501", &write(column));
    }
    assert_eq!(app.execute("UPDATE posts SET title = title || '!'", &[]).unwrap(), 9);
    assert_eq!(app.execute("UPDATE posts SET title = 'x'", &[]).unwrap(), 9, "without reading");
    assert_eq!(app.execute("INSERT INTO posts (id, title) VALUES (20, 't') RETURNING id", &[]).unwrap(), 1);
    let upsert = "INSERT INTO posts (id, title) VALUES (20, 'u') ON CONFLICT (id) DO UPDATE SET title = excluded.title";
    assert_eq!(app.execute(upsert, &[]).unwrap(), 1);
    let merge = "MERGE INTO posts USING (SELECT 20 AS i) s ON id = i WHEN MATCHED THEN UPDATE SET title = 'm'";
    assert_eq!(app.execute(merge, &[]).unwrap(), 1);
    // With both roles: the title of all, the body of one's own.
    authenticate(&mut app, &cleo, true);
    assert_eq!(app.execute("UPDATE posts SET title = 'y'", &[]).unwrap(), 10);
    assert_eq!(app.execute("UPDATE posts SET body = 'y'", &[]).unwrap(), 3);
    assert_eq!(app.execute("UPDATE posts SET title = 'z', body = 'z'", &[]).unwrap(), 3);
    refused(&mut app, "UPDATE posts SET author_id = 'a' WHERE author_id = 'c'", "42501", "row-level security");
    refused(&mut app, "INSERT INTO posts VALUES (21, 'a', 't', 'b')", "42501", "row-level security");
    assert_eq!(app.execute("INSERT INTO posts VALUES (21, 'c', 't', 'b')", &[]).unwrap(), 1);
    authenticate(&mut app, &ann, true);
    assert_eq!(app.execute("UPDATE posts SET title = 'y', body = 'y'", &[]).unwrap(), 3);
}

/// Trap 9.
#[test]
fn views_take_writes_to_ones_columns() {
    let Posts { mut admin, mut app, ben, login, .. } = Posts::new();
    run(&mut admin, EDIT);
    run(
        &mut admin,
        &format!(
            "CREATE VIEW v WITH (security_invoker) AS SELECT title AS t, id AS i FROM posts; GRANT ALL ON v TO {login};
             CREATE VIEW w WITH (security_invoker) AS SELECT body AS t, id AS i FROM posts; GRANT ALL ON w TO {login}"
        ),
    );
    authenticate(&mut app, &ben, true);
    assert_eq!(app.execute("UPDATE v SET t = 'x' WHERE i = 1", &[]).unwrap(), 1);
    assert_eq!(app.execute("INSERT INTO v VALUES ('x', 30)", &[]).unwrap(), 1);
    refused(&mut app, "UPDATE w SET t = 'x'", "42501", "column \"body\"");
    refused(&mut app, "INSERT INTO w VALUES ('x', 31)", "42501", "column \"body\"");
}
