//! What a role is, and what it may, by schema and kind.

use super::Answers;
use super::layout::{Cell, DIM, HEADING, PART, PLAIN, YES, line, width};
use super::words::{how_word, options, way};
use crate::catalog::{PresentRole, RoleId};
use crate::effective::{Along, Edge, Grants, How, Line};
use crate::plan::printable;
use policy::spec::{Kind, Privileges};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

/// Privileges and the role that holds them, told to the one that inherits them.
struct Held<'a> {
    line: &'a Line,
    holder: RoleId,
    /// Ways from the role to the holder.
    chains: Vec<Vec<RoleId>>,
}

/// What `role` holds, by schema; what lies in none comes first.
fn held<'a>(answers: &Answers<'_>, grants: &'a Grants, role: RoleId) -> BTreeMap<Option<Rc<str>>, Vec<Held<'a>>> {
    let access = &answers.access;
    let mut by_schema: BTreeMap<Option<Rc<str>>, Vec<Held<'a>>> = BTreeMap::new();
    let mut holders = access.graph.reach(role, Along::Inherit);
    if role != RoleId::PUBLIC {
        holders.push(RoleId::PUBLIC);
    }
    for holder in holders {
        let chains = match holder {
            RoleId::PUBLIC => Vec::new(),
            holder => access.graph.chains(role, holder, Along::Inherit, 3),
        };
        for line in grants.of(holder) {
            by_schema.entry(line.schema.clone()).or_default().push(Held { line, holder, chains: chains.clone() });
        }
    }
    for lines in by_schema.values_mut() {
        lines.sort_by_key(|held| held.line.kind);
    }
    by_schema
}

/// For programs.
pub fn role_json(answers: &Answers<'_>, grants: &Grants, role: RoleId) -> Value {
    let access = &answers.access;
    let session = &access.present.session;
    let names = |chain: &Vec<RoleId>| chain.iter().map(|role| access.name(*role)).collect::<Vec<_>>();
    let edge = |edge: &Edge| json!({"role": access.name(edge.role), "inherit": edge.inherit, "set": edge.set, "admin": edge.admin});
    let lines = held(answers, grants, role).into_values().flatten().map(|held| {
        let objects = held
            .line
            .on
            .iter()
            .map(|(number, columns)| json!({"name": access.present.objects[*number].label(), "columns": columns}));
        json!({
            "schema": held.line.schema.as_deref(),
            "kind": held.line.kind.word(),
            "privileges": held.line.privileges.words(),
            "grant_option": held.line.grant_option,
            "how": super::words::how_code(held.line.how),
            "holder": access.name(held.holder),
            "chains": held.chains.iter().map(names).collect::<Vec<_>>(),
            "of": grants.total(&held.line.schema, held.line.kind).len(),
            "objects": objects.collect::<Vec<_>>(),
        })
    });
    let of_role = access.present.roles.get(&role);
    let settings = of_role.iter().flat_map(|role| &role.config).flat_map(|(database, settings)| {
        settings.iter().map(move |(name, value)| json!({"database": database, "name": name, "value": value}))
    });
    json!({
        "format": "rolecall-explain/1",
        "database": session.database,
        "server": session.version_text,
        "role": access.name(role),
        "superuser": access.is_superuser(role),
        "options": of_role.map(|of_role| options(answers, role, of_role)),
        "comment": of_role.map(|role| role.comment.as_str()).filter(|comment| !comment.is_empty()),
        "settings": settings.collect::<Vec<_>>(),
        "member_of": access.graph.groups(role).iter().map(edge).collect::<Vec<_>>(),
        "members": access.graph.members(role).iter().map(edge).collect::<Vec<_>>(),
        "set_role": access.graph.reach(role, Along::Set).iter().skip(1).map(|role| access.name(*role)).collect::<Vec<_>>(),
        "held": lines.collect::<Vec<_>>(),
    })
}

