//! The right-hand side of a comparison: a constant of the column's type, or a variable of the session.

use super::error::Fault;
use super::table::{Column, Type};
use serde_json::Value;

/// What a column is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A value in the text form that the column's type reads.
    Constant(String),
    /// A value of the session; absent, the comparison is unknown.
    Variable(Variable),
    /// What a variable is for somebody else.
    Bound(Option<String>),
    /// What a variable is for each of several users: those of the query's rows `rolecall_asker`, with their `rolecall_asker_id` and `rolecall_asker_email`.
    Asker(Variable),
}

/// The dynamic variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `__loggedInUserId`
    UserId,
    /// `__loggedInUserEmail`
    UserEmail,
    /// `__requestingApiToken`
    ApiToken,
}

impl Variable {
    const ALL: [Self; 3] = [Self::UserId, Self::UserEmail, Self::ApiToken];

    /// The variable as filters write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UserId => "__loggedInUserId",
            Self::UserEmail => "__loggedInUserEmail",
            Self::ApiToken => "__requestingApiToken",
        }
    }

    /// A user's id may be of any type that ids have, a token's is a UUID, an e-mail address is text.
    fn fits(self, data_type: Type) -> bool {
        match self {
            _ if data_type.is_text() => true,
            Self::UserId => matches!(data_type, Type::Uuid | Type::Integer(_) | Type::Decimal),
            Self::ApiToken => data_type == Type::Uuid,
            Self::UserEmail => false,
        }
    }
}

/// A time from now: so many of a unit later, or earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Later where it is true.
    pub later: bool,
    /// How much, as PostgreSQL reads an interval.
    pub interval: String,
}

/// The units of MySQL's intervals that are no compounds, and what they are in PostgreSQL.
const UNITS: [(&str, i64, &str); 9] = [
    ("MICROSECOND", 1, "microseconds"),
    ("SECOND", 1, "seconds"),
    ("MINUTE", 1, "minutes"),
    ("HOUR", 1, "hours"),
    ("DAY", 1, "days"),
    ("WEEK", 7, "days"),
    ("MONTH", 1, "months"),
    ("QUARTER", 3, "months"),
    ("YEAR", 12, "months"),
];
/// The largest number of a unit: whatever the unit, PostgreSQL's dates go as far.
const MOST: i64 = 100_000;

impl Offset {
    /// Reads `{"op": "ADD" | "SUB", "unit": "DAY", "value": "7"}`.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let fields = value.as_object().filter(|fields| fields.len() == 3)?;
        let text = |name| fields.get(name).and_then(Value::as_str);
        let later = match text("op")? {
            "ADD" => true,
            "SUB" => false,
            _ => return None,
        };
        let (_, factor, unit) = UNITS.iter().find(|(name, ..)| Some(*name) == text("unit"))?;
        let amount = match fields.get("value")? {
            Value::String(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i64>().ok()?,
            Value::Number(number) => number.as_i64()?,
            _ => return None,
        };
        let most = if *unit == "months" { MOST } else { MOST * 1_000_000_000 };
        let amount = amount.checked_mul(*factor).filter(|amount| (0..=most).contains(amount))?;
        Some(Self { later, interval: format!("{amount} {unit}") })
    }
}

impl Operand {
    /// Reads `value` as an operand for `column`. Only a string that is exactly a variable's name is a variable.
    pub(super) fn read(column: &Column, value: &Value) -> Result<Self, Fault> {
        if let Value::String(text) = value
            && text.starts_with("__")
        {
            let variable = Variable::ALL.into_iter().find(|variable| variable.name() == text);
            let variable = variable.ok_or_else(|| Fault::UnknownVariable(text.clone()))?;
            return if variable.fits(column.data_type) {
                Ok(Self::Variable(variable))
            } else {
                Err(Fault::VariableType { variable: variable.name(), column: column.describe() })
            };
        }
        constant(column, value)
            .map(Self::Constant)
            .ok_or_else(|| Fault::WrongType { expected: expected(column), found: super::read::describe(value) })
    }
}

impl Operand {
    /// Whether there may be no value.
    pub(super) fn may_be_absent(&self) -> bool {
        !matches!(self, Self::Constant(_))
    }

