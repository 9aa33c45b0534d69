//! Settings that hold a list of names, as the server stores them.

/// Those whose names the server quotes one by one (`GUC_LIST_QUOTE` in its source).
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// The names in the stored value of such a setting; nothing for other settings.
pub fn setting_items(setting: &str, stored: &str) -> Option<Vec<String>> {
    if !LISTS.iter().any(|list| setting.eq_ignore_ascii_case(list)) {
        return None;
    }
    let mut items = Vec::new();
    let mut rest = stored.trim();
    loop {
        let mut item = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let end = quoted.find('"')?;
                item.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix('"') {
                    Some(more) => quoted = more,
                    None => break,
                }
                item.push('"');
            }
            rest = quoted.trim_start();
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            item.push_str(rest[..end].trim_end());
            rest = &rest[end..];
        }
        items.push(item);
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => return rest.is_empty().then_some(items),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_out_of_their_quotes() {
        let items = |stored| setting_items("search_path", stored);
        assert_eq!(items(r#""$user", public, "a ""b"", c""#).unwrap(), ["$user", "public", "a \"b\", c"]);
        assert_eq!(items(r#""""#).unwrap(), [""]);
        assert_eq!(items("a,b").unwrap(), ["a", "b"]);
        assert_eq!(items("\"a"), None);
        assert_eq!(setting_items("DateStyle", "iso, mdy"), None);
    }
}
