//! What is worth a look.

use crate::catalog::RoleId;
use crate::effective::{Access, Along, Details, Grants, How};
use policy::spec::{Kind, Privileges, RelationKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// More direct grantees than these make an object's catalog row long, and long rows make GRANT fail in the end.
const GRANTEES: usize = 200;

/// Something worth a look, and where.
#[derive(Serialize)]
pub struct Finding {
    /// What.
    pub title: &'static str,
    /// Why it matters, or what to do.
    pub advice: String,
    /// Whether it deserves attention rather than just knowing.
    pub serious: bool,
    /// Where.
    pub items: Vec<String>,
}

/// Everything worth a look, serious things first.
pub fn findings(access: &Access<'_>, grants: &Grants, details: &Details) -> Vec<Finding> {
    let all = [
        superusers(access),
        almost_superusers(access),
        public_creates(access),
        creators_of_roles(access),
        useless(access, grants),
        missing_defaults(access),
        many_grantees(access),
        public_connects(access),
        bypassing(access),
        not_inheriting(access),
        row_security(access, details),
    ];
    let mut found: Vec<Finding> = all.into_iter().filter(|finding| !finding.items.is_empty()).collect();
    found.sort_by_key(|finding| !finding.serious);
    found
}

fn finding(title: &'static str, serious: bool, advice: impl Into<String>, mut items: Vec<String>) -> Finding {
    items.sort_unstable();
    Finding { title, advice: advice.into(), serious, items }
}

fn roles(access: &Access<'_>, wanted: impl Fn(RoleId) -> bool) -> Vec<String> {
    let roles = access.present.roles.keys().copied().filter(|role| wanted(*role));
    roles.map(|role| access.name(role).to_owned()).collect()
}

fn superusers(access: &Access<'_>) -> Finding {
    let items = roles(access, |role| access.is_superuser(role));
    // One is there from the beginning.
    let serious = items.len() > 1;
    finding("Superusers", serious, "Nothing is refused to them, and nothing below says what they may.", items)
}

fn almost_superusers(access: &Access<'_>) -> Finding {
    let mut items = Vec::new();
    for role in access.present.roles.keys().copied().filter(|role| !access.is_superuser(*role)) {
        let reach = access.graph.reach(role, Along::Set);
        items.extend(
            reach
                .iter()
                .filter(|group| access.is_superuser(**group))
                .map(|group| format!("{} can become {}", access.name(role), access.name(*group))),
        );
    }
    finding("Roles that can become a superuser", true, "SET ROLE is all it takes.", items)
}

fn public_creates(access: &Access<'_>) -> Finding {
    let schemas = access.present.objects.iter().filter(|object| object.kind == Kind::Schema);
    let open = schemas
        .filter(|schema| access.held(RoleId::PUBLIC, schema, &access.sources(schema)).contains(Privileges::CREATE));
    let items = open.map(|schema| schema.name.clone()).collect();
    let advice = "Whoever connects can put a function or table there that others call by mistake. \
                  REVOKE CREATE ON SCHEMA … FROM PUBLIC.";
    finding("Everybody may create in a schema", true, advice, items)
}

fn public_connects(access: &Access<'_>) -> Finding {
    let open = access.database().filter(|database| {
        access.held(RoleId::PUBLIC, database, &access.sources(database)).contains(Privileges::CONNECT)
    });
    let items = open.map(|database| database.name.clone()).into_iter().collect();
    let advice =
        "That is PostgreSQL's default. REVOKE CONNECT ON DATABASE … FROM PUBLIC, and grant it to those it is for.";
    finding("Everybody may connect to this database", false, advice, items)
}

fn creators_of_roles(access: &Access<'_>) -> Finding {
    let old = access.present.session.version < 160_000;
    let items =
        roles(access, |role| access.present.roles.get(&role).is_some_and(|role| role.createrole && !role.superuser));
    let advice = if old {
        "Before PostgreSQL 16 CREATEROLE can grant itself every role but superusers."
    } else {
        "They administer the roles they made."
    };
    finding("Roles that make roles", old, advice, items)
}

fn bypassing(access: &Access<'_>) -> Finding {
    let items =
        roles(access, |role| access.present.roles.get(&role).is_some_and(|role| role.bypassrls && !role.superuser));
    finding("Roles that bypass row-level security", false, "BYPASSRLS: policies of tables do not bind them.", items)
}

fn not_inheriting(access: &Access<'_>) -> Finding {
    let mut items = Vec::new();
    for role in access.present.roles.keys() {
        let edges = access.graph.groups(*role).iter().filter(|edge| !edge.inherit && edge.set);
        items.extend(edges.map(|edge| format!("{} in {}", access.name(*role), access.name(edge.role))));
    }
    let advice = "The member has the group's privileges only after SET ROLE, which surprises many.";
    finding("Members that do not inherit", false, advice, items)
}

fn many_grantees(access: &Access<'_>) -> Finding {
    let mut items = Vec::new();
    for object in &access.present.objects {
        let grantees: BTreeSet<RoleId> = object.acl.iter().flatten().map(|item| item.grantee).collect();
        if grantees.len() > GRANTEES {
            items.push(format!("{}: {}", crate::effective::full_label(object), grantees.len()));
        }
    }
    let advice = "Grant to a group instead: a table holds some 2,400 grantees, then every GRANT fails.";
    finding("Objects with more than 200 direct grantees", true, advice, items)
}

/// Roles that were given something in a schema they may not use.
fn useless(access: &Access<'_>, grants: &Grants) -> Finding {
    let mut items = BTreeSet::new();
    let schemas = access.present.objects.iter().filter(|object| object.kind == Kind::Schema);
    for schema in schemas {
        let sources = access.sources(schema);
        for role in access.present.roles.keys().copied().filter(|role| !access.is_superuser(*role)) {
            let mine = grants.of(role).iter();
            // Predefined roles are for members that get USAGE elsewhere.
            let mut granted = mine.filter(|line| line.kind != Kind::Schema && line.how != How::Predefined);
            let lies_here = |line: &crate::effective::Line| line.schema.as_deref() == Some(schema.name.as_str());
            if granted.any(lies_here) && !access.held(role, schema, &sources).contains(Privileges::USAGE) {
                items.insert(format!("{} in {}", access.name(role), schema.name));
            }
        }
    }
    let advice = "What they hold there is worth nothing until they get USAGE on the schema.";
    finding("Privileges without USAGE on their schema", true, advice, items.into_iter().collect())
}

/// Roles that own tables where only what others make gets default privileges.
fn missing_defaults(access: &Access<'_>) -> Finding {
    let tables = Kind::Relation(RelationKind::Any);
    let mut creators: BTreeMap<&str, BTreeSet<RoleId>> = BTreeMap::new();
    let mut everywhere = BTreeSet::new();
    for default in access.present.defaults.iter().filter(|default| default.kind == tables) {
        match &default.schema {
            Some(schema) => {
                creators.entry(schema).or_default().insert(default.creator);
            }
            None => {
                everywhere.insert(default.creator);
            }
        }
    }
    let mut owned: BTreeMap<(&str, RoleId), usize> = BTreeMap::new();
    for object in access.present.objects.iter().filter(|object| tables.covers(object.kind)) {
        if let Some(schema) = object.schema.as_deref().filter(|schema| creators.contains_key(schema)) {
            *owned.entry((schema, object.owner)).or_default() += 1;
        }
    }
    let mut items = Vec::new();
    for ((schema, owner), count) in owned {
        let known = &creators[schema];
        if !known.contains(&owner) && !everywhere.contains(&owner) {
            let names: Vec<&str> = known.iter().map(|creator| access.name(*creator)).collect();
            let many = if count == 1 { "a table".to_owned() } else { format!("{count} tables") };
            items.push(format!(
                "{} owns {many} in {schema}; defaults are for {}",
                access.name(owner),
                names.join(", ")
            ));
        }
    }
    let advice = "What these roles make next will not be readable as other new tables there are. \
                  ALTER DEFAULT PRIVILEGES FOR ROLE …, or list them as creators in the spec.";
    finding("Owners without default privileges", true, advice, items)
}

fn row_security(access: &Access<'_>, details: &Details) -> Finding {
    let tables = access.present.objects.iter().filter(|object| matches!(object.kind, Kind::Relation(_)));
    let items = tables.filter_map(|table| {
        let security = details.row_security.get(&table.oid)?;
        let policies = match security.policies.len() {
            0 => "no policy".to_owned(),
            1 => "1 policy".to_owned(),
            many => format!("{many} policies"),
        };
        Some(format!("{}: {policies}", table.label()))
    });
    let advice = "Who may SELECT there meets only the rows that policies admit; this page does not look into them.";
    finding("Tables with row-level security", false, advice, items.collect())
}
