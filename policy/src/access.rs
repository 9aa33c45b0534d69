//! Which scopes it takes to do something with a FlowKit query (FlowKit's page "Managing users and access").

use crate::scope::canonical;
use serde_json::Value;
use std::collections::BTreeSet;

/// What stands for the unit of a query that has none.
const NO_UNIT: &str = "nonspatial";
/// The scope of geographies at a unit, after the unit.
const GEOGRAPHY: &str = "geography:geography";

/// Why a query or an action has no scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The query, at a JSON path.
    #[error("the query {problem} at {path}")]
    Query {
        /// Where.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The unit.
    #[error("unit {0:?} is no single word")]
    Unit(String),
    /// The action.
    #[error(
        "action {0:?} is none of run, poll, get_result, get_result_geojson, get_geography, get_available_dates, \
         get_qa_checks"
    )]
    Action(String),
}

/// `unit:TOP:kind` for every `query_kind` in the query, TOP being the outermost.
///
/// # Errors
/// The query has no outermost kind, or a kind or the unit is no single word.
pub fn query_scopes(query: &Value, unit: Option<&str>) -> Result<BTreeSet<String>, Error> {
    let unit = self::unit(unit)?;
    let top = match query.get("query_kind") {
        Some(Value::String(kind)) => kind,
        _ => return Err(Error::Query { path: "$".into(), problem: "has no \"query_kind\"" }),
    };
    let mut kinds = BTreeSet::new();
    collect(query, &mut "$".to_owned(), &mut kinds)?;
    Ok(kinds.into_iter().map(|kind| format!("{unit}:{top}:{kind}")).collect())
}

/// What an action needs: lists of scopes, of each of which one role must cover all.
///
/// # Errors
/// As [`query_scopes`], and an action that is unknown.
pub fn checks(action: &str, query: &Value, unit: Option<&str>) -> Result<Vec<Vec<String>>, Error> {
    let of_query = |action: Option<&str>| {
        let scopes = query_scopes(query, unit)?;
        Ok(action.map(str::to_owned).into_iter().chain(scopes).collect::<Vec<_>>())
    };
    let geography = || Ok(vec!["get_result".to_owned(), format!("{}:{GEOGRAPHY}", self::unit(unit)?)]);
    Ok(match canonical(action) {
        "run" => vec![of_query(Some("run"))?],
        "get_result" => vec![of_query(Some("get_result"))?],
        "poll" => vec![of_query(None)?],
        // The shapes of the areas are a second request of their own.
        "get_result_geojson" => vec![of_query(Some("get_result"))?, geography()?],
        "get_geography" => vec![geography()?],
        "get_available_dates" | "get_qa_checks" => vec![vec![action.to_owned()]],
        _ => return Err(Error::Action(action.into())),
    })
}

fn unit(unit: Option<&str>) -> Result<&str, Error> {
    match unit {
        None | Some("") => Ok(NO_UNIT),
        Some(unit) if is_word(unit) => Ok(unit),
        Some(unit) => Err(Error::Unit(unit.into())),
    }
}

/// A kind with a `:` in it would be a place elsewhere in the tree.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c == ':' || c.is_whitespace() || c.is_control())
}

fn collect<'a>(value: &'a Value, path: &mut String, kinds: &mut BTreeSet<&'a str>) -> Result<(), Error> {
    let length = path.len();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push('.');
                path.push_str(name);
                if name == "query_kind" {
                    let kind = value.as_str().filter(|kind| is_word(kind));
                    kinds.insert(kind.ok_or_else(|| Error::Query {
                        path: path.clone(),
                        problem: "has a kind that is no single word",
                    })?);
                } else {
                    collect(value, path, kinds)?;
                }
                path.truncate(length);
            }
        }
        Value::Array(elements) => {
            for (number, element) in elements.iter().enumerate() {
                path.push_str(&format!("[{number}]"));
                collect(element, path, kinds)?;
                path.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scopes(query: Value, unit: Option<&str>) -> Vec<String> {
        query_scopes(&query, unit).unwrap().into_iter().collect()
    }

    #[test]
    fn every_kind_below_the_outermost_one_counts_once() {
        let trips = json!({"query_kind": "trips", "from": {"query_kind": "home", "aggregation_unit": "admin9"},
                           "to": [{"query_kind": "home"}, {"query_kind": "work", "of": {"query_kind": "subset"}}]});
        assert_eq!(
            scopes(trips, Some("admin2")),
            ["admin2:trips:home", "admin2:trips:subset", "admin2:trips:trips", "admin2:trips:work"]
        );
        assert_eq!(scopes(json!({"query_kind": "count", "days": []}), None), ["nonspatial:count:count"]);
    }

    #[test]
    fn what_is_no_query() {
        for (query, path) in [
            (json!(null), "$"),
            (json!([{"query_kind": "a"}]), "$"),
            (json!({"query": {"query_kind": "a"}}), "$"),
            (json!({"query_kind": 5}), "$"),
            (json!({"query_kind": "a:b"}), "$.query_kind"),
            (json!({"query_kind": "a", "b": [1, {"query_kind": ""}]}), "$.b[1].query_kind"),
            (json!({"query_kind": "a", "b": {"query_kind": {"query_kind": "c"}}}), "$.b.query_kind"),
        ] {
            let error = query_scopes(&query, None).unwrap_err();
            assert!(matches!(&error, Error::Query { path: at, .. } if at == path), "{query}: {error}");
        }
        assert!(matches!(query_scopes(&json!({"query_kind": "a"}), Some("x:a")), Err(Error::Unit(_))));
    }

    #[test]
    fn what_an_action_needs() {
        let query = json!({"query_kind": "a"});
        let needs = |action| checks(action, &query, Some("u")).unwrap();
        assert_eq!(needs("run"), [["run", "u:a:a"]]);
        assert_eq!(needs("get_results"), [["get_result", "u:a:a"]]);
        assert_eq!(needs("poll"), [["u:a:a"]]);
        assert_eq!(needs("get_result_geojson"), [["get_result", "u:a:a"], ["get_result", "u:geography:geography"]]);
        assert_eq!(checks("get_available_dates", &Value::Null, None).unwrap(), [["get_available_dates"]]);
        assert!(matches!(checks("delete", &query, None), Err(Error::Action(_))));
    }
}
