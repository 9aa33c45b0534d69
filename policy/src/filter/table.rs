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
    /// What an array is made of, under the array's name.
    pub element: Option<Box<Column>>,
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
    /// `citext` of the extension of that name.
    Citext,
    /// An array; of what says [`Column::element`].
    Array,
    /// `jsonb`.
    Json,
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
            "jsonb" => Self::Json,
            _ => Self::Other,
        }
    }

    /// Whether it is text, for which `''` is empty.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Citext)
    }
}

/// What every type has.
const EQUALITY: &[&str] = &["equals", "not_equals", "is_empty", "is_not_empty"];
const LISTS: &[&str] = &["in", "not_in"];
const ORDER: &[&str] = &["lt", "lte", "gt", "gte"];
const PARTS: &[&str] = &["contains", "not_contains", "starts_with", "not_starts_with", "ends_with", "not_ends_with"];
const ELEMENTS: &[&str] = &["has", "has_some", "has_every"];

impl Column {
    /// A column with arrays of what this one has; `sql_type` is that of the arrays.
    pub fn into_array(self, sql_type: String) -> Self {
        let element = Self { is_id: false, ..self };
        Self {
            name: element.name.clone(),
            data_type: if element.is_scalar() { Type::Array } else { Type::Other },
            sql_type,
            is_id: false,
            labels: Vec::new(),
            operators_of: "pg_catalog".into(),
            collation: element.collation.clone(),
            bitwise: false,
            element: Some(Box::new(element)),
        }
    }

    /// The operators the column has, in groups.
    pub fn operators(&self) -> Vec<&'static str> {
        let groups: &[&[&str]] = match self.data_type {
            Type::Boolean => &[EQUALITY],
            Type::Enum => &[EQUALITY, LISTS],
            Type::Text | Type::Citext if !self.is_id => &[EQUALITY, LISTS, PARTS],
            Type::Text | Type::Citext | Type::Uuid => &[EQUALITY, LISTS, PARTS, ORDER],
            Type::Integer(_) | Type::Decimal if self.is_id => &[EQUALITY, LISTS, PARTS, ORDER],
            Type::Integer(_) | Type::Decimal | Type::Float => &[EQUALITY, LISTS, ORDER],
            Type::Date | Type::Timestamp | Type::TimestampTz => &[EQUALITY, LISTS, ORDER, &["relative"]],
            Type::Array => &[EQUALITY, ELEMENTS],
            Type::Json => &[EQUALITY, LISTS, ORDER, PARTS],
            Type::Other => &[],
        };
        groups.concat()
    }

    /// Whether its values are ones that filters compare as a whole.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self.data_type, Type::Array | Type::Json | Type::Other)
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
        let (of, brackets) = self.element.as_deref().map_or((self, ""), |element| (element, "[]"));
        format!("column {:?} of type {}{brackets}", self.name, of.sql_type.trim_start_matches("pg_catalog."))
    }
}
