//! Where in a JSON document a value is: the singular queries of RFC 9535, like `$.a.b[0]["c d"]`.

/// One step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A member of an object.
    Name(String),
    /// An element of an array; a negative index counts from the end.
    Index(i32),
}

/// Reads a path; None where it is none.
pub(super) fn read(path: &str) -> Option<Vec<Key>> {
    let mut rest = path.strip_prefix('$')?;
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let (key, after) = segment(rest.trim_start_matches([' ', '\t', '\n', '\r']))?;
        keys.push(key);
        rest = after;
    }
    Some(keys)
}

fn segment(text: &str) -> Option<(Key, &str)> {
    if let Some(text) = text.strip_prefix('.') {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii())).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()))
            .then(|| (Key::Name(name.into()), rest));
    }
    let text = text.strip_prefix('[')?;
    let (key, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => {
            let (name, rest) = quoted(&text[1..], quote)?;
            (Key::Name(name), rest)
        }
        _ => {
            let (index, _) = text.split_once(']')?;
            let number = index.parse::<i32>().ok().filter(|number| number.to_string() == index)?;
            (Key::Index(number), &text[index.len()..])
        }
    };
    Some((key, rest.strip_prefix(']')?))
}

/// A string up to its closing quote, and what follows. Apart from that quote, it is as in JSON.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut json = String::from('"');
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (end, c) if c == quote => {
                json.push('"');
                let name = serde_json::from_str::<String>(&json).ok()?;
                return (!name.contains('\0')).then(|| (name, &text[end + 1..]));
            }
            (_, '"') => json.push_str("\\\""),
            (_, '\\') => match chars.next()?.1 {
                '\'' if quote == '\'' => json.push('\''),
                '"' if quote == '\'' => return None,
                c => json.extend(['\\', c]),
            },
            (_, c) => json.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(name: &str) -> Key {
        Key::Name(name.into())
    }

    #[test]
    fn names_and_indexes_are_read() {
        for (path, keys) in [
            ("$", vec![]),
            ("$.a.b", vec![name("a"), name("b")]),
            ("$.a[0][-12]", vec![name("a"), Key::Index(0), Key::Index(-12)]),
            (r#"$["a.b"]['it\'s "c"']"#, vec![name("a.b"), name("it's \"c\"")]),
            (r#"$["it's \"c\""][""]"#, vec![name("it's \"c\""), name("")]),
            (r#"$["\u00e9\ud83d\ude00\n"].été_1"#, vec![name("é😀\n"), name("été_1")]),
            ("$ .a\t[1]", vec![name("a"), Key::Index(1)]),
            ("$['\\\\']", vec![name("\\")]),
        ] {
            assert_eq!(read(path), Some(keys), "{path}");
        }
    }

    #[test]
    fn anything_else_is_no_path() {
        for path in [
            "",
            "a",
            "$a",
            "$.",
            "$..a",
            "$.*",
            "$[*]",
            "$[]",
            "$[01]",
            "$[-0]",
            "$[+1]",
            "$[1:2]",
            "$[0,1]",
            "$[?@.a]",
            "$.1a",
            "$.a-b",
            "$[\"a\"",
            "$[\"a]",
            "$['a\"]",
            "$['\\\"']",
            "$[\"\\'\"]",
            "$[\"\\u0000\"]",
            "$[\"\\ud800\"]",
            "$[\"\\x\"]",
            "$[2147483648]",
            "$.a ",
            " $",
            "$. a",
            "$[ 0]",
            "$[\"a\nb\"]",
            "$.a.b'",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_name_can_be_quoted(key in "[^\0]*") {
            let path = format!("${}", serde_json::json!([key]));
            prop_assert_eq!(read(&path), Some(vec![name(&key)]));
        }

        #[test]
        fn any_text_is_read_or_refused_without_panic(text in r#"\$[\[\]\."'\\a0é-]*|.*"#) {
            let _ = read(&text);
        }
    }
}
