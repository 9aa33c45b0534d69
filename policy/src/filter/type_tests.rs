//! What filters over `citext`, arrays and JSON documents become.

use super::*;
use serde_json::{Value, json};

fn column(name: &str, data_type: Type, sql_type: &str) -> Column {
    Column {
        name: name.into(),
        data_type,
        sql_type: sql_type.into(),
        is_id: false,
        labels: Vec::new(),
        operators_of: "pg_catalog".into(),
        collation: String::new(),
        bitwise: false,
        element: None,
    }
}

fn array(name: &str, element: &str) -> Column {
    column(name, Type::of(element), &format!("pg_catalog.{element}")).into_array(format!("pg_catalog._{element}"))
}

fn table() -> Table {
    let email = Column {
        operators_of: "\"my ext\"".into(),
        collation: "pg_catalog.\"default\"".into(),
        ..column("email", Type::Citext, "\"my ext\".citext")
    };
    Table {
        name: "docs".into(),
        columns: vec![
            email,
            array("tags", "text"),
            array("codes", "varchar"),
            array("ids", "int4"),
            array("big", "int8"),
            array("keys", "uuid"),
            array("prices", "numeric"),
            column("meta", Type::Json, "pg_catalog.jsonb"),
        ],
        ..Table::default()
    }
}

fn read(filter: &Value) -> Result<Filter, Error> {
    Filter::read(&table(), &|_| None, filter)
}

/// The SQL, with the parts that are always the same shortened.
fn short(sql: String) -> String {
    sql.replace("OPERATOR(pg_catalog.=)", "=").replace("pg_catalog.", "").replace("rolecall.user_id", "me")
}

fn sql(filter: Value) -> String {
    short(read(&filter).unwrap_or_else(|e| panic!("{filter}: {e}")).to_sql("docs"))
}

