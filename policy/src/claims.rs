//! What JWTs say (RFC 7519, section 4.1). They carry no roles: those are looked up when a token is used.

use serde::{Deserialize, Deserializer, Serialize};

/// The latest time accepted, the end of the year 9999: beyond it PostgreSQL and JavaScript disagree about dates.
const LATEST: i64 = 253_402_300_799;
/// How many seconds the clock of whoever issued a token may be ahead of ours. It does not lengthen a token's life.
pub const LEEWAY: i64 = 30;

/// The claims of a token that `login()` issues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// The user's id.
    pub sub: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// From when on it is refused, in seconds since the epoch.
    pub exp: i64,
    /// The token's own id and, after a dot, the user's generation of sessions.
    pub jti: String,
}

impl Issued {
    /// The id of a token of a user's `generation`.
    pub fn token_id(id: &str, generation: i64) -> String {
        format!("{id}.{generation}")
    }

    /// The generation in a token's id.
    pub fn generation(token_id: &str) -> Option<i64> {
        token_id.rsplit_once('.')?.1.parse().ok()
    }
}

/// The claims that a token of whatever issuer is read for. A claim that appears twice is an error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Claims {
    /// Whom it is about.
    pub sub: String,
    /// Who issued it; none of ours has it.
    pub iss: Option<String>,
    /// Whom it is for.
    #[serde(default, deserialize_with = "audience")]
    pub aud: Vec<String>,
    /// When it was issued, in seconds since the epoch.
    #[serde(default, deserialize_with = "optional_date")]
    pub iat: Option<i64>,
    /// From when on it is good, in seconds since the epoch.
    #[serde(default, deserialize_with = "optional_date")]
    pub nbf: Option<i64>,
    /// From when on it is refused, in seconds since the epoch.
    #[serde(default, deserialize_with = "optional_date")]
    pub exp: Option<i64>,
    /// Its own id.
    pub jti: Option<String>,
    /// The e-mail address of whom it is about.
    pub email: Option<String>,
    /// Whether the issuer has verified that address.
    #[serde(default)]
    pub email_verified: bool,
}

/// Why claims are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `exp` has passed.
    Expired,
    /// What is wrong.
    Invalid(&'static str),
}

impl Claims {
    /// Whether the claims hold at `now` for `audience`. A token that names audiences must name this one.
    ///
    /// # Errors
    /// Why they do not.
    pub fn check(&self, now: i64, audience: &str) -> Result<(), Refusal> {
        if self.sub.is_empty() || self.sub.chars().count() > 255 || self.sub.contains('\0') {
            return Err(Refusal::Invalid("it names no subject"));
        }
        if !self.aud.is_empty() && !self.aud.iter().any(|aud| aud == audience) {
            return Err(Refusal::Invalid("it is for another audience"));
        }
        if self.nbf.or(self.iat).max(self.iat).is_some_and(|from| from > now.saturating_add(LEEWAY)) {
            return Err(Refusal::Invalid("it is not yet valid"));
        }
        if self.exp.is_some_and(|exp| exp <= now) {
            return Err(Refusal::Expired);
        }
        Ok(())
    }
}

/// A `NumericDate`: seconds, perhaps with a fraction.
fn optional_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let seconds = number.as_i64().or_else(|| number.as_f64().filter(|n| n.fract() != 0.0).map(|n| n.floor() as i64));
    match seconds {
        Some(seconds @ 0..=LATEST) => Ok(Some(seconds)),
        _ => Err(serde::de::Error::custom("no date")),
    }
}

fn audience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(audience) => vec![audience],
        // An empty list is for nobody, not for everybody.
        Audience::Several(list) if list.is_empty() => vec![String::new()],
        Audience::Several(list) => list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Claims, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn dates_are_numbers_in_range() {
        assert_eq!(read(r#"{"sub":"u","exp":5.7}"#).unwrap().exp, Some(5));
        for bad in [
            r#""5""#,
            "-1",
            "null",
            "true",
            "[5]",
            "1e300",
            "9007199254740993000",
            "253402300800",
            "99999999999999999999",
        ] {
            assert!(read(&format!(r#"{{"sub":"u","exp":{bad}}}"#)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claim_appears_once() {
        for twice in
            [r#"{"sub":"u","sub":"v"}"#, r#"{"sub":"u","exp":5,"exp":9}"#, r#"{"sub":"u","iss":"a","iss":"b"}"#]
        {
            assert!(read(twice).is_err(), "{twice}");
        }
        assert!(read(r#"{"sub":5}"#).is_err());
        assert!(read("{}").is_err());
    }

    #[test]
    fn claims_hold_for_their_time_and_audience() {
        let check = |json: &str| read(json).unwrap().check(1000, "rolecall");
        assert_eq!(check(r#"{"sub":"u","exp":1001,"iat":1000,"nbf":1030}"#), Ok(()));
        assert_eq!(check(r#"{"sub":"u","exp":1000}"#), Err(Refusal::Expired));
        for json in [r#"{"sub":"u","nbf":1031}"#, r#"{"sub":"u","iat":1031}"#, r#"{"sub":"u","iat":1031,"nbf":1}"#] {
            assert_eq!(check(json), Err(Refusal::Invalid("it is not yet valid")), "{json}");
        }
        for aud in [r#""other""#, r#"["a","b"]"#, "[]", r#""""#] {
            let json = format!(r#"{{"sub":"u","aud":{aud}}}"#);
            assert_eq!(check(&json), Err(Refusal::Invalid("it is for another audience")), "{json}");
        }
        assert_eq!(check(r#"{"sub":"u","aud":["a","rolecall"]}"#), Ok(()));
        assert_eq!(check(r#"{"sub":""}"#), Err(Refusal::Invalid("it names no subject")));
    }

    #[test]
    fn a_token_id_keeps_the_generation() {
        assert_eq!(Issued::generation(&Issued::token_id("0192-ab", 7)), Some(7));
        assert_eq!(Issued::generation("0192-ab"), None);
        assert_eq!(Issued::generation("x.y"), None);
    }
}
