//! The table that a filter is about.

use super::Relation;

/// A table and what a filter may name of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The number that relations know it by.
    pub id: u32,
    /// The name in SQL, with its schema.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its relations. Of several with one name none can be used.
    pub relations: Vec<Relation>,
    /// The column with the user's id, where the table holds the users.
    pub user_id: Option<String>,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name, unquoted.
    pub name: String,
    /// What can be compared with it.
    pub data_type: Type,
    /// The type's name in SQL, schema-qualified and quoted, to which operands are cast.
    pub sql_type: String,
    /// Part of a primary or foreign key: its operand may be a JSON string or integer.
    pub is_id: bool,
    /// The values of an enum.
    pub labels: Vec<String>,
    /// The schema of its operators, quoted.
    pub operators_of: String,
    /// Its collation in SQL; empty where its type has none.
    pub collation: String,
    /// Equal values are equal bytes.
    pub bitwise: bool,
}

/// The classes of types that filters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `text`, `varchar`, `char`.
    Text,
    /// `uuid`.
    Uuid,
    /// `smallint`, `integer`, `bigint`, with their width in bits.
    Integer(u32),
    /// `numeric`.
    Decimal,
    /// `real`, `double precision`.
    Float,
    /// `boolean`.
    Boolean,
    /// `date`.
    Date,
    /// `timestamp`.
    Timestamp,
    /// `timestamptz`.
    TimestampTz,
    /// An enum, whichever; its values are [`Column::labels`].
    Enum,
    /// Anything else.
    Other,
}

impl Type {
    /// The class of a built-in type (a name of `pg_catalog`).
    pub fn of(name: &str) -> Self {
        match name {
            "text" | "varchar" | "bpchar" => Self::Text,
            "uuid" => Self::Uuid,
            "int2" => Self::Integer(16),
            "int4" => Self::Integer(32),
            "int8" => Self::Integer(64),
            "numeric" => Self::Decimal,
            "float4" | "float8" => Self::Float,
            "bool" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampTz,
            _ => Self::Other,
        }
    }
}

/// What every type has.
const EQUALITY: &[&str] = &["equals", "not_equals", "is_empty", "is_not_empty"];
const LISTS: &[&str] = &["in", "not_in"];
const ORDER: &[&str] = &["lt", "lte", "gt", "gte"];
const PARTS: &[&str] = &["contains", "not_contains", "starts_with", "not_starts_with", "ends_with", "not_ends_with"];

impl Column {
    /// The operators the column has, in groups.
    pub fn operators(&self) -> Vec<&'static str> {
        let groups: &[&[&str]] = match self.data_type {
            Type::Boolean => &[EQUALITY],
            Type::Enum => &[EQUALITY, LISTS],
            Type::Text if !self.is_id => &[EQUALITY, LISTS, PARTS],
            Type::Text | Type::Uuid => &[EQUALITY, LISTS, PARTS, ORDER],
            Type::Integer(_) | Type::Decimal if self.is_id => &[EQUALITY, LISTS, PARTS, ORDER],
            Type::Integer(_) | Type::Decimal | Type::Float => &[EQUALITY, LISTS, ORDER],
            Type::Date | Type::Timestamp | Type::TimestampTz => &[EQUALITY, LISTS, ORDER, &["relative"]],
            Type::Other => &[],
        };
        groups.concat()
    }

    /// Whether `=` compares the two as their types are declared.
    pub fn is_comparable(&self, other: &Self) -> bool {
        let is_same = self.sql_type == other.sql_type;
        match (self.data_type, other.data_type) {
            (Type::Integer(_), Type::Integer(_)) | (Type::Text, Type::Text) => true,
            (Type::Other, _) | (_, Type::Other) => false,
            _ => is_same,
        }
    }

    /// Whether a value of one can be looked for among those of the other by its bytes.
    pub(super) fn is_hashable_like(&self, other: &Self) -> bool {
        let is_same = self.sql_type == other.sql_type && self.collation == other.collation;
        is_same && self.bitwise && other.bitwise
    }

    /// The column as an error names it.
    pub fn describe(&self) -> String {
        format!("column {:?} of type {}", self.name, self.sql_type.trim_start_matches("pg_catalog."))
    }
}
