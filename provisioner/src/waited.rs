//! What a wait that was ended was for. The server names a row of a catalog, people think of the object.

use crate::catalog::rows;
use postgres::Client;
use postgres::error::SqlState;

/// The object whose catalog row `error` says was waited for, as the server describes it; none if it was something else,
/// or the row has changed since.
pub fn object(client: &mut Client, error: &postgres::Error) -> Option<String> {
    let error = error.as_db_error()?;
    let timeouts = [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED, SqlState::T_R_DEADLOCK_DETECTED];
    if !timeouts.contains(error.code()) {
        return None;
    }
    let (place, catalog) = row(error.where_()?)?;
    let sql = format!(
        "SELECT pg_describe_object('{catalog}'::regclass, oid, 0) FROM pg_catalog.{catalog} WHERE ctid = '{place}'"
    );
    // Only to say more: whatever goes wrong here, the error itself is told.
    rows(client, &sql).ok()?.first()?.get(0).map(str::to_owned)
}

/// The place and catalog in `while updating tuple (0,6) in relation "pg_class"`, in whatever language.
fn row(context: &str) -> Option<(String, &str)> {
    let open = context.find('(')?;
    let close = open + context[open..].find(')')?;
    let (block, line) = context[open + 1..close].split_once(',')?;
    let (block, line): (u32, u16) = (block.parse().ok()?, line.parse().ok()?);
    let start = close + context[close..].find("pg_")?;
    let catalog = &context[start..];
    let end = catalog.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(catalog.len());
    Some((format!("({block},{line})"), &catalog[..end]))
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn the_row_is_found_in_any_language() {
        let german = "beim Aktualisieren von Tupel (12,6) in Relation »pg_namespace«";
        assert_eq!(row(german), Some(("(12,6)".to_owned(), "pg_namespace")));
        assert_eq!(row("while updating tuple (0,6) in relation \"pg_class\"").unwrap().1, "pg_class");
        assert_eq!(row("while updating tuple (0,x) in relation \"pg_class\""), None);
        assert_eq!(row("while updating tuple (0,6) in relation \"orders\""), None);
    }
}
