//! What filters over related tables become.

use super::*;
use serde_json::{Value, json};
use std::rc::Rc;

const POSTS: u32 = 1;
const PEOPLE: u32 = 2;
const TAGS: u32 = 3;
const POSTS_TAGS: u32 = 4;

fn column(name: &str) -> Column {
    Column {
        name: name.into(),
        data_type: Type::Integer(32),
        sql_type: "pg_catalog.int4".into(),
        is_id: name.ends_with("id"),
        labels: Vec::new(),
        operators_of: "pg_catalog".into(),
        collation: String::new(),
        bitwise: true,
        element: None,
    }
}

fn table(id: u32) -> Option<Rc<Table>> {
    let relation = |name: &str, many, other, left: &str, right: &str| Relation {
        name: name.into(),
        many,
        other,
        columns: vec![(left.into(), right.into())],
        through: None,
    };
    let (name, columns, relations) = match id {
        POSTS => {
            let tags = Relation {
                through: Some((POSTS_TAGS, vec![("tag_id".into(), "id".into())])),
                ..relation("tags", true, TAGS, "id", "post_id")
            };
            let twice = relation("twice", false, PEOPLE, "id", "id");
            let broken = relation("broken", false, PEOPLE, "gone", "id");
            let author = relation("author", false, PEOPLE, "author_id", "id");
            ("s.posts", ["id", "author_id", "stars"], vec![author, tags, twice.clone(), twice, broken])
        }
        PEOPLE => {
            let boss = relation("boss", false, PEOPLE, "boss_id", "id");
            ("s.people", ["id", "boss_id", "age"], vec![boss, relation("posts", true, POSTS, "id", "author_id")])
        }
        TAGS => ("s.tags", ["id", "weight", "author_id"], vec![]),
        POSTS_TAGS => ("s.posts_tags", ["post_id", "tag_id", "author_id"], vec![]),
        _ => return None,
    };
    let user_id = (id == PEOPLE).then(|| "id".into());
    Some(Rc::new(Table { id, name: name.into(), columns: columns.map(column).into(), relations, user_id }))
}

fn read(filter: &Value) -> Result<Filter, Error> {
    Filter::read(&table(POSTS).unwrap(), &table, filter)
}

fn sql(filter: Value) -> String {
    read(&filter).unwrap_or_else(|e| panic!("{filter}: {e}")).to_sql("posts")
}

/// What nobody in particular may be: the comparisons of `__loggedInUserId` in it, shortened.
fn short(filter: Value) -> String {
    sql(filter).replace("OPERATOR(pg_catalog.=)", "=").replace("rolecall.user_id_as_bigint()", "me")
}

#[test]
fn to_one_is_whether_the_row_is_there() {
    assert_eq!(
        sql(json!({"author": {"age": {"lt": 9}}})),
        r#"EXISTS (SELECT FROM s.people r1 WHERE (r1."id" OPERATOR(pg_catalog.=) "posts"."author_id") AND (r1."age" OPERATOR(pg_catalog.<) '9'::pg_catalog.int4))"#
    );
    assert_eq!(
        short(json!({"author": {}})),
        r#"EXISTS (SELECT FROM s.people r1 WHERE (r1."id" = "posts"."author_id"))"#
    );
}

#[test]
fn a_walk_is_as_deep_as_one_likes() {
    assert_eq!(
        short(json!({"author": {"boss": {"boss": {"id": {"equals": "__loggedInUserId"}}}}})),
        r#"EXISTS (SELECT FROM s.people r1 WHERE (r1."id" = "posts"."author_id") AND EXISTS (SELECT FROM s.people r2 WHERE (r2."id" = r1."boss_id") AND EXISTS (SELECT FROM s.people r3 WHERE (r3."id" = r2."boss_id") AND (r3."id" = me))))"#
    );
}

