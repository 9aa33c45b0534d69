//! Filters: read or refused with a place, and what is read is SQL of known words, names and constants only.

use crate::fuzz;
use crate::mutate::Stock;
use rolecall_policy::filter::{Column, Filter, Preset, Relation, Table, Type};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;

const NOTES: u32 = 1;
const PEOPLE: u32 = 2;

fn column(name: &str, pg_type: &str) -> Column {
    Column {
        name: name.into(),
        data_type: Type::of(pg_type),
        sql_type: format!("pg_catalog.{pg_type}"),
        is_id: name.ends_with("id"),
        labels: Vec::new(),
        operators_of: "pg_catalog".into(),
        collation: "pg_catalog.\"default\"".into(),
        bitwise: true,
        element: None,
    }
}

fn table(id: u32) -> Option<Rc<Table>> {
    const NOTES_COLUMNS: [(&str, &str); 14] = [
        ("id", "int8"),
        ("owner_id", "int4"),
        ("title", "text"),
        ("stars", "int2"),
        ("price", "numeric"),
        ("ratio", "float8"),
        ("public", "bool"),
        ("due", "date"),
        ("made_at", "timestamptz"),
        ("local_at", "timestamp"),
        ("key", "uuid"),
        ("shape", "point"),
        ("we\"ird", "text"),
        ("meta", "jsonb"),
    ];
    let (name, columns): (_, &[_]) = match id {
        NOTES => ("notes", &NOTES_COLUMNS),
        PEOPLE => ("people", &[("id", "int4"), ("email", "text"), ("boss_id", "int4")]),
        _ => return None,
    };
    let mut columns: Vec<_> = columns.iter().map(|(name, pg_type)| column(name, pg_type)).collect();
    if id == NOTES {
        columns.push(column("tags", "text").into_array("pg_catalog._text".into()));
        columns.push(Column {
            data_type: Type::Enum,
            labels: vec!["sad".into(), "it's".into()],
            ..column("mood", "text")
        });
    }
    let relation = |name: &str, many, other, left: &str, right: &str| Relation {
        name: name.into(),
        many,
        other,
        columns: vec![(left.into(), right.into())],
        through: None,
    };
    let relations = match id {
        NOTES => vec![relation("owner", false, PEOPLE, "owner_id", "id")],
        _ => vec![relation("boss", false, PEOPLE, "boss_id", "id"), relation("notes", true, NOTES, "id", "owner_id")],
    };
    Some(Rc::new(Table { id, name: name.into(), columns, relations, user_id: (id == PEOPLE).then(|| "id".into()) }))
}

fn seeds() -> Vec<Value> {
    vec![
        json!({"OR": [{"public": {"equals": true}}, {"owner_id": {"equals": "__loggedInUserId"}}]}),
        json!({"AND": [{"NOT": {"title": {"contains": "a%"}}}, {"stars": {"in": [1, 2, 3]}}, {"title": {"is_empty": false}}]}),
        json!({"due": {"gte": "2024-02-29"}, "made_at": {"lt": "2024-02-29T12:00:00Z"}, "price": {"lte": 12.5}}),
        json!({"made_at": {"relative": {"lt": {"op": "SUB", "unit": "HOUR", "value": "3"}}}, "due": {"relative": {"gt": {"op": "ADD", "unit": "DAY", "value": 7}}}}),
        json!({"key": {"not_in": ["6f2c1d4e-0000-4000-8000-000000000000"]}, "ratio": {"gt": 1.5}}),
        json!({"tags": {"has_some": ["a", "b"]}, "mood": {"equals": "sad"}, "we\"ird": {"not_starts_with": "x"}}),
        json!({"meta": {"path": "$.a.b[0]", "equals": 3}, "id": {"equals": "7"}}),
        json!({"meta": {"path": "$[\"any key\"]", "contains": "x"}}),
        json!({"owner": {"email": {"equals": "__loggedInUserEmail"}, "boss": {"notes": {"some": {"stars": {"gt": 3}}}}}}),
        json!({"owner": {"is_self": true}, "title": {"equals": "__loggedInUserEmail"}}),
        json!({"owner": {"notes": {"every": {"public": {"equals": true}}}, "boss": {"notes": {"none": {}}}}}),
    ]
}

