//! Filters over related tables.

use crate::support::*;
use postgres::Client;
use rolecall_tests::Database;

/// A publishing house: users with roles and managers, authors, posts with comments and tags.
pub struct House {
    pub database: Database<'static>,
    pub app: String,
    pub tokens: Vec<(&'static str, String)>,
}

pub const TABLES: &str = r#"
    CREATE TABLE users (id text PRIMARY KEY, email text, name text NOT NULL, active boolean, manager_id text REFERENCES users);
    CREATE TABLE roles (id text PRIMARY KEY, name text NOT NULL);
    CREATE TABLE users_roles (user_id text REFERENCES users, role_id text REFERENCES roles, PRIMARY KEY (user_id, role_id));
    CREATE TABLE authors (id text PRIMARY KEY, name text NOT NULL, user_id text REFERENCES users);
    CREATE TABLE posts (id text PRIMARY KEY, title text, public boolean, stars int, author_id text REFERENCES authors,
                        created_by_id text REFERENCES users);
    CREATE TABLE comments (id text PRIMARY KEY, post_id text NOT NULL REFERENCES posts, likes int, user_id text REFERENCES users);
    CREATE TABLE tags (id int PRIMARY KEY, label text NOT NULL);
    CREATE TABLE posts_tags (post_id text REFERENCES posts, tag_id int REFERENCES tags, PRIMARY KEY (post_id, tag_id));
    INSERT INTO users VALUES ('ann', 'ann@stage.com', 'Ann', true, NULL), ('ben', 'ben@other.org', 'Ben', true, 'ann'),
        ('cat', 'cat@stage.com', 'Cat', false, 'ann'), ('dan', 'dan@stage.com', 'Dan', NULL, 'ben'), ('eve', NULL, 'Eve', true, NULL);
    INSERT INTO roles VALUES ('r1', 'Editor'), ('r2', 'Reader'), ('r3', 'Nobody');
    INSERT INTO users_roles VALUES ('ann', 'r1'), ('ann', 'r2'), ('ben', 'r1'), ('cat', 'r2'), ('dan', 'r1');
    INSERT INTO authors VALUES ('a1', 'Ann W', 'ann'), ('a2', 'Ben W', 'ben'), ('a3', 'Cat W', 'cat'), ('a4', 'Orphan', NULL),
        ('a5', 'Dan W', 'dan'), ('a6', 'Silent', 'eve');
    INSERT INTO posts VALUES ('p1', 'One', true, 10, 'a1', 'ann'), ('p2', 'Two', false, 0, 'a2', 'ben'),
        ('p3', 'Three', true, 250, 'a3', 'cat'), ('p4', 'Four', true, 10, 'a2', 'ben'), ('p5', NULL, NULL, NULL, NULL, NULL),
        ('p6', 'Six', false, 7, 'a4', 'ann'), ('p7', '', true, 100, 'a5', 'dan');
    INSERT INTO comments VALUES ('c1', 'p1', 0, 'ben'), ('c2', 'p1', 10, 'cat'), ('c3', 'p2', 5, 'ann'), ('c4', 'p3', NULL, NULL),
        ('c5', 'p4', 3, 'ann'), ('c6', 'p4', NULL, 'ben'), ('c7', 'p7', 8, 'eve');
    INSERT INTO tags VALUES (1, 'news'), (2, 'tech'), (3, 'unused');
    INSERT INTO posts_tags VALUES ('p1', 1), ('p1', 2), ('p3', 2), ('p4', 1), ('p7', 2);"#;

impl House {
    pub fn new() -> Self {
        let database = database();
        let app = database.login("app");
        let mut admin = database.admin();
        run(&mut admin, TABLES);
        run(
            &mut admin,
            &format!(
                "GRANT SELECT, UPDATE ON users, roles, authors, posts, comments, tags TO {app};
                 SELECT rolecall.protect(t) FROM unnest('{{users,roles,authors,posts,comments,tags}}'::regclass[]) t;
                 SELECT rolecall.users_table('users', 'id');
                 SELECT rolecall.relate('posts', 'createdBy', 'users', '{{created_by_id}}', '{{id}}');
                 SELECT rolecall.relate('users', 'reports', 'users', '{{id}}', '{{manager_id}}');"
            ),
        );
        let tokens = ["ann", "ben", "dan"].map(|name| {
            let email = if name == "ben" { "ben@other.org" } else { "ann@stage.com" };
            run(&mut admin, &format!("SELECT rolecall.create_user('{name}', '{email}', 'p', id => '{name}')"));
            (name, first_token(&mut admin, name, "p", "seven dwarfs, 1 giant"))
        });
        Self { database, app, tokens: tokens.into() }
    }

