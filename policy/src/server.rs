//! What a server's document says: its scopes and whom its tokens are for.

use crate::scope;
use serde_json::Value;
use std::collections::BTreeSet;

/// A server, as its document describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    /// The leaves of its tree of scopes.
    pub scopes: BTreeSet<String>,
    /// What tokens for it name as `aud`, where the document says so.
    pub audience: Option<String>,
}

/// What is wrong with a document, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {problem}")]
pub struct Error {
    /// The JSON path.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

const TOKEN: &str = "components.securitySchemes.token";

impl Server {
    /// Reads an OpenAPI document, `{"scopes": [..], "audience": ..}`, or the schema of FlowKit's queries.
    ///
    /// # Errors
    /// The document names no scopes, or one that is none.
    pub fn read(document: &Value) -> Result<Self, Error> {
        let token = &document["components"]["securitySchemes"]["token"];
        let (names, path, audience) = if let Some(names) = token.get("x-security-scopes") {
            (names, format!("{TOKEN}.x-security-scopes"), token.get("x-audience"))
        } else if let Some(names) = document.get("scopes") {
            (names, "scopes".to_owned(), document.get("audience"))
        } else if let Some(queries) = document.get("oneOf") {
            return Ok(Self { scopes: scopes_of_queries(document, queries)?, audience: None });
        } else {
            let problem = format!("has neither {TOKEN}.x-security-scopes nor scopes");
            return Err(Error { path: "the document".into(), problem });
        };
        let audience = match audience {
            None | Some(Value::Null) => None,
            Some(Value::String(audience)) if !audience.is_empty() => Some(audience.clone()),
            Some(_) => return Err(error("the audience", "is no text")),
        };
        let names = names.as_array().ok_or_else(|| error(&path, "is no list"))?;
        let mut scopes = BTreeSet::new();
        for (number, name) in names.iter().enumerate() {
            let at = format!("{path}[{number}]");
            let name = name.as_str().ok_or_else(|| error(&at, "is no text"))?;
            if let Some(problem) = scope::problem(name) {
                return Err(error(&at, problem));
            }
            scopes.insert(scope::canonical(name).to_owned());
        }
        if scopes.is_empty() {
            return Err(error(&path, "is empty"));
        }
        Ok(Self { scopes, audience })
    }

