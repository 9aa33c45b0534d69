//! Kits of roles that come ready-made.

use super::held::{Held, Role};
use super::statement::Call;
use crate::plan::{Operation, Sign};
use policy::kits::Kit;

/// Adds kits that are not there, to what is held as well, since what follows builds on them.
pub(super) fn diff(kits: &[&Kit], held: &mut Held) -> Vec<Operation> {
    let mut operations = Vec::new();
    for kit in kits {
        let missing: Vec<_> = kit.roles.iter().filter(|role| !held.roles.contains_key(role.name)).collect();
        if missing.is_empty() {
            continue;
        }
        let sql = Call::new("add_default_roles").text(kit.name).end();
        let names = super::listed(&missing.iter().map(|role| role.name).collect::<Vec<_>>());
        operations.push(Operation::new(super::roles::SECTION, Sign::Add, kit.name, format!("kit: {names}"), vec![sql]));
        for role in missing {
            let new = Role {
                name: role.name.to_owned(),
                description: Some(role.description.to_owned()),
                built_in: true,
                scopes: role.scopes.iter().map(|scope| (*scope).to_owned()).collect(),
                member_of: role.member_of.iter().map(|group| (*group).to_owned()).collect(),
                ..Role::default()
            };
            held.roles.insert(role.name.to_owned(), new);
        }
        rename_guest(kit, held);
    }
    operations
}

/// A kit may give everybody's role its own name, unless somebody else already has.
fn rename_guest(kit: &Kit, held: &mut Held) {
    let Some(name) = kit.guest else { return };
    let Some(mut role) = held.roles.remove("guest") else { return };
    role.name = name.to_owned();
    held.roles.insert(name.to_owned(), role);
    for table in held.tables.values_mut() {
        table.permissions = std::mem::take(&mut table.permissions)
            .into_iter()
            .map(|((role, action), terms)| ((if role == "guest" { name.to_owned() } else { role }, action), terms))
            .collect();
    }
}
