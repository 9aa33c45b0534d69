//! Values inside of `jsonb` columns.
//!
//! A value of another JSON type than what it is compared with, and none at all, make the comparison unknown. Nothing is
//! cast, so that no document can make a query fail.

use super::error::{Error, Fault};
use super::json_path::{self, Key};
use super::operand::{Operand, Variable, decimal};
use super::read::{Path, Reader, checked, describe, unknown_operator};
use super::sql::{Writer, bigint_of, joined, text_of};
use super::table::Column;
use super::{Comparison, Filter, MAX_DEPTH, Place};
use crate::sql::{literal, text_array};
use serde_json::{Map, Value};

/// A condition on the value at a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Json {
    /// The column with the document.
    pub column: Column,
    /// Where in it the value is.
    pub path: Vec<Key>,
    /// What is asked about it.
    pub test: JsonTest,
}

/// What is asked about a value in a document.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonTest {
    /// It is one of these constants, JSON texts of that type.
    In(&'static str, Vec<String>),
    /// It is the variable's value: a string the same text, a number the same number.
    Is(Variable, Operand),
    /// A number that compares so with this one.
    Order(Comparison, String),
    /// A string with that part.
    Part(Place, Operand),
    /// There is none, or it is `null` or `""`. Never unknown.
    Empty,
}

impl Json {
    /// The condition with another operand in place of its own.
    pub(super) fn map(self, operand: &impl Fn(Operand) -> Operand) -> Self {
        let test = match self.test {
            JsonTest::Is(variable, other) => JsonTest::Is(variable, operand(other)),
            JsonTest::Part(place, other) => JsonTest::Part(place, operand(other)),
            other @ (JsonTest::In(..) | JsonTest::Order(..) | JsonTest::Empty) => other,
        };
        Self { test, ..self }
    }
}

