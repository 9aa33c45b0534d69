//! Templates written out.

use super::desired::Desired;
use super::error::SpecError;
use super::kind::Kind;
use super::model::{
    Contents, Creator, DefaultPrivilege, DefaultScope, Ensure, Grant, Grantee, Membership, Schema, Spec, Target,
    Template, TemplateUse,
};
use super::pattern::Pattern;
use super::privilege::Privileges;
use std::collections::{BTreeMap, BTreeSet};

impl Spec {
    /// The state the spec asks for, in explicit form.
    ///
    /// # Errors
    /// A role name that a template cannot have, and two memberships of the same pair that differ.
    pub fn expand(&self) -> Result<Desired, SpecError> {
        let mut desired = Desired { manage: self.manage.clone(), retire: self.retire.clone(), ..Desired::default() };
        for (name, role) in &self.roles {
            desired.roles.insert(name.clone(), role.options.clone());
            desired.memberships.extend(role.member_of.iter().cloned());
        }
        desired.memberships.extend(self.memberships.iter().cloned());
        desired.here = self.expand_contents(&self.here, &mut desired)?;
        for (name, contents) in &self.databases {
            let contents = self.expand_contents(contents, &mut desired)?;
            desired.databases.insert(name.clone(), contents);
        }
        desired.memberships = without_repetition(desired.memberships)?;
        if let Some(closing) = circle(&desired.memberships) {
            let (member, role) = (&closing.member, &closing.role);
            let message =
                format!("\"{role}\" is a member of \"{member}\" already, so \"{member}\" cannot be one of it");
            return Err(SpecError::new(closing.at, "", message));
        }
        Ok(desired)
    }

    fn expand_contents(&self, contents: &Contents, desired: &mut Desired) -> Result<Contents, SpecError> {
        let mut expanded = contents.clone();
        for (name, schema) in &contents.schemas {
            let schema = &self.with_creators(name, schema, contents);
            for used in &schema.templates {
                match &used.roles {
                    Some(roles) => {
                        for (_, template) in self.with_inherited(&used.template) {
                            write_out(&mut expanded, template, name, schema, roles, used);
                        }
                    }
                    None => self.template_role(name, schema, used, desired, &mut expanded)?,
                }
            }
        }
        Ok(expanded)
    }

    /// A schema that names no creators has those it lets create: its owner and whoever the spec gives CREATE on it.
    fn with_creators(&self, name: &str, schema: &Schema, contents: &Contents) -> Schema {
        let mut schema = schema.clone();
        if !schema.creators.is_empty() {
            return schema;
        }
        let gives_create =
            |kind, privileges: Privileges| kind == Kind::Schema && privileges.contains(Privileges::CREATE);
        let mut creators: BTreeSet<String> = schema.owner.iter().cloned().collect();
        for grant in contents.grants.iter().filter(|grant| grant.ensure == Ensure::Present) {
            if gives_create(grant.on.kind, grant.privileges) && grant.on.names.iter().any(|on| on.matches(name)) {
                creators.extend(grant.to.iter().filter_map(|to| match to {
                    Grantee::Role(role) => Some(role.clone()),
                    Grantee::Public => None,
                }));
            }
        }
        for used in &schema.templates {
            for (template, role) in self.makers(name, used) {
                let mut grants = template.grants.iter();
                if grants.any(|grant| gives_create(grant.kind, grant.privileges)) {
                    creators.extend(role);
                }
            }
        }
        schema.creators = creators.into_iter().map(Creator::Role).collect();
        schema
    }

