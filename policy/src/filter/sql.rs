//! [`Filter`] → SQL.
//!
//! The column stands bare on one side, an operand already of its type on the other, so that indexes serve. Operators are
//! those of `pg_catalog`, whatever the search path holds.

use super::operand::is_uuid;
use super::{Column, Comparison, Filter, Offset, Operand, Place, Quantifier, Related, Step, Type, Variable};
use crate::sql::{identifier, literal};
use std::collections::BTreeMap;

/// Where related tables are read, by their number.
pub type Sources = BTreeMap<u32, String>;

pub(super) fn filter(filter: &Filter, row: &str, sources: Option<&Sources>) -> String {
    Writer { row, sources, depth: 0, negative: false, explicit: false }.filter(filter)
}

/// Writes one part of a filter.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    /// What the query calls the row that the filter is about.
    row: &'a str,
    sources: Option<&'a Sources>,
    /// How many relations deep.
    depth: usize,
    /// Below an odd number of negations.
    negative: bool,
    /// An absent variable has to be looked for: what is unknown counts as false here, and that would widen.
    explicit: bool,
}

impl<'a> Writer<'a> {
    fn filter(self, filter: &Filter) -> String {
        match filter {
            Filter::All(parts) => self.join(parts, " AND ", "true"),
            Filter::Any(parts) => self.join(parts, " OR ", "false"),
            Filter::Not(part) => self.negation(part),
            Filter::Compare(column, comparison, operand) => self.compare(column, *comparison, operand),
            Filter::In(_, operands) if operands.is_empty() => "false".into(),
            Filter::NotIn(_, operands) if operands.is_empty() => "true".into(),
            Filter::In(column, operands) if self.explicit && operands.iter().any(Operand::may_be_absent) => {
                self.filter(&Filter::Any(each(column, Comparison::Equals, operands)))
            }
            Filter::NotIn(column, operands) if self.explicit && operands.iter().any(Operand::may_be_absent) => {
                self.filter(&Filter::All(each(column, Comparison::NotEquals, operands)))
            }
            Filter::In(column, operands) => self.operation(column, "=", &format!("ANY ({})", array(column, operands))),
            Filter::NotIn(column, operands) => {
                self.operation(column, "<>", &format!("ALL ({})", array(column, operands)))
            }
            Filter::Part(column, place, operand) => self.part(column, *place, operand),
            Filter::Elements(column, question, operands) => self.elements(column, *question, operands),
            Filter::Json(json) => self.json(json),
            Filter::Empty(column) => match blank(column) {
                Some(blank) => format!("({} IS NULL OR {})", self.name(column), self.operation(column, "=", &blank)),
                None => format!("({} IS NULL)", self.name(column)),
            },
            Filter::Relative(column, comparison, offset) => {
                self.operation(column, comparison.symbol(), &relative(column, offset))
            }
            Filter::Related(related) => self.related(related),
        }
    }

    fn join(self, parts: &[Filter], separator: &str, empty: &str) -> String {
        match parts {
            [] => empty.into(),
            [one] => self.filter(one),
            many => joined(&many.iter().map(|part| self.filter(part)).collect::<Vec<_>>(), separator, empty),
        }
    }

    /// Whether a negation reads the condition, so that false and unknown are not the same. A relation reads only whether
    /// it is true.
    pub(super) fn is_negated(self) -> bool {
        self.negative != self.explicit
    }

    fn negation(self, part: &Filter) -> String {
        let inside = Self { negative: !self.negative, ..self };
        match part {
            Filter::Not(part) => self.filter(part),
            Filter::All(parts) if parts.is_empty() => "false".into(),
            Filter::Any(parts) if parts.is_empty() => "true".into(),
            Filter::All(parts) | Filter::Any(parts) if parts.len() == 1 => self.negation(&parts[0]),
            Filter::Empty(column) => match blank(column) {
                Some(blank) => {
                    format!("({} IS NOT NULL AND {})", self.name(column), self.operation(column, "<>", &blank))
                }
                None => format!("({} IS NOT NULL)", self.name(column)),
            },
            part => format!("(NOT {})", inside.filter(part)),
        }
    }