impl Reader<'_> {
    /// Reads `{"path": "$.a", "equals": 1}`, or a list of such objects, which all have to hold.
    pub(super) fn json(&mut self, column: &Column, json: &Value, path: &Path) -> Result<Filter, Error> {
        match json {
            Value::Object(keys) => self.json_predicate(column, keys, path),
            Value::Array(list) if !list.is_empty() => {
                let parts = list.iter().enumerate().map(|(index, item)| {
                    let here = Path::Index(path, index);
                    self.count(&here)?;
                    let Value::Object(keys) = item else { return Err(here.wrong_type(EXPECTED, item)) };
                    self.json_predicate(column, keys, &here)
                });
                Ok(Filter::All(parts.collect::<Result<_, _>>()?))
            }
            other => Err(path.wrong_type(&format!("{EXPECTED}, or a list of such objects"), other)),
        }
    }

    fn json_predicate(&mut self, column: &Column, json: &Map<String, Value>, path: &Path) -> Result<Filter, Error> {
        let here = Path::Key(path, "path");
        let at = match json.get("path") {
            Some(Value::String(text)) => json_path::read(text).ok_or_else(|| {
                let hint = r#"Write a path like $.a.b, $.list[0] or $["any key"]."#;
                here.error(Fault::BadPath(text.clone()), Some(hint.into()))
            })?,
            Some(other) => return Err(here.wrong_type("a path as a string", other)),
            None => {
                let fault = Fault::WrongType { expected: EXPECTED.into(), found: "an object without a path".into() };
                return Err(path.error(fault, None));
            }
        };
        if at.len() > MAX_DEPTH {
            return Err(here.error(Fault::TooDeep, None));
        }
        if json.len() == 1 {
            let fault = Fault::WrongType { expected: EXPECTED.into(), found: "a path alone".into() };
            return Err(path.error(fault, None));
        }
        let mut parts = Vec::with_capacity(json.len());
        for (operator, value) in json.iter().filter(|(key, _)| *key != "path") {
            let here = Path::Key(path, operator);
            self.count(&here)?;
            if !column.operators().contains(&operator.as_str()) {
                return Err(unknown_operator(column, operator, &here));
            }
            let test = |test| Filter::Json(Box::new(Json { column: column.clone(), path: at.clone(), test }));
            parts.push(match operator.strip_prefix("not_") {
                Some(operator) => Filter::Not(Box::new(self.json_operation(column, operator, value, &here, &test)?)),
                None => self.json_operation(column, operator, value, &here, &test)?,
            });
        }
        Ok(Filter::All(parts))
    }

    fn json_operation(
        &mut self,
        column: &Column,
        operator: &str,
        json: &Value,
        path: &Path,
        test: &impl Fn(JsonTest) -> Filter,
    ) -> Result<Filter, Error> {
        Ok(match (operator, Comparison::find(operator), Place::find(operator)) {
            ("equals", ..) => match constant(column, json, path)? {
                Constant::Variable(variable) => test(JsonTest::Is(variable, Operand::Variable(variable))),
                Constant::Json(kind, text) => test(JsonTest::In(kind, vec![text])),
            },
            ("in", ..) => self.json_list(column, json, path, test)?,
            (_, Some(comparison), _) => match json {
                Value::Number(_) => match constant(column, json, path)? {
                    Constant::Json(_, number) => test(JsonTest::Order(comparison, number)),
                    Constant::Variable(_) => unreachable!("a variable is a string"),
                },
                other => return Err(path.wrong_type("a number", other)),
            },
            (.., Some(place)) => test(JsonTest::Part(place, checked(Operand::read_text(column, json), path)?)),
            _ => match json {
                Value::Bool(is_so) if *is_so == (operator == "is_empty") => test(JsonTest::Empty),
                Value::Bool(_) => Filter::Not(Box::new(test(JsonTest::Empty))),
                other => return Err(path.wrong_type("true or false", other)),
            },
        })
    }

    /// The constants have to be of one type: no value could be known to be none of several types.
    fn json_list(
        &mut self,
        column: &Column,
        json: &Value,
        path: &Path,
        test: &impl Fn(JsonTest) -> Filter,
    ) -> Result<Filter, Error> {
        let Value::Array(values) = json else { return Err(path.wrong_type("a list", json)) };
        let (mut kind, mut constants, mut parts) = (None, Vec::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            let here = Path::Index(path, index);
            self.count(&here)?;
            match constant(column, value, &here)? {
                Constant::Variable(variable) => parts.push(test(JsonTest::Is(variable, Operand::Variable(variable)))),
                Constant::Json(found, text) if *kind.get_or_insert(found) == found => constants.push(text),
                Constant::Json(..) => {
                    return Err(here.wrong_type(&format!("a {} like the one before", kind.unwrap_or_default()), value));
                }
            }
        }
        parts.extend(kind.map(|kind| test(JsonTest::In(kind, constants))));
        Ok(Filter::Any(parts))
    }
}

const EXPECTED: &str = "an object of a path and operators";