#[test]
fn a_join_table_is_walked_through() {
    assert_eq!(
        short(json!({"tags": {"some": {"weight": {"equals": 1}}}})),
        r#"EXISTS (SELECT FROM s.posts_tags j1 JOIN s.tags r1 ON (r1."id" = j1."tag_id") WHERE (j1."post_id" = "posts"."id") AND (r1."weight" = '1'::pg_catalog.int4))"#
    );
}

#[test]
fn every_is_broken_by_what_is_not_true() {
    let join = r#"(r2."author_id" = r1."id")"#;
    for (filter, expected) in [
        (
            json!({"every": {"stars": {"equals": 1}}}),
            format!(
                "(NOT EXISTS (SELECT FROM s.posts r2 WHERE {join} AND (r2.\"stars\" = '1'::pg_catalog.int4) IS NOT TRUE))"
            ),
        ),
        (json!({"every": {}}), format!("(NOT EXISTS (SELECT FROM s.posts r2 WHERE {join} AND false))")),
        (json!({"none": {}}), format!("(NOT EXISTS (SELECT FROM s.posts r2 WHERE {join}))")),
    ] {
        let found = short(json!({"author": {"posts": filter}}));
        assert!(found.ends_with(&format!(" AND {expected})")), "{found}");
    }
}

/// Contract 6, rule 8: the comparison counts as whatever makes the whole filter narrower.
#[test]
fn an_absent_variable_never_widens() {
    let mine = json!({"stars": {"equals": "__loggedInUserId"}});
    let wider = "(me IS NULL OR (r";
    let posts = |filter| json!({"author": {"posts": filter}});
    for (filter, guard) in [
        (posts(json!({"some": mine})), None),
        (posts(json!({"every": mine})), None),
        (posts(json!({"none": mine})), Some(wider)),
        (posts(json!({"none": {"NOT": mine}})), Some("(me IS NOT NULL AND (r")),
        (posts(json!({"every": {"NOT": mine}})), None),
        (json!({"NOT": posts(json!({"some": mine}))}), Some(wider)),
        (json!({"NOT": posts(json!({"every": mine}))}), Some(wider)),
        (json!({"NOT": posts(json!({"none": mine}))}), None),
        (json!({"NOT": mine}), None),
        (posts(json!({"none": {"author": {"posts": {"none": mine}}}})), None),
        (posts(json!({"none": {"author": {"posts": {"every": mine}}}})), Some(wider)),
        (posts(json!({"none": {"stars": {"in": [1, "__loggedInUserId"]}}})), Some(wider)),
        (
            posts(json!({"none": {"stars": {"not_in": [1, "__loggedInUserId"]}}})),
            Some("(me IS NULL OR (r2.\"stars\" OPERATOR(pg_catalog.<>) me))"),
        ),
        (posts(json!({"none": {"id": {"contains": "__loggedInUserId"}}})), Some("(rolecall.user_id() IS NULL OR ")),
    ] {
        let found = short(filter.clone());
        match guard {
            Some(guard) => assert!(found.contains(guard), "{filter} {found}"),
            None => assert!(!found.contains("IS N") || found.contains("IS NOT TRUE"), "{filter} {found}"),
        }
    }
}

