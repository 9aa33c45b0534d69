//! What somebody passed on. The server refuses to take a grant option from a role whose grants hang on it.

use crate::catalog::{AclItem, RoleId};
use policy::spec::Privileges;

/// What is left of an object's privileges when some are taken.
pub(super) struct Rest {
    /// What stays as it is.
    pub left: Vec<AclItem>,
    /// What nobody takes but hung on a grant option that goes: its grantor must take it back first, and the owner grant it
    /// anew.
    pub orphans: Vec<AclItem>,
}

/// Takes `taken` from `items`: whole privileges and, in `grant_options`, options alone.
pub(super) fn without(items: &[AclItem], taken: &[AclItem]) -> Rest {
    let mut left = items.to_vec();
    for gone in taken {
        for item in left.iter_mut().filter(|item| (item.grantee, item.grantor) == (gone.grantee, gone.grantor)) {
            item.privileges -= gone.privileges;
            item.grant_options -= gone.privileges | gone.grant_options;
        }
    }
    let mut orphans = Vec::new();
    loop {
        let hangs = |item: &AclItem| (options(items, item.grantor) - options(&left, item.grantor)) & item.privileges;
        let found = left.iter().enumerate().map(|(number, item)| (number, hangs(item)));
        let Some((number, gone)) = found.into_iter().find(|(_, gone)| !gone.is_empty()) else {
            return Rest { left, orphans };
        };
        let item = &mut left[number];
        orphans.push(AclItem { privileges: gone, grant_options: item.grant_options & gone, ..*item });
        item.privileges -= gone;
        item.grant_options -= gone;
    }
}

/// How many hands `privilege` went through before `grantor` granted it: what is deepest goes first.
pub(super) fn depth(items: &[AclItem], owner: RoleId, grantor: RoleId, privilege: Privileges) -> usize {
    if grantor == owner {
        return 0;
    }
    // The server lets no privilege be passed on in a circle.
    let from = items.iter().filter(|item| item.grantee == grantor && item.grant_options.contains(privilege));
    1 + from.map(|item| depth(items, owner, item.grantor, privilege)).max().unwrap_or(0)
}

fn options(items: &[AclItem], who: RoleId) -> Privileges {
    items.iter().filter(|item| item.grantee == who).fold(Privileges::NONE, |sum, item| sum | item.grant_options)
}