/// For people.
pub fn role_text(answers: &Answers<'_>, grants: &Grants, role: RoleId) -> String {
    let access = &answers.access;
    let mut out = String::new();
    let _ = writeln!(out, "{HEADING}{}{HEADING:#}", printable(access.name(role)));
    let _ = writeln!(out, "{DIM}{}{DIM:#}\n", printable(&answers.server()));
    if let Some(of_role) = access.present.roles.get(&role) {
        what_it_is(&mut out, answers, role, of_role);
    } else {
        line(&mut out, 0, &[], "PUBLIC is every role there is and will be.", PLAIN);
    }
    if access.is_superuser(role) {
        out.push('\n');
        line(&mut out, 0, &[], "Nothing is refused to a superuser, whatever is granted.", PART);
        return out;
    }
    let by_schema = held(answers, grants, role);
    for (schema, lines) in &by_schema {
        let heading = schema.as_deref().map_or("outside schemas".to_owned(), |name| format!("schema {name}"));
        let _ = writeln!(out, "\n{HEADING}{}{HEADING:#}", printable(&heading));
        let useless = schema.is_some() && lacks_usage(lines);
        if useless {
            line(&mut out, 2, &[Cell("but", PART, 3)], "no USAGE on it: nothing in it can be named", PLAIN);
        }
        let texts: Vec<String> = lines.iter().map(|held| grants.text(access, held.line)).collect();
        let text_width = width(texts.iter().map(String::as_str), 56);
        for (held, text) in lines.iter().zip(&texts) {
            let style = if useless && held.line.kind != Kind::Schema { DIM } else { YES };
            line(&mut out, 2, &[Cell(text, style, text_width)], &why(answers, role, held), DIM);
        }
    }
    if by_schema.is_empty() {
        let _ = writeln!(out, "\nIt may nothing here.");
    }
    out
}

fn lacks_usage(lines: &[Held<'_>]) -> bool {
    !lines.iter().any(|held| held.line.kind == Kind::Schema && held.line.privileges.contains(Privileges::USAGE))
}

fn why(answers: &Answers<'_>, role: RoleId, held: &Held<'_>) -> String {
    let mut why: Vec<String> = Vec::new();
    if held.holder == RoleId::PUBLIC && role != RoleId::PUBLIC {
        why.push("through PUBLIC".to_owned());
    }
    let ways = held.chains.iter().filter_map(|chain| way(&answers.access, chain));
    let ways: Vec<String> = ways.collect();
    if !ways.is_empty() {
        why.push(format!("through {}", ways.join(" and ")));
    }
    match held.line.how {
        How::Granted if why.is_empty() => why.push("granted to it".to_owned()),
        How::Granted => {}
        how => why.push(how_word(how).to_owned()),
    }
    if held.line.grant_option {
        why.push("with grant option".to_owned());
    }
    why.join(", ")
}

fn what_it_is(out: &mut String, answers: &Answers<'_>, id: RoleId, role: &PresentRole) {
    let access = &answers.access;
    let mut field = |name: &str, text: &str| line(out, 0, &[Cell(name, DIM, 10)], text, PLAIN);
    field("options", &options(answers, id, role).join(", "));
    if !role.comment.is_empty() {
        field("comment", &role.comment);
    }
    let mut name = "settings";
    for (database, settings) in &role.config {
        for (setting, value) in settings {
            let place = database.as_ref().map_or(String::new(), |name| format!(" in database {name}"));
            field(name, &format!("{setting} = {value}{place}"));
            name = "";
        }
    }
    for (name, edges, role_is_member) in
        [("member of", access.graph.groups(id), true), ("members", access.graph.members(id), false)]
    {
        let texts: Vec<String> = edges.iter().map(|edge| member(answers, edge, role_is_member)).collect();
        if !texts.is_empty() {
            field(name, &texts.join(", "));
        }
    }
    let settable = access.graph.reach(id, Along::Set);
    let names = |wanted: &dyn Fn(RoleId) -> bool| -> Vec<&str> {
        settable.iter().skip(1).filter(|role| wanted(**role)).map(|role| access.name(*role)).collect()
    };
    let not_inherited = names(&|role| !access.inherits(id, role));
    if !not_inherited.is_empty() {
        field("SET ROLE", &format!("needed to use what these may: {}", not_inherited.join(", ")));
    }
    let superusers = names(&|role| access.is_superuser(role));
    if !superusers.is_empty() && !role.superuser {
        field("beware", &format!("nothing is refused to it after SET ROLE {}, a superuser", superusers.join(" or ")));
    }
    if role.createrole && access.present.session.version < 160_000 && !role.superuser {
        field("beware", "CREATEROLE: before PostgreSQL 16 it may grant itself every role but superusers");
    }
}

fn member(answers: &Answers<'_>, edge: &Edge, is_member: bool) -> String {
    let mut notes = Vec::new();
    if !edge.inherit {
        notes.push(if edge.set { "only by SET ROLE" } else { "without INHERIT and SET" });
    } else if !edge.set {
        notes.push("without SET ROLE");
    }
    if edge.admin {
        notes.push(if is_member { "may admit others" } else { "admin" });
    }
    let name = answers.access.name(edge.role);
    if notes.is_empty() { name.to_owned() } else { format!("{name} ({})", notes.join(", ")) }
}