    pub fn connect(&self, who: Option<&str>) -> Client {
        let mut app = self.database.connect(&self.app);
        if let Some(who) = who {
            let (_, token) = self.tokens.iter().find(|(name, _)| *name == who).unwrap();
            authenticate(&mut app, token, true);
        }
        app
    }

    /// The ids that somebody sees in a table through a filter: of a scan and, the other form, of a look at each key.
    pub fn seen(&self, who: Option<&str>, table: &str, filter: &str) -> Vec<String> {
        let mut admin = self.database.admin();
        let allow = "SELECT rolecall.allow('guest', $1::text::regclass, 'select', $2::text::jsonb)";
        admin.execute(allow, &[&table, &filter]).unwrap_or_else(|e| panic!("{filter}: {e:?}"));
        let mut app = self.connect(who);
        let scanned = column(&mut app, &format!("SELECT id::text FROM {table} ORDER BY 1"));
        let ids = column(&mut admin, &format!("SELECT id::text FROM {table} ORDER BY 1"));
        let by_key =
            app.prepare(&format!("SELECT id::text FROM {table} WHERE id = $1::text::{}", key_type(table))).unwrap();
        let found: Vec<String> =
            ids.iter().flat_map(|id| app.query(&by_key, &[id]).unwrap()).map(|row| row.get(0)).collect();
        assert_eq!(scanned, found, "{filter}: a scan and the keys");
        scanned
    }
}

fn key_type(table: &str) -> &str {
    if table == "tags" { "int" } else { "text" }
}

#[test]
fn related_rows_decide() {
    let house = House::new();
    for (table, filter, expected) in [
        ("posts", r#"{"author": {"name": {"equals": "Ben W"}}}"#, "p2 p4"),
        ("posts", r#"{"author": {}}"#, "p1 p2 p3 p4 p6 p7"),
        ("posts", r#"{"author": {"user": {"email": {"ends_with": "@stage.com"}}}}"#, "p1 p3 p7"),
        ("posts", r#"{"NOT": {"author": {"name": {"equals": "Ann W"}}}}"#, "p2 p3 p4 p5 p6 p7"),
        ("authors", r#"{"posts": {"none": {"public": {"equals": true}}}}"#, "a4 a6"),
        ("authors", r#"{"posts": {"every": {"public": {"equals": true}}}}"#, "a1 a3 a5 a6"),
        ("authors", r#"{"posts": {"every": {"public": {"equals": true}}, "some": {}}}"#, "a1 a3 a5"),
        ("posts", r#"{"comments": {"some": {"AND": [{"likes": {"gte": 10}}, {"likes": {"equals": 0}}]}}}"#, ""),
        ("posts", r#"{"comments": {"every": {"likes": {"gt": 2}}}}"#, "p2 p5 p6 p7"),
        ("posts", r#"{"comments": {"none": {"likes": {"gt": 2}}}}"#, "p3 p5 p6"),
        ("posts", r#"{"comments": {"some": {}}}"#, "p1 p2 p3 p4 p7"),
        ("posts", r#"{"comments": {"every": {}}}"#, "p1 p2 p3 p4 p5 p6 p7"),
        ("posts", r#"{"comments": {"none": {}}}"#, "p5 p6"),
        ("users", r#"{"roles": {"some": {"name": {"equals": "Editor"}}}}"#, "ann ben dan"),
        ("users", r#"{"roles": {"none": {"name": {"equals": "Editor"}}}}"#, "cat eve"),
        ("roles", r#"{"users": {"some": {"active": {"equals": true}}}}"#, "r1 r2"),
        ("roles", r#"{"users": {"every": {"active": {"equals": true}}}}"#, "r3"),
        ("users", r#"{"manager": {"manager": {"name": {"equals": "Ann"}}}}"#, "dan"),
        ("users", r#"{"reports": {"some": {"reports": {"some": {}}}}}"#, "ann"),
        ("users", r#"{"authors": {"none": {"posts": {"some": {"public": {"equals": true}}}}}}"#, "eve"),
        (
            "posts",
            r#"{"OR": [{"tags": {"some": {"label": {"equals": "news"}}}}, {"stars": {"equals": 7}}]}"#,
            "p1 p4 p6",
        ),
        ("tags", r#"{"posts": {"some": {"author": {"user": {"manager": {"id": {"equals": "ann"}}}}}}}"#, "1 2"),
        ("tags", r#"{"posts_tags": {"none": {}}}"#, "3"),
        ("comments", r#"{"post": {"comments": {"some": {"likes": {"equals": 10}}}}}"#, "c1 c2"),
    ] {
        assert_eq!(house.seen(None, table, filter).join(" "), expected, "{table} {filter}");
    }
}

#[test]
fn variables_in_related_rows_are_the_readers() {
    let house = House::new();
    for (who, table, filter, expected) in [
        (Some("ann"), "posts", r#"{"createdBy": {"is_self": true}}"#, "p1 p6"),
        (Some("ann"), "posts", r#"{"createdBy": {"not_self": true}}"#, "p2 p3 p4 p7"),
        (None, "posts", r#"{"createdBy": {"is_self": true}}"#, ""),
        (None, "users", r#"{"not_self": true}"#, ""),
        (Some("ben"), "users", r#"{"is_self": false}"#, "ann cat dan eve"),
        (
            Some("ben"),
            "posts",
            r#"{"comments": {"none": {"user": {"id": {"equals": "__loggedInUserId"}}}}}"#,
            "p2 p3 p5 p6 p7",
        ),
        (
            Some("ann"),
            "posts",
            r#"{"author": {"user": {"reports": {"some": {"id": {"equals": "__loggedInUserId"}}}}}}"#,
            "",
        ),
        (
            Some("dan"),
            "posts",
            r#"{"author": {"user": {"reports": {"some": {"id": {"equals": "__loggedInUserId"}}}}}}"#,
            "p2 p4",
        ),
        (
            Some("ben"),
            "users",
            r#"{"roles": {"some": {"users": {"some": {"email": {"equals": "__loggedInUserEmail"}}}}}}"#,
            "ann ben dan",
        ),
    ] {
        assert_eq!(house.seen(who, table, filter).join(" "), expected, "{who:?} {table} {filter}");
    }
}

/// Contract 6, rule 8.
/// Trap 23.
#[test]
fn an_absent_variable_shows_no_more() {
    let house = House::new();
    for (table, filter, expected) in [
        ("posts", r#"{"comments": {"none": {"user_id": {"equals": "__loggedInUserId"}}}}"#, "p5 p6"),
        ("posts", r#"{"comments": {"every": {"user_id": {"not_equals": "__loggedInUserId"}}}}"#, "p5 p6"),
        ("posts", r#"{"comments": {"every": {"NOT": {"user_id": {"equals": "__loggedInUserId"}}}}}"#, "p5 p6"),
        ("posts", r#"{"NOT": {"comments": {"some": {"user_id": {"equals": "__loggedInUserId"}}}}}"#, "p5 p6"),
        ("posts", r#"{"NOT": {"comments": {"every": {"user_id": {"equals": "__loggedInUserId"}}}}}"#, ""),
        ("posts", r#"{"NOT": {"author": {"user_id": {"equals": "__loggedInUserId"}}}}"#, "p5"),
        ("posts", r#"{"comments": {"none": {"user_id": {"in": ["__loggedInUserId", "eve"]}}}}"#, "p5 p6"),
        ("posts", r#"{"comments": {"none": {"NOT": {"user_id": {"in": ["__loggedInUserId"]}}}}}"#, "p5 p6"),
        (
            "posts",
            r#"{"comments": {"none": {"likes": {"equals": 8}, "user_id": {"equals": "__loggedInUserId"}}}}"#,
            "p1 p2 p3 p4 p5 p6",
        ),
        ("posts", r#"{"comments": {"none": {"user_id": {"starts_with": "__loggedInUserId"}}}}"#, "p5 p6"),
    ] {
        assert_eq!(house.seen(None, table, filter).join(" "), expected, "{table} {filter}");
    }
}