#[test]
fn citext_has_its_own_operators() {
    for (filter, expected) in [
        (json!({"equals": "A'b"}), r#"("email" OPERATOR("my ext".=) 'A''b'::"my ext".citext)"#),
        (json!({"in": ["a"]}), r#"("email" OPERATOR("my ext".=) ANY (ARRAY['a'::"my ext".citext]))"#),
        (json!({"not_in": ["a"]}), r#"("email" OPERATOR("my ext".<>) ALL (ARRAY['a'::"my ext".citext]))"#),
        (
            json!({"equals": "__loggedInUserEmail"}),
            r#"("email" OPERATOR("my ext".=) rolecall.user_email()::"my ext".citext)"#,
        ),
        (json!({"is_empty": true}), r#"("email" IS NULL OR ("email" OPERATOR("my ext".=) ''::"my ext".citext))"#),
        (json!({"ends_with": "_"}), r#"("email" OPERATOR("my ext".~~) E'%\\_'::"my ext".citext)"#),
        (
            json!({"not_contains": "__loggedInUserId"}),
            r#"(NOT (strpos(lower("email"::text COLLATE "default"), lower(me())) OPERATOR(>) 0))"#,
        ),
    ] {
        assert_eq!(sql(json!({"email": filter})), expected);
    }
}

#[test]
fn arrays_are_compared_with_typed_arrays() {
    for (filter, expected) in [
        (json!({"tags": {"has": "it's"}}), r#"("tags" OPERATOR(@>) ARRAY['it''s'::text])"#),
        (json!({"codes": {"has_some": ["a", "b"]}}), r#"("codes" OPERATOR(&&) ARRAY['a'::varchar, 'b'::varchar])"#),
        (json!({"ids": {"has_every": [1, 2]}}), r#"("ids" OPERATOR(@>) ARRAY['1'::int4, '2'::int4])"#),
        (json!({"ids": {"equals": [2, 1]}}), r#"("ids" = ARRAY['2'::int4, '1'::int4])"#),
        (json!({"ids": {"not_equals": []}}), r#"(NOT ("ids" = '{}'::_int4))"#),
        (json!({"tags": {"has_some": []}}), "false"),
        (json!({"tags": {"has_every": []}}), "true"),
        (json!({"tags": {"is_empty": true}}), r#"("tags" IS NULL OR ("tags" = '{}'::_text))"#),
        (json!({"tags": {"is_not_empty": true}}), r#"("tags" IS NOT NULL AND ("tags" OPERATOR(<>) '{}'::_text))"#),
    ] {
        assert_eq!(sql(filter), expected);
    }
}

#[test]
fn an_absent_element_makes_an_array_unknown() {
    for (filter, expected) in [
        (
            json!({"tags": {"has": "__loggedInUserId"}}),
            r#"("tags" OPERATOR(@>) (CASE WHEN me() IS NOT NULL THEN ARRAY[me()] END))"#,
        ),
        (
            json!({"ids": {"has": "__loggedInUserId"}}),
            r#"("ids" OPERATOR(@>) (CASE WHEN me_as_bigint() OPERATOR(>=) '-2147483648'::int8 AND me_as_bigint() OPERATOR(<=) '2147483647'::int8 THEN ARRAY[me_as_bigint()::int4] END))"#,
        ),
        (
            json!({"big": {"has_every": [1, "__loggedInUserId"]}}),
            r#"(("big" OPERATOR(@>) ARRAY['1'::int8]) AND ("big" OPERATOR(@>) (CASE WHEN me_as_bigint() IS NOT NULL THEN ARRAY[me_as_bigint()] END)))"#,
        ),
        (
            json!({"tags": {"has_some": ["__loggedInUserId", "x"]}}),
            r#"(("tags" OPERATOR(&&) ARRAY['x'::text]) OR ("tags" OPERATOR(@>) (CASE WHEN me() IS NOT NULL THEN ARRAY[me()] END)))"#,
        ),
        (
            json!({"keys": {"equals": ["__loggedInUserId", "11111111-1111-1111-1111-111111111111"]}}),
            r#"("keys" = (CASE WHEN me_as_uuid() IS NOT NULL THEN ARRAY[me_as_uuid(), '11111111-1111-1111-1111-111111111111'::uuid] END))"#,
        ),
    ] {
        assert_eq!(sql(filter), expected);
    }
    let bound = |filter: &Value, id: Option<&str>| {
        short(read(filter).unwrap().bind(&|_| Operand::Bound(id.map(str::to_owned))).to_sql("docs"))
    };
    let keys = json!({"keys": {"has": "__loggedInUserId"}});
    assert_eq!(
        bound(&keys, Some("x")),
        r#"("keys" OPERATOR(@>) (CASE WHEN NULL::uuid IS NOT NULL THEN ARRAY[NULL::uuid] END))"#
    );
    let path = json!({"meta": {"path": "$.a", "equals": "__loggedInUserId"}});
    let is = r#"(("meta" OPERATOR(#>) '{"a"}'::text[]) = ANY (ARRAY["#;
    assert_eq!(bound(&path, Some("7")), format!("{is}to_jsonb('7'::text), to_jsonb('7'::int8)]))"));
    assert_eq!(bound(&path, Some("x")), format!("{is}to_jsonb('x'::text), to_jsonb(NULL::int8)]))"));
    assert_eq!(bound(&path, None), format!("{is}to_jsonb(NULL::text), to_jsonb(NULL::int8)]))"));
}

#[test]
fn a_path_is_compared_with_a_document() {
    let [a, number, text] = [
        r#"("meta" OPERATOR(#>) '{"a"}'::text[])"#,
        r#"(jsonb_typeof(("meta" OPERATOR(#>) '{"a"}'::text[])) = 'number'::text)"#,
        r#"(jsonb_typeof(("meta" OPERATOR(#>) '{"a"}'::text[])) = 'string'::text)"#,
    ];
    let same = format!("({a} = ANY (ARRAY[to_jsonb(me()), to_jsonb(me_as_bigint())]))");
    for (predicate, expected) in [
        (json!({"equals": "it's"}), format!(r#"({a} = '"it''s"'::jsonb)"#)),
        (json!({"equals": true}), format!("({a} = 'true'::jsonb)")),
        (json!({"in": [1, 2.50]}), format!("({a} = ANY (ARRAY['1'::jsonb, '2.5'::jsonb]))")),
        (json!({"in": []}), "false".into()),
        (json!({"not_in": []}), "true".into()),
        (json!({"not_equals": "x"}), format!(r#"(NOT (CASE WHEN {text} THEN ({a} = '"x"'::jsonb) END))"#)),
        (json!({"lt": 5}), format!("(({a} OPERATOR(<) '5'::jsonb) AND {number})")),
        (
            json!({"starts_with": "%"}),
            format!(r#"((("meta" OPERATOR(#>>) '{{"a"}}'::text[]) OPERATOR(~~) E'\\%%'::text) AND {text})"#),
        ),
        (
            json!({"not_contains": "x"}),
            format!(
                r#"(NOT (CASE WHEN {text} THEN (("meta" OPERATOR(#>>) '{{"a"}}'::text[]) OPERATOR(~~) '%x%'::text) END))"#
            ),
        ),
        (json!({"is_empty": true}), format!(r#"({a} IS NULL OR ({a} = ANY (ARRAY['null'::jsonb, '""'::jsonb])))"#)),
        (json!({"equals": "__loggedInUserId"}), same.clone()),
        (json!({"in": ["x", "__loggedInUserId"]}), format!(r#"({same} OR ({a} = '"x"'::jsonb))"#)),
        (
            json!({"not_equals": "__loggedInUserId"}),
            format!(
                "(NOT (CASE WHEN {text} THEN ({a} = to_jsonb(me())) WHEN {number} THEN ({a} = to_jsonb(me_as_bigint())) END))"
            ),
        ),
        (json!({"equals": "__requestingApiToken"}), format!("({a} = ANY (ARRAY[to_jsonb(rolecall.api_token_id())]))")),
    ] {
        let mut predicate = predicate;
        predicate["path"] = "$.a".into();
        assert_eq!(sql(json!({"meta": predicate})), expected);
    }
    assert_eq!(
        sql(json!({"meta": [{"path": "$", "equals": 1}, {"path": "$[\"a.b\"]", "equals": 2}]})),
        r#"(("meta" = '1'::jsonb) AND (("meta" OPERATOR(#>) '{"a.b"}'::text[]) = '2'::jsonb))"#
    );
}

/// `#>` takes the name `0` for the index 0, and the other way round.
#[test]
fn an_index_is_one_of_an_array_and_a_name_one_of_an_object() {
    for (path, column, kind) in
        [("$.a[0]", r#"("meta" OPERATOR(#>) '{"a"}'::text[])"#, "array"), ("$[' +1']", "\"meta\"", "object")]
    {
        let sql = sql(json!({"meta": {"path": path, "equals": 1}}));
        assert!(sql.ends_with(&format!("'1'::jsonb) AND (jsonb_typeof({column}) = '{kind}'::text))")), "{sql}");
    }
}

#[test]
fn numbers_in_documents_keep_every_digit() {
    let filter: Value =
        serde_json::from_str(r#"{"meta": {"path": "$.a", "equals": 0.1000000000000000055511151231257827}}"#).unwrap();
    assert!(sql(filter).contains("'0.1000000000000000055511151231257827'::jsonb"));
}

#[test]
fn faults_name_their_path() {
    for (filter, path, message) in [
        (json!({"email": {"lt": "x"}}), "$.email.lt", "unknown operator"),
        (json!({"email": {"equals": 1}}), "$.email.equals", "expected a string"),
        (
            json!({"tags": {"contains": "x"}}),
            "$.tags.contains",
            "unknown operator \"contains\" for column \"tags\" of type text[]",
        ),
        (json!({"tags": {"has": ["x"]}}), "$.tags.has", "expected a string"),
        (json!({"tags": {"has": null}}), "$.tags.has", "found null"),
        (json!({"tags": {"has_some": "x"}}), "$.tags.has_some", "expected a list"),
        (json!({"tags": {"has_every": ["x", null]}}), "$.tags.has_every[1]", "found null"),
        (json!({"tags": {"equals": "x"}}), "$.tags.equals", "expected a list"),
        (json!({"tags": {"is_empty": []}}), "$.tags.is_empty", "expected true or false"),
        (json!({"ids": {"has": 2_147_483_648_i64}}), "$.ids.has", "in range"),
        (json!({"ids": {"has": "__loggedInUserEmail"}}), "$.ids.has", "cannot be compared"),
        (json!({"tags": {"has": "__me"}}), "$.tags.has", "unknown variable"),
        (json!({"meta": {"equals": 1}}), "$.meta", "found an object without a path"),
        (json!({"meta": {"path": "$.a"}}), "$.meta", "found a path alone"),
        (json!({"meta": {"path": 1, "equals": 1}}), "$.meta.path", "a path as a string"),
        (json!({"meta": {"path": "a", "equals": 1}}), "$.meta.path", "\"a\" is no path"),
        (json!({"meta": {"path": format!("${}", ".a".repeat(33)), "equals": 1}}), "$.meta.path", "nests deeper"),
        (json!({"meta": []}), "$.meta", "expected an object of a path and operators, or a list"),
        (json!({"meta": [{"path": "$..a", "equals": 1}]}), "$.meta[0].path", "is no path"),
        (json!({"meta": [1]}), "$.meta[0]", "expected an object of a path and operators"),
        (json!({"meta": {"path": "$", "equals": null}}), "$.meta.equals", "found null"),
        (json!({"meta": {"path": "$", "equals": []}}), "$.meta.equals", "found a list"),
        (json!({"meta": {"path": "$", "equals": "a\0"}}), "$.meta.equals", "expected a string"),
        (json!({"meta": {"path": "$", "equals": "__x"}}), "$.meta.equals", "unknown variable"),
        (json!({"meta": {"path": "$", "in": ["a", 1]}}), "$.meta.in[1]", "expected a string like the one before"),
        (json!({"meta": {"path": "$", "in": "a"}}), "$.meta.in", "expected a list"),
        (json!({"meta": {"path": "$", "lt": "a"}}), "$.meta.lt", "expected a number"),
        (json!({"meta": {"path": "$", "contains": 1}}), "$.meta.contains", "expected a string"),
        (json!({"meta": {"path": "$", "is_empty": 1}}), "$.meta.is_empty", "expected true or false"),
        (
            json!({"meta": {"path": "$", "has": 1}}),
            "$.meta.has",
            "unknown operator \"has\" for column \"meta\" of type jsonb",
        ),
        (json!({"meta": {"path": "$", "not_is_empty": true}}), "$.meta.not_is_empty", "unknown operator"),
        (
            serde_json::from_str(r#"{"meta": {"path": "$", "equals": 1e99999}}"#).unwrap(),
            "$.meta.equals",
            "expected a string, a number",
        ),
    ] {
        let error = read(&filter).expect_err(&filter.to_string());
        assert_eq!(error.path, path, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}
