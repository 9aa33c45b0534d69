//! [`Filter`] → SQL.
//!
//! The column stands bare on one side, an operand already of its type on the other, so that indexes serve. Operators are
//! those of `pg_catalog`, whatever the search path holds.

use super::{Column, Filter, Operand, Type, Variable};
use crate::sql::{identifier, literal};

pub(super) fn filter(filter: &Filter) -> String {
    match filter {
        Filter::All(parts) => join(parts, " AND ", "true"),
        Filter::Any(parts) => join(parts, " OR ", "false"),
        Filter::Equals(column, operand) => equals(column, &sql_of(operand, column)),
        Filter::In(_, operands) if operands.is_empty() => "false".into(),
        Filter::In(column, operands) => {
            let list: Vec<_> = operands.iter().map(|operand| sql_of(operand, column)).collect();
            equals(column, &format!("ANY (ARRAY[{}])", list.join(", ")))
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

fn equals(column: &Column, right: &str) -> String {
    let name = identifier(&column.name);
    match column.data_type {
        // `column = true` would be no index condition, the bare column is one.
        Type::Boolean if right == "true" => name,
        Type::Boolean => format!("(NOT {name})"),
        _ => format!("({name} OPERATOR(pg_catalog.=) {right})"),
    }
}

fn sql_of(operand: &Operand, column: &Column) -> String {
    match operand {
        Operand::Constant(value) if column.data_type == Type::Boolean => value.clone(),
        Operand::Constant(value) => format!("{}::{}", literal(value), column.sql_type),
        Operand::Variable(variable) => variable_sql(*variable, column),
    }
}

/// The variable in the column's own type; NULL where it is absent or not of that type.
fn variable_sql(variable: Variable, column: &Column) -> String {
    let function = match variable {
        Variable::UserId => "user_id",
        Variable::UserEmail => "user_email",
        Variable::ApiToken => "api_token_id",
    };
    match column.data_type {
        Type::Uuid => format!("rolecall.{function}_as_uuid()"),
        Type::Integer(_) => format!("rolecall.{function}_as_bigint()"),
        Type::Decimal => format!("rolecall.{function}_as_bigint()::{}", column.sql_type),
        _ if column.sql_type == "pg_catalog.text" => format!("rolecall.{function}()"),
        _ => format!("rolecall.{function}()::{}", column.sql_type),
    }
}