/// Every quoted name is one of the tables', every bare word one that the compiler writes, every constant ends.
fn check(sql: &str) {
    const WORDS: &str = "AND OR NOT IS NULL TRUE true false ANY ALL ARRAY OPERATOR E EXISTS SELECT FROM WHERE JOIN ON \
        COLLATE CASE WHEN THEN END AT LOCALTIMESTAMP notes people pg_catalog rolecall text int2 int4 int8 numeric float8 \
        bool date timestamptz timestamp uuid interval jsonb point _text now jsonb_typeof to_jsonb lower strpos right length user_id user_email \
        api_token_id user_id_as_bigint user_email_as_bigint api_token_id_as_bigint user_id_as_uuid user_email_as_uuid \
        api_token_id_as_uuid";
    let words: BTreeSet<&str> = WORDS.split_whitespace().collect();
    let names: Vec<String> = [NOTES, PEOPLE]
        .iter()
        .flat_map(|id| table(*id).unwrap().columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>())
        .chain(["notes".into(), "default".into()])
        .collect();
    let mut depth = 0_i32;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => {
                let escapes = sql[..sql.len() - rest.len()].ends_with('E');
                let text = quoted(rest, first, escapes).unwrap_or_else(|| panic!("no end of {first} in {sql}"));
                if first == '"' {
                    let name = rest[1..text - 1].replace("\"\"", "\"");
                    assert!(names.contains(&name), "{name:?} in {sql}");
                }
                text
            }
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = &rest[..end];
                let alias = word.strip_prefix(['r', 'j']).is_some_and(|n| n.parse::<u32>().is_ok());
                assert!(alias || words.contains(word), "{word:?} in {sql}");
                end
            }
            _ => {
                assert!("()[],.:=<>~^@|&?#-+ 0123456789".contains(first), "{first:?} in {sql}");
                assert!(!rest.starts_with("--"), "a comment in {sql}");
                depth += i32::from(first == '(') - i32::from(first == ')');
                assert!(depth >= 0, "{sql}");
                1
            }
        };
        rest = &rest[length..];
    }
    assert_eq!(depth, 0, "{sql}");
}

/// How long the quoted text is that `rest` begins with.
fn quoted(rest: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && escapes {
            letters.next()?;
        } else if letter == quote {
            match letters.peek() {
                Some((_, next)) if *next == quote => drop(letters.next()),
                _ => return Some(at + 1),
            }
        }
    }
    None
}

#[test]
fn fuzz_filters() {
    let stock = Stock::of(seeds());
    let notes = table(NOTES).unwrap();
    for seed in seeds() {
        Filter::read(&notes, &table, &seed).unwrap_or_else(|error| panic!("{seed}: {error} ({:?})", error.hint));
    }
    let (mut good, mut deepest) = (0, 0);
    fuzz(|random| {
        let json = stock.json(random);
        let read = Filter::read(&notes, &table, &json);
        assert_eq!(read, Filter::read(&notes, &table, &json), "{json}");
        match read {
            Ok(filter) => {
                good += 1;
                let sql = filter.to_sql("notes");
                deepest = deepest.max(sql.len());
                check(&sql);
            }
            Err(error) => {
                assert!(error.path.starts_with('$'), "{error}");
                // However long the input is, somebody reads it.
                assert!(error.to_string().len() < 20_000 && !error.to_string().contains('\0'), "{error}");
            }
        }
        let _ = Preset::read(&notes, &json).map(|preset| check(&preset.condition()));
    });
    assert!(good > 100, "{good} of them were filters");
    println!("{good} filters, the longest SQL {deepest} bytes");
}
