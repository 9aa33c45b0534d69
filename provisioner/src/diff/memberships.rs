//! Who is a member of what.

use super::{Request, managed_roles, role};
use crate::catalog::{Present, PresentMembership, RoleId};
use crate::error::Error;
use crate::plan::{Flag, Operation, Requirement, Sign};
use policy::spec::{Ensure, Membership};
use std::collections::{BTreeMap, HashMap, HashSet};

const SECTION: &str = "memberships";

pub(super) fn diff(request: &Request<'_>, present: &Present) -> Result<Vec<Operation>, Error> {
    let mut declared: HashMap<(RoleId, RoleId), Vec<&Membership>> = HashMap::new();
    for wanted in &request.desired.memberships {
        let there = wanted.ensure == Ensure::Present;
        if !there && present.names.find(&wanted.role).and(present.names.find(&wanted.member)).is_none() {
            continue;
        }
        let pair = (role(request, present, &wanted.role)?, role(request, present, &wanted.member)?);
        if there {
            check_version(wanted, present)?;
        }
        declared.entry(pair).or_default().push(wanted);
    }
    let mut comparison = Comparison { request, present, added: BTreeMap::new(), changed: Vec::new(), gone: Vec::new() };
    let mut pairs: Vec<_> = declared.iter().collect();
    pairs.sort_by_key(|(pair, _)| (present.names.name(pair.0), present.names.name(pair.1)));
    let mut edges: HashMap<(RoleId, RoleId), Vec<&PresentMembership>> = HashMap::new();
    for edge in &present.memberships {
        edges.entry((edge.role, edge.member)).or_default().push(edge);
    }
    for (pair, wanted) in pairs {
        let edges = edges.get(pair).map_or(&[][..], Vec::as_slice);
        for wanted in wanted {
            comparison.compare(*pair, wanted, edges);
        }
    }
    comparison.undeclared(&declared);
    Ok(comparison.operations())
}

fn check_version(wanted: &Membership, present: &Present) -> Result<(), Error> {
    if present.session.version < 160_000 && (wanted.inherit == Some(false) || wanted.set == Some(false)) {
        let message = format!(
            "\"{}\" in \"{}\": memberships have INHERIT and SET options from PostgreSQL 16 on, this is {}",
            wanted.member, wanted.role, present.session.version_text
        );
        return Err(Error::mismatch(message, "give the member \"inherit: false\" as a role option instead"));
    }
    Ok(())
}

/// An edge that goes, or whose ADMIN OPTION goes.
struct Removal<'a> {
    edge: &'a PresentMembership,
    admin_only: bool,
    reason: &'static str,
    waits: bool,
}

struct Comparison<'a> {
    request: &'a Request<'a>,
    present: &'a Present,
    /// New memberships: by group and options, the members.
    added: BTreeMap<(String, RoleId), Vec<RoleId>>,
    changed: Vec<Operation>,
    gone: Vec<Removal<'a>>,
}

