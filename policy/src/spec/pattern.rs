//! Names with wildcards.

/// One name, or every name of a form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Exactly this name.
    Literal(String),
    /// Names of this form, in which `*` stands for any characters, `\*` for a star and `\\` for a backslash.
    Wild(String),
}

impl Pattern {
    /// What a text in a spec means: it is wild if there is a `*` in it without a backslash before it.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut pieces = pieces(&text);
        if pieces.len() == 1 { Self::Literal(pieces.remove(0)) } else { Self::Wild(text) }
    }

    /// A name whatever its characters.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }

    /// The text that means exactly `name` in a spec.
    pub fn escape(name: &str) -> String {
        if !name.contains('*') && !name.contains("\\\\") {
            return name.to_owned();
        }
        name.replace('\\', "\\\\").replace('*', "\\*")
    }

    /// Whether it can match more than one name.
    pub fn is_wild(&self) -> bool {
        matches!(self, Self::Wild(_))
    }

    /// The name, or the form as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Literal(text) | Self::Wild(text) => text,
        }
    }

    /// Whether `name` is one it stands for.
    pub fn matches(&self, name: &str) -> bool {
        let form = match self {
            Self::Literal(text) => return text == name,
            Self::Wild(form) if form == "*" => return true,
            Self::Wild(form) => pieces(form),
        };
        let [first, middle @ .., last] = form.as_slice() else { return false };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(start) => rest = &rest[start + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }

    /// Splits a routine's `name(types)`; without parentheses every overload is meant.
    pub fn signature(&self) -> (&str, Option<&str>) {
        let text = self.as_str();
        match opening(text) {
            Some(open) => (&text[..open], Some(&text[open + 1..text.len() - 1])),
            None => (text, None),
        }
    }
}

/// The texts between the stars of a form.
fn pieces(form: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = form.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('*', _) => pieces.push(String::new()),
            (_, next) => {
                let escaped = if c == '\\' { next.copied().filter(|next| matches!(next, '*' | '\\')) } else { None };
                if escaped.is_some() {
                    rest.next();
                }
                if let Some(piece) = pieces.last_mut() {
                    piece.push(escaped.unwrap_or(c));
                }
            }
        }
    }
    pieces
}

/// Where the parenthesis opens that the last character closes; both names and types may hold some in double quotes.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut quoted = false;
    for (at, c) in text.char_indices().rev() {
        match c {
            '"' => quoted = !quoted,
            ')' if !quoted => depth += 1,
            '(' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (c == '(').then_some(at);
        }
    }
    None
}
