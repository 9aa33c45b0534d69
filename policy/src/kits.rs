//! Sets of roles that applications start from, each after the page of the system it comes from.

/// A role of a kit.
#[derive(Debug)]
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The scopes it is granted.
    pub scopes: &'static [&'static str],
    /// The roles it is a member of.
    pub member_of: &'static [&'static str],
}

/// A set of roles.
#[derive(Debug)]
pub struct Kit {
    /// What `add_default_roles()` calls it.
    pub name: &'static str,
    /// The name it gives the role that everybody holds, where it gives one.
    pub guest: Option<&'static str>,
    /// Its roles besides those that every installation has: `admins`, `users` and the one everybody holds.
    pub roles: &'static [Role],
}

const fn role(name: &'static str, description: &'static str, scopes: &'static [&'static str]) -> Role {
    Role { name, description, scopes, member_of: &[] }
}

/// What calls the interfaces that Node-RED instances publish.
pub const CALL_API: &str = "nodered:api:call";

/// All of them.
pub const ALL: &[Kit] = &[
    Kit { name: "core", guest: None, roles: &[] },
    Kit { name: "openflow", guest: None, roles: OPENFLOW },
    Kit { name: "graphistry", guest: None, roles: GRAPHISTRY },
    Kit { name: "floating-server", guest: None, roles: FLOATING_SERVER },
    Kit { name: "8base", guest: Some("Guest"), roles: EIGHTBASE },
];

/// OpenFlow's "List of Main Roles"; `users` and `admins` are there already. What a role may do is a scope.
const OPENFLOW: &[Role] = &[
    role("filestore users", "May read all files", &["filestore:read"]),
    role("filestore admins", "Have full control of all files", &["filestore"]),
    role("robot users", "All robots", &[]),
    role("robot admins", "Have full control of everything about robots", &["robot"]),
    role("personal nodered users", "May create Node-RED instances", &["nodered:instance:create"]),
    role("nodered users", "May read all Node-RED instances", &["nodered:instance:read"]),
    role("nodered admins", "Have full access to all Node-RED instances", &["nodered"]),
    role("nodered api users", "May call what Node-RED instances publish", &[CALL_API]),
];

/// Graphistry's page "User Creation".
const GRAPHISTRY: &[Role] = &[
    Role {
        name: "superuser",
        description: "Administrators: create users and give them roles",
        scopes: &[],
        member_of: &["admins"],
    },
    role("staff", "Have the notebook server and the investigation tool", &["notebook", "investigation"]),
];

/// LicenseSpring's page "Role Based Access Control". Administrators may do what users may, and both in one role: what
/// needs several scopes needs them from a single one.
const FLOATING_SERVER: &[Role] = &[
    role(
        "user",
        "May use the server",
        &[
            "users:register",
            "consumptions:add",
            "reports:read",
            "health:read",
            "licenses:borrow",
            "password:change:own",
        ],
    ),
    Role {
        name: "admin",
        description: "May add users and licenses and configure the server, and do what users may",
        scopes: &[
            "users:add",
            "users:remove",
            "licenses:add",
            "licenses:remove",
            "urls:configure",
            "keys:set",
            "users:register",
            "consumptions:add",
            "reports:read",
            "health:read",
            "licenses:borrow",
            "password:change:own",
        ],
        member_of: &["user"],
    },
];

/// 8base's page "Authorization".
const EIGHTBASE: &[Role] =
    &[Role { name: "Administrator", description: "Has all permissions", scopes: &[], member_of: &["admins"] }];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope;

    #[test]
    fn kits_hold_scopes_and_members_that_exist() {
        for kit in ALL {
            let mut known = vec!["admins", "users", "guest"];
            for role in kit.roles {
                assert!(role.scopes.iter().all(|scope| scope::problem(scope).is_none()), "{}", role.name);
                assert!(role.member_of.iter().all(|other| known.contains(other)), "{} before its groups", role.name);
                assert!(!known.contains(&role.name));
                known.push(role.name);
            }
        }
    }
}
