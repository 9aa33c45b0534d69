//! The rules of the filters' benchmark, each as the five contenders write it.

use crate::posts::CONTENDERS;
use postgres::Client;

/// Who reads.
#[derive(Clone, Copy)]
pub enum Reader {
    /// Has no role.
    Plain,
    /// Has the three roles `owners`, `reviewers` and `writers`.
    Several,
    /// Has the role `editor`.
    Editor,
}

/// A rule five times.
pub struct Rule {
    pub name: &'static str,
    pub reader: Reader,
    /// The condition in the WHERE clause of who needs no row-level security, in the forms that somebody skilled tries;
    /// the fastest of a reading is the limit. IN and EXISTS are one form there, a join whose order the planner chooses,
    /// but not below OR; an EXISTS that is tested (IS TRUE) stays where it stands.
    pub conditions: &'static [(&'static str, &'static str)],
    /// Roles and their filters.
    filters: &'static [(&'static str, &'static str)],
    /// The best policies. In a policy the planner leaves a sub-select where it stands, so that its form decides:
    /// `= ANY (ARRAY(...))` uses the index and is best for few related rows, EXISTS chooses between one look-up per row
    /// and one hash table and is best for many. Whether somebody has a role is looked up once.
    by_hand: &'static [&'static str],
    /// What Supabase's documentation recommends: `(SELECT auth.uid())`, and `column IN (SELECT f())` with the set
    /// from a function that is not subject to the other tables' policies.
    supabase: &'static [&'static str],
    /// What `related()` returns for Supabase's policies.
    related: Option<&'static str>,
    /// What a function of PL/pgSQL returns for a row.
    plpgsql: &'static str,
}

const OWN: &str = r#"{"owner_id": {"equals": "__loggedInUserId"}}"#;
const AUTHORED: &str = r#"{"author": {"user_id": {"equals": "__loggedInUserId"}}}"#;

