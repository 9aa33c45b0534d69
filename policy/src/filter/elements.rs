//! Arrays and what is in them.
//!
//! An array that holds `NULL` has one element less: that one equals nothing.

use super::operand::Operand;
use super::read::{Path, Reader, operand};
use super::sql::{Writer, joined, sql_of};
use super::table::{Column, Type};
use super::{Error, Filter};
use serde_json::Value;

/// What is asked about an array and some operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// `has_some`: one of them is an element; false when there are none.
    Some,
    /// `has`, `has_every`: each is an element; true when there are none.
    Every,
    /// `equals`: they are its elements, in that order.
    Equal,
}

impl Reader<'_> {
    /// One operator of an array of `element`.
    pub(super) fn elements(
        &mut self,
        (column, element): (&Column, &Column),
        operator: &str,
        json: &Value,
        path: &Path,
    ) -> Result<Filter, Error> {
        let (question, operands) = match operator {
            "has" => (Elements::Every, vec![operand(element, json, path)?]),
            "has_some" => (Elements::Some, self.operands(element, json, path)?),
            "has_every" => (Elements::Every, self.operands(element, json, path)?),
            _ => (Elements::Equal, self.operands(element, json, path)?),
        };
        let filter = Filter::Elements(column.clone(), question, operands);
        Ok(if operator == "not_equals" { Filter::Not(Box::new(filter)) } else { filter })
    }
}

impl Writer<'_> {
    /// What may be absent is asked for by itself, so that it cannot make unknown what the others have settled.
    pub(super) fn elements(self, column: &Column, question: Elements, operands: &[Operand]) -> String {
        if question == Elements::Equal {
            return self.with_array(column, "=", operands);
        }
        let (variables, constants): (Vec<_>, Vec<_>) = operands.iter().cloned().partition(Operand::may_be_absent);
        let (symbol, separator, empty) = match question {
            Elements::Some => ("&&", " OR ", "false"),
            _ => ("@>", " AND ", "true"),
        };
        let constants = (!constants.is_empty()).then(|| self.with_array(column, symbol, &constants));
        let variables = variables.into_iter().map(|variable| self.with_array(column, "@>", &[variable]));
        joined(&constants.into_iter().chain(variables).collect::<Vec<_>>(), separator, empty)
    }

    /// The column and an array of the operands, which is NULL if one is absent: an array that holds NULL would be
    /// something to compare with.
    fn with_array(self, column: &Column, symbol: &str, operands: &[Operand]) -> String {
        let Some(element) = column.element.as_deref().filter(|_| !operands.is_empty()) else {
            return self.operation(column, symbol, &format!("'{{}}'::{}", column.sql_type));
        };
        let (present, values): (Vec<_>, Vec<_>) = operands.iter().map(|operand| value(operand, element)).unzip();
        let present: Vec<_> = present.into_iter().flatten().collect();
        let mut array = format!("ARRAY[{}]", values.join(", "));
        if !present.is_empty() {
            array = format!("(CASE WHEN {} THEN {array} END)", present.join(" AND "));
        }
        let condition = self.operation(column, symbol, &array);
        match operands.iter().find(|operand| operand.may_be_absent()) {
            Some(operand) => self.unless_absent(operand, &array, condition),
            None => condition,
        }
    }
}

/// When there is a value, if that is not certain, and the value in the element's own type.
fn value(operand: &Operand, element: &Column) -> (Option<String>, String) {
    let value = sql_of(operand, element);
    if !operand.may_be_absent() {
        return (None, value);
    }
    match element.data_type {
        // The variable is a bigint, and an element has to be of the array's type.
        Type::Integer(bits) if bits < 64 => {
            let limit = 1_i64 << (bits - 1);
            let bound = |symbol, limit| format!("{value} OPERATOR(pg_catalog.{symbol}) '{limit}'::pg_catalog.int8");
            let fits = format!("{} AND {}", bound(">=", -limit), bound("<=", limit - 1));
            (Some(fits), format!("{value}::{}", element.sql_type))
        }
        _ => (Some(format!("{value} IS NOT NULL")), value),
    }
}
