//! Names of tables as one text: `schema.table`.

use crate::sql::identifier;
use std::fmt;

/// A table's schema and name, as they are: nothing is folded to small letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
}

impl TableName {
    /// Reads `schema.table`; a name with a dot or a quote in it stands in double quotes, as in SQL.
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, rest) = part(text)?;
        let (name, rest) = part(rest.strip_prefix('.')?)?;
        rest.is_empty().then_some(Self { schema, name })
    }

    /// The name in SQL.
    pub fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

/// The first name of a text and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (piece, after) = rest.split_once('"')?;
        name.push_str(piece);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (!name.is_empty()).then_some((name, after)),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |name: &str| if name.contains(['.', '"']) { identifier(name) } else { name.to_owned() };
        write!(f, "{}.{}", plain(&self.schema), plain(&self.name))
    }
}