    /// The templates a use comes to, each with the roles that get it.
    fn makers<'a>(&'a self, schema: &str, used: &'a TemplateUse) -> Vec<(&'a Template, Vec<String>)> {
        let named = self.with_inherited(&used.template);
        named
            .into_iter()
            .map(|(name, template)| {
                let roles = used.roles.clone().unwrap_or_else(|| vec![self.role_of(schema, name)]);
                (template, roles.into_iter().filter(|role| !role.eq_ignore_ascii_case("public")).collect())
            })
            .collect()
    }

    /// Makes the role of a template in a schema, as a member of the roles of what the template inherits.
    fn template_role(
        &self,
        schema_name: &str,
        schema: &Schema,
        used: &TemplateUse,
        desired: &mut Desired,
        expanded: &mut Contents,
    ) -> Result<(), SpecError> {
        let role = self.role_of(schema_name, &used.template);
        if role.is_empty() || role.len() > 63 || role.starts_with("pg_") {
            let message = format!("a role cannot be called \"{role}\", as role_name and the template would have it");
            return Err(SpecError::new(used.at, &format!("schemas.{schema_name}.templates"), message));
        }
        desired.roles.entry(role.clone()).or_default().login.get_or_insert(false);
        let template = &self.templates[&used.template];
        write_out(expanded, template, schema_name, schema, std::slice::from_ref(&role), used);
        for inherited in &template.inherits {
            let group = self.role_of(schema_name, inherited);
            desired.memberships.push(Membership::plain(used.at, &group, &role));
            // Listed or not, what a listed template inherits must exist.
            if !schema.templates.iter().any(|other| other.template == *inherited && other.roles.is_none()) {
                let implied = TemplateUse { at: used.at, template: inherited.clone(), roles: None };
                self.template_role(schema_name, schema, &implied, desired, expanded)?;
            }
        }
        Ok(())
    }

    fn role_of(&self, schema: &str, template: &str) -> String {
        let pattern = self.role_name.as_deref().unwrap_or("{schema}_{template}");
        // In one pass, so that a schema called "{template}" stays what it is.
        pattern.split("{schema}").map(|part| part.replace("{template}", template)).collect::<Vec<_>>().join(schema)
    }

    fn with_inherited<'a>(&'a self, name: &'a str) -> Vec<(&'a str, &'a Template)> {
        let mut names = vec![name];
        let mut next = 0;
        while let Some(name) = names.get(next).copied() {
            for inherited in &self.templates[name].inherits {
                if !names.contains(&inherited.as_str()) {
                    names.push(inherited);
                }
            }
            next += 1;
        }
        names.into_iter().map(|name| (name, &self.templates[name])).collect()
    }
}

fn write_out(
    expanded: &mut Contents,
    template: &Template,
    schema_name: &str,
    schema: &Schema,
    roles: &[String],
    used: &TemplateUse,
) {
    if roles.is_empty() {
        return;
    }
    let to: Vec<Grantee> = roles
        .iter()
        .map(|role| if role.eq_ignore_ascii_case("public") { Grantee::Public } else { Grantee::Role(role.clone()) })
        .collect();
    for grant in &template.grants {
        let on = if grant.kind == Kind::Schema {
            let names = vec![Pattern::literal(schema_name)];
            Target { kind: grant.kind, schemas: Vec::new(), names, columns: Vec::new() }
        } else {
            let schemas = vec![Pattern::literal(schema_name)];
            Target { kind: grant.kind, schemas, names: vec![Pattern::new("*")], columns: Vec::new() }
        };
        expanded.grants.push(Grant {
            at: used.at,
            to: to.clone(),
            privileges: grant.privileges,
            all: grant.all,
            on,
            except: grant.except.clone(),
            grant_option: false,
            ensure: Ensure::Present,
        });
    }
    for default in &template.default_privileges {
        for creator in &schema.creators {
            expanded.default_privileges.push(DefaultPrivilege {
                at: used.at,
                creator: creator.clone(),
                scope: DefaultScope::Schema(schema_name.to_owned()),
                kind: default.kind.broad(),
                to: to.clone(),
                privileges: default.privileges,
                all: default.all,
                grant_option: false,
                ensure: Ensure::Present,
            });
        }
    }
}

/// Each membership by one grantor once; the same with other options is a contradiction.
fn without_repetition(memberships: Vec<Membership>) -> Result<Vec<Membership>, SpecError> {
    let mut found: BTreeMap<(String, String, Option<String>), Membership> = BTreeMap::new();
    for membership in memberships {
        let key = (membership.role.clone(), membership.member.clone(), membership.grantor.clone());
        match found.get(&key) {
            Some(other) if (Membership { at: membership.at, ..other.clone() }) != membership => {
                let message = format!("\"{}\" is a member of \"{}\" twice, with other options", key.1, key.0);
                return Err(SpecError::new(membership.at, "", message));
            }
            _ => found.insert(key, membership),
        };
    }
    Ok(found.into_values().collect())
}

/// A membership with which a role becomes a member of itself.
fn circle(memberships: &[Membership]) -> Option<&Membership> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for membership in memberships.iter().filter(|membership| membership.ensure == Ensure::Present) {
        // Does the group lead back to the member?
        let mut seen = BTreeSet::new();
        let mut open = vec![membership.role.as_str()];
        while let Some(role) = open.pop() {
            if role == membership.member {
                return Some(membership);
            }
            if seen.insert(role) {
                open.extend(groups.get(role).into_iter().flatten());
            }
        }
        groups.entry(&membership.member).or_default().push(&membership.role);
    }
    None
}
