//! An object in one line of text, as people write it: `table shop.orders`, `function shop.f(integer)`, `shop.orders`.

use super::kind::{Kind, RelationKind, WORDS};
use super::pattern::Pattern;

/// What such a text says. Case is kept, as everywhere in a spec: nothing is folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The kind, if the text begins with its word; a column's is that of relations.
    pub kind: Option<Kind>,
    /// The schema, where one is named.
    pub schema: Option<Pattern>,
    /// The name; a routine's without argument types, a column's that of its table. One in quotes is never wild.
    pub name: Pattern,
    /// A routine's argument types as written between its parentheses.
    pub arguments: Option<String>,
    /// The column, if it is about one.
    pub column: Option<String>,
}

/// A text that refers to no object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReferenceError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

const FORM: &str = "it looks like \"table shop.orders\", \"function shop.f(integer)\", \"schema shop\", or shop.orders; \
                    a name with odd characters goes in double quotes";

impl Reference {
    /// Reads `[word] [schema.]name[(types)]`, `column [schema.]table.column` or `schema.table.column`. Words are those
    /// of a spec, of any case, in the plural too, with spaces for underscores. Names may be quoted as in SQL.
    ///
    /// # Errors
    /// A word that is no kind, a name that is none, and a schema or column where the kind has none.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let text = text.trim();
        let (head, arguments) = match outside_quotes(text, |c| c == '(').next() {
            Some(open) => match text[open + 1..].strip_suffix(')') {
                Some(arguments) => (text[..open].trim_end(), Some(arguments.trim().to_owned())),
                None => return Err(error(format!("\"{text}\" has no closing parenthesis at its end"))),
            },
            None => (text, None),
        };
        let (words, path) = match outside_quotes(head, char::is_whitespace).last() {
            Some(space) => (head[..space].trim_end(), head[space..].trim_start()),
            None => ("", head),
        };
        let (kind, about_column) = kind(words)?;
        if kind == Some(Kind::Parameter) {
            return Ok(Self { kind, schema: None, name: Pattern::new(path), arguments: None, column: None });
        }
        let mut parts = parts(path)?;
        let column = if about_column || kind.is_none() && parts.len() == 3 { parts.pop() } else { None };
        let reference = match parts.as_slice() {
            [name] => Self { kind, schema: None, name: name.clone(), arguments, column: None },
            [schema, name] => Self { kind, schema: Some(schema.clone()), name: name.clone(), arguments, column: None },
            _ if about_column => return Err(error(format!("\"{text}\" does not name a table and its column"))),
            _ => return Err(error(format!("\"{text}\" has too many parts"))),
        };
        reference.checked(column)
    }

    fn checked(mut self, column: Option<Pattern>) -> Result<Self, ReferenceError> {
        if let (Some(kind), true) = (self.kind.filter(|kind| !kind.lies_in_schema()), self.schema.is_some()) {
            return Err(error(format!("a {} does not lie in a schema", kind.word().replace('_', " "))));
        }
        let routine = matches!(self.kind, None | Some(Kind::Routine(_))) && column.is_none();
        if self.arguments.is_some() && !routine {
            return Err(error("argument types belong to a function or procedure".to_owned()));
        }
        if let Some(column) = column {
            self.kind = Some(Kind::Relation(RelationKind::Any));
            self.column = Some(column.as_str().to_owned());
        }
        Ok(self)
    }
}

fn error(message: String) -> ReferenceError {
    ReferenceError { message, hint: FORM.to_owned() }
}

/// The kind that `words` name, and whether it is about a column.
fn kind(words: &str) -> Result<(Option<Kind>, bool), ReferenceError> {
    if words.is_empty() {
        return Ok((None, false));
    }
    let word = words.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join("_");
    let singular = word.strip_suffix('s').unwrap_or(&word);
    if singular == "column" {
        return Ok((Some(Kind::Relation(RelationKind::Any)), true));
    }
    match WORDS.iter().find(|(known, _)| *known == word || *known == singular) {
        Some((_, kind)) => Ok((Some(*kind), false)),
        None => {
            let known: Vec<String> = WORDS.iter().map(|(word, _)| word.replace('_', " ")).collect();
            let hint = format!("known: {}, column", known.join(", "));
            Err(ReferenceError { message: format!("\"{words}\" is no kind of object"), hint })
        }
    }
}

/// The names of a path with dots in it.
fn parts(path: &str) -> Result<Vec<Pattern>, ReferenceError> {
    let mut parts = Vec::new();
    let mut start = 0;
    for end in outside_quotes(path, |c| c == '.').chain([path.len()]) {
        parts.push(part(&path[start..end]).ok_or_else(|| error(format!("\"{path}\" is no name")))?);
        start = end + 1;
    }
    Ok(parts)
}

