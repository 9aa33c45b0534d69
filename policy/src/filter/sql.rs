//! [`Filter`] → SQL.
//!
//! The column stands bare on one side, an operand already of its type on the other, so that indexes serve. Operators are
//! those of `pg_catalog`, whatever the search path holds.

use super::operand::is_uuid;
use super::{Column, Comparison, Filter, Offset, Operand, Place, Type, Variable};
use crate::sql::{identifier, literal};

pub(super) fn filter(filter: &Filter) -> String {
    match filter {
        Filter::All(parts) => join(parts, " AND ", "true"),
        Filter::Any(parts) => join(parts, " OR ", "false"),
        Filter::Not(part) => negation(part),
        Filter::Compare(column, comparison, operand) => compare(column, *comparison, operand),
        Filter::In(_, operands) if operands.is_empty() => "false".into(),
        Filter::In(column, operands) => operation(column, "=", &format!("ANY ({})", array(column, operands))),
        Filter::NotIn(_, operands) if operands.is_empty() => "true".into(),
        Filter::NotIn(column, operands) => operation(column, "<>", &format!("ALL ({})", array(column, operands))),
        Filter::Part(column, place, operand) => part(column, *place, operand),
        Filter::Empty(column) if column.data_type == Type::Text => {
            let name = identifier(&column.name);
            format!("({name} IS NULL OR {})", operation(column, "=", &format!("''::{}", column.sql_type)))
        }
        Filter::Empty(column) => format!("({} IS NULL)", identifier(&column.name)),
        Filter::Relative(column, comparison, offset) => {
            operation(column, comparison.symbol(), &relative(column, offset))
        }
    }
}

fn join(parts: &[Filter], separator: &str, empty: &str) -> String {
    match parts {
        [] => empty.into(),
        [one] => filter(one),
        many => format!("({})", many.iter().map(filter).collect::<Vec<_>>().join(separator)),
    }
}

fn negation(part: &Filter) -> String {
    match part {
        Filter::Not(part) => filter(part),
        Filter::All(parts) if parts.is_empty() => "false".into(),
        Filter::Any(parts) if parts.is_empty() => "true".into(),
        Filter::All(parts) | Filter::Any(parts) if parts.len() == 1 => negation(&parts[0]),
        Filter::Empty(column) if column.data_type == Type::Text => {
            let name = identifier(&column.name);
            format!("({name} IS NOT NULL AND {})", operation(column, "<>", &format!("''::{}", column.sql_type)))
        }
        Filter::Empty(column) => format!("({} IS NOT NULL)", identifier(&column.name)),
        part => format!("(NOT {})", filter(part)),
    }
}

impl Comparison {
    fn symbol(self) -> &'static str {
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

fn compare(column: &Column, comparison: Comparison, operand: &Operand) -> String {
    if let (Type::Boolean, Operand::Constant(value)) = (column.data_type, operand) {
        // `column = true` would be no index condition, the bare column is one.
        let name = identifier(&column.name);
        return if (value == "true") == (comparison == Comparison::Equals) { name } else { format!("(NOT {name})") };
    }
    operation(column, comparison.symbol(), &sql_of(operand, column))
}

fn operation(column: &Column, symbol: &str, right: &str) -> String {
    format!("({} OPERATOR(pg_catalog.{symbol}) {right})", identifier(&column.name))
}

fn array(column: &Column, operands: &[Operand]) -> String {
    let list: Vec<_> = operands.iter().map(|operand| sql_of(operand, column)).collect();
    format!("ARRAY[{}]", list.join(", "))
}

/// A constant becomes a pattern, for which there are indexes (`text_pattern_ops`, `pg_trgm`).
fn part(column: &Column, place: Place, operand: &Operand) -> String {
    let name = identifier(&column.name);
    let text = if column.sql_type == TEXT { name } else { format!("{name}::{TEXT}") };
    match (operand, place) {
        (Operand::Bound(None), _) => "NULL::pg_catalog.bool".into(),
        (Operand::Constant(part) | Operand::Bound(Some(part)), _) => {
            let part = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            let pattern = match place {
                Place::Anywhere => format!("%{part}%"),
                Place::Start => format!("{part}%"),
                Place::End => format!("%{part}"),
            };
            format!("({text} OPERATOR(pg_catalog.~~) {}::{TEXT})", literal(&pattern))
        }
        (Operand::Variable(variable), Place::Anywhere) => {
            format!("(pg_catalog.strpos({text}, {}) OPERATOR(pg_catalog.>) 0)", function(*variable))
        }
        (Operand::Variable(variable), Place::Start) => {
            format!("({text} OPERATOR(pg_catalog.^@) {})", function(*variable))
        }
        (Operand::Variable(variable), Place::End) => {
            let part = function(*variable);
            format!("(pg_catalog.right({text}, pg_catalog.length({part})) OPERATOR(pg_catalog.=) {part})")
        }
    }
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
        Operand::Variable(variable) => variable_sql(*variable, column),
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
fn variable_sql(variable: Variable, column: &Column) -> String {
    let name = name(variable);
    match column.data_type {
        Type::Uuid => format!("rolecall.{name}_as_uuid()"),
        Type::Integer(_) => format!("rolecall.{name}_as_bigint()"),
        Type::Decimal => format!("rolecall.{name}_as_bigint()::{}", column.sql_type),
        _ if column.sql_type == TEXT => function(variable),
        _ => format!("{}::{}", function(variable), column.sql_type),
    }
}

/// The variable as text.
fn function(variable: Variable) -> String {
    format!("rolecall.{}()", name(variable))
}

fn name(variable: Variable) -> &'static str {
    match variable {
        Variable::UserId => "user_id",
        Variable::UserEmail => "user_email",
        Variable::ApiToken => "api_token_id",
    }
}
