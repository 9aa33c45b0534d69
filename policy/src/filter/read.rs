//! JSON → [`Filter`].

use super::error::{Error, Fault};
use super::{Column, Comparison, Filter, MAX_DEPTH, MAX_NODES, Offset, Operand, Place, Table};
use serde_json::{Map, Value};

pub(super) fn filter(table: &Table, json: &Value) -> Result<Filter, Error> {
    Reader { table, nodes: 0 }.object(json, &Path::Root, 0)
}

/// `value` as an error describes it: the kind only, since a filter may hold what errors must not show.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "a boolean".into(),
        Value::Number(_) => "a number".into(),
        Value::String(_) => "a string".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// Where the reader is, as a list from leaf to root: nothing is allocated unless there is a fault.
pub(super) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Path::Root => out.push('$'),
            Path::Key(parent, key) => {
                parent.write(out);
                let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_');
                out.push_str(&if plain { format!(".{key}") } else { format!("[{key:?}]") });
            }
            Path::Index(parent, index) => {
                parent.write(out);
                out.push_str(&format!("[{index}]"));
            }
        }
    }

    pub(super) fn error(&self, fault: Fault, hint: Option<String>) -> Error {
        let mut path = String::new();
        self.write(&mut path);
        Error { path, fault, hint }
    }

    pub(super) fn wrong_type(&self, expected: &str, found: &Value) -> Error {
        self.error(Fault::WrongType { expected: expected.into(), found: describe(found) }, None)
    }
}

struct Reader<'a> {
    table: &'a Table,
    nodes: usize,
}