fn part(text: &str) -> Option<Pattern> {
    let Some(quoted) = text.strip_prefix('"') else {
        return (!text.is_empty() && !text.contains('"')).then(|| Pattern::new(text));
    };
    let name = quoted.strip_suffix('"')?;
    let unescaped = name.replace("\"\"", "\"");
    // Each quote inside must be one of a pair.
    let pairs = name.matches("\"\"").count();
    (!name.is_empty() && name.matches('"').count() == 2 * pairs).then(|| Pattern::literal(unescaped))
}

/// Where a character that `is_wanted` stands outside double quotes.
fn outside_quotes(text: &str, is_wanted: impl Fn(char) -> bool) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    text.char_indices().filter_map(move |(at, c)| {
        quoted ^= c == '"';
        (!quoted && is_wanted(c)).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RoutineKind;

    fn parsed(text: &str) -> (Option<&'static str>, Option<String>, String, Option<String>, Option<String>) {
        let read = Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let schema = read.schema.map(|schema| schema.as_str().to_owned());
        (read.kind.map(Kind::word), schema, read.name.as_str().to_owned(), read.arguments, read.column)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn words_schemas_and_names() {
        assert_eq!(parsed("table shop.orders"), (Some("table"), some("shop"), "orders".into(), None, None));
        assert_eq!(parsed("  Tables  shop.*"), (Some("table"), some("shop"), "*".into(), None, None));
        assert_eq!(parsed("shop.orders"), (None, some("shop"), "orders".into(), None, None));
        assert_eq!(parsed("shop"), (None, None, "shop".into(), None, None));
        assert_eq!(parsed("schema shop"), (Some("schema"), None, "shop".into(), None, None));
        assert_eq!(parsed("materialized view s.v"), (Some("materialized_view"), some("s"), "v".into(), None, None));
        assert_eq!(parsed("foreign data wrapper w"), (Some("foreign_data_wrapper"), None, "w".into(), None, None));
        assert_eq!(parsed("large_object 16405"), (Some("large_object"), None, "16405".into(), None, None));
        assert_eq!(
            parsed("parameter rolecall.identity"),
            (Some("parameter"), None, "rolecall.identity".into(), None, None)
        );
    }

    #[test]
    fn routines_and_columns() {
        let integers = some("integer, double precision");
        assert_eq!(
            parsed("function shop.f(integer, double precision)"),
            (Some("function"), some("shop"), "f".into(), integers, None)
        );
        assert_eq!(parsed("shop.f ()"), (None, some("shop"), "f".into(), some(""), None));
        let column = (Some("relation"), some("shop"), "orders".into(), None, some("note"));
        assert_eq!(parsed("column shop.orders.note"), column);
        assert_eq!(parsed("shop.orders.note"), column);
        assert_eq!(parsed("column orders.note"), (Some("relation"), None, "orders".into(), None, some("note")));
        assert_eq!(Reference::parse("routine f").expect("it reads").kind, Some(Kind::Routine(RoutineKind::Any)));
    }

    #[test]
    fn quotes_hold_anything() {
        let odd = r#"table "My.Schema"."a ""b"" (c)*""#;
        assert_eq!(parsed(odd), (Some("table"), some("My.Schema"), "a \"b\" (c)*".into(), None, None));
        let wild = |text| Reference::parse(text).expect("it reads").name.is_wild();
        assert!(wild("table s.a*") && !wild(r#"table s."a*""#));
        assert_eq!(parsed(r#""table""#), (None, None, "table".into(), None, None));
    }

    #[test]
    fn what_refers_to_nothing_is_refused() {
        for (text, message) in [
            ("", "is no name"),
            ("tabel shop.orders", "\"tabel\" is no kind of object"),
            ("shop.", "is no name"),
            ("shop..orders", "is no name"),
            ("\"shop", "is no name"),
            ("\"shop\"x.orders", "is no name"),
            ("\"a\"b\"", "is no name"),
            ("a\"b", "is no name"),
            ("a.b.c.d", "too many parts"),
            ("table a.b.c", "too many parts"),
            ("column note", "a table and its column"),
            ("function f(integer", "no closing parenthesis"),
            ("table t(integer)", "argument types"),
            ("schema a.b", "a schema does not lie in a schema"),
        ] {
            let error = Reference::parse(text).expect_err(text);
            assert!(error.message.contains(message) && !error.hint.is_empty(), "{text}: {error:?}");
        }
    }
}