/// All rules.
pub const RULES: [Rule; 12] = [
    Rule {
        name: "all rows",
        reader: Reader::Editor,
        conditions: &[("", "true")],
        filters: &[("editor", "{}")],
        by_hand: &["EXISTS (SELECT FROM my_roles WHERE role = 'editor')"],
        supabase: &["(SELECT authorize('editor'))"],
        related: None,
        plpgsql: "EXISTS (SELECT FROM my_roles WHERE role = 'editor')",
    },
    Rule {
        name: "owner, index",
        reader: Reader::Plain,
        conditions: &[("", "owner_id = 'u7'")],
        filters: &[("users", OWN)],
        by_hand: &["owner_id = (SELECT current_setting('app.user_id', true))"],
        supabase: &["(SELECT auth.uid()) = owner_id"],
        related: None,
        plpgsql: "owner_id = current_setting('app.user_id', true)",
    },
    Rule {
        name: "owner, no index",
        reader: Reader::Plain,
        conditions: &[("", "creator_id = 'u7'")],
        filters: &[("users", r#"{"creator_id": {"equals": "__loggedInUserId"}}"#)],
        by_hand: &["creator_id = (SELECT current_setting('app.user_id', true))"],
        supabase: &["(SELECT auth.uid()) = creator_id"],
        related: None,
        plpgsql: "creator_id = current_setting('app.user_id', true)",
    },
    Rule {
        name: "status in list, half of the rows",
        reader: Reader::Plain,
        conditions: &[("", "status IN ('review', 'published')")],
        filters: &[("users", r#"{"status": {"in": ["review", "published"]}}"#)],
        by_hand: &["status IN ('review', 'published')"],
        supabase: &["status IN ('review', 'published')"],
        related: None,
        plpgsql: "status IN ('review', 'published')",
    },
    Rule {
        name: "one level, 2 authors",
        reader: Reader::Plain,
        conditions: &[
            ("join", "author_id IN (SELECT a.id FROM authors a WHERE a.user_id = 'u7')"),
            ("in place", "EXISTS (SELECT FROM authors a WHERE a.id = author_id AND a.user_id = 'u7') IS TRUE"),
        ],
        filters: &[("users", AUTHORED)],
        by_hand: &["author_id = ANY (ARRAY(
            SELECT a.id FROM authors a WHERE a.user_id = (SELECT current_setting('app.user_id', true))))"],
        supabase: &["author_id IN (SELECT related())"],
        related: Some("SELECT a.id FROM public.authors a WHERE a.user_id = (SELECT auth.uid())"),
        plpgsql: "EXISTS (SELECT FROM authors a
            WHERE a.id = author_id AND a.user_id = current_setting('app.user_id', true))",
    },
    Rule {
        name: "one level, half of the authors",
        reader: Reader::Plain,
        conditions: &[
            ("join", "author_id IN (SELECT a.id FROM authors a WHERE a.active)"),
            ("in place", "EXISTS (SELECT FROM authors a WHERE a.id = author_id AND a.active) IS TRUE"),
        ],
        filters: &[("users", r#"{"author": {"active": {"equals": true}}}"#)],
        by_hand: &["EXISTS (SELECT FROM authors a WHERE a.id = author_id AND a.active)"],
        supabase: &["author_id IN (SELECT related())"],
        related: Some("SELECT a.id FROM public.authors a WHERE a.active"),
        plpgsql: "EXISTS (SELECT FROM authors a WHERE a.id = author_id AND a.active)",
    },
    Rule {
        name: "two levels, 20 authors",
        reader: Reader::Plain,
        conditions: &[
            (
                "join",
                "author_id IN (SELECT a.id FROM authors a JOIN users u ON u.id = a.user_id
                WHERE u.email LIKE '%@tinymedia.com')",
            ),
            (
                "in place",
                "EXISTS (SELECT FROM authors a JOIN users u ON u.id = a.user_id
                WHERE a.id = author_id AND u.email LIKE '%@tinymedia.com') IS TRUE",
            ),
        ],
        filters: &[("users", r#"{"author": {"user": {"email": {"ends_with": "@tinymedia.com"}}}}"#)],
        by_hand: &["author_id = ANY (ARRAY(SELECT a.id FROM authors a JOIN users u ON u.id = a.user_id
            WHERE u.email LIKE '%@tinymedia.com'))"],
        supabase: &["author_id IN (SELECT related())"],
        related: Some(
            "SELECT a.id FROM public.authors a JOIN public.users u ON u.id = a.user_id
            WHERE u.email LIKE '%@tinymedia.com'",
        ),
        plpgsql: "EXISTS (SELECT FROM authors a JOIN users u ON u.id = a.user_id
            WHERE a.id = author_id AND u.email LIKE '%@tinymedia.com')",
    },
    Rule {
        name: "two levels, half of the authors",
        reader: Reader::Plain,
        conditions: &[
            (
                "join",
                "author_id IN (SELECT a.id FROM authors a JOIN users u ON u.id = a.user_id
                WHERE u.email LIKE '%@stagemedia.com')",
            ),
            (
                "in place",
                "EXISTS (SELECT FROM authors a JOIN users u ON u.id = a.user_id
                WHERE a.id = author_id AND u.email LIKE '%@stagemedia.com') IS TRUE",
            ),
        ],
        filters: &[("users", r#"{"author": {"user": {"email": {"ends_with": "@stagemedia.com"}}}}"#)],
        by_hand: &["EXISTS (SELECT FROM authors a JOIN users u ON u.id = a.user_id
            WHERE a.id = author_id AND u.email LIKE '%@stagemedia.com')"],
        supabase: &["author_id IN (SELECT related())"],
        related: Some(
            "SELECT a.id FROM public.authors a JOIN public.users u ON u.id = a.user_id
            WHERE u.email LIKE '%@stagemedia.com'",
        ),
        plpgsql: "EXISTS (SELECT FROM authors a JOIN users u ON u.id = a.user_id
            WHERE a.id = author_id AND u.email LIKE '%@stagemedia.com')",
    },
    Rule {
        name: "many to many, a rare tag",
        reader: Reader::Plain,
        conditions: &[
            (
                "join",
                "id IN (SELECT p.post_id FROM posts_tags p JOIN tags t ON t.id = p.tag_id
                WHERE t.label = 'rare')",
            ),
            (
                "in place",
                "EXISTS (SELECT FROM posts_tags p JOIN tags t ON t.id = p.tag_id
                WHERE p.post_id = posts.id AND t.label = 'rare') IS TRUE",
            ),
        ],
        filters: &[("users", r#"{"tags": {"some": {"label": {"equals": "rare"}}}}"#)],
        by_hand: &["id = ANY (ARRAY(
            SELECT p.post_id FROM posts_tags p JOIN tags t ON t.id = p.tag_id WHERE t.label = 'rare'))"],
        supabase: &["id IN (SELECT related())"],
        related: Some(
            "SELECT p.post_id FROM supabase.posts_tags p JOIN public.tags t ON t.id = p.tag_id WHERE t.label = 'rare'",
        ),
        plpgsql: "EXISTS (SELECT FROM posts_tags p JOIN tags t ON t.id = p.tag_id
            WHERE p.post_id = may_read.id AND t.label = 'rare')",
    },
    Rule {
        name: "many to many, a tag of every 8th post",
        reader: Reader::Plain,
        conditions: &[
            (
                "join",
                "id IN (SELECT p.post_id FROM posts_tags p JOIN tags t ON t.id = p.tag_id
                WHERE t.label = 'news')",
            ),
            (
                "in place",
                "EXISTS (SELECT FROM posts_tags p JOIN tags t ON t.id = p.tag_id
                WHERE p.post_id = posts.id AND t.label = 'news') IS TRUE",
            ),
        ],
        filters: &[("users", r#"{"tags": {"some": {"label": {"equals": "news"}}}}"#)],
        by_hand: &["EXISTS (SELECT FROM posts_tags p JOIN tags t ON t.id = p.tag_id
            WHERE p.post_id = posts.id AND t.label = 'news')"],
        supabase: &["id IN (SELECT related())"],
        related: Some(
            "SELECT p.post_id FROM supabase.posts_tags p JOIN public.tags t ON t.id = p.tag_id WHERE t.label = 'news'",
        ),
        plpgsql: "EXISTS (SELECT FROM posts_tags p JOIN tags t ON t.id = p.tag_id
            WHERE p.post_id = may_read.id AND t.label = 'news')",
    },
    Rule {
        name: "three roles, each by an index",
        reader: Reader::Several,
        conditions: &[("", "owner_id = 'u8' OR author_id IN (5, 6) OR id < 100")],
        filters: &[
            ("owners", OWN),
            ("writers", r#"{"author_id": {"in": [5, 6]}}"#),
            ("reviewers", r#"{"id": {"lt": 100}}"#),
        ],
        by_hand: &[
            "EXISTS (SELECT FROM my_roles WHERE role = 'owners')
                AND owner_id = (SELECT current_setting('app.user_id', true))",
            "EXISTS (SELECT FROM my_roles WHERE role = 'writers') AND author_id IN (5, 6)",
            "EXISTS (SELECT FROM my_roles WHERE role = 'reviewers') AND id < 100",
        ],
        supabase: &[
            "(SELECT authorize('owners')) AND (SELECT auth.uid()) = owner_id",
            "(SELECT authorize('writers')) AND author_id IN (5, 6)",
            "(SELECT authorize('reviewers')) AND id < 100",
        ],
        related: None,
        plpgsql: "EXISTS (SELECT FROM my_roles WHERE role = 'owners')
            AND owner_id = current_setting('app.user_id', true)
            OR EXISTS (SELECT FROM my_roles WHERE role = 'writers') AND author_id IN (5, 6)
            OR EXISTS (SELECT FROM my_roles WHERE role = 'reviewers') AND id < 100",
    },
    Rule {
        name: "three roles, one by a relation",
        reader: Reader::Several,
        conditions: &[
            (
                "IN",
                "owner_id = 'u8' OR status IN ('review')
                OR author_id IN (SELECT a.id FROM authors a WHERE a.user_id = 'u8')",
            ),
            (
                "EXISTS",
                "owner_id = 'u8' OR status IN ('review')
                OR EXISTS (SELECT FROM authors a WHERE a.id = author_id AND a.user_id = 'u8')",
            ),
            (
                "ARRAY",
                "owner_id = 'u8' OR status IN ('review')
                OR author_id = ANY (ARRAY(SELECT a.id FROM authors a WHERE a.user_id = 'u8'))",
            ),
        ],
        filters: &[("owners", OWN), ("writers", AUTHORED), ("reviewers", r#"{"status": {"in": ["review"]}}"#)],
        by_hand: &[
            "EXISTS (SELECT FROM my_roles WHERE role = 'owners')
                AND owner_id = (SELECT current_setting('app.user_id', true))",
            "EXISTS (SELECT FROM my_roles WHERE role = 'reviewers') AND status IN ('review')",
            "EXISTS (SELECT FROM my_roles WHERE role = 'writers') AND author_id = ANY (ARRAY(
                SELECT a.id FROM authors a WHERE a.user_id = (SELECT current_setting('app.user_id', true))))",
        ],
        supabase: &[
            "(SELECT authorize('owners')) AND (SELECT auth.uid()) = owner_id",
            "(SELECT authorize('reviewers')) AND status IN ('review')",
            "(SELECT authorize('writers')) AND author_id IN (SELECT related())",
        ],
        related: Some("SELECT a.id FROM public.authors a WHERE a.user_id = (SELECT auth.uid())"),
        plpgsql: "EXISTS (SELECT FROM my_roles WHERE role = 'owners')
            AND owner_id = current_setting('app.user_id', true)
            OR EXISTS (SELECT FROM my_roles WHERE role = 'reviewers') AND status IN ('review')
            OR EXISTS (SELECT FROM my_roles WHERE role = 'writers') AND EXISTS (SELECT FROM authors a
                WHERE a.id = author_id AND a.user_id = current_setting('app.user_id', true))",
    },
];

/// Who sends a query: a contender, or one form of the first.
pub struct Entrant {
    pub schema: &'static str,
    pub form: &'static str,
    /// What stands in the WHERE clause.
    pub condition: &'static str,
}

impl Rule {
    /// All who send a query under this rule, the forms of the first contender first.
    pub fn entrants(&self) -> Vec<Entrant> {
        let [open, protected @ ..] = CONTENDERS;
        let forms = self.conditions.iter().map(|(form, condition)| Entrant { schema: open, form, condition });
        forms.chain(protected.map(|schema| Entrant { schema, form: "", condition: "true" })).collect()
    }

    /// Makes this the rule of all tables.
    pub fn enact(&self, admin: &mut Client) {
        let [_, rolecalled, by_hand, supabase, plpgsql] = CONTENDERS;
        let mut sql = String::new();
        for (role, filter) in self.filters {
            sql += &format!("SELECT rolecall.allow('{role}', '{rolecalled}.posts', 'select', '{filter}');");
        }
        sql += &policies(by_hand, self.by_hand);
        if let Some(related) = self.related {
            sql += &format!(
                "CREATE FUNCTION public.related() RETURNS SETOF bigint STABLE SECURITY DEFINER SET search_path = ''
                    LANGUAGE sql AS $$ {related} $$;"
            );
        }
        sql += &policies(supabase, self.supabase);
        sql += &format!(
            "CREATE FUNCTION public.may_read(id bigint, author_id bigint, owner_id text, creator_id text, status text)
                RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN {}; END $$;",
            self.plpgsql
        );
        sql += &policies(plpgsql, &["may_read(id, author_id, owner_id, creator_id, status)"]);
        admin.batch_execute(&sql).unwrap_or_else(|e| panic!("{}: {e:?}", self.name));
    }

    /// Takes it back.
    pub fn repeal(&self, admin: &mut Client) {
        let mut sql = String::new();
        for (role, _) in self.filters {
            sql += &format!("SELECT rolecall.disallow('{role}', '{}.posts', 'select');", CONTENDERS[1]);
        }
        for (schema, rules) in [(CONTENDERS[2], self.by_hand), (CONTENDERS[3], self.supabase), (CONTENDERS[4], &[""])] {
            for number in 0..rules.len() {
                sql += &format!("DROP POLICY rule{number} ON {schema}.posts;");
            }
        }
        sql += "DROP FUNCTION public.may_read; DROP FUNCTION IF EXISTS public.related;";
        admin.batch_execute(&sql).expect("the rule goes");
    }
}

/// A policy for each of the rules.
fn policies(schema: &str, rules: &[&str]) -> String {
    let mut sql = format!("SET search_path = {schema}, public;");
    for (number, rule) in rules.iter().enumerate() {
        sql += &format!("CREATE POLICY rule{number} ON posts FOR SELECT USING ({rule});");
    }
    sql + "RESET search_path;"
}
