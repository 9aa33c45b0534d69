//! YAML that people read: short things on one line, long ones below each other. No library at hand does that.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Lines are no longer than this where they can be broken.
const WIDTH: usize = 110;

/// A value of a document, its keys in the order they are written.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Text.
    Text(String),
    /// Nothing.
    Null,
    /// A whole number.
    Number(i64),
    /// Another number, as it is written.
    Decimal(String),
    /// True or false.
    Bool(bool),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Vec<(String, Node)>),
}

/// One top-level key of a document.
pub struct Section {
    /// What is said about it above it; empty for nothing.
    pub comment: String,
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts, or the one text itself.
    pub fn names<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        let mut names: Vec<Self> = names.into_iter().map(Self::text).collect();
        if names.len() == 1 { names.remove(0) } else { Self::List(names) }
    }

    /// A mapping.
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// Whether it is a list or mapping without anything in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    fn is_scalar(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Map(_))
    }

    /// All of it on one line.
    fn flow(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(", ");
        match self {
            Self::Text(text) => scalar(text),
            Self::Null => "null".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Decimal(number) => number.clone(),
            Self::Bool(value) => value.to_string(),
            Self::List(items) => format!("[{}]", joined(items.iter().map(Self::flow).collect())),
            Self::Map(entries) => {
                let entry = |(key, value): &(String, Self)| format!("{}: {}", key_text(key), value.flow());
                format!("{{{}}}", joined(entries.iter().map(entry).collect()))
            }
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Null => serializer.serialize_unit(),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Decimal(number) => serializer.serialize_f64(number.parse().map_err(serde::ser::Error::custom)?),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// A document with `heading` as comment lines at its top. What a section holds is written below its key.
pub fn document(heading: &str, sections: &[Section]) -> String {
    let mut out = comment(heading);
    for section in sections {
        if !section.value.is_scalar() {
            out.push('\n');
        }
        out += &comment(&section.comment);
        out += section.key;
        out.push(':');
        match &section.value {
            short if short.is_scalar() || short.is_empty() => out += &format!(" {}\n", short.flow()),
            long => {
                out.push('\n');
                block(&mut out, long, 2);
            }
        }
    }
    out
}

fn comment(text: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect()
}

/// Entries below each other, `indent` characters in.
fn block(out: &mut String, node: &Node, indent: usize) {
    let margin = " ".repeat(indent);
    match node {
        Node::List(items) => {
            for item in items {
                out.push_str(&margin);
                out.push('-');
                value(out, item, indent, indent + 2, true);
            }
        }
        Node::Map(entries) => {
            for (key, item) in entries {
                let key = key_text(key);
                out.push_str(&margin);
                out.push_str(&key);
                out.push(':');
                value(out, item, indent, indent + key.chars().count() + 2, false);
            }
        }
        other => *out += &format!("{margin}{}\n", other.flow()),
    }
}

/// What follows a key or a dash: on the same line if it fits, which then begins at `column`.
fn value(out: &mut String, node: &Node, indent: usize, column: usize, in_list: bool) {
    let flow = node.flow();
    if node.is_scalar() || node.is_empty() || column + flow.chars().count() <= WIDTH {
        *out += &format!(" {flow}\n");
        return;
    }
    match node {
        Node::List(items) if items.iter().all(Node::is_scalar) => filled(out, items, column),
        // The first key of a mapping stands beside its dash.
        Node::Map(_) if in_list => {
            let mut below = String::new();
            block(&mut below, node, indent + 2);
            *out += &format!(" {}", &below[indent + 2..]);
        }
        _ => {
            out.push('\n');
            block(out, node, indent + 2);
        }
    }
}

/// A list in brackets over several lines.
fn filled(out: &mut String, items: &[Node], column: usize) {
    let margin = " ".repeat(column + 1);
    let mut line = String::from(" [");
    let mut width = column + 1;
    for (number, item) in items.iter().enumerate() {
        let item = item.flow();
        let length = item.chars().count() + 2;
        if number > 0 {
            line.push(',');
            if width + length > WIDTH {
                *out += &format!("{line}\n");
                line.clone_from(&margin);
                width = column + 1;
            } else {
                line.push(' ');
            }
        }
        line += &item;
        width += length;
    }
    *out += &format!("{line}]\n");
}

/// A key. `on` is one of the spec's own, and only old YAML takes it for a truth value.
fn key_text(text: &str) -> String {
    if text == "on" { text.to_owned() } else { scalar(text) }
}

/// Text as it is where that can mean nothing else, else in double quotes, as JSON has them.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 13] =
        ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nil", "nan", "inf", "infinity"];
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '(' | ')' | '-' | '+' | '$');
    let begins = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if begins && !is_word && text.split(' ').all(|part| !part.is_empty() && part.chars().all(plain)) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            // What YAML counts among line breaks, marks or what cannot be printed.
            '\0'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted += &format!("\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn written(value: Node) -> String {
        document("a comment", &[Section { comment: String::new(), key: "k", value }])
    }

    #[test]
    fn short_things_stand_on_one_line_and_long_lists_are_filled() {
        let grant = Node::map([("to", Node::text("a")), ("privileges", Node::names(["SELECT", "INSERT"]))]);
        assert_eq!(written(Node::List(vec![grant])), "# a comment\n\nk:\n  - {to: a, privileges: [SELECT, INSERT]}\n");
        let many: Vec<String> = (0..40).map(|number| format!("name{number}")).collect();
        let text = written(Node::List(vec![Node::map([("to", Node::names(many)), ("on", Node::Map(Vec::new()))])]));
        assert!(text.contains("\n  - to: [name0, name1,") && text.contains("\n    on: {}\n"), "{text}");
        assert!(text.lines().count() == 8 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }

    #[test]
    fn what_yaml_would_take_for_something_else_is_quoted() {
        for text in
            ["on", "Yes", "null", "1e3", "0x1f", "12:30", "~", "", " a", "a ", "a: b", "a #b", "*a", "&a", "-", "a, b"]
        {
            assert_eq!(scalar(text), format!("\"{text}\""));
        }
        for text in ["flowdb", "Owner.1", "f(integer)", "numeric id", "Ünïcode", "_x-y"] {
            assert_eq!(scalar(text), text);
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            ".{0,8}",
            "[a-c:#*&!|>'\"%@`,{}\\[\\] \\\\\n\t~-]{0,12}",
            "(on|No|null|1e3|0o7|\\.inf|<<|=|y)",
            "\\PC{0,4}"
        ]
    }

    fn nodes() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            texts().prop_map(Node::Text),
            any::<i64>().prop_map(Node::Number),
            any::<bool>().prop_map(Node::Bool)
        ];
        leaf.prop_recursive(4, 60, 12, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..12).prop_map(Node::List),
                prop::collection::btree_map(texts(), inner, 0..8).prop_map(|map| Node::Map(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Read by the library that reads specs, it is the same.
        #[test]
        fn what_is_written_is_read_back(node in nodes()) {
            let text = written(node.clone());
            let expected = serde_json::to_value(&node).expect("JSON");
            prop_assert_eq!(&read(&text)["k"], &expected, "{}", text);
        }
    }
}
