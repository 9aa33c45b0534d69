//! The sections of the spec.

use super::collect::Source;
use super::line::{DefaultLine, Line, Names, Saying, merge, merge_defaults};
use super::templates::{Profile, Template, Templates, Use};
use super::yaml::{Node, Section};
use policy::spec::{Kind, Pattern, Privileges};

/// Lists of privileges as long as this are ALL, if they are all.
const MANY: usize = 4;

/// All sections, in the order people read them.
pub(super) fn sections(source: &Source, roles: Vec<(String, Node)>, found: Templates) -> Vec<Section> {
    let templates =
        found.templates.iter().map(|template| (template.name.clone(), of_template(source, template))).collect();
    let grants = merge(found.lines);
    let grants = grants.iter().map(|line| of_line(source, line)).collect();
    let defaults = merge_defaults(found.defaults);
    let defaults = defaults.iter().map(|line| of_default(source, line)).collect();
    let sections = [
        ("version", Node::Number(1), ""),
        ("roles", Node::Map(roles), ""),
        ("templates", Node::Map(templates), ""),
        ("schemas", schemas(source, &found.schemas), ""),
        ("grants", Node::List(grants), ""),
        ("default_privileges", Node::List(defaults), ""),
        ("manage", manage(source), judged(source)),
    ];
    let sections =
        sections.into_iter().map(|(key, value, comment)| Section { comment: comment.to_owned(), key, value });
    sections.filter(|section| section.key == "roles" || !section.value.is_empty()).collect()
}

fn judged(source: &Source) -> &'static str {
    if source.limited {
        "Only the roles above are judged, and only in these schemas."
    } else {
        "The roles above are judged, in all schemas; with `undeclared: revoke` they lose what this file does not say."
    }
}

fn manage(source: &Source) -> Node {
    let mut entries = Vec::new();
    if source.limited {
        entries.push(("schemas", Node::List(patterns(&source.schemas).collect())));
    }
    entries.push(("undeclared", Node::text("report")));
    Node::map(entries)
}

fn patterns<'a>(names: impl IntoIterator<Item = &'a String>) -> impl Iterator<Item = Node> {
    names.into_iter().map(|name| Node::Text(Pattern::escape(name)))
}

fn of_template(source: &Source, template: &Template) -> Node {
    let mut entries = Vec::new();
    entries.extend(template.inherits.iter().map(|parent| ("inherits", Node::text(parent))));
    let Profile { grants, defaults } = &template.own;
    for (key, of_kind) in [("grants", grants), ("default_privileges", defaults)] {
        let pair = |(kind, set): (&Kind, &Privileges)| {
            let all = source.known_here(kind.privileges());
            Node::List(vec![privileges(*set, all), Node::text(kind.word())])
        };
        let pairs: Vec<Node> = of_kind.iter().map(pair).collect();
        if !pairs.is_empty() {
            entries.push((key, Node::List(pairs)));
        }
    }
    Node::map(entries)
}

fn schemas(source: &Source, uses: &std::collections::BTreeMap<String, Use>) -> Node {
    let nothing = Use::default();
    let schema = |name: &String| {
        let used = uses.get(name).unwrap_or(&nothing);
        let is_it = |object: &&crate::catalog::Object| object.kind == Kind::Schema && object.name == *name;
        let owner = source.present.objects.iter().find(is_it).map(|object| source.present.names.name(object.owner));
        let mut entries = Vec::new();
        entries.extend(owner.map(|owner| ("owner", Node::text(owner))));
        if !used.creators.is_empty() {
            entries.push(("creators", Node::names(&used.creators)));
        }
        if !used.templates.is_empty() {
            let templates = used.templates.iter().map(|(name, roles)| (name.clone(), Node::names(roles))).collect();
            entries.push(("templates", Node::Map(templates)));
        }
        (name.clone(), Node::map(entries))
    };
    Node::Map(source.schemas.iter().map(schema).collect())
}

fn of_line(source: &Source, line: &Line) -> Node {
    let mut on = vec![("type", Node::text(line.kind.word()))];
    if !line.schemas.is_empty() {
        on.push(("schema", Node::names(&line.schemas)));
    }
    let mut except = None;
    match &line.names {
        Names::All => on.push(("name", Node::text("*"))),
        Names::AllBut(names) => {
            on.push(("name", Node::text("*")));
            except = Some(Node::names(names));
        }
        Names::These(names) if names.is_empty() => {}
        Names::These(names) => on.push(("name", Node::names(names))),
    }
    let of_kind = if line.columns.is_empty() { line.kind.privileges() } else { Kind::COLUMN };
    if !line.columns.is_empty() {
        on.push(("columns", Node::names(&line.columns)));
    }
    let mut entries = vec![
        ("to", Node::names(&line.to)),
        ("privileges", privileges(line.privileges, source.known_here(of_kind))),
        ("on", Node::map(on)),
    ];
    entries.extend(except.map(|names| ("except", names)));
    entries.extend(saying(line.saying));
    Node::map(entries)
}

fn of_default(source: &Source, line: &DefaultLine) -> Node {
    let place =
        if line.schemas.is_empty() { ("scope", Node::text("global")) } else { ("schema", Node::names(&line.schemas)) };
    let mut entries = vec![
        ("owner", Node::names(&line.creators)),
        place,
        ("on", Node::text(line.kind.word())),
        ("to", Node::names(&line.to)),
        ("privileges", privileges(line.privileges, source.known_here(line.kind.privileges()))),
    ];
    entries.extend(saying(line.saying));
    Node::map(entries)
}

fn privileges(set: Privileges, all: Privileges) -> Node {
    let words = set.words();
    if set == all && words.len() >= MANY { Node::text("ALL") } else { Node::names(words) }
}

fn saying(saying: Saying) -> Option<(&'static str, Node)> {
    match saying {
        Saying::Held => None,
        Saying::GrantOption => Some(("grant_option", Node::Bool(true))),
        Saying::Absent => Some(("ensure", Node::text("absent"))),
    }
}