#[test]
fn the_users_table_knows_who_is_asking() {
    for (filter, expected) in [
        (json!({"is_self": true}), r#"(r1."id" = me)"#),
        (json!({"is_self": false}), r#"(NOT (r1."id" = me))"#),
        (json!({"not_self": true}), r#"(r1."id" OPERATOR(pg_catalog.<>) me)"#),
        (json!({"not_self": false}), r#"(NOT (r1."id" OPERATOR(pg_catalog.<>) me))"#),
    ] {
        let found = short(json!({"author": filter}));
        assert!(found.ends_with(&format!(" AND {expected})")), "{found}");
    }
}

#[test]
fn a_policy_reads_views_and_leaves_the_choice_to_the_planner() {
    let filter = read(&json!({"author": {"age": {"equals": 9}}})).unwrap();
    let reads: Vec<_> = filter.reads().into_iter().map(|(id, columns)| (id, Vec::from_iter(columns))).collect();
    assert_eq!(reads, [(PEOPLE, vec!["age".to_owned(), "id".into()])]);
    let sources = Sources::from([(PEOPLE, "v.people_1".into())]);
    assert_eq!(
        filter.to_policy("r1", &sources).replace("OPERATOR(pg_catalog.=)", "="),
        r#"rolecall_relations.related(EXISTS (SELECT FROM v.people_1 rr1 WHERE (rr1."id" = "r1"."author_id") AND (rr1."age" = '9'::pg_catalog.int4)), rolecall_relations.is_in("r1"."author_id", (SELECT rolecall_relations.id_set(ARRAY(SELECT rr1."id" FROM v.people_1 rr1 WHERE (rr1."age" = '9'::pg_catalog.int4))))))"#
    );
}

#[test]
fn every_table_on_the_way_is_read() {
    let filter = read(&json!({"tags": {"none": {"weight": {"is_empty": true}}}, "author": {"boss": {}}})).unwrap();
    let reads = filter.reads();
    let columns = |table| reads[&table].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(columns(POSTS_TAGS), ["post_id", "tag_id"]);
    assert_eq!(columns(TAGS), ["id", "weight"]);
    assert_eq!(columns(PEOPLE), ["boss_id", "id"]);
    assert_eq!(reads.len(), 3);
    let names: Vec<_> = filter.relations().iter().map(|(of, relation)| (*of, relation.name.as_str())).collect();
    assert_eq!(names, [(PEOPLE, "boss"), (POSTS, "author"), (POSTS, "tags")]);
}

#[test]
fn what_is_wrong_with_a_relation_is_said() {
    for (filter, fault) in [
        (json!({"author": {"some": {}}}), r#"unknown field "some" of s.people at $.author.some"#),
        (json!({"author": {"nope": {"equals": 1}}}), r#"unknown field "nope" of s.people at $.author.nope"#),
        (json!({"author": null}), "expected a filter object, found null at $.author"),
        (
            json!({"author": {"age": {"equals": "x"}}}),
            "expected an integer in range for column \"age\" of type int4, found a string at $.author.age.equals",
        ),
        (json!({"tags": {}}), "expected an object of some, every, none, found an object at $.tags"),
        (
            json!({"tags": {"weight": {"equals": 1}}}),
            r#"unknown operator "weight" for relation "tags" at $.tags.weight"#,
        ),
        (json!({"tags": {"some": []}}), "expected a filter object, found a list at $.tags.some"),
        (json!({"twice": {}}), r#""twice" of s.posts may be several relations at $.twice"#),
        (
            json!({"broken": {}}),
            r#"relation "broken" of s.posts compares columns that are gone or of different types at $.broken"#,
        ),
        (json!({"is_self": true}), r#"unknown field "is_self" of s.posts at $.is_self"#),
        (json!({"author": {"is_self": "yes"}}), "expected true or false, found a string at $.author.is_self"),
    ] {
        assert_eq!(read(&filter).expect_err(&filter.to_string()).to_string(), fault);
    }
    let deep = (0..40).fold(json!({}), |filter, _| json!({"boss": filter}));
    assert_eq!(read(&json!({"author": deep})).unwrap_err().fault, Fault::TooDeep);
}

#[test]
fn a_relation_is_called_like_its_column() {
    for (columns, other, expected) in [
        (&["author_id"][..], "authors", "author"),
        (&["authorId"], "people", "author"),
        (&["created_by_id"], "users", "created_by"),
        (&["author"], "authors", "author"),
        (&["author_id", "tenant_id"], "authors", "author"),
        (&["tenant_id", "owner_id"], "people", "owner"),
        (&["two_id", "two_kind"], "t0", "two"),
        (&["x", "y"], "t0", "y"),
    ] {
        let columns: Vec<_> = columns.iter().map(|column| (*column).to_owned()).collect();
        assert_eq!(relation_name(&columns, other), expected);
    }
}
