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
}
