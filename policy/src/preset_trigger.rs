//! The trigger that sets preset columns and keeps ACLs: PL/pgSQL that a person can read.

use crate::sql::{identifier, literal};

/// What a permission sets: the columns of the rows that holders of `role` write, with values in SQL.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// The role's name.
    pub role: String,
    /// The columns and their values; empty where it presets none.
    pub values: Vec<(String, String)>,
}

/// The body of the trigger's function for the permissions to insert and to update, by the names of the roles, and for the
/// column `acl` of access-control lists; None where there is nothing to set.
pub fn body(insert: &[Setting], update: &[Setting], acl: Option<&str>) -> Option<String> {
    let (insert, update) = (assignments(insert), assignments(update));
    let presets = !(insert.is_empty() && update.is_empty());
    if !presets && acl.is_none() {
        return None;
    }
    let mut body = "
-- Made by rolecall and made anew whenever the permissions change. The policies require what it sets.
BEGIN
"
    .to_owned();
    if let Some(acl) = acl.map(identifier) {
        body += &format!(
            "    IF TG_OP = 'INSERT' THEN
        NEW.{acl} := rolecall.new_acl(NEW.{acl});
    ELSIF NEW.{acl} IS DISTINCT FROM OLD.{acl} THEN
        NEW.{acl} := rolecall.changed_acl(OLD.{acl}, NEW.{acl});
    END IF;
"
        );
    }
    if presets {
        body += &format!(
            "    IF NOT pg_catalog.row_security_active(TG_RELID) THEN
        RETURN NEW;
    END IF;
    IF rolecall.has_role('admins') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
{}    ELSE
{}    END IF;
",
            insert.concat(),
            update.concat()
        );
    }
    Some(body + "    RETURN NEW;\nEND\n")
}

/// One statement per column: nobody who holds a role that leaves the column to him gets a value, others that of the
/// first of their roles.
fn assignments(permissions: &[Setting]) -> Vec<String> {
    let mut columns: Vec<&str> = Vec::new();
    for (column, _) in permissions.iter().flat_map(|permission| &permission.values) {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let statement = |column: &str| {
        let value = |permission: &Setting| {
            permission.values.iter().find(|(preset, _)| preset == column).map(|(_, value)| value.clone())
        };
        let free = permissions.iter().filter(|permission| value(permission).is_none());
        let free: Vec<_> = free.map(|permission| has_role(&permission.role)).collect();
        let mut branches: Vec<(String, String)> = Vec::new();
        if !free.is_empty() {
            branches.push((free.join(" OR "), "NULL;".into()));
        }
        for permission in permissions {
            if let Some(value) = value(permission) {
                branches.push((has_role(&permission.role), format!("NEW.{} := {value};", identifier(column))));
            }
        }
        let mut text = String::new();
        for (at, (condition, action)) in branches.iter().enumerate() {
            let keyword = if at == 0 { "IF" } else { "ELSIF" };
            text.push_str(&format!("        {keyword} {condition} THEN\n            {action}\n"));
        }
        text + "        END IF;\n"
    };
    columns.into_iter().map(statement).collect()
}

fn has_role(role: &str) -> String {
    format!("rolecall.has_role({})", literal(role))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(role: &str, values: &[(&str, &str)]) -> Setting {
        let values = values.iter().map(|(column, value)| (column.to_string(), value.to_string())).collect();
        Setting { role: role.into(), values }
    }

    #[test]
    fn without_presets_there_is_no_trigger() {
        assert_eq!(body(&[setting("a", &[])], &[], None), None);
    }

    #[test]
    fn a_role_without_a_preset_leaves_the_choice_and_the_first_of_several_wins() {
        let insert = [setting("a", &[("x", "1"), ("y", "2")]), setting("o'b", &[("x", "3")])];
        let body = body(&insert, &[setting("a", &[])], None).unwrap();
        let expected = "
    IF TG_OP = 'INSERT' THEN
        IF rolecall.has_role('a') THEN
            NEW.\"x\" := 1;
        ELSIF rolecall.has_role('o''b') THEN
            NEW.\"x\" := 3;
        END IF;
        IF rolecall.has_role('o''b') THEN
            NULL;
        ELSIF rolecall.has_role('a') THEN
            NEW.\"y\" := 2;
        END IF;
    ELSE
    END IF;
";
        assert!(body.contains(expected), "{body}");
    }
}
