//! Privileges as the catalogs store them: the text of `aclitem[]`.

use super::names::{Names, RoleId};
use policy::spec::Privileges;

/// What one grantor gave one grantee. Letters that no known PostgreSQL uses are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclItem {
    /// Who holds them.
    pub grantee: RoleId,
    /// Who gave them.
    pub grantor: RoleId,
    /// Which.
    pub privileges: Privileges,
    /// Which of them can be passed on.
    pub grant_options: Privileges,
}

/// Reads `{alice=r*w/bob,"\"Odd name\"=X/bob"}`; nothing if that is not what it is.
pub fn parse(text: &str, names: &mut Names) -> Option<Vec<AclItem>> {
    elements(text)?.iter().map(|element| item(element, names)).collect()
}

/// The elements of a one-dimensional array's text.
pub fn elements(text: &str) -> Option<Vec<String>> {
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.chars().peekable();
    let mut elements = Vec::new();
    while rest.peek().is_some() {
        let mut element = String::new();
        let mut quoted = false;
        while let Some(c) = rest.next() {
            match c {
                '"' => quoted = !quoted,
                '\\' => element.push(rest.next()?),
                ',' if !quoted => break,
                c => element.push(c),
            }
        }
        elements.push(element);
    }
    Some(elements)
}

fn item(text: &str, names: &mut Names) -> Option<AclItem> {
    let (grantee, rest) = role(text)?;
    let (letters, grantor) = rest.strip_prefix('=')?.split_once('/')?;
    let (grantor, "") = role(grantor)? else { return None };
    let mut item = AclItem {
        grantee: if grantee.is_empty() { RoleId::PUBLIC } else { names.id(&grantee) },
        grantor: names.id(&grantor),
        privileges: Privileges::NONE,
        grant_options: Privileges::NONE,
    };
    let mut last = Privileges::NONE;
    for letter in letters.chars() {
        if letter == '*' {
            item.grant_options |= last;
        } else {
            last = Privileges::from_letter(letter).unwrap_or_default();
            item.privileges |= last;
        }
    }
    Some(item)
}

/// A role's name at the start of `text`, and what follows it.
fn role(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['=', '/']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String, String, String)> {
        let mut names = Names::default();
        let items = parse(text, &mut names).expect("an aclitem array");
        let of = |id| names.name(id).to_owned();
        items
            .iter()
            .map(|i| (of(i.grantee), i.privileges.to_string(), i.grant_options.to_string(), of(i.grantor)))
            .collect()
    }

    fn entry(grantee: &str, privileges: &str, options: &str, grantor: &str) -> (String, String, String, String) {
        (grantee.into(), privileges.into(), options.into(), grantor.into())
    }

    #[test]
    fn plain_names_public_and_grant_options() {
        assert_eq!(
            parsed("{postgres=arwd/postgres,=c/postgres,bob=r*w/alice}"),
            [
                entry("postgres", "SELECT, INSERT, UPDATE, DELETE", "", "postgres"),
                entry("PUBLIC", "CONNECT", "", "postgres"),
                entry("bob", "SELECT, UPDATE", "SELECT", "alice"),
            ]
        );
        assert_eq!(parsed("{}"), []);
    }

    #[test]
    fn names_may_hold_every_separator() {
        // The server's text for grantees `a"b`, `x=y/z,{}`, `back\slash`.
        assert_eq!(
            parsed(r#"{"\"a\"\"b\"=r/\"App.Owner\"","\"x=y/z,{}\"=U/o","\"back\\slash\"=X/o"}"#),
            [
                entry("a\"b", "SELECT", "", "App.Owner"),
                entry("x=y/z,{}", "USAGE", "", "o"),
                entry("back\\slash", "EXECUTE", "", "o"),
            ]
        );
    }

    /// Text as the server writes it: names in quotes where they need it, then the item quoted for the array.
    fn server_text(items: &[(String, Privileges, String)]) -> String {
        let name = |name: &str| {
            let safe = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if safe { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
        };
        let item = |(grantee, privileges, grantor): &(String, Privileges, String)| {
            let known = Privileges::KNOWN.iter().filter(|known| privileges.contains(known.set));
            let letters: String = known.map(|known| known.letter).collect();
            let item = format!("{}={letters}/{}", name(grantee), name(grantor));
            if item.contains(['"', '\\', ',', '{', '}', ' ']) {
                format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
            } else {
                item
            }
        };
        format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
    }

    proptest::proptest! {
        #[test]
        fn what_the_server_writes_is_read(
            items in proptest::collection::vec(("[a=/\"{},*\\\\ é]{1,6}", 1u16..0x7fff, "[b=/\"{},*\\\\ é]{1,6}"), 0..4),
        ) {
            let set = |bits: u16| {
                let chosen = Privileges::KNOWN.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0);
                chosen.fold(Privileges::NONE, |sum, (_, known)| sum | known.set)
            };
            let items: Vec<_> = items.into_iter().map(|(to, bits, by)| (to, set(bits), by)).collect();
            let read = parsed(&server_text(&items));
            let expected: Vec<_> =
                items.iter().map(|(to, set, by)| (to.clone(), set.to_string(), String::new(), by.clone())).collect();
            proptest::prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn letters_of_a_newer_server_are_left_out() {
        assert_eq!(parsed("{a=rZ*m/o}"), [entry("a", "SELECT, MAINTAIN", "", "o")]);
    }

    #[test]
    fn what_is_no_aclitem_array_is_refused() {
        for text in ["", "a=r/o", "{a=r}", "{\"\\\"a=r/o\"}", "{a}"] {
            assert_eq!(parse(text, &mut Names::default()), None, "{text}");
        }
    }
}