    /// Whether `node` covers a scope of the server.
    pub fn has(&self, node: &str) -> bool {
        let node = scope::canonical(node);
        // Names that begin with the node follow it, but not all at once: `admin1-b` sorts before `admin1:x`.
        self.scopes.contains(node)
            || self.scopes.range(format!("{node}:")..).next().is_some_and(|scope| scope::covers(node, scope))
    }
}

fn error(path: &str, problem: &str) -> Error {
    Error { path: path.into(), problem: problem.into() }
}

/// What FlowKit derives from its queries: for each outermost one, every kind below it at every one of its units, or at
/// none. Units further in do not count.
fn scopes_of_queries(document: &Value, queries: &Value) -> Result<BTreeSet<String>, Error> {
    let queries = queries.as_array().ok_or_else(|| error("oneOf", "is no list"))?;
    let mut scopes = BTreeSet::new();
    for (number, query) in queries.iter().enumerate() {
        let query = resolve(document, query);
        let tops = enumeration(&query["properties"]["query_kind"]);
        if tops.is_empty() {
            return Err(error(&format!("oneOf[{number}]"), "has no enumerated query_kind"));
        }
        let mut kinds = BTreeSet::new();
        kinds_below(document, query, &mut Vec::new(), &mut kinds);
        let units = enumeration(&query["properties"]["aggregation_unit"]);
        let units = if units.is_empty() { vec!["nonspatial"] } else { units };
        for (unit, top) in units.iter().flat_map(|unit| tops.iter().map(move |top| (unit, top))) {
            for kind in &kinds {
                let name = format!("{unit}:{top}:{kind}");
                if let Some(problem) = scope::problem(&name) {
                    return Err(error(&format!("oneOf[{number}]"), &format!("makes a scope that {problem}")));
                }
                scopes.insert(name);
            }
        }
    }
    if scopes.is_empty() { Err(error("oneOf", "is empty")) } else { Ok(scopes) }
}

/// What a `$ref` stands for; the value itself where it is none.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn enumeration(value: &Value) -> Vec<&str> {
    value["enum"].as_array().map(|values| values.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Every kind of query in a schema; `inside` are the references being followed, since queries nest without end.
fn kinds_below<'a>(document: &'a Value, schema: &'a Value, inside: &mut Vec<&'a Value>, kinds: &mut BTreeSet<&'a str>) {
    let target = resolve(document, schema);
    let followed = !std::ptr::eq(target, schema);
    if followed {
        if inside.iter().any(|other| std::ptr::eq(*other, target)) {
            return;
        }
        // Kept to the end: what was seen once need not be seen again.
        inside.push(target);
    }
    match target {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "query_kind" {
                    kinds.extend(enumeration(value));
                } else {
                    kinds_below(document, value, inside, kinds);
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| kinds_below(document, element, inside, kinds)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scopes(document: Value) -> Vec<String> {
        Server::read(&document).unwrap().scopes.into_iter().collect()
    }

    #[test]
    fn an_openapi_document() {
        let server = Server::read(&json!({"openapi": "3.0.1", "components": {"securitySchemes": {"token": {
            "x-security-scopes": ["run", "get_results", "admin1:trips:trips", "run"], "x-audience": "north"}}}}))
        .unwrap();
        assert_eq!(server.audience.as_deref(), Some("north"));
        assert_eq!(server.scopes.iter().collect::<Vec<_>>(), ["admin1:trips:trips", "get_result", "run"]);
        assert!(server.has("admin1") && server.has("admin1:trips") && server.has("get_results"));
        assert!(!server.has("admin") && !server.has("trips") && !server.has("run:x"));
    }

    #[test]
    fn a_plain_list() {
        let server = Server::read(&json!({"scopes": ["a-b:c", "a:b", "a.b"]})).unwrap();
        assert_eq!(server.audience, None);
        assert!(server.has("a") && server.has("a-b") && !server.has("a-"));
    }

    #[test]
    fn the_schema_of_queries() {
        let document = json!({
            "oneOf": [{"$ref": "#/schemas/trips"}, {"properties": {"query_kind": {"enum": ["census"]}}}],
            "schemas": {
                "trips": {"properties": {
                    "query_kind": {"enum": ["trips"]}, "aggregation_unit": {"enum": ["admin1", "admin2"]},
                    "from": {"$ref": "#/schemas/home"}, "to": {"$ref": "#/schemas/home"}}},
                "home": {"properties": {
                    "query_kind": {"enum": ["home"]}, "aggregation_unit": {"enum": ["lon-lat"]},
                    "subset": {"oneOf": [{"$ref": "#/schemas/trips"}, {"type": "null"}]}}}}});
        assert_eq!(
            scopes(document),
            [
                "admin1:trips:home",
                "admin1:trips:trips",
                "admin2:trips:home",
                "admin2:trips:trips",
                "nonspatial:census:census"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (document, place) in [
            (json!({}), "the document"),
            (json!([]), "the document"),
            (json!({"scopes": "run"}), "scopes"),
            (json!({"scopes": []}), "scopes"),
            (json!({"scopes": ["run", 5]}), "scopes[1]"),
            (json!({"scopes": ["run", "a::b"]}), "scopes[1]"),
            (json!({"scopes": ["run"], "audience": 5}), "the audience"),
            (
                json!({"components": {"securitySchemes": {"token": {"x-security-scopes": [" "]}}}}),
                "components.securitySchemes.token.x-security-scopes[0]",
            ),
            (json!({"oneOf": [{"properties": {}}]}), "oneOf[0]"),
        ] {
            assert_eq!(Server::read(&document).unwrap_err().path, place);
        }
    }
}
