use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn table() -> Table {
    let column = |name: &str, pg_type: &str, is_id| Column {
        name: name.into(),
        data_type: Type::of(pg_type),
        sql_type: format!("pg_catalog.{pg_type}"),
        is_id,
        labels: Vec::new(),
        operators_of: "pg_catalog".into(),
        collation: String::new(),
        bitwise: true,
        element: None,
    };
    let mood = Column {
        data_type: Type::Enum,
        sql_type: "public.\"Mood\"".into(),
        labels: vec!["sad".into(), "it's".into()],
        ..column("mood", "text", false)
    };
    Table {
        id: 1,
        name: "notes".into(),
        relations: Vec::new(),
        user_id: None,
        columns: vec![
            column("id", "text", true),
            column("serial", "int4", true),
            column("title", "text", false),
            column("code", "varchar", false),
            column("stars", "int4", false),
            column("size", "int8", false),
            column("price", "numeric", false),
            column("ratio", "float8", false),
            column("public", "bool", false),
            column("due", "date", false),
            column("made_at", "timestamptz", false),
            column("local_at", "timestamp", false),
            column("key", "uuid", false),
            column("shape", "point", false),
            column("we\"ird", "text", false),
            mood,
        ],
    }
}

fn sql(filter: Value) -> String {
    Filter::read(&table(), &|_| None, &filter).unwrap_or_else(|e| panic!("{filter}: {e}")).to_sql("notes")
}

fn fault(filter: Value) -> Error {
    Filter::read(&table(), &|_| None, &filter).expect_err(&filter.to_string())
}

