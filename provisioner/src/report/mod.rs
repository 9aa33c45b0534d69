//! The report: roles, memberships, privileges and what the extension holds as one page that needs nothing but a browser.

mod access;
mod data;
mod findings;
mod matrix;

pub use access::AccessModel;
pub use data::Data;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("../../templates/report/page.html");
const STYLE: &str = include_str!("../../templates/report/style.css");
const SCRIPT: &str =
    concat!(include_str!("../../templates/report/script.js"), include_str!("../../templates/report/access.js"));

/// The page. It loads nothing, and its policy keeps a browser from running anything but its own script.
pub fn page(data: &Data) -> String {
    // Nothing in it can fail to become JSON: no map has a key that is not text.
    let json = serde_json::to_string(data).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src '{}'; script-src '{}'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let values = [
        ("title", escaped(&data.title())),
        ("policy", policy),
        ("style", STYLE.to_owned()),
        ("data", in_script(&json)),
        ("script", SCRIPT.to_owned()),
    ];
    filled(PAGE, &values)
}

/// Puts values into a template's `{{name}}`s, in one pass, so that what is put in is never looked at.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        page += values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        page += rest;
    }
    page
}

/// As a Content-Security-Policy names what is allowed to be there.
fn hash(content: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(content.as_bytes())))
}

/// JSON that no HTML parser sees an end or a comment in.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_looks_like_a_place_is_not_filled() {
        let values = [("a", "{{b}}".to_owned()), ("b", "no".to_owned())];
        assert_eq!(filled("<{{a}}|{{b}}>", &values), "<{{b}}|no>");
    }

    #[test]
    fn data_cannot_end_its_element_or_begin_a_comment() {
        let hostile = serde_json::json!("</script><!--<script>&lt;").to_string();
        let safe = in_script(&hostile);
        assert!(!safe.contains(['<', '>', '&']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).expect("JSON"), "</script><!--<script>&lt;");
    }
}
