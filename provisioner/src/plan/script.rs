//! A plan as a script for psql.

use super::Plan;
use policy::sql::identifier;
use std::fmt::Write;

/// What would be done, one transaction a database. Operations that wait for a flag are comments.
pub fn script(plan: &Plan) -> String {
    let mut out = String::new();
    for (number, part) in plan.databases.iter().enumerate() {
        if part.operations.is_empty() {
            continue;
        }
        if number > 0 {
            let _ = writeln!(out, "\\connect {}", identifier(&part.database));
        }
        let _ = writeln!(out, "BEGIN;");
        for operation in &part.operations {
            let waiting = operation.needs.is_some();
            if let Some(flag) = operation.needs {
                let _ = writeln!(out, "-- left without {}:", flag.text());
            }
            for sql in &operation.sql {
                let text = if waiting { format!("-- {}", sql.replace('\n', "\n-- ")) } else { sql.clone() };
                let _ = writeln!(out, "{text};");
            }
            if operation.asks || !operation.secret.is_empty() {
                let who = operation.who.replace(['\n', '\r'], " ");
                let _ = writeln!(out, "-- the password of {who} is set by apply only");
            }
        }
        let _ = writeln!(out, "COMMIT;");
    }
    out
}