    fn compare(self, column: &Column, comparison: Comparison, operand: &Operand) -> String {
        if let (Type::Boolean, Operand::Constant(value)) = (column.data_type, operand) {
            // `column = true` would be no index condition, the bare column is one.
            let name = self.name(column);
            return if (value == "true") == (comparison == Comparison::Equals) {
                name
            } else {
                format!("(NOT {name})")
            };
        }
        let value = sql_of(operand, column);
        let condition = self.operation(column, comparison.symbol(), &value);
        self.unless_absent(operand, &value, condition)
    }

    /// A comparison whose operand may be absent: then it counts as what makes the whole filter narrower.
    pub(super) fn unless_absent(self, operand: &Operand, value: &str, condition: String) -> String {
        match (self.explicit && operand.may_be_absent(), self.negative) {
            (false, _) => condition,
            (true, false) => format!("({value} IS NOT NULL AND {condition})"),
            (true, true) => format!("({value} IS NULL OR {condition})"),
        }
    }

    pub(super) fn operation(self, column: &Column, symbol: &str, right: &str) -> String {
        format!("({} OPERATOR({}.{symbol}) {right})", self.name(column), column.operators_of)
    }

    /// The column of the row under test.
    pub(super) fn name(self, column: &Column) -> String {
        let name = identifier(&column.name);
        if self.depth == 0 { name } else { qualified(&self.alias("r", self.depth), column) }
    }

    /// The same where a table inside might have a column of that name.
    fn outer_name(self, column: &Column) -> String {
        if self.depth == 0 { qualified(&identifier(self.row), column) } else { self.name(column) }
    }

    /// What the query calls a related table.
    fn alias(self, kind: &str, depth: usize) -> String {
        let kind = if self.row.starts_with(kind) { kind.repeat(2) } else { kind.to_owned() };
        format!("{kind}{depth}")
    }

    fn source<'b>(self, step: &'b Step) -> &'b str
    where
        'a: 'b,
    {
        self.sources.and_then(|sources| sources.get(&step.table)).unwrap_or(&step.name)
    }

    fn related(self, related: &Related) -> String {
        // Of every row it is asked whether it is other than true, and unknown is that.
        let negative = match related.quantifier {
            Quantifier::Some | Quantifier::Every => self.negative,
            Quantifier::None => !self.negative,
        };
        let inside = Self { depth: self.depth + 1, negative, explicit: negative, ..self };
        let condition = inside.filter(&related.filter);
        let mut conditions = match (related.quantifier, condition.as_str()) {
            (Quantifier::Every, "true") => vec!["false".into()],
            (Quantifier::Every, _) => vec![format!("{condition} IS NOT TRUE")],
            (_, "true") => Vec::new(),
            _ => vec![condition],
        };
        let last = self.alias("r", inside.depth);
        let target = related.second.as_ref().unwrap_or(&related.first);
        let mut from = format!("{} {last}", self.source(target));
        let mut next = last.clone();
        if let Some(step) = &related.second {
            next = self.alias("j", inside.depth);
            let pairs = step.columns.iter().map(|(left, right)| {
                let [left_name, right_name] = [qualified(&next, left), qualified(&last, right)];
                equality(&left_name, left, &right_name, right)
            });
            let pairs = pairs.collect::<Vec<_>>().join(" AND ");
            from = format!("{} {next} JOIN {from} ON {pairs}", self.source(&related.first));
        }
        let set = self.set(related, &from, &next, &conditions);
        for (left, right) in related.first.columns.iter().rev() {
            conditions.insert(0, equality(&self.outer_name(left), left, &qualified(&next, right), right));
        }
        let mut sql = format!("EXISTS (SELECT FROM {from} WHERE {})", conditions.join(" AND "));
        if let Some(set) = set {
            sql = format!("rolecall_relations.related({sql}, {set})");
        }
        if related.quantifier == Quantifier::Some { sql } else { format!("(NOT {sql})") }
    }

    /// The other way to the same: all related rows' keys are collected once, then each row's is looked for among them.
    fn set(self, related: &Related, from: &str, next: &str, conditions: &[String]) -> Option<String> {
        let [(left, right)] = related.first.columns.as_slice() else { return None };
        if self.depth > 0 || self.sources.is_none() || !left.is_hashable_like(right) {
            return None;
        }
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let key = qualified(next, right);
        let ids = format!("rolecall_relations.id_set(ARRAY(SELECT {key} FROM {from}{filter}))");
        Some(format!("rolecall_relations.is_in({}, (SELECT {ids}))", self.outer_name(left)))
    }
}

