//! Reading values out of a located tree: every key must be asked for, everything else is an error.

use super::error::{At, SpecError};
use super::node::{Key, Node, Value};

/// A value with the way to it.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub node: &'a Node,
    pub path: String,
}

/// A mapping whose keys are taken out one by one.
pub(super) struct Fields<'a> {
    pub at: At,
    pub path: String,
    entries: Vec<(&'a Key, Option<&'a Node>)>,
    asked: Vec<&'static str>,
}

impl<'a> Cursor<'a> {
    pub fn new(node: &'a Node, path: impl Into<String>) -> Self {
        Self { node, path: path.into() }
    }

    pub fn at(&self) -> At {
        self.node.at
    }

    pub fn error(&self, message: impl Into<String>) -> SpecError {
        SpecError::new(self.node.at, &self.path, message)
    }

    fn expected(&self, what: &str) -> SpecError {
        self.error(format!("expected {what}, found {}", self.node.kind()))
    }

    pub fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    /// Text; a number or truth value says that it wants quotes, since YAML has already changed how it was spelled.
    pub fn text(&self) -> Result<&'a str, SpecError> {
        match &self.node.value {
            Value::Text(text) if text.contains('\0') => Err(self.error("a NUL character cannot be stored")),
            Value::Text(text) => Ok(text),
            Value::Number(_) | Value::Bool(_) => Err(self.expected("text").hint("put it in quotes")),
            _ => Err(self.expected("text")),
        }
    }

    pub fn bool(&self) -> Result<bool, SpecError> {
        match self.node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.expected("true or false")),
        }
    }

    pub fn integer(&self) -> Result<i32, SpecError> {
        match &self.node.value {
            Value::Number(text) => {
                text.parse().map_err(|_| self.error(format!("{text} is not a whole number in range")))
            }
            _ => Err(self.expected("a number")),
        }
    }

    /// The items of a list; a single value stands for a list of one.
    pub fn items(&self) -> Vec<Cursor<'a>> {
        match &self.node.value {
            Value::List(items) => {
                items.iter().enumerate().map(|(i, item)| Cursor::new(item, format!("{}[{i}]", self.path))).collect()
            }
            Value::Null => Vec::new(),
            _ => vec![self.clone()],
        }
    }

    /// Like [`Self::items`], but what stands there must be a list.
    pub fn list(&self) -> Result<Vec<Cursor<'a>>, SpecError> {
        match self.node.value {
            Value::List(_) | Value::Null => Ok(self.items()),
            _ => Err(self.expected("a list")),
        }
    }

    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub fn is_text(&self) -> bool {
        matches!(self.node.value, Value::Text(_))
    }

    /// Texts of a list or of a single value.
    pub fn texts(&self) -> Result<Vec<String>, SpecError> {
        self.items().iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// The value of a server setting, whose numbers and truth values are text to the server.
    pub fn setting(&self) -> Result<Vec<String>, SpecError> {
        match &self.node.value {
            Value::Number(text) => Ok(vec![text.clone()]),
            Value::Bool(value) => Ok(vec![if *value { "on" } else { "off" }.to_owned()]),
            _ => self.texts(),
        }
    }

    /// A mapping from names that the author chose.
    pub fn named(&self) -> Result<Vec<(&'a str, Cursor<'a>)>, SpecError> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries
                .iter()
                .map(|(key, node)| (key.name.as_str(), Cursor::new(node, join(&self.path, &key.name))))
                .collect()),
            Value::Null => Ok(Vec::new()),
            _ => Err(self.expected("a mapping")),
        }
    }

    /// A mapping with known keys; nothing at all is an empty one.
    pub fn fields(&self) -> Result<Fields<'a>, SpecError> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.iter().map(|(key, node)| (key, Some(node))).collect(),
            Value::Null => Vec::new(),
            _ => return Err(self.expected("a mapping")),
        };
        Ok(Fields { at: self.node.at, path: self.path.clone(), entries, asked: Vec::new() })
    }

    /// One of several words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, SpecError> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            unknown(self.at(), &self.path, "word", text, &known)
        })
    }
}

impl<'a> Fields<'a> {
    /// The value of a key, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Cursor<'a>> {
        self.asked.push(key);
        let entry = self.entries.iter_mut().find(|(found, node)| found.name == key && node.is_some())?;
        let node = entry.1.take()?;
        Some(Cursor::new(node, join(&self.path, key)))
    }

    /// The value of a key that must be there.
    pub fn need(&mut self, key: &'static str) -> Result<Cursor<'a>, SpecError> {
        if let Some(value) = self.take(key) {
            return Ok(value);
        }
        // Misspelled rather than missing?
        let near = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), key) <= 2;
        match self.entries.iter().find(|(found, node)| node.is_some() && near(&found.name)) {
            Some((found, _)) => Err(unknown(found.at, &self.path, "key", &found.name, &[key])),
            None => Err(SpecError::new(self.at, &self.path, format!("\"{key}\" is missing"))),
        }
    }

    /// Refuses what nobody asked for.
    pub fn end(self) -> Result<(), SpecError> {
        match self.entries.iter().find(|(_, node)| node.is_some()) {
            None => Ok(()),
            Some((key, _)) => Err(unknown(key.at, &self.path, "key", &key.name, &self.asked)),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// An error about a word that is not known, with the nearest one that is.
pub(super) fn unknown(at: At, path: &str, what: &str, word: &str, known: &[&str]) -> SpecError {
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase()), *known))
        .min()
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3));
    let error = SpecError::new(at, path, format!("unknown {what} \"{word}\""));
    match nearest {
        Some((_, nearest)) => error.hint(format!("did you mean \"{nearest}\"?")),
        None => error.hint(format!("known here: {}", known.join(", "))),
    }
}