enum Constant {
    Variable(Variable),
    /// The type as `jsonb_typeof()` calls it, and the text.
    Json(&'static str, String),
}

fn constant(column: &Column, json: &Value, path: &Path) -> Result<Constant, Error> {
    let constant = match json {
        Value::String(_) => match checked(Operand::read_text(column, json), path)? {
            Operand::Variable(variable) => return Ok(Constant::Variable(variable)),
            _ => Some(("string", json.to_string())),
        },
        Value::Number(number) => decimal(&number.to_string()).map(|number| ("number", number)),
        Value::Bool(value) => Some(("boolean", value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    constant.map(|(kind, text)| Constant::Json(kind, text)).ok_or_else(|| {
        let expected = format!("a string, a number, true or false for {}", column.describe());
        path.error(Fault::WrongType { expected, found: describe(json) }, None)
    })
}

impl Writer<'_> {
    pub(super) fn json(self, json: &Json) -> String {
        let value = self.at(&json.column, &json.path);
        let is = |kind| is_type(&value, kind);
        match &json.test {
            JsonTest::In(kind, constants) => {
                let constants: Vec<_> = constants.iter().map(|constant| jsonb(constant)).collect();
                let right = match constants.as_slice() {
                    [one] => one.clone(),
                    many => format!("ANY (ARRAY[{}])", many.join(", ")),
                };
                // What is equal is of that type.
                let kind = self.is_negated().then(|| is(kind));
                self.guarded(json, kind, format!("({value} OPERATOR(pg_catalog.=) {right})"))
            }
            JsonTest::Is(variable, operand) => {
                let text = format!("pg_catalog.to_jsonb({})", text_of(operand));
                let number =
                    (*variable == Variable::UserId).then(|| format!("pg_catalog.to_jsonb({})", bigint_of(operand)));
                let condition = if self.is_negated() {
                    let case = |kind, right| {
                        format!("WHEN {} THEN ({value} OPERATOR(pg_catalog.=) {right})", is_type(&value, kind))
                    };
                    let number = number.map(|number| format!(" {}", case("number", number))).unwrap_or_default();
                    format!("(CASE {}{number} END)", case("string", text.clone()))
                } else {
                    let all: Vec<_> = [Some(text), number].into_iter().flatten().collect();
                    format!("({value} OPERATOR(pg_catalog.=) ANY (ARRAY[{}]))", all.join(", "))
                };
                self.unless_absent(operand, &text_of(operand), self.guarded(json, None, condition))
            }
            JsonTest::Order(comparison, number) => {
                let condition = format!("({value} OPERATOR(pg_catalog.{}) {})", comparison.symbol(), jsonb(number));
                self.guarded(json, Some(is("number")), condition)
            }
            JsonTest::Part(place, operand) => {
                let name = self.name(&json.column);
                let text = format!("({name} OPERATOR(pg_catalog.#>>) {})", keys(&json.path));
                let condition = self.text_part(&text, *place, operand);
                let condition = self.guarded(json, Some(is("string")), condition);
                self.unless_absent(operand, &text_of(operand), condition)
            }
            JsonTest::Empty => {
                let blank = format!("ANY (ARRAY[{}, {}])", jsonb("null"), jsonb("\"\""));
                let is_there = self.containers(json).into_iter().map(|guard| format!("{guard} IS NOT TRUE"));
                let blank = [format!("{value} IS NULL"), format!("({value} OPERATOR(pg_catalog.=) {blank})")];
                joined(&is_there.chain(blank).collect::<Vec<_>>(), " OR ", "")
            }
        }
    }

    /// The value at a path, NULL where there is none.
    fn at(self, column: &Column, path: &[Key]) -> String {
        let name = self.name(column);
        if path.is_empty() { name } else { format!("({name} OPERATOR(pg_catalog.#>) {})", keys(path)) }
    }

    /// The condition where the value is of the right type, else unknown. Unless something negates it, false is as good,
    /// and lets an index serve.
    fn guarded(self, json: &Json, kind: Option<String>, condition: String) -> String {
        let guards: Vec<_> = self.containers(json).into_iter().chain(kind).collect();
        if guards.is_empty() {
            condition
        } else if self.is_negated() {
            format!("(CASE WHEN {} THEN {condition} END)", guards.join(" AND "))
        } else {
            format!("({condition} AND {})", guards.join(" AND "))
        }
    }

    /// That indexes are those of arrays and names those of objects, where PostgreSQL's `#>` could take one for the other.
    fn containers(self, json: &Json) -> Vec<String> {
        let container = |(at, key): (usize, &Key)| {
            let kind = match key {
                Key::Index(_) => "array",
                Key::Name(name) if is_like_index(name) => "object",
                Key::Name(_) => return None,
            };
            Some(is_type(&self.at(&json.column, &json.path[..at]), kind))
        };
        json.path.iter().enumerate().filter_map(container).collect()
    }
}

/// Whether C's `strtol()` might read it as a number.
fn is_like_index(name: &str) -> bool {
    name.contains(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || c == '+' || c == '-')
}

fn is_type(value: &str, kind: &str) -> String {
    format!("(pg_catalog.jsonb_typeof({value}) OPERATOR(pg_catalog.=) '{kind}'::pg_catalog.text)")
}

fn jsonb(text: &str) -> String {
    format!("{}::pg_catalog.jsonb", literal(text))
}

fn keys(path: &[Key]) -> String {
    let keys = path.iter().map(|key| match key {
        Key::Name(name) => name.clone(),
        Key::Index(index) => index.to_string(),
    });
    text_array(keys.collect::<Vec<_>>().iter().map(String::as_str))
}