#[test]
fn a_comparison_is_the_bare_column_and_a_typed_constant() {
    for (filter, expected) in [
        (json!({"title": {"equals": "it's"}}), r#"("title" OPERATOR(pg_catalog.=) 'it''s'::pg_catalog.text)"#),
        (json!({"we\"ird": {"equals": ""}}), r#"("we""ird" OPERATOR(pg_catalog.=) ''::pg_catalog.text)"#),
        (json!({"stars": {"equals": -3}}), r#"("stars" OPERATOR(pg_catalog.=) '-3'::pg_catalog.int4)"#),
        (json!({"public": {"equals": true}}), r#""public""#),
        (json!({"public": {"equals": false}}), r#"(NOT "public")"#),
        (json!({"id": {"equals": 7}}), r#"("id" OPERATOR(pg_catalog.=) '7'::pg_catalog.text)"#),
        (json!({"serial": {"equals": "7"}}), r#"("serial" OPERATOR(pg_catalog.=) '7'::pg_catalog.int4)"#),
        (json!({"due": {"equals": "2024-02-29"}}), r#"("due" OPERATOR(pg_catalog.=) '2024-02-29'::pg_catalog.date)"#),
        (
            json!({"made_at": {"equals": "2024-02-29T12:00:00+02:00"}}),
            r#"("made_at" OPERATOR(pg_catalog.=) '2024-02-29T10:00:00Z'::pg_catalog.timestamptz)"#,
        ),
        (
            json!({"code": {"in": ["a", "b"]}}),
            r#"("code" OPERATOR(pg_catalog.=) ANY (ARRAY['a'::pg_catalog.varchar, 'b'::pg_catalog.varchar]))"#,
        ),
    ] {
        assert_eq!(sql(filter), expected);
    }
}

#[test]
fn every_operator_is_an_expression_of_its_own() {
    for (filter, expected) in [
        (json!({"stars": {"not_equals": 3}}), r#"("stars" OPERATOR(pg_catalog.<>) '3'::pg_catalog.int4)"#),
        (json!({"stars": {"lt": 3}}), r#"("stars" OPERATOR(pg_catalog.<) '3'::pg_catalog.int4)"#),
        (json!({"stars": {"lte": 3}}), r#"("stars" OPERATOR(pg_catalog.<=) '3'::pg_catalog.int4)"#),
        (json!({"stars": {"gt": 3}}), r#"("stars" OPERATOR(pg_catalog.>) '3'::pg_catalog.int4)"#),
        (json!({"id": {"gte": "x"}}), r#"("id" OPERATOR(pg_catalog.>=) 'x'::pg_catalog.text)"#),
        (json!({"public": {"not_equals": true}}), r#"(NOT "public")"#),
        (json!({"public": {"not_equals": false}}), r#""public""#),
        (json!({"stars": {"not_in": [1]}}), r#"("stars" OPERATOR(pg_catalog.<>) ALL (ARRAY['1'::pg_catalog.int4]))"#),
        (json!({"stars": {"not_in": []}}), "true"),
        (json!({"stars": {"is_empty": true}}), r#"("stars" IS NULL)"#),
        (json!({"stars": {"is_empty": false}}), r#"("stars" IS NOT NULL)"#),
        (json!({"stars": {"is_not_empty": false}}), r#"("stars" IS NULL)"#),
        (
            json!({"code": {"is_empty": true}}),
            r#"("code" IS NULL OR ("code" OPERATOR(pg_catalog.=) ''::pg_catalog.varchar))"#,
        ),
        (
            json!({"code": {"is_not_empty": true}}),
            r#"("code" IS NOT NULL AND ("code" OPERATOR(pg_catalog.<>) ''::pg_catalog.varchar))"#,
        ),
        (json!({"title": {"contains": "a"}}), r#"("title" OPERATOR(pg_catalog.~~) '%a%'::pg_catalog.text)"#),
        (
            json!({"code": {"starts_with": "a"}}),
            r#"("code"::pg_catalog.text OPERATOR(pg_catalog.~~) 'a%'::pg_catalog.text)"#,
        ),
        (
            json!({"key": {"ends_with": "0"}}),
            r#"("key"::pg_catalog.text OPERATOR(pg_catalog.~~) '%0'::pg_catalog.text)"#,
        ),
        (
            json!({"title": {"not_contains": r"5%_\"}}),
            r#"(NOT ("title" OPERATOR(pg_catalog.~~) E'%5\\%\\_\\\\%'::pg_catalog.text))"#,
        ),
        (
            json!({"title": {"starts_with": "__loggedInUserId"}}),
            r#"("title" OPERATOR(pg_catalog.^@) rolecall.user_id())"#,
        ),
        (json!({"mood": {"equals": "it's"}}), r#"("mood" OPERATOR(pg_catalog.=) 'it''s'::public."Mood")"#),
        (json!({"NOT": {"public": {"equals": true}}}), r#"(NOT "public")"#),
        (json!({"NOT": []}), "true"),
        (json!({"NOT": {}}), "false"),
        (json!({"NOT": {"NOT": {"stars": {"is_empty": true}}}}), r#"("stars" IS NULL)"#),
        (
            json!({"NOT": [{"stars": {"is_empty": true}}, {"public": {"equals": true}}]}),
            r#"(NOT (("stars" IS NULL) OR "public"))"#,
        ),
        (
            json!({"made_at": {"relative": {"gte": {"op": "SUB", "unit": "QUARTER", "value": "2"}}}}),
            r#"("made_at" OPERATOR(pg_catalog.>=) (pg_catalog.now() OPERATOR(pg_catalog.-) '6 months'::pg_catalog.interval))"#,
        ),
        (
            json!({"due": {"relative": {"lt": {"op": "ADD", "unit": "DAY", "value": 7}}}}),
            r#"("due" OPERATOR(pg_catalog.<) (LOCALTIMESTAMP OPERATOR(pg_catalog.+) '7 days'::pg_catalog.interval)::pg_catalog.date)"#,
        ),
    ] {
        assert_eq!(sql(filter), expected);
    }
}

#[test]
fn numbers_keep_every_digit() {
    for (filter, digits) in [
        (json!({"size": {"equals": 9_007_199_254_740_993_i64}}), "'9007199254740993'"),
        (serde_json::from_str(r#"{"price": {"equals": 0.1000000000000000055511151231257827}}"#).unwrap(), {
            "'0.1000000000000000055511151231257827'"
        }),
    ] {
        assert!(sql(filter).contains(digits));
    }
}

#[test]
fn a_variable_comes_in_the_columns_own_type() {
    for (column, expected) in [
        ("title", "rolecall.user_id()"),
        ("code", "rolecall.user_id()::pg_catalog.varchar"),
        ("key", "rolecall.user_id_as_uuid()"),
        ("stars", "rolecall.user_id_as_bigint()"),
        ("price", "rolecall.user_id_as_bigint()::pg_catalog.numeric"),
    ] {
        let sql = sql(json!({column: {"equals": "__loggedInUserId"}}));
        assert_eq!(sql, format!("(\"{column}\" OPERATOR(pg_catalog.=) {expected})"));
    }
    assert!(sql(json!({"title": {"in": ["x", "__loggedInUserEmail"]}})).contains("rolecall.user_email()]"));
    assert!(sql(json!({"id": {"equals": "__requestingApiToken"}})).contains("rolecall.api_token_id()"));
}

#[test]
fn a_filter_can_be_seen_with_somebody_elses_variables() {
    let bound = |filter: Value, id: Option<&str>| {
        Filter::read(&table(), &|_| None, &filter)
            .unwrap()
            .bind(&|_| Operand::Bound(id.map(str::to_owned)))
            .to_sql("notes")
    };
    let own = |column: &str| json!({"NOT": {column: {"equals": "__loggedInUserId"}}});
    for (column, id, expected) in [
        ("title", Some("it's"), "'it''s'::pg_catalog.text"),
        ("title", None, "NULL::pg_catalog.text"),
        ("code", Some("x"), "'x'::pg_catalog.varchar"),
        ("stars", Some("5000000000"), "'5000000000'::pg_catalog.int8"),
        ("stars", Some("x"), "NULL::pg_catalog.int8"),
        ("key", Some("x"), "NULL::pg_catalog.uuid"),
    ] {
        let expected = format!("(NOT (\"{column}\" OPERATOR(pg_catalog.=) {expected}))");
        assert_eq!(bound(own(column), id), expected);
    }
    let part = json!({"title": {"starts_with": "__loggedInUserId"}});
    assert_eq!(bound(part.clone(), Some("_")), r#"("title" OPERATOR(pg_catalog.~~) E'\\_%'::pg_catalog.text)"#);
    assert_eq!(bound(part, None), r#"("title" OPERATOR(pg_catalog.^@) NULL::pg_catalog.text)"#);
}

#[test]
fn keys_are_anded_and_lists_combined() {
    assert_eq!(sql(json!({})), "true");
    assert_eq!(sql(json!({"AND": []})), "true");
    assert_eq!(sql(json!({"OR": []})), "false");
    assert_eq!(sql(json!({"title": {"in": []}})), "false");
    assert_eq!(sql(json!({"OR": [{}]})), "true");
    assert_eq!(
        sql(json!({"public": {"equals": true}, "OR": [{"stars": {"equals": 1}}, {"stars": {"equals": 2}}]})),
        r#"((("stars" OPERATOR(pg_catalog.=) '1'::pg_catalog.int4) OR ("stars" OPERATOR(pg_catalog.=) '2'::pg_catalog.int4)) AND "public")"#
    );
}

#[test]
fn faults_name_their_path() {
    for (filter, path, message) in [
        (json!({"titel": {"equals": "x"}}), "$.titel", "unknown field \"titel\" of notes"),
        (json!({"Title": {"equals": "x"}}), "$.Title", "unknown field"),
        (json!({"1=1 OR title": {"equals": "x"}}), "$[\"1=1 OR title\"]", "unknown field"),
        (json!({"": {"equals": "x"}}), "$[\"\"]", "unknown field"),
        (json!({"OR": [{}, {"title": {"matches": "x"}}]}), "$.OR[1].title.matches", "unknown operator"),
        (json!({"public": {"in": [true]}}), "$.public.in", "unknown operator"),
        (json!({"title": {"equals": 5}}), "$.title.equals", "expected a string"),
        (json!({"title": {"equals": null}}), "$.title.equals", "found null"),
        (json!({"title": {"equals": {"x": 1}}}), "$.title.equals", "found an object"),
        (json!({"title": {"in": ["a", null]}}), "$.title.in[1]", "found null"),
        (json!({"title": {"in": null}}), "$.title.in", "expected a list"),
        (json!({"title": {"in": "a"}}), "$.title.in", "expected a list"),
        (json!({"title": "x"}), "$.title", "expected an object of operators"),
        (json!({"title": {}}), "$.title", "found an empty object"),
        (json!({"AND": "x"}), "$.AND", "expected a list of filters"),
        (json!({"AND": [true]}), "$.AND[0]", "expected a filter object"),
        (json!(true), "$", "expected a filter object"),
        (json!(null), "$", "expected a filter object"),
        (json!({"stars": {"equals": 4.5}}), "$.stars.equals", "expected an integer"),
        (json!({"stars": {"equals": "4"}}), "$.stars.equals", "expected an integer"),
        (json!({"stars": {"equals": 2_147_483_648_i64}}), "$.stars.equals", "in range"),
        (json!({"public": {"equals": "true"}}), "$.public.equals", "expected true or false"),
        (json!({"due": {"equals": "2019-13-45"}}), "$.due.equals", "expected a date"),
        (json!({"due": {"equals": "2019-01-01T00:00:00Z"}}), "$.due.equals", "expected a date"),
        (json!({"made_at": {"equals": "yesterday"}}), "$.made_at.equals", "expected a time"),
        (json!({"made_at": {"equals": "2019-01-01T00:00:00"}}), "$.made_at.equals", "expected a time"),
        (json!({"local_at": {"equals": "2019-01-01T00:00:00Z"}}), "$.local_at.equals", "expected a time"),
        (json!({"key": {"equals": "not-a-uuid"}}), "$.key.equals", "expected a UUID"),
        (json!({"title": {"equals": "__loggedInUser"}}), "$.title.equals", "unknown variable"),
        (json!({"due": {"equals": "__loggedInUserId"}}), "$.due.equals", "cannot be compared"),
        (json!({"stars": {"equals": "__loggedInUserEmail"}}), "$.stars.equals", "cannot be compared"),
        (json!({"shape": {"equals": "x"}}), "$.shape", "cannot be used in a filter"),
        (json!({"mood": {"in": ["sad", "glad"]}}), "$.mood.in[1]", "expected one of [\"sad\", \"it's\"]"),
        (json!({"mood": {"contains": "s"}}), "$.mood.contains", "unknown operator"),
        (json!({"NOT": "x"}), "$.NOT", "expected a filter object or a list"),
        (json!({"NOT": [null]}), "$.NOT[0]", "expected a filter object"),
        (json!({"title": {"gt": "A"}}), "$.title.gt", "unknown operator"),
        (json!({"stars": {"contains": "1"}}), "$.stars.contains", "unknown operator"),
        (json!({"stars": {"relative": {}}}), "$.stars.relative", "unknown operator"),
        (json!({"title": {"is_empty": "true"}}), "$.title.is_empty", "expected true or false"),
        (json!({"title": {"contains": 5}}), "$.title.contains", "expected a string"),
        (json!({"title": {"contains": null}}), "$.title.contains", "found null"),
        (json!({"title": {"contains": "__x"}}), "$.title.contains", "unknown variable"),
        (json!({"due": {"relative": {}}}), "$.due.relative", "expected an object of lt"),
        (json!({"due": {"relative": {"equals": {}}}}), "$.due.relative.equals", "unknown operator"),
        (json!({"due": {"relative": {"lt": "1 day"}}}), "$.due.relative.lt", "a time from now"),
        (
            json!({"due": {"relative": {"lt": {"op": "SUB", "unit": "DAY", "value": "1 day' OR 1=1 --"}}}}),
            "$.due.relative.lt",
            "a time from now",
        ),
        (
            json!({"due": {"relative": {"lt": {"op": "SUB", "unit": "DAY", "value": "-1"}}}}),
            "$.due.relative.lt",
            "a time from now",
        ),
        (
            json!({"due": {"relative": {"lt": {"op": "SUB", "unit": "YEAR", "value": "99999999999"}}}}),
            "$.due.relative.lt",
            "a time from now",
        ),
    ] {
        let error = fault(filter);
        assert_eq!(error.path, path);
        assert!(error.to_string().contains(message), "{error}");
    }
    assert_eq!(fault(json!({"titel": {"equals": 1}})).hint.unwrap(), "Did you mean \"title\"?");
}

#[test]
fn depth_and_size_are_bounded() {
    let mut deep = json!({});
    for _ in 0..=MAX_DEPTH {
        deep = json!({"AND": [deep]});
    }
    assert_eq!(fault(deep).fault, Fault::TooDeep);
    let many: Vec<_> = (0..MAX_NODES).collect();
    assert_eq!(fault(json!({"stars": {"in": many}})).fault, Fault::TooLarge);
}

/// Words that filters are made of, and others.
fn any_word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("title".to_owned()),
        Just("stars".into()),
        Just("equals".into()),
        Just("in".into()),
        Just("AND".into()),
        Just("OR".into()),
        Just("NOT".into()),
        Just("contains".into()),
        Just("is_empty".into()),
        Just("not_in".into()),
        Just("__loggedInUserId".into()),
        ".*",
    ]
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_word().prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any_word(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Text reaches SQL only inside a constant: taking the constants away leaves the same skeleton for every value.
    #[test]
    fn no_text_escapes_its_constant(text in "[^\0_][^\0]*|") {
        let sql = sql(json!({"title": {"equals": text}}));
        let constant = crate::sql::literal(&text);
        prop_assert_eq!(sql.replacen(&constant, "?", 1), r#"("title" OPERATOR(pg_catalog.=) ?::pg_catalog.text)"#);
    }

    /// Nor from a pattern, which means the text itself.
    #[test]
    fn no_text_escapes_its_pattern(text in "[^\0_][^\0]*|") {
        let sql = sql(json!({"title": {"contains": text}}));
        let escaped: String = text.chars().flat_map(|c| ['\\', c].into_iter().skip(usize::from(!r"\%_".contains(c)))).collect();
        let constant = crate::sql::literal(&format!("%{escaped}%"));
        prop_assert_eq!(sql.replacen(&constant, "?", 1), r#"("title" OPERATOR(pg_catalog.~~) ?::pg_catalog.text)"#);
    }

    #[test]
    fn any_json_is_read_or_refused_without_panic(json in any_json()) {
        if let Ok(filter) = Filter::read(&table(), &|_| None, &json) {
            prop_assert!(!filter.to_sql("notes").is_empty());
        }
    }

    #[test]
    fn any_operand_of_any_column_is_read_or_refused_without_panic(
        column in 0..14_usize, list in any::<bool>(), operand in any_scalar()
    ) {
        let (column, operator) = (&table().columns[column].name, if list { "in" } else { "equals" });
        let operand = if list { json!([operand]) } else { operand };
        if let Ok(filter) = Filter::read(&table(), &|_| None, &json!({column: {operator: operand}})) {
            prop_assert!(filter.to_sql("notes").contains(&crate::sql::identifier(column)));
        }
    }
}