impl Reader<'_> {
    fn object(&mut self, json: &Value, path: &Path, depth: usize) -> Result<Filter, Error> {
        let Value::Object(keys) = json else { return Err(path.wrong_type("a filter object", json)) };
        if depth > MAX_DEPTH {
            return Err(path.error(Fault::TooDeep, None));
        }
        let mut parts = Vec::with_capacity(keys.len());
        for (key, value) in keys {
            let here = Path::Key(path, key);
            self.count(&here)?;
            parts.push(match key.as_str() {
                "AND" => Filter::All(self.list(value, &here, depth)?),
                "OR" => Filter::Any(self.list(value, &here, depth)?),
                "NOT" => Filter::Not(Box::new(self.negated(value, &here, depth)?)),
                field => self.field(field, value, &here)?,
            });
        }
        Ok(Filter::All(parts))
    }

    /// What is not to hold: a filter, or any one of a list.
    fn negated(&mut self, json: &Value, path: &Path, depth: usize) -> Result<Filter, Error> {
        match json {
            Value::Object(_) => self.object(json, path, depth + 1),
            Value::Array(_) => Ok(Filter::Any(self.list(json, path, depth)?)),
            _ => Err(path.wrong_type("a filter object or a list of them", json)),
        }
    }

    fn list(&mut self, json: &Value, path: &Path, depth: usize) -> Result<Vec<Filter>, Error> {
        let Value::Array(filters) = json else { return Err(path.wrong_type("a list of filters", json)) };
        filters
            .iter()
            .enumerate()
            .map(|(index, filter)| {
                let here = Path::Index(path, index);
                self.count(&here)?;
                self.object(filter, &here, depth + 1)
            })
            .collect()
    }

    fn field(&mut self, name: &str, json: &Value, path: &Path) -> Result<Filter, Error> {
        let Some(column) = self.table.columns.iter().find(|column| column.name == name) else {
            let fault = Fault::UnknownField { field: name.into(), table: self.table.name.clone() };
            let names = self.table.columns.iter().map(|column| column.name.as_str()).chain(["AND", "OR", "NOT"]);
            return Err(path.error(fault, nearest(name, names)));
        };
        if column.operators().is_empty() {
            return Err(path.error(Fault::UnsupportedType(column.describe()), None));
        }
        let predicate = match json {
            Value::Object(predicate) if !predicate.is_empty() => predicate,
            Value::Object(_) => {
                let fault = Fault::WrongType { expected: "an operator".into(), found: "an empty object".into() };
                return Err(path.error(fault, None));
            }
            other => return Err(path.wrong_type("an object of operators", other)),
        };
        self.predicate(column, predicate, path)
    }

    fn predicate(&mut self, column: &Column, json: &Map<String, Value>, path: &Path) -> Result<Filter, Error> {
        let mut parts = Vec::with_capacity(json.len());
        for (operator, value) in json {
            let here = Path::Key(path, operator);
            self.count(&here)?;
            let operators = column.operators();
            if !operators.contains(&operator.as_str()) {
                let fault = Fault::UnknownOperator { operator: operator.clone(), column: column.describe() };
                let hint = nearest(operator, operators.iter().copied())
                    .unwrap_or_else(|| format!("It has the operators {}.", operators.join(", ")));
                return Err(here.error(fault, Some(hint)));
            }
            parts.push(self.operation(column, operator, value, &here)?);
        }
        Ok(Filter::All(parts))
    }

    /// One operator, which the column has, with its operand.
    fn operation(&mut self, column: &Column, operator: &str, json: &Value, path: &Path) -> Result<Filter, Error> {
        let not = |filter| Filter::Not(Box::new(filter));
        Ok(match operator {
            "in" => Filter::In(column.clone(), self.operands(column, json, path)?),
            "not_in" => Filter::NotIn(column.clone(), self.operands(column, json, path)?),
            "contains" => part(column, Place::Anywhere, json, path)?,
            "not_contains" => not(part(column, Place::Anywhere, json, path)?),
            "starts_with" => part(column, Place::Start, json, path)?,
            "not_starts_with" => not(part(column, Place::Start, json, path)?),
            "ends_with" => part(column, Place::End, json, path)?,
            "not_ends_with" => not(part(column, Place::End, json, path)?),
            "is_empty" | "is_not_empty" => match json {
                Value::Bool(value) if *value == (operator == "is_empty") => Filter::Empty(column.clone()),
                Value::Bool(_) => not(Filter::Empty(column.clone())),
                _ => return Err(path.wrong_type("true or false", json)),
            },
            "relative" => self.relative(column, json, path)?,
            _ => match Comparison::find(operator) {
                Some(comparison) => Filter::Compare(column.clone(), comparison, operand(column, json, path)?),
                None => unreachable!("Column::operators() names no other"),
            },
        })
    }

    fn relative(&mut self, column: &Column, json: &Value, path: &Path) -> Result<Filter, Error> {
        let comparisons = match json {
            Value::Object(comparisons) if !comparisons.is_empty() => comparisons,
            _ => return Err(path.wrong_type("an object of lt, lte, gt, gte", json)),
        };
        let mut parts = Vec::with_capacity(comparisons.len());
        for (operator, value) in comparisons {
            let here = Path::Key(path, operator);
            self.count(&here)?;
            let comparison = Comparison::find(operator).filter(|comparison| comparison.is_order());
            let Some(comparison) = comparison else {
                let fault = Fault::UnknownOperator { operator: operator.clone(), column: column.describe() };
                return Err(here.error(fault, Some("It has the operators lt, lte, gt, gte.".into())));
            };
            let offset = Offset::read(value).ok_or_else(|| {
                let fault = Fault::WrongType { expected: "a time from now".into(), found: describe(value) };
                let hint = "Write {\"op\": \"ADD\" or \"SUB\", \"unit\": \"DAY\", \"value\": \"7\"}; the units are MICROSECOND to YEAR.";
                here.error(fault, Some(hint.into()))
            })?;
            parts.push(Filter::Relative(column.clone(), comparison, offset));
        }
        Ok(Filter::All(parts))
    }

    fn operands(&mut self, column: &Column, json: &Value, path: &Path) -> Result<Vec<Operand>, Error> {
        let Value::Array(values) = json else { return Err(path.wrong_type("a list", json)) };
        values
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let here = Path::Index(path, index);
                self.count(&here)?;
                operand(column, value, &here)
            })
            .collect()
    }

    fn count(&mut self, path: &Path) -> Result<(), Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(path.error(Fault::TooLarge, None)) } else { Ok(()) }
    }
}

impl Comparison {
    fn find(operator: &str) -> Option<Self> {
        Some(match operator {
            "equals" => Self::Equals,
            "not_equals" => Self::NotEquals,
            "lt" => Self::Less,
            "lte" => Self::LessOrEqual,
            "gt" => Self::Greater,
            "gte" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equals | Self::NotEquals)
    }
}

fn part(column: &Column, place: Place, value: &Value, path: &Path) -> Result<Filter, Error> {
    let operand = Operand::read_part(column, value);
    Ok(Filter::Part(column.clone(), place, checked(operand, path)?))
}

pub(super) fn operand(column: &Column, value: &Value, path: &Path) -> Result<Operand, Error> {
    checked(Operand::read(column, value), path)
}

fn checked(operand: Result<Operand, Fault>, path: &Path) -> Result<Operand, Error> {
    operand.map_err(|fault| {
        let hint = matches!(fault, Fault::UnknownVariable(_))
            .then(|| "Variables are __loggedInUserId, __loggedInUserEmail and __requestingApiToken.".into());
        path.error(fault, hint)
    })
}

pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let similarity = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &word.to_lowercase());
    known
        .map(|name| (similarity(name), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("Did you mean {name:?}?"))
}
