//! The filter language: JSON over a table's columns, compiled into SQL that the planner can use an index for.
//!
//! ```json
//! {"OR": [{"public": {"equals": true}}, {"owner_id": {"equals": "__loggedInUserId"}}]}
//! ```
//!
//! A filter is read and checked against the table in one pass ([`Filter::read`]) and written as SQL in another
//! ([`Filter::to_sql`]). Keys of an object are ANDed, so are the operators of a field. A row passes where the SQL is
//! true; unknown hides it.

mod elements;
mod error;
mod json;
mod json_path;
mod names;
mod operand;
mod parts;
mod preset;
mod read;
mod relation;
mod sql;
mod table;

pub use elements::Elements;
pub use error::{Error, Fault};
pub use json::{Json, JsonTest};
pub use json_path::Key;
pub use names::{Rename, rename};
pub use operand::{Offset, Operand, Variable};
pub use parts::Part;
pub use preset::Preset;
pub use relation::{Quantifier, Reads, Related, Relation, Step, Tables, relation_name};
pub use sql::Sources;
pub use table::{Column, Table, Type};

/// How deep a filter may nest.
pub const MAX_DEPTH: usize = 32;
/// How many objects, fields, operators and list elements a filter may have.
pub const MAX_NODES: usize = 10_000;

/// A checked filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every one holds; true when there are none.
    All(Vec<Filter>),
    /// One of them holds; false when there are none.
    Any(Vec<Filter>),
    /// It is false; unknown where it is unknown.
    Not(Box<Filter>),
    /// A column compared with the operand.
    Compare(Column, Comparison, Operand),
    /// A column equals one of the operands; false when there are none.
    In(Column, Vec<Operand>),
    /// A column equals none of the operands; true when there are none.
    NotIn(Column, Vec<Operand>),
    /// The operand is a part of a column's text, at that place.
    Part(Column, Place, Operand),
    /// An array's elements and the operands.
    Elements(Column, Elements, Vec<Operand>),
    /// A value in a JSON document.
    Json(Box<Json>),
    /// A column is NULL or, if it is text or an array, empty. Never unknown.
    Empty(Column),
    /// A date or time compared with now and so much more or less.
    Relative(Column, Comparison, Offset),
    /// Rows of another table that belong to this one. Never unknown.
    Related(Box<Related>),
}

/// The operators that compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `equals`
    Equals,
    /// `not_equals`
    NotEquals,
    /// `lt`
    Less,
    /// `lte`
    LessOrEqual,
    /// `gt`
    Greater,
    /// `gte`
    GreaterOrEqual,
}

/// Where a part of a text is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `contains`
    Anywhere,
    /// `starts_with`
    Start,
    /// `ends_with`
    End,
}

impl Filter {
    /// Reads `json` as a filter over `table`; `tables` knows those that it is related to.
    ///
    /// # Errors
    /// [`Error`] with the JSON path of the first fault: an unknown field or operator, a value of another type, a wrong
    /// shape, too much depth or size.
    pub fn read(table: &Table, tables: &Tables, json: &serde_json::Value) -> Result<Self, Error> {
        read::filter(table, tables, json)
    }

    /// The SQL condition over a row that the query calls `row`. Related tables are read as who asks.
    pub fn to_sql(&self, row: &str) -> String {
        sql::filter(self, row, None)
    }

    /// The condition for a policy, which reads related tables through `sources` and lets the planner choose how.
    pub fn to_policy(&self, row: &str, sources: &Sources) -> String {
        sql::filter(self, row, Some(sources))
    }

    /// The filter with something else in place of its variables.
    pub fn bind(self, value: &impl Fn(Variable) -> Operand) -> Self {
        let operand = |operand| match operand {
            Operand::Variable(variable) => value(variable),
            other => other,
        };
        let all = |parts: Vec<Self>| parts.into_iter().map(|part| part.bind(value)).collect();
        match self {
            Self::All(parts) => Self::All(all(parts)),
            Self::Any(parts) => Self::Any(all(parts)),
            Self::Not(part) => Self::Not(Box::new(part.bind(value))),
            Self::Compare(column, comparison, other) => Self::Compare(column, comparison, operand(other)),
            Self::In(column, operands) => Self::In(column, operands.into_iter().map(operand).collect()),
            Self::NotIn(column, operands) => Self::NotIn(column, operands.into_iter().map(operand).collect()),
            Self::Part(column, place, other) => Self::Part(column, place, operand(other)),
            Self::Elements(column, question, operands) => {
                Self::Elements(column, question, operands.into_iter().map(operand).collect())
            }
            Self::Json(json) => Self::Json(Box::new(json.map(&operand))),
            other @ (Self::Empty(_) | Self::Relative(..)) => other,
            Self::Related(related) => {
                let Related { filter, .. } = *related;
                Self::Related(Box::new(Related { filter: filter.bind(value), ..*related }))
            }
        }
    }
}

#[cfg(test)]
mod relation_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod type_tests;
