//! Who acts, as the setting `rolecall.identity` carries it.

use serde::{Deserialize, Serialize};

/// A verified identity. "Nobody" is the absence of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The user's id; for [`Proof::ApiToken`] the API token's.
    pub subject: String,
    /// How it was proven, with what must go on holding.
    pub proof: Proof,
    /// From when on the identity is refused, in seconds since the epoch.
    pub expires_at: i64,
}

/// How an identity was proven.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Proof {
    /// A JWT of `login()`.
    Login {
        /// The JWT's id.
        token: String,
        /// The key that signed it.
        key: String,
        /// The user's generation of sessions when it was issued.
        generation: i64,
    },
    /// A JWT of another issuer.
    Issuer {
        /// The issuer's name.
        issuer: String,
        /// The version of the key that signed it.
        key: String,
        /// When it was issued, in seconds since the epoch.
        issued_at: i64,
    },
    /// Claims that a gateway has verified.
    Gateway {
        /// When they were issued, in seconds since the epoch, where they say so.
        issued_at: Option<i64>,
    },
    /// An API token.
    ApiToken,
    /// An administrator who acts as somebody else.
    Become {
        /// His own identity; None for a session without a login.
        behind: Option<Box<Identity>>,
        /// His name, for the audit.
        name: String,
    },
}

impl Identity {
    /// The user who acts; None for an API token.
    pub fn user(&self) -> Option<&str> {
        (self.proof != Proof::ApiToken).then_some(self.subject.as_str())
    }

    /// The setting's text for `identity`; empty for nobody.
    pub fn to_setting(identity: Option<&Self>) -> String {
        identity.map_or_else(String::new, |identity| {
            serde_json::to_string(identity).expect("strings and numbers always serialise")
        })
    }

    /// Reads the setting's text. `Err` for text that [`Identity::to_setting`] did not write.
    pub fn from_setting(text: &str) -> Result<Option<Self>, serde_json::Error> {
        if text.is_empty() { Ok(None) } else { serde_json::from_str(text).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_keeps_an_identity() {
        for proof in [
            Proof::Login { token: "t".into(), key: "k".into(), generation: i64::MAX },
            Proof::Issuer { issuer: "https://\"i\"".into(), key: String::new(), issued_at: 5 },
            Proof::Gateway { issued_at: Some(0) },
            Proof::ApiToken,
            Proof::Become { behind: None, name: "postgres".into() },
        ] {
            let somebody = Identity { subject: "u1\"; \u{1F600}".into(), proof, expires_at: i64::MAX };
            let text = Identity::to_setting(Some(&somebody));
            assert_eq!(Identity::from_setting(&text).unwrap(), Some(somebody));
        }
        assert_eq!(Identity::from_setting(&Identity::to_setting(None)).unwrap(), None);
    }

    #[test]
    fn an_api_token_is_no_user() {
        let identity = |proof| Identity { subject: "x".into(), proof, expires_at: 0 };
        assert_eq!(identity(Proof::ApiToken).user(), None);
        assert_eq!(identity(Proof::Gateway { issued_at: None }).user(), Some("x"));
    }

    #[test]
    fn other_text_is_no_identity() {
        for text in ["1:admin", "{}", r#"{"subject":"u1"}"#, "null", " "] {
            assert!(Identity::from_setting(text).is_err(), "{text}");
        }
    }
}
