//! Names with wildcards.

/// One name, or every name of a form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Exactly this name.
    Literal(String),
    /// Names of this form, in which `*` stands for any characters.
    Wild(String),
}

impl Pattern {
    /// What a text in a spec means: it is wild if there is a `*` in it.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.contains('*') { Self::Wild(text) } else { Self::Literal(text) }
    }

    /// A name whatever its characters.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }

    /// Whether it can match more than one name.
    pub fn is_wild(&self) -> bool {
        matches!(self, Self::Wild(_))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Wild(text) => text,
        }
    }

    /// Whether `name` is one it stands for.
    pub fn matches(&self, name: &str) -> bool {
        let form = match self {
            Self::Literal(text) => return text == name,
            Self::Wild(form) => form,
        };
        let mut pieces = form.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let pieces: Vec<&str> = pieces.collect();
        let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
        for piece in middle {
            match rest.find(piece) {
                Some(start) => rest = &rest[start + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// Splits a routine's `name(types)`; without parentheses every overload is meant.
    pub fn signature(&self) -> (&str, Option<&str>) {
        let text = self.as_str();
        match text.find('(') {
            Some(open) if text.ends_with(')') => (&text[..open], Some(&text[open + 1..text.len() - 1])),
            _ => (text, None),
        }
    }
}
