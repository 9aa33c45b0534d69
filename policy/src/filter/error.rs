//! What can be wrong with a filter.

use std::fmt;

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at {path}")]
pub struct Error {
    /// The JSON path (RFC 9535) of the faulty value.
    pub path: String,
    /// What is wrong.
    pub fault: Fault,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The table has no such column.
    UnknownField {
        /// The field as written.
        field: String,
        /// The table's name.
        table: String,
    },
    /// Several foreign keys would give a relation that name.
    AmbiguousField {
        /// The field as written.
        field: String,
        /// The table's name.
        table: String,
    },
    /// A relation whose columns are gone or of types that cannot be compared.
    BrokenRelation {
        /// The relation's name.
        relation: String,
        /// The table's name.
        table: String,
    },
    /// The column's type has no such operator.
    UnknownOperator {
        /// The operator as written.
        operator: String,
        /// The column's name and type.
        column: String,
    },
    /// A value of the wrong JSON type or shape, or not of the column's type.
    WrongType {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A value that begins with `__` and is no variable.
    UnknownVariable(String),
    /// A variable that cannot be compared with the column.
    VariableType {
        /// The variable.
        variable: &'static str,
        /// The column's name and type.
        column: String,
    },
    /// A column type that filters cannot compare.
    UnsupportedType(String),
    /// What is no path into a JSON document.
    BadPath(String),
    /// Deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
    /// Larger than [`MAX_NODES`](super::MAX_NODES).
    TooLarge,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField { field, table } => write!(f, "unknown field {field:?} of {table}"),
            Self::AmbiguousField { field, table } => write!(f, "{field:?} of {table} may be several relations"),
            Self::BrokenRelation { relation, table } => {
                write!(f, "relation {relation:?} of {table} compares columns that are gone or of different types")
            }
            Self::UnknownOperator { operator, column } => write!(f, "unknown operator {operator:?} for {column}"),
            Self::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::UnknownVariable(name) => write!(f, "unknown variable {name:?}"),
            Self::VariableType { variable, column } => write!(f, "{variable} cannot be compared with {column}"),
            Self::UnsupportedType(column) => write!(f, "{column} cannot be used in a filter"),
            Self::BadPath(path) => write!(f, "{path:?} is no path of keys and indexes"),
            Self::TooDeep => write!(f, "the filter nests deeper than {} levels", super::MAX_DEPTH),
            Self::TooLarge => write!(f, "the filter has more than {} parts", super::MAX_NODES),
        }
    }
}