/// Conditions in brackets.
pub(super) fn joined(conditions: &[String], separator: &str, empty: &str) -> String {
    match conditions {
        [] => empty.into(),
        [one] => one.clone(),
        many => format!("({})", many.join(separator)),
    }
}

/// What is empty without being NULL.
fn blank(column: &Column) -> Option<String> {
    let blank = match column.data_type {
        kind if kind.is_text() => "''",
        Type::Array => "'{}'",
        _ => return None,
    };
    Some(format!("{blank}::{}", column.sql_type))
}

fn qualified(row: &str, column: &Column) -> String {
    format!("{row}.{}", identifier(&column.name))
}

/// The comparisons that a list stands for.
fn each(column: &Column, comparison: Comparison, operands: &[Operand]) -> Vec<Filter> {
    operands.iter().map(|operand| Filter::Compare(column.clone(), comparison, operand.clone())).collect()
}

/// Two columns that are equal; where their collations differ that of the second one counts.
fn equality(left_name: &str, left: &Column, right_name: &str, right: &Column) -> String {
    let collate =
        if left.collation == right.collation { String::new() } else { format!(" COLLATE {}", right.collation) };
    format!("({right_name} OPERATOR({}.=) {left_name}{collate})", right.operators_of)
}

impl Comparison {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equals => "=",
            Self::NotEquals => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

fn array(column: &Column, operands: &[Operand]) -> String {
    let list: Vec<_> = operands.iter().map(|operand| sql_of(operand, column)).collect();
    format!("ARRAY[{}]", list.join(", "))
}

impl Writer<'_> {
    fn part(self, column: &Column, place: Place, operand: &Operand) -> String {
        let name = self.name(column);
        if column.data_type != Type::Citext {
            let text = if column.sql_type == TEXT { name } else { format!("{name}::{TEXT}") };
            return self.text_part(&text, place, operand);
        }
        match pattern(place, operand) {
            Some(pattern) => self.operation(column, "~~", &format!("{}::{}", literal(&pattern), column.sql_type)),
            None => {
                // So does citext compare, whatever the column's collation.
                let text = format!("pg_catalog.lower({name}::{TEXT} COLLATE pg_catalog.\"default\")");
                self.variable_part(&text, place, operand, &format!("pg_catalog.lower({})", text_of(operand)))
            }
        }
    }

    /// A constant becomes a pattern, for which there are indexes (`text_pattern_ops`, `pg_trgm`).
    pub(super) fn text_part(self, text: &str, place: Place, operand: &Operand) -> String {
        match pattern(place, operand) {
            Some(pattern) => format!("({text} OPERATOR(pg_catalog.~~) {}::{TEXT})", literal(&pattern)),
            None => self.variable_part(text, place, operand, &text_of(operand)),
        }
    }

    fn variable_part(self, text: &str, place: Place, operand: &Operand, variable: &str) -> String {
        let condition = match place {
            Place::Anywhere => format!("(pg_catalog.strpos({text}, {variable}) OPERATOR(pg_catalog.>) 0)"),
            Place::Start => format!("({text} OPERATOR(pg_catalog.^@) {variable})"),
            Place::End => {
                let end = format!("pg_catalog.right({text}, pg_catalog.length({variable}))");
                format!("({end} OPERATOR(pg_catalog.=) {variable})")
            }
        };
        self.unless_absent(operand, variable, condition)
    }
}

/// What matches a constant part.
fn pattern(place: Place, operand: &Operand) -> Option<String> {
    let (Operand::Constant(part) | Operand::Bound(Some(part))) = operand else { return None };
    let part = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Some(match place {
        Place::Anywhere => format!("%{part}%"),
        Place::Start => format!("{part}%"),
        Place::End => format!("%{part}"),
    })
}

const TEXT: &str = "pg_catalog.text";

/// Now and so much more or less, in the column's type.
fn relative(column: &Column, offset: &Offset) -> String {
    let sign = if offset.later { "+" } else { "-" };
    let shifted =
        |now| format!("({now} OPERATOR(pg_catalog.{sign}) {}::pg_catalog.interval)", literal(&offset.interval));
    match column.data_type {
        Type::TimestampTz => shifted("pg_catalog.now()"),
        Type::Timestamp => shifted("LOCALTIMESTAMP"),
        _ => format!("{}::pg_catalog.date", shifted("LOCALTIMESTAMP")),
    }
}

