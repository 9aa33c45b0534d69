//! Calls of the extension's functions as text.

use policy::spec::TableName;
use policy::sql::literal;
use serde_json::Value;

/// A call of one of the extension's functions.
pub struct Call {
    text: String,
    first: bool,
}

impl Call {
    /// A call without arguments so far.
    pub fn new(function: &str) -> Self {
        Self { text: format!("SELECT rolecall.{function}("), first: true }
    }

    /// With a further argument that is text to SQL.
    pub fn text(self, value: &str) -> Self {
        self.sql(&literal(value))
    }

    /// With a further argument that is a table.
    pub fn table(self, name: &TableName) -> Self {
        self.text(&name.sql())
    }

    /// With a further argument that is a list of texts.
    pub fn list<'a>(self, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.sql(&policy::sql::text_array(values))
    }

    /// With an argument by name, if it has a value.
    pub fn named(self, name: &str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.sql(&format!("{name} => {value}")),
            None => self,
        }
    }

    /// The statement.
    pub fn end(mut self) -> String {
        self.text.push(')');
        self.text
    }

    fn sql(mut self, argument: &str) -> Self {
        if !self.first {
            self.text.push_str(", ");
        }
        self.first = false;
        self.text.push_str(argument);
        self
    }
}

/// JSON as SQL.
pub fn json(value: &Value) -> String {
    literal(&value.to_string())
}
