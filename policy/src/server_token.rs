//! Tokens for other servers: how long one may be good, what it may say, and how.

use crate::scope;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How long a token is good where nothing limits it and nothing else is asked for, in seconds.
pub const LIFETIME: i64 = 3600;

/// What a server or a role allows at most. Times are in seconds since the epoch.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Whose it is, as errors name it.
    pub of: String,
    /// No token is good beyond this.
    pub latest_expiry: Option<i64>,
    /// No token made now is good beyond this.
    pub end_of_life: Option<i64>,
}

/// Why there is no token. Each names the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The latest expiry has passed.
    Over(String),
    /// More was asked for than the longest life allows.
    BeyondLife(String),
    /// More was asked for than the latest expiry allows.
    BeyondExpiry(String),
    /// No role of those asked for covers this scope.
    Scope(String),
}

/// From when on the token is refused: what was asked for, else the earliest of the limits.
///
/// # Errors
/// A limit has passed, or what was asked for is beyond one: the one that cuts most.
pub fn expiry(now: i64, wanted: Option<i64>, limits: &[Limit]) -> Result<i64, Error> {
    let latest = limits.iter().filter_map(|limit| Some((limit.latest_expiry?, limit, true)));
    let life = limits.iter().filter_map(|limit| Some((limit.end_of_life?, limit, false)));
    let Some((end, limit, is_expiry)) = latest.chain(life).min_by_key(|(end, ..)| *end) else {
        return Ok(wanted.unwrap_or(now.saturating_add(LIFETIME)));
    };
    match wanted {
        _ if end <= now => Err(Error::Over(limit.of.clone())),
        Some(wanted) if wanted > end && is_expiry => Err(Error::BeyondExpiry(limit.of.clone())),
        Some(wanted) if wanted > end => Err(Error::BeyondLife(limit.of.clone())),
        _ => Ok(wanted.unwrap_or(end)),
    }
}

/// The scopes of each role; of no more than `wanted` where that is given, and then without the roles that have none of it.
///
/// # Errors
/// No role covers one of `wanted`.
pub fn narrow(
    roles: BTreeMap<String, BTreeSet<String>>,
    wanted: Option<&[String]>,
) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let Some(wanted) = wanted else { return Ok(roles) };
    let mut narrowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for scope in wanted.iter().map(|scope| scope::canonical(scope)) {
        let mut covered = false;
        for (role, granted) in &roles {
            if granted.iter().any(|node| scope::covers(node, scope)) {
                covered = true;
                narrowed.entry(role.clone()).or_default().insert(scope.to_owned());
            }
        }
        if !covered {
            return Err(Error::Scope(scope.to_owned()));
        }
    }
    Ok(narrowed)
}

/// The leaves below each node: servers that know no tree, as FlowKit's, compare whole scopes.
pub fn leaves(nodes: &BTreeSet<String>, server: &BTreeSet<String>) -> BTreeSet<String> {
    server.iter().filter(|leaf| nodes.iter().any(|node| scope::covers(node, leaf))).cloned().collect()
}

/// The claims of a token for a server (RFC 7519, section 4.1, and the roles).
#[derive(Debug, Serialize)]
pub struct Claims {
    /// The user's name.
    pub sub: String,
    /// The server's audience.
    pub aud: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// The same: it is good at once.
    pub nbf: i64,
    /// From when on it is refused, in seconds since the epoch.
    pub exp: i64,
    /// Its own id.
    pub jti: String,
    /// Roles and their scopes.
    #[serde(flatten)]
    pub form: Form,
}