pub(super) fn sql_of(operand: &Operand, column: &Column) -> String {
    match operand {
        Operand::Constant(value) if column.data_type == Type::Boolean => value.clone(),
        Operand::Constant(value) => format!("{}::{}", literal(value), column.sql_type),
        Operand::Variable(_) | Operand::Asker(_) => variable_sql(operand, column),
        Operand::Bound(value) => bound(value.as_deref(), column),
    }
}

/// The same for somebody whose value it is.
fn bound(value: Option<&str>, column: &Column) -> String {
    let integer = |value: &&str| value.parse::<i64>().is_ok();
    let (value, bare) = match column.data_type {
        Type::Uuid => (value.filter(|value| is_uuid(value)), "pg_catalog.uuid"),
        Type::Integer(_) => (value.filter(integer), "pg_catalog.int8"),
        Type::Decimal => (value.filter(integer), "pg_catalog.numeric"),
        _ => (value, column.sql_type.as_str()),
    };
    value.map_or_else(|| format!("NULL::{bare}"), |value| format!("{}::{bare}", literal(value)))
}

/// The variable in the column's own type; NULL where it is absent or not of that type.
fn variable_sql(operand: &Operand, column: &Column) -> String {
    match column.data_type {
        Type::Uuid => uuid_of(operand),
        Type::Integer(_) => bigint_of(operand),
        Type::Decimal => format!("{}::{}", bigint_of(operand), column.sql_type),
        _ if column.sql_type == TEXT => text_of(operand),
        _ => format!("{}::{}", text_of(operand), column.sql_type),
    }
}

/// An operand as text.
pub(super) fn text_of(operand: &Operand) -> String {
    match operand {
        Operand::Constant(text) | Operand::Bound(Some(text)) => format!("{}::{TEXT}", literal(text)),
        Operand::Bound(None) | Operand::Asker(Variable::ApiToken) => format!("NULL::{TEXT}"),
        Operand::Variable(variable) => format!("rolecall.{}()", name(*variable)),
        Operand::Asker(Variable::UserId) => "rolecall_asker.rolecall_asker_id".into(),
        Operand::Asker(Variable::UserEmail) => "NULLIF(rolecall_asker.rolecall_asker_email, '')".into(),
    }
}

/// The variable as an integer; NULL where it is none.
pub(super) fn bigint_of(operand: &Operand) -> String {
    match operand {
        Operand::Variable(variable) => format!("rolecall.{}_as_bigint()", name(*variable)),
        Operand::Constant(text) | Operand::Bound(Some(text)) if text.parse::<i64>().is_ok() => {
            format!("{}::pg_catalog.int8", literal(text))
        }
        Operand::Asker(_) => {
            let text = text_of(operand);
            format!(
                "(CASE WHEN {text} OPERATOR(pg_catalog.~) '^[+-]?[0-9]{{1,19}}$' THEN \
                 CASE WHEN {text}::pg_catalog.numeric OPERATOR(pg_catalog.>=) {}::pg_catalog.numeric \
                 AND {text}::pg_catalog.numeric OPERATOR(pg_catalog.<=) {}::pg_catalog.numeric \
                 THEN {text}::pg_catalog.int8 END END)",
                i64::MIN,
                i64::MAX
            )
        }
        Operand::Constant(_) | Operand::Bound(_) => "NULL::pg_catalog.int8".into(),
    }
}

/// The variable as a UUID; NULL where it is none.
fn uuid_of(operand: &Operand) -> String {
    match operand {
        Operand::Asker(_) => {
            let text = text_of(operand);
            let hex = "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$";
            format!("(CASE WHEN {text} OPERATOR(pg_catalog.~) '{hex}' THEN {text}::pg_catalog.uuid END)")
        }
        Operand::Variable(variable) => format!("rolecall.{}_as_uuid()", name(*variable)),
        _ => "NULL::pg_catalog.uuid".into(),
    }
}

fn name(variable: Variable) -> &'static str {
    match variable {
        Variable::UserId => "user_id",
        Variable::UserEmail => "user_email",
        Variable::ApiToken => "api_token_id",
    }
}
