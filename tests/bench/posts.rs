//! The tables of the filters' benchmark.
//!
//! Every contender has posts and their tags in a schema of its own; users, authors and tags, which none of them
//! protects, are shared. A contender's connections have its schema in their search path: all send the same text.

use crate::cases;
use postgres::Client;
use rolecall_tests::Database;

/// Posts of each contender.
pub const POSTS: i64 = 1_000_000;
/// The login of the application.
pub const APP: &str = "posts_app";
/// The schemas.
pub const CONTENDERS: [&str; 5] = ["open", "rolecalled", "by_hand", "supabase", "plpgsql"];

/// What is shared. `auth.uid()` and `authorize()` are Supabase's own, but for uuid as the type of an id.
const SHARED: &str = "
    CREATE TABLE users (id text PRIMARY KEY, email text NOT NULL);
    INSERT INTO users SELECT 'u' || n, 'user' || n || CASE WHEN n % 1000 = 7 THEN '@tinymedia.com'
        WHEN n % 2 = 0 THEN '@stagemedia.com' ELSE '@elsewhere.org' END FROM generate_series(1, 10000) n;
    CREATE TABLE authors (id bigint PRIMARY KEY, user_id text NOT NULL REFERENCES users, active boolean NOT NULL);
    INSERT INTO authors SELECT n, 'u' || 1 + n / 2 % 10000, n % 4 < 2 FROM generate_series(1, 20000) n;
    CREATE INDEX ON authors (user_id);
    CREATE TABLE tags (id bigint PRIMARY KEY, label text NOT NULL UNIQUE);
    INSERT INTO tags SELECT n, CASE n WHEN 1 THEN 'news' WHEN 7 THEN 'rare' ELSE 'tag ' || n END
        FROM generate_series(1, 5000) n;

    CREATE TABLE app_roles (user_id text, role text, PRIMARY KEY (user_id, role));
    INSERT INTO app_roles VALUES ('u9', 'editor'), ('u8', 'owners'), ('u8', 'reviewers'), ('u8', 'writers');
    CREATE VIEW my_roles AS
        SELECT role FROM app_roles WHERE user_id = (SELECT current_setting('app.user_id', true));
    CREATE SCHEMA auth;
    CREATE FUNCTION auth.uid() RETURNS text STABLE LANGUAGE sql AS $$ SELECT coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') $$;
    CREATE FUNCTION authorize(wanted text) RETURNS boolean STABLE SECURITY DEFINER SET search_path = ''
        LANGUAGE plpgsql AS $$ BEGIN
            RETURN EXISTS (SELECT FROM public.app_roles a WHERE a.user_id = (SELECT auth.uid()) AND a.role = wanted);
        END $$;";

/// A contender's tables. A user's posts are scattered over the table.
fn contender(schema: &str) -> String {
    format!(
        "CREATE SCHEMA {schema};
        SET search_path = {schema}, public;
        CREATE TABLE posts (id bigint PRIMARY KEY, author_id bigint NOT NULL, owner_id text NOT NULL,
            creator_id text NOT NULL, status text NOT NULL, views bigint NOT NULL, title text NOT NULL);
        INSERT INTO posts SELECT n, 1 + n * 7919 % 20000, 'u' || 1 + n * 7919 % 10000, 'u' || 1 + n * 7919 % 10000,
            (array['draft', 'review', 'published', 'archived'])[1 + n % 4], n % 1000, 'post ' || n
            FROM generate_series(1, {POSTS}::bigint) n;
        CREATE INDEX ON posts (owner_id);
        CREATE INDEX ON posts (author_id);
        ALTER TABLE posts ADD FOREIGN KEY (author_id) REFERENCES authors;
        CREATE TABLE posts_tags (post_id bigint, tag_id bigint, PRIMARY KEY (post_id, tag_id));
        INSERT INTO posts_tags SELECT n, CASE WHEN n % 8 = 0 THEN 1 ELSE 2 + n % 4999 END
            FROM generate_series(4, {POSTS}, 4) n;
        CREATE INDEX ON posts_tags (tag_id);
        ALTER TABLE posts_tags ADD FOREIGN KEY (post_id) REFERENCES posts, ADD FOREIGN KEY (tag_id) REFERENCES tags;
        GRANT USAGE ON SCHEMA {schema} TO {APP};
        GRANT SELECT ON posts, posts_tags TO {APP};"
    )
}

/// Creates everything but the rules. Returns the tokens of a reader, of somebody with three roles and of an editor.
pub fn lay_out(admin: &mut Client) -> [String; 3] {
    admin
        .batch_execute(&format!(
            "{SHARED}
            CREATE ROLE {APP} LOGIN;
            GRANT USAGE ON SCHEMA auth TO {APP};
            GRANT SELECT ON ALL TABLES IN SCHEMA public TO {APP};"
        ))
        .expect("the shared tables");
    for schema in CONTENDERS {
        admin.batch_execute(&contender(schema)).expect("a contender's tables");
    }
    admin
        .batch_execute(
            "RESET search_path;
            ALTER TABLE by_hand.posts ENABLE ROW LEVEL SECURITY;
            ALTER TABLE supabase.posts ENABLE ROW LEVEL SECURITY;
            ALTER TABLE plpgsql.posts ENABLE ROW LEVEL SECURITY;
            SELECT rolecall.protect('rolecalled.posts');
            SELECT rolecall.create_role(r) FROM unnest('{owners,reviewers,writers,editor}'::text[]) r;
            SELECT rolecall.create_user('reader', password => 'p', id => 'u7');
            SELECT rolecall.create_user('several', password => 'p', id => 'u8', roles => '{owners,reviewers,writers}');
            SELECT rolecall.create_user('editor', password => 'p', id => 'u9', roles => '{editor}');",
        )
        .expect("the users");
    admin.batch_execute("VACUUM ANALYZE").expect("statistics");
    ["reader", "several", "editor"].map(|name| cases::log_in(admin, name))
}

/// A connection of a contender's application on which the token's user acts, for all kinds of rules.
pub fn connect(database: &Database, schema: &str, token: &str) -> Client {
    let mut app = database.connect(APP);
    app.batch_execute(&format!("SET search_path = {schema}, public; SET max_parallel_workers_per_gather = 0"))
        .expect("settings");
    cases::become_user(&mut app, token, true);
    let claims = "SELECT set_config('request.jwt.claims', json_build_object('sub', rolecall.user_id())::text, false)";
    app.execute(claims, &[]).expect("the claims");
    app
}
