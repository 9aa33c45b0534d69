//! JSON → [`Filter`].

use super::error::{Error, Fault};
use super::{Column, Comparison, Filter, MAX_DEPTH, MAX_NODES, Offset, Operand, Place, Table, Type};
use super::{Quantifier, Related, Relation, Step, Tables, Variable};
use serde_json::{Map, Value};
use std::rc::Rc;

pub(super) fn filter(table: &Table, tables: &Tables, json: &Value) -> Result<Filter, Error> {
    Reader { tables, nodes: 0 }.object(table, json, &Path::Root, 0)
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

pub(super) struct Reader<'a> {
    tables: &'a Tables<'a>,
    nodes: usize,
}

impl Reader<'_> {
    fn object(&mut self, table: &Table, json: &Value, path: &Path, depth: usize) -> Result<Filter, Error> {
        let Value::Object(keys) = json else { return Err(path.wrong_type("a filter object", json)) };
        if depth > MAX_DEPTH {
            return Err(path.error(Fault::TooDeep, None));
        }
        let mut parts = Vec::with_capacity(keys.len());
        for (key, value) in keys {
            let here = Path::Key(path, key);
            self.count(&here)?;
            parts.push(match key.as_str() {
                "AND" => Filter::All(self.list(table, value, &here, depth)?),
                "OR" => Filter::Any(self.list(table, value, &here, depth)?),
                "NOT" => Filter::Not(Box::new(self.negated(table, value, &here, depth)?)),
                field => self.field(table, field, value, &here, depth)?,
            });
        }
        Ok(Filter::All(parts))
    }

    /// What is not to hold: a filter, or any one of a list.
    fn negated(&mut self, table: &Table, json: &Value, path: &Path, depth: usize) -> Result<Filter, Error> {
        match json {
            Value::Object(_) => self.object(table, json, path, depth + 1),
            Value::Array(_) => Ok(Filter::Any(self.list(table, json, path, depth)?)),
            _ => Err(path.wrong_type("a filter object or a list of them", json)),
        }
    }

    fn list(&mut self, table: &Table, json: &Value, path: &Path, depth: usize) -> Result<Vec<Filter>, Error> {
        let Value::Array(filters) = json else { return Err(path.wrong_type("a list of filters", json)) };
        filters
            .iter()
            .enumerate()
            .map(|(index, filter)| {
                let here = Path::Index(path, index);
                self.count(&here)?;
                self.object(table, filter, &here, depth + 1)
            })
            .collect()
    }

    fn field(&mut self, table: &Table, name: &str, json: &Value, path: &Path, depth: usize) -> Result<Filter, Error> {
        let Some(column) = table.column(name) else {
            return self.no_column(table, name, json, path, depth);
        };
        if column.operators().is_empty() {
            return Err(path.error(Fault::UnsupportedType(column.describe()), None));
        }
        if column.data_type == Type::Json {
            return self.json(column, json, path);
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

    /// A relation, or what the table of the users has.
    fn no_column(
        &mut self,
        table: &Table,
        name: &str,
        json: &Value,
        path: &Path,
        depth: usize,
    ) -> Result<Filter, Error> {
        if let Some(id) = table.user_id.as_deref().and_then(|id| table.column(id))
            && SELF.contains(&name)
        {
            let Value::Bool(wanted) = json else { return Err(path.wrong_type("true or false", json)) };
            let equality = if name == SELF[0] { Comparison::Equals } else { Comparison::NotEquals };
            let is_so = Filter::Compare(id.clone(), equality, Operand::Variable(Variable::UserId));
            return Ok(if *wanted { is_so } else { Filter::Not(Box::new(is_so)) });
        }
        let mut named = table.relations.iter().filter(|relation| relation.name == name);
        match (named.next(), named.next()) {
            (Some(relation), None) => self.relation(table, relation, json, path, depth),
            (Some(_), Some(_)) => {
                let fault = Fault::AmbiguousField { field: name.into(), table: table.name.clone() };
                Err(path.error(fault, Some("Name the one you mean with rolecall.relate().".into())))
            }
            (None, _) => {
                let fault = Fault::UnknownField { field: name.into(), table: table.name.clone() };
                let columns = table.columns.iter().map(|column| column.name.as_str());
                let relations = table.relations.iter().map(|relation| relation.name.as_str());
                Err(path.error(fault, nearest(name, columns.chain(relations).chain(["AND", "OR", "NOT"]))))
            }
        }
    }

    fn relation(
        &mut self,
        table: &Table,
        relation: &Relation,
        json: &Value,
        path: &Path,
        depth: usize,
    ) -> Result<Filter, Error> {
        let steps = || {
            let other = (self.tables)(relation.other)?;
            let (first, second) = match &relation.through {
                None => (Step::new(table, &other, &relation.columns)?, None),
                Some((join, columns)) => {
                    let join = (self.tables)(*join)?;
                    (Step::new(table, &join, &relation.columns)?, Some(Step::new(&join, &other, columns)?))
                }
            };
            Some((other, first, second))
        };
        let (other, first, second): (Rc<Table>, _, _) = steps().ok_or_else(|| {
            let fault = Fault::BrokenRelation { relation: relation.name.clone(), table: table.name.clone() };
            path.error(fault, Some("Say what it is with rolecall.relate().".into()))
        })?;
        let related = |quantifier, filter| {
            let (first, second) = (first.clone(), second.clone());
            Filter::Related(Box::new(Related {
                of: table.id,
                relation: relation.clone(),
                quantifier,
                first,
                second,
                filter,
            }))
        };
        if !relation.many {
            return Ok(related(Quantifier::Some, self.object(&other, json, path, depth + 1)?));
        }
        let quantifiers = match json {
            Value::Object(quantifiers) if !quantifiers.is_empty() => quantifiers,
            _ => return Err(path.wrong_type("an object of some, every, none", json)),
        };
        let mut parts = Vec::with_capacity(quantifiers.len());
        for (name, filter) in quantifiers {
            let here = Path::Key(path, name);
            self.count(&here)?;
            let quantifier = match name.as_str() {
                "some" => Quantifier::Some,
                "every" => Quantifier::Every,
                "none" => Quantifier::None,
                _ => {
                    let column = format!("relation {:?}", relation.name);
                    let fault = Fault::UnknownOperator { operator: name.clone(), column };
                    return Err(here.error(fault, Some("It has some, every and none.".into())));
                }
            };
            parts.push(related(quantifier, self.object(&other, filter, &here, depth + 1)?));
        }
        Ok(Filter::All(parts))
    }

    fn predicate(&mut self, column: &Column, json: &Map<String, Value>, path: &Path) -> Result<Filter, Error> {
        let mut parts = Vec::with_capacity(json.len());
        for (operator, value) in json {
            let here = Path::Key(path, operator);
            self.count(&here)?;
            if !column.operators().contains(&operator.as_str()) {
                return Err(unknown_operator(column, operator, &here));
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
            "is_empty" | "is_not_empty" => match json {
                Value::Bool(value) if *value == (operator == "is_empty") => Filter::Empty(column.clone()),
                Value::Bool(_) => not(Filter::Empty(column.clone())),
                _ => return Err(path.wrong_type("true or false", json)),
            },
            "relative" => self.relative(column, json, path)?,
            _ if let Some(element) = column.element.as_deref() => {
                self.elements((column, element), operator, json, path)?
            }
            _ => match (Comparison::find(operator), Place::find(operator.trim_start_matches("not_"))) {
                (Some(comparison), _) => Filter::Compare(column.clone(), comparison, operand(column, json, path)?),
                (_, Some(place)) if operator.starts_with("not_") => not(part(column, place, json, path)?),
                (_, Some(place)) => part(column, place, json, path)?,
                (None, None) => unreachable!("Column::operators() names no other"),
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

    pub(super) fn operands(&mut self, column: &Column, json: &Value, path: &Path) -> Result<Vec<Operand>, Error> {
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

    pub(super) fn count(&mut self, path: &Path) -> Result<(), Error> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(path.error(Fault::TooLarge, None)) } else { Ok(()) }
    }
}

/// What only the table of the users has.
const SELF: [&str; 2] = ["is_self", "not_self"];

impl Comparison {
    pub(super) fn find(operator: &str) -> Option<Self> {
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

impl Place {
    pub(super) fn find(operator: &str) -> Option<Self> {
        Some(match operator {
            "contains" => Self::Anywhere,
            "starts_with" => Self::Start,
            "ends_with" => Self::End,
            _ => return None,
        })
    }
}

pub(super) fn unknown_operator(column: &Column, operator: &str, path: &Path) -> Error {
    let operators = column.operators();
    let hint = nearest(operator, operators.iter().copied())
        .unwrap_or_else(|| format!("It has the operators {}.", operators.join(", ")));
    path.error(Fault::UnknownOperator { operator: operator.into(), column: column.describe() }, Some(hint))
}

fn part(column: &Column, place: Place, value: &Value, path: &Path) -> Result<Filter, Error> {
    let operand = Operand::read_text(column, value);
    Ok(Filter::Part(column.clone(), place, checked(operand, path)?))
}

pub(super) fn operand(column: &Column, value: &Value, path: &Path) -> Result<Operand, Error> {
    checked(Operand::read(column, value), path)
}

pub(super) fn checked(operand: Result<Operand, Fault>, path: &Path) -> Result<Operand, Error> {
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
