//! libpq's two forms of a connection string, as keywords and values.

use percent_encoding::percent_decode_str;

/// Whether `text` is a connection string and not just the name of a database.
pub fn is_conninfo(text: &str) -> bool {
    text.contains("://") || text.contains('=')
}

/// The keywords and values of a URL or of `keyword=value` pairs, in their order.
///
/// # Errors
/// Why it cannot be read; never with a part of the text, which may hold a password.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        Some(rest) => url(rest),
        None if is_url(text) => Err("it does not start with postgresql://".to_owned()),
        None => pairs(text),
    }
}

/// Whether only letters stand before `://`: `host=x options=a://b` is no URL.
fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// `[user[:password]@][host[:port],…][/database][?keyword=value&…]`.
fn url(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let (text, query) = split(text, '?');
    let (authority, database) = split(text, '/');
    let (user, hosts) = match authority.split_once('@') {
        Some((user, hosts)) => (Some(user), hosts),
        None => (None, authority),
    };
    if let Some(user) = user {
        let (name, password) = split(user, ':');
        found.push(("user", decode(name)?));
        if let Some(password) = password {
            found.push(("password", decode(password)?));
        }
    }
    if !hosts.is_empty() {
        let places = hosts.split(',').map(place).collect::<Result<Vec<_>, _>>()?;
        let list = |part: fn(&(String, String)) -> &str| places.iter().map(part).collect::<Vec<_>>().join(",");
        found.push(("host", list(|(host, _)| host)));
        if places.iter().any(|(_, port)| !port.is_empty()) {
            found.push(("port", list(|(_, port)| port)));
        }
    }
    if let Some(database) = database.filter(|name| !name.is_empty()) {
        found.push(("dbname", decode(database)?));
    }
    let mut found: Vec<_> = found.into_iter().map(|(keyword, value)| (keyword.to_owned(), value)).collect();
    for parameter in query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((keyword, value)) = parameter.split_once('=') else {
            return Err("a parameter after ? has no value".to_owned());
        };
        let (keyword, value) = (decode(keyword)?, decode(value)?);
        // JDBC's way to say it, which libpq takes too.
        let pair = if keyword == "ssl" && value == "true" {
            ("sslmode".to_owned(), "require".to_owned())
        } else {
            (keyword, value)
        };
        found.push(pair);
    }
    Ok(found)
}

/// `host[:port]`, where an IPv6 address stands in brackets.
fn place(text: &str) -> Result<(String, String), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("an IPv6 address lacks its ]")?;
            let port = match rest.strip_prefix(':') {
                Some(port) => port,
                None if rest.is_empty() => "",
                None => return Err("only :port may follow an IPv6 address".to_owned()),
            };
            (host, port)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    Ok((decode(host)?, decode(port)?))
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn decode(text: &str) -> Result<String, String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after.get(..2).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()));
        if digits.is_none_or(|digits| digits == "00") {
            return Err("two hexadecimal digits must follow %, and not 00; write %25 for % itself".to_owned());
        }
        rest = &after[2..];
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "its percent-encoding is not UTF-8")?;
    Ok(decoded.into_owned())
}

/// `keyword = value …`, values with spaces in single quotes, `\` before a quote or itself.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let keyword = &rest[..end];
        let Some(after) = rest[end..].trim_start().strip_prefix('=') else {
            return Err("a keyword is not followed by =; quote values that hold spaces".to_owned());
        };
        let (value, after) = value(after.trim_start())?;
        found.push((keyword.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(found)
}

/// The value at the start of `text`, and what follows it.
fn value(text: &str) -> Result<(String, &str), String> {
    let (quoted, text) = text.strip_prefix('\'').map_or((false, text), |rest| (true, rest));
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((position, c)) = characters.next() {
        match c {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[position + 1..])),
            c if !quoted && c.is_whitespace() => return Ok((value, &text[position..])),
            c => value.push(c),
        }
    }
    if quoted { Err("a quoted value does not end".to_owned()) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let found = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        found.iter().map(|(keyword, value)| format!("{keyword}={value}")).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        let cases = [
            ("postgresql://", ""),
            ("postgres://localhost", "host=localhost"),
            (
                "postgresql://u:p%40:w@h:1/d?sslmode=require",
                "user=u|password=p@:w|host=h|port=1|dbname=d|sslmode=require",
            ),
            ("postgresql://a:1,b,[::1]:3/d", "host=a,b,::1|port=1,,3|dbname=d"),
            ("postgresql://%2Ftmp%2Fs/d%2Fe", "host=/tmp/s|dbname=d/e"),
            ("postgresql:///d?host=/tmp&password=a@b/c&ssl=true", "dbname=d|host=/tmp|password=a@b/c|sslmode=require"),
            ("postgresql://h?options=-c%20x%3Dy", "host=h|options=-c x=y"),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn pairs_are_read_as_libpq_reads_them() {
        assert_eq!(read("host=h  port = 1 password='a \\'b\\\\' user=x\\ y"), "host=h|port=1|password=a 'b\\|user=x y");
        assert_eq!(read("dbname='' user=u"), "dbname=|user=u");
        assert_eq!(read("options=a://b"), "options=a://b");
    }

    #[test]
    fn errors_do_not_repeat_the_text() {
        for text in [
            "postgresql://u:s3cret@h/d?s3cret",
            "postgresql://u:s3cret%@h/",
            "postgresql://u:s3cret%00@h/",
            "postgresql://u:s3cret@[::1/d",
            "postgresql://u:s3cret@[::1]x/d",
            "postgresql://u:s3cret%ff@h/d",
            "mysql://u:s3cret@h/d",
            "host=h s3cret",
            "password='s3cret",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
