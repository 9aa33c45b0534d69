//! SQL text that is safe whatever a name or a value contains.

/// `name` as an identifier, always quoted.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `value` as a string constant, whatever `standard_conforming_strings` says.
pub fn literal(value: &str) -> String {
    let quoted = value.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// `values` as a constant array of texts.
pub fn text_array<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let element = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let elements: Vec<_> = values.into_iter().map(element).collect();
    format!("{}::pg_catalog.text[]", literal(&format!("{{{}}}", elements.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(identifier("select"), "\"select\"");
        assert_eq!(identifier("we\"ird"), "\"we\"\"ird\"");
    }

    #[test]
    fn values_cannot_end_their_constant() {
        assert_eq!(literal("' OR '1'='1"), "''' OR ''1''=''1'");
        assert_eq!(literal("trailing\\"), "E'trailing\\\\'");
        assert_eq!(literal("\\'; --"), "E'\\\\''; --'");
    }

    #[test]
    fn elements_cannot_end_their_array() {
        assert_eq!(text_array([]), "'{}'::pg_catalog.text[]");
        assert_eq!(text_array(["a,b}", "NULL"]), "'{\"a,b}\",\"NULL\"}'::pg_catalog.text[]");
        assert_eq!(text_array(["o'\"\\"]), "E'{\"o''\\\\\"\\\\\\\\\"}'::pg_catalog.text[]");
    }
}
