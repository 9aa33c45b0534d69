//! Names of roles as small numbers, since every privilege names two.

use std::collections::HashMap;

/// A role, or PUBLIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(u32);

impl RoleId {
    /// Everybody.
    pub const PUBLIC: Self = Self(0);
}

/// The roles that are spoken of.
pub struct Names {
    names: Vec<String>,
    ids: HashMap<String, RoleId>,
}

impl Default for Names {
    fn default() -> Self {
        Self { names: vec!["PUBLIC".to_owned()], ids: HashMap::new() }
    }
}

impl Names {
    /// The number of a role, given to it if it has none.
    pub fn id(&mut self, name: &str) -> RoleId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = RoleId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// The number of a role that was spoken of.
    pub fn find(&self, name: &str) -> Option<RoleId> {
        self.ids.get(name).copied()
    }

    /// The name of a role; PUBLIC for everybody.
    pub fn name(&self, id: RoleId) -> &str {
        &self.names[id.0 as usize]
    }

    /// How SQL refers to a role.
    pub fn sql(&self, id: RoleId) -> String {
        if id == RoleId::PUBLIC { "PUBLIC".to_owned() } else { policy::sql::identifier(self.name(id)) }
    }
}
