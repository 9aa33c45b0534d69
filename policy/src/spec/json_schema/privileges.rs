//! Words for kinds of objects and for privileges, as the reader takes them: in any case, kinds also in the plural.

use super::super::kind::{Kind, WORDS};
use super::super::privilege::Privileges;
use super::{definition, refer};
use serde_json::{Value, json};

pub(super) fn definitions() -> Vec<(String, Value)> {
    let words = |is_meant: fn(Kind) -> bool| {
        kind_words(WORDS.iter().filter(|(_, kind)| is_meant(*kind)).map(|(word, _)| *word))
    };
    let mut definitions = vec![
        definition("kind", words(|_| true)),
        definition("schema_object_kind", words(Kind::lies_in_schema)),
        definition("template_kind", words(|kind| kind == Kind::Schema || kind.lies_in_schema())),
        definition("default_kind", words(Kind::has_default_privileges)),
        definition(
            "grantees",
            json!({"anyOf": [refer("name"), {"type": "array", "items": refer("name"), "minItems": 1}],
                   "description": "Who holds them: roles, or PUBLIC for everybody."}),
        ),
        definition("privileges", privileges(Privileges::KNOWN.iter().fold(Privileges::NONE, |all, one| all | one.set))),
        definition("privileges_on_columns", privileges(Kind::COLUMN)),
    ];
    for (word, kind) in WORDS {
        definitions.push(definition(&format!("privileges_on_{word}"), privileges(kind.privileges())));
    }
    definitions
}

/// For every kind the rule that `rule` makes of what says that it is one and of its privileges.
pub(super) fn by_kind(kinds: impl Iterator<Item = Kind>, rule: impl Fn(Value, Value) -> Value) -> Vec<Value> {
    let mut kinds: Vec<Kind> = kinds.collect();
    kinds.sort_unstable();
    kinds.dedup();
    let rules = kinds.iter().map(|kind| {
        let words = WORDS.iter().filter(|(_, other)| other == kind).map(|(word, _)| *word);
        rule(kind_words(words), refer(&format!("privileges_on_{}", kind.word())))
    });
    rules.collect()
}

/// One of some words for kinds.
pub(super) fn kind_words<'a>(words: impl Iterator<Item = &'a str> + Clone) -> Value {
    let listed: Vec<&str> = words.clone().collect();
    json!({"type": "string", "anyOf": [{"enum": listed}, {"pattern": format!("^{}$", kind_text(words))}]})
}

/// A regular expression for some words for kinds.
pub(super) fn kind_text<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("{}[sS]?", any_case(word))).collect();
    format!("({})", words.join("|"))
}

/// A list of privileges, or one text with commas.
fn privileges(set: Privileges) -> Value {
    let mut words = set.words();
    let listed = words.iter().copied().chain(["ALL"]).collect::<Vec<_>>();
    words.extend(["ALL", "ALL PRIVILEGES"]);
    if set.contains(Privileges::TEMPORARY) {
        words.push("TEMP");
    }
    let word = words.iter().map(|word| any_case(word)).collect::<Vec<_>>().join("|");
    let text = json!({"type": "string", "anyOf": [
        {"enum": listed},
        {"pattern": format!("^\\s*({word})(\\s*,\\s*({word}))*\\s*$")},
    ]});
    json!({"anyOf": [text, {"type": "array", "items": text, "minItems": 1}],
           "description": "Privileges, as a list or as one text with commas; ALL are all of the kind."})
}

/// A regular expression for a word in capitals or not; its blanks may be several.
pub(super) fn any_case(word: &str) -> String {
    let letter = |c: char| match c {
        ' ' => "\\s+".to_owned(),
        c if c.is_ascii_alphabetic() => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
        c => c.to_string(),
    };
    word.chars().map(letter).collect()
}