/// How a token spells its roles and their scopes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As they are.
    Roles(BTreeMap<String, BTreeSet<String>>),
    /// FlowKit's: base64 of gzip of the JSON.
    UserClaims(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: i64 = 1_000_000;

    fn limit(of: &str, latest_expiry: Option<i64>, life: Option<i64>) -> Limit {
        Limit { of: of.into(), latest_expiry, end_of_life: life.map(|life| NOW + life) }
    }

    #[test]
    fn the_earliest_limit_counts() {
        let limits = [limit("server", Some(NOW + 900), Some(500)), limit("role", Some(NOW + 300), Some(400))];
        assert_eq!(expiry(NOW, None, &limits), Ok(NOW + 300));
        assert_eq!(expiry(NOW, Some(NOW + 120), &limits), Ok(NOW + 120));
        assert_eq!(expiry(NOW, Some(NOW + 300), &limits), Ok(NOW + 300));
        assert_eq!(expiry(NOW, Some(NOW + 301), &limits), Err(Error::BeyondExpiry("role".into())));
        assert_eq!(expiry(NOW, Some(NOW + 501), &limits[..1]), Err(Error::BeyondLife("server".into())));
        assert_eq!(expiry(NOW, None, &[limit("role", Some(NOW), None)]), Err(Error::Over("role".into())));
        assert_eq!(expiry(NOW, Some(NOW + 5), &[limit("role", Some(NOW - 5), None)]), Err(Error::Over("role".into())));
    }

    #[test]
    fn without_limits_it_is_an_hour_or_what_is_asked_for() {
        assert_eq!(expiry(NOW, None, &[limit("server", None, None)]), Ok(NOW + LIFETIME));
        assert_eq!(expiry(NOW, Some(NOW + 99_999), &[]), Ok(NOW + 99_999));
    }

    fn set(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|&scope| scope.to_owned()).collect()
    }

    #[test]
    fn scopes_narrow_each_role() {
        let roles = BTreeMap::from([("a".to_owned(), set(&["run", "admin3"])), ("b".to_owned(), set(&["get_result"]))]);
        let wanted = |scopes: &[&str]| {
            let wanted: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
            narrow(roles.clone(), Some(&wanted))
        };
        assert_eq!(
            wanted(&["admin3:trips", "run"]).unwrap(),
            BTreeMap::from([("a".to_owned(), set(&["admin3:trips", "run"]))])
        );
        assert_eq!(wanted(&["get_results"]).unwrap(), BTreeMap::from([("b".to_owned(), set(&["get_result"]))]));
        assert_eq!(wanted(&["admin1"]), Err(Error::Scope("admin1".into())));
        assert_eq!(narrow(roles.clone(), None).unwrap(), roles);
    }

    #[test]
    fn the_claims_have_one_of_two_forms() {
        let claims = |form| {
            let (sub, aud, jti) = ("ada".to_owned(), "north".to_owned(), "1".to_owned());
            serde_json::to_value(Claims { sub, aud, iat: 1, nbf: 1, exp: 2, jti, form }).unwrap()
        };
        let common = json!({"sub": "ada", "aud": "north", "iat": 1, "nbf": 1, "exp": 2, "jti": "1"});
        let mut expected = common.clone();
        expected["roles"] = json!({"r": ["run"]});
        assert_eq!(claims(Form::Roles(BTreeMap::from([("r".to_owned(), set(&["run"]))]))), expected);
        let mut expected = common;
        expected["user_claims"] = json!("x");
        assert_eq!(claims(Form::UserClaims("x".into())), expected);
    }

    proptest! {
        /// No token outlives a limit, and none says more than its roles.
        #[test]
        fn a_token_stays_within_its_limits(
            limits in prop::collection::vec((prop::option::of(-9..99_i64), prop::option::of(1..99_i64)), 0..4),
            wanted in prop::option::of(1..99_i64),
        ) {
            let limits: Vec<Limit> =
                limits.into_iter().map(|(latest, life)| limit("l", latest.map(|at| NOW + at), life)).collect();
            if let Ok(end) = expiry(NOW, wanted.map(|life| NOW + life), &limits) {
                prop_assert!(end > NOW);
                for limit in &limits {
                    prop_assert!(limit.latest_expiry.is_none_or(|latest| end <= latest));
                    prop_assert!(limit.end_of_life.is_none_or(|latest| end <= latest));
                }
            }
        }
    }
}
