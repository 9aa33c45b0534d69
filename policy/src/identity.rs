//! Who acts, as the setting `rolecall.identity` carries it.

use serde::{Deserialize, Serialize};

/// A verified identity. "Nobody" is the absence of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The user's id.
    pub user: String,
    /// The JWT's id.
    pub token: String,
    /// When the JWT was issued, in seconds since the epoch.
    pub issued_at: i64,
    /// From when on the identity is refused, in seconds since the epoch.
    pub expires_at: i64,
}

impl Identity {
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
        let somebody =
            Identity { user: "u1\"; \u{1F600}".into(), token: "t".into(), issued_at: 5, expires_at: i64::MAX };
        let text = Identity::to_setting(Some(&somebody));
        assert_eq!(Identity::from_setting(&text).unwrap(), Some(somebody));
        assert_eq!(Identity::from_setting(&Identity::to_setting(None)).unwrap(), None);
    }

    #[test]
    fn other_text_is_no_identity() {
        for text in ["1:admin", "{}", r#"{"user":"u1"}"#, "null", " "] {
            assert!(Identity::from_setting(text).is_err(), "{text}");
        }
    }
}