impl<'a> Comparison<'a> {
    fn compare(&mut self, (role, member): (RoleId, RoleId), wanted: &Membership, edges: &[&'a PresentMembership]) {
        let mine: Vec<_> =
            edges.iter().copied().filter(|edge| is_by(self.present, edge, wanted.grantor.as_ref())).collect();
        if wanted.ensure == Ensure::Absent {
            for edge in mine.into_iter().filter(|edge| !self.present.is_implicit(edge)) {
                self.gone.push(Removal { edge, admin_only: false, reason: "declared absent", waits: false });
            }
            return;
        }
        // The edge that its maker has to a new role gives nothing but ADMIN.
        if mine.iter().all(|edge| self.present.is_implicit(edge)) && !is_admin_only(wanted, &mine) {
            let options = new_options(wanted, self.present);
            self.added.entry((options, role)).or_default().push(member);
            return;
        }
        self.options(wanted, &mine);
    }

    /// Options of a membership that exists, one grantor's edge after the other.
    fn options(&mut self, wanted: &Membership, edges: &[&'a PresentMembership]) {
        if wanted.admin == Some(true) && !edges.iter().any(|edge| edge.admin) {
            let what = format!("may admit members to {}", wanted.role);
            let added = edges.first().map(|edge| self.change(edge, Sign::Add, what, "ADMIN OPTION"));
            self.changed.extend(added);
        }
        for edge in edges.iter().filter(|edge| edge.admin && wanted.admin != Some(true)) {
            if !self.present.is_implicit(edge) {
                let declared = wanted.admin.is_some();
                let reason = if declared { "declared false" } else { "undeclared" };
                let waits = !declared && !self.request.allowed.revoke_members;
                self.gone.push(Removal { edge, admin_only: true, reason, waits });
            }
        }
        if self.present.session.version < 160_000 {
            return;
        }
        for edge in edges.iter().filter(|edge| !self.present.is_implicit(edge)) {
            for (word, wanted_value, value) in
                [("INHERIT", wanted.inherit, edge.inherit), ("SET", wanted.set, edge.set)]
            {
                if let Some(wanted_value) = wanted_value.filter(|wanted_value| *wanted_value != value) {
                    let option = format!("{word} {}", if wanted_value { "TRUE" } else { "FALSE" });
                    let what = format!("member of {} with {}", wanted.role, option.to_lowercase());
                    let change = self.change(edge, Sign::Change, what, &option);
                    self.changed.push(change);
                }
            }
        }
    }

    fn change(&self, edge: &PresentMembership, sign: Sign, what: String, option: &str) -> Operation {
        let names = &self.present.names;
        let (role, member) = (names.sql(edge.role), names.sql(edge.member));
        let sql = format!("GRANT {role} TO {member} WITH {option}{}", granted_by(self.present, edge));
        super::operation(SECTION, sign, names.name(edge.member), what, sql).requiring(self.administering(edge))
    }

    fn administering(&self, edge: &PresentMembership) -> [Requirement; 1] {
        [Requirement::Administer(edge.role)]
    }

    /// Memberships between managed roles that the spec does not know.
    fn undeclared(&mut self, declared: &HashMap<(RoleId, RoleId), Vec<&Membership>>) {
        let managed = managed_roles(self.request, self.present);
        for edge in &self.present.memberships {
            let known = declared.get(&(edge.role, edge.member)).is_some_and(|wanted| {
                let absent = |wanted: &Membership| wanted.ensure == Ensure::Absent;
                wanted.iter().any(|wanted| is_by(self.present, edge, wanted.grantor.as_ref()) || absent(wanted))
            });
            if !known && is_judged(self.present, &managed, edge) {
                let waits = !self.request.allowed.revoke_members;
                self.gone.push(Removal { edge, admin_only: false, reason: "undeclared", waits });
            }
        }
    }

    fn operations(self) -> Vec<Operation> {
        let (kept, removed) = self.removals();
        let added = self.added.iter();
        let added = added.map(|((options, role), members)| grant(self.present, *role, members, options));
        // What goes comes first: a membership cannot be turned round otherwise.
        kept.into_iter().chain(removed).chain(added).chain(self.changed.iter().cloned()).collect()
    }

    /// From PostgreSQL 16 on an edge goes after those that its member granted by it. Of these, what stays is granted
    /// anew beforehand.
    fn removals(&self) -> (Vec<Operation>, Vec<Operation>) {
        let is_same = |a: &PresentMembership, b: &PresentMembership| std::ptr::eq(a, b);
        let mut open: Vec<&Removal> = self.gone.iter().collect();
        open.sort_by_key(|gone| self.present.names.name(gone.edge.member));
        let mut regranted = HashSet::new();
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        while !open.is_empty() {
            let depends = |on: &Removal, edge: &PresentMembership| {
                edge.role == on.edge.role && edge.grantor == on.edge.member && !is_same(edge, on.edge)
            };
            let free = open.iter().position(|gone| !open.iter().any(|other| depends(gone, other.edge))).unwrap_or(0);
            let gone = open.remove(free);
            let stays = |edge: &&PresentMembership| {
                depends(gone, edge) && !self.gone.iter().any(|other| !other.admin_only && is_same(other.edge, edge))
            };
            let staying: Vec<_> = self.present.memberships.iter().filter(stays).collect();
            let cascade = self.present.session.version >= 160_000 && !staying.is_empty();
            if cascade {
                for edge in staying.iter().filter(|edge| regranted.insert((edge.role, edge.member))) {
                    kept.push(self.regrant(edge, gone));
                }
            }
            removed.push(self.removal(gone, cascade));
        }
        (kept, removed)
    }

    fn regrant(&self, edge: &PresentMembership, gone: &Removal<'_>) -> Operation {
        let word = |value: bool| if value { "TRUE" } else { "FALSE" };
        let options =
            format!(" WITH ADMIN {}, INHERIT {}, SET {}", word(edge.admin), word(edge.inherit), word(edge.set));
        let reason = format!("{} no longer may grant it", self.present.names.name(edge.grantor));
        let operation = grant(self.present, edge.role, &[edge.member], &options).because(reason);
        operation.unless(!gone.waits, Flag::Revoke)
    }

    fn removal(&self, gone: &Removal<'_>, cascade: bool) -> Operation {
        let names = &self.present.names;
        let edge = gone.edge;
        let (option, what) = if gone.admin_only {
            ("ADMIN OPTION FOR ", format!("may admit members to {}", names.name(edge.role)))
        } else {
            ("", format!("member of {}", names.name(edge.role)))
        };
        let (role, member) = (names.sql(edge.role), names.sql(edge.member));
        let by = granted_by(self.present, edge);
        let cascade = if cascade { " CASCADE" } else { "" };
        let sql = format!("REVOKE {option}{role} FROM {member}{by}{cascade}");
        super::operation(SECTION, Sign::Remove, names.name(edge.member), what, sql)
            .because(gone.reason)
            .unless(!gone.waits, Flag::Revoke)
            .requiring(self.administering(edge))
    }
}

/// Before PostgreSQL 16 a membership has one edge, so that its grantor cannot be chosen.
fn is_by(present: &Present, edge: &PresentMembership, grantor: Option<&String>) -> bool {
    present.session.version < 160_000 || grantor.is_none_or(|name| present.names.name(edge.grantor) == name.as_str())
}

/// Whether a membership that the spec does not know is anybody's business.
fn is_judged(present: &Present, managed: &HashSet<RoleId>, edge: &PresentMembership) -> bool {
    managed.contains(&edge.role)
        && managed.contains(&edge.member)
        && present.names.name(edge.member) != present.session.executor
        && !present.is_implicit(edge)
}

/// Whether the plan ends a membership.
pub(super) fn goes(
    request: &Request<'_>,
    present: &Present,
    managed: &HashSet<RoleId>,
    edge: &PresentMembership,
) -> bool {
    let (role, member) = (present.names.name(edge.role), present.names.name(edge.member));
    let of_pair = |wanted: &&Membership| wanted.role == role && wanted.member == member;
    let mut said = request.desired.memberships.iter().filter(of_pair).peekable();
    if said.peek().is_none() {
        return request.allowed.revoke_members && is_judged(present, managed, edge);
    }
    said.all(|wanted| wanted.ensure == Ensure::Absent) && !present.is_implicit(edge)
}

fn grant(present: &Present, role: RoleId, members: &[RoleId], options: &str) -> Operation {
    let names = &present.names;
    let to: Vec<String> = members.iter().map(|member| names.sql(*member)).collect();
    let who: Vec<String> = members.iter().map(|member| names.name(*member).to_owned()).collect();
    let sql = format!("GRANT {} TO {}{options}", names.sql(role), to.join(", "));
    let told = options.split(" GRANTED BY ").next().unwrap_or_default().to_lowercase();
    let what = format!("member of {}{told}", names.name(role));
    super::operation(SECTION, Sign::Add, &super::listing(&who), what, sql).requiring([Requirement::Administer(role)])
}

/// What the spec does not say is left to the server: INHERIT then follows the member's own option.
fn new_options(wanted: &Membership, present: &Present) -> String {
    let mut options = Vec::new();
    let mut by = String::new();
    if present.session.version >= 160_000 {
        let word = |value: bool| if value { "TRUE" } else { "FALSE" };
        if wanted.admin == Some(true) {
            options.push("ADMIN TRUE".to_owned());
        }
        if let Some(inherit) = wanted.inherit {
            options.push(format!("INHERIT {}", word(inherit)));
        }
        if let Some(set) = wanted.set {
            options.push(format!("SET {}", word(set)));
        }
        if let Some(grantor) = &wanted.grantor {
            by = format!(" GRANTED BY {}", policy::sql::identifier(grantor));
        }
    } else if wanted.admin == Some(true) {
        options.push("ADMIN OPTION".to_owned());
    }
    let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join(", ")) };
    with + &by
}

/// Whether all that is wanted is what a role's maker has anyway.
fn is_admin_only(wanted: &Membership, edges: &[&PresentMembership]) -> bool {
    !edges.is_empty() && wanted.admin == Some(true) && wanted.inherit != Some(true) && wanted.set != Some(true)
}

/// Before PostgreSQL 16 a membership has one edge, whoever granted it.
fn granted_by(present: &Present, edge: &PresentMembership) -> String {
    if present.session.version >= 160_000 {
        format!(" GRANTED BY {}", present.names.sql(edge.grantor))
    } else {
        String::new()
    }
}