    /// Reads `value` as text that is compared with the column's, or with a part of it.
    pub(super) fn read_text(column: &Column, value: &Value) -> Result<Self, Fault> {
        let text = Column { data_type: Type::Text, is_id: false, ..column.clone() };
        Self::read(&text, value)
    }
}

/// The constant's text where `value` is one of the column's type.
fn constant(column: &Column, value: &Value) -> Option<String> {
    match (column.data_type, value) {
        (Type::Text | Type::Citext, Value::String(text)) => (!text.contains('\0')).then(|| text.clone()),
        (Type::Text | Type::Citext, Value::Number(number)) if column.is_id => {
            number.to_string().parse::<i64>().ok().map(|integer| integer.to_string())
        }
        (Type::Uuid, Value::String(text)) => is_uuid(text).then(|| text.to_ascii_lowercase()),
        (Type::Integer(bits), Value::Number(number)) => integer(&number.to_string(), bits),
        (Type::Integer(bits), Value::String(text)) if column.is_id => integer(text, bits),
        (Type::Decimal, Value::Number(number)) => decimal(&number.to_string()),
        (Type::Decimal, Value::String(text)) if column.is_id => text.parse::<i64>().ok().map(|id| id.to_string()),
        (Type::Float, Value::Number(number)) => {
            let text = number.to_string();
            text.parse::<f64>().is_ok_and(f64::is_finite).then_some(text)
        }
        (Type::Boolean, Value::Bool(value)) => Some(value.to_string()),
        (Type::Enum, Value::String(text)) => column.labels.contains(text).then(|| text.clone()),
        (Type::Date, Value::String(text)) => {
            text.parse::<jiff::civil::Date>().ok().map(|date| date.to_string()).filter(|date| date == text)
        }
        (Type::TimestampTz, Value::String(text)) => timestamp_tz(text),
        (Type::Timestamp, Value::String(text)) => timestamp(text),
        _ => None,
    }
}

fn integer(text: &str, bits: u32) -> Option<String> {
    let value: i64 = text.parse().ok()?;
    let limit = 1_i128 << (bits - 1);
    (-limit..limit).contains(&i128::from(value)).then(|| value.to_string())
}

/// A number whose digits all fit into `numeric`.
pub(super) fn decimal(text: &str) -> Option<String> {
    let exponent = text.split_once(['e', 'E']).map_or(Ok(0), |(_, exponent)| exponent.parse::<i32>()).ok()?;
    (text.len() <= 1000 && exponent.abs() <= 1000).then(|| text.to_owned())
}

pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A point in time needs its offset, else its meaning would change with the reader's time zone.
fn timestamp_tz(text: &str) -> Option<String> {
    is_date_and_time(text).then(|| text.parse::<jiff::Timestamp>().ok().map(|instant| instant.to_string())).flatten()
}

/// A time without a zone takes none, for the same reason.
fn timestamp(text: &str) -> Option<String> {
    let has_zone = text.parse::<jiff::Timestamp>().is_ok();
    (is_date_and_time(text) && !has_zone)
        .then(|| text.parse::<jiff::civil::DateTime>().ok().map(|time| time.to_string()))
        .flatten()
}

fn is_date_and_time(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T') && !text.contains('[')
}

fn expected(column: &Column) -> String {
    let what = match column.data_type {
        Type::Text | Type::Citext if column.is_id => "a string or an integer",
        Type::Text | Type::Citext => "a string",
        Type::Uuid => "a UUID as a string",
        Type::Integer(_) if column.is_id => "an integer in range, or one as a string",
        Type::Integer(_) => "an integer in range",
        Type::Decimal | Type::Float => "a number",
        Type::Boolean => "true or false",
        Type::Date => "a date as \"YYYY-MM-DD\"",
        Type::Timestamp => "a time as \"YYYY-MM-DDThh:mm:ss\"",
        Type::TimestampTz => "a time as \"YYYY-MM-DDThh:mm:ssZ\"",
        Type::Enum => return format!("one of {:?} for {}", column.labels, column.describe()),
        Type::Array | Type::Json | Type::Other => "nothing",
    };
    format!("{what} for {}", column.describe())
}
