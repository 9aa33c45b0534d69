//! `rolecall report`: one page that says who may what, whatever things are called.

use crate::provisioner_world::rolecall;
use crate::support::run;
use rolecall_tests::{Cluster, Database};
use serde_json::Value;
use std::process::Command;

/// The page as standard output gets it.
fn page(db: &Database<'_>) -> String {
    let outcome = rolecall(db, &["report", "--html", "-"], "");
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{}", outcome.err);
    outcome.out
}

/// What the page's script reads.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("data");
    let (data, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(data).expect("JSON")
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let all = list.as_array().expect("a list");
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn place(list: &Value, name: &str) -> usize {
    list.as_array().expect("a list").iter().position(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn text(data: &Value, number: &Value) -> String {
    let number = usize::try_from(number.as_u64().expect("a number")).expect("a small one");
    data["texts"][number].as_str().expect("a text").to_owned()
}

/// Letters along memberships, letters without, and whether the schema may be used.
fn cell(data: &Value, role: &str, schema: &str) -> Option<(String, String, bool)> {
    let schema = place(&data["schemas"], schema);
    let cells = named(&data["roles"], role)["cells"].as_array()?;
    let cell = cells.iter().find(|cell| cell[0] == schema)?;
    Some((text(data, &cell[1]), text(data, &cell[2]), cell[3] == 1))
}

/// A shop with readers, a writer who is one of them, an owner and a few things worth a look.
fn shop(db: &Database<'_>) -> [String; 5] {
    let [owner, reader, writer, alice, stray] =
        ["owner", "reader", "writer", "alice", "stray"].map(|name| format!("{}_{name}", db.name));
    run(
        &mut db.admin(),
        &format!(
            "CREATE ROLE {owner}; CREATE ROLE {reader}; CREATE ROLE {writer} IN ROLE {reader}; CREATE ROLE {stray};
             CREATE ROLE {alice} LOGIN NOINHERIT BYPASSRLS IN ROLE {writer}; COMMENT ON ROLE {alice} IS 'Sells';
             CREATE SCHEMA shop AUTHORIZATION {owner}; CREATE SCHEMA dark; GRANT CREATE ON SCHEMA dark TO PUBLIC;
             CREATE TABLE shop.orders (id int); CREATE TABLE shop.items (id int); CREATE TABLE dark.t (id int);
             ALTER TABLE shop.items OWNER TO {owner}; ALTER TABLE shop.items ENABLE ROW LEVEL SECURITY;
             GRANT USAGE ON SCHEMA shop TO {reader}; GRANT SELECT ON shop.orders, shop.items TO {reader};
             GRANT INSERT, UPDATE ON shop.orders TO {writer} WITH GRANT OPTION; GRANT SELECT ON dark.t TO {stray};
             ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA shop GRANT SELECT ON TABLES TO {reader};"
        ),
    );
    [owner, reader, writer, alice, stray]
}

#[test]
fn the_page_says_what_roles_may_where_and_what_is_worth_a_look() {
    let db = Cluster::shared().plain_database();
    let [owner, reader, writer, alice, stray] = shop(&db);
    let page = page(&db);
    let data = data(&page);
    let some = |all: &str, direct: &str, usable| Some((all.to_owned(), direct.to_owned(), usable));
    assert_eq!(cell(&data, &reader, "shop"), some("RU", "RU", true));
    assert_eq!(cell(&data, &writer, "shop"), some("RwU", "w", true));
    assert_eq!(cell(&data, &owner, "shop"), some("rwCOU", "rwCOU", true));
    assert_eq!(cell(&data, &stray, "dark"), some("R", "R", false));
    assert_eq!(cell(&data, &stray, "shop"), None);
    // Before PostgreSQL 16 a NOINHERIT member inherits nothing, and later it is so by default.
    assert_eq!(cell(&data, &alice, "shop"), None);
    assert_eq!(cell(&data, "PUBLIC", "dark"), some("C", "C", false));

    let role = named(&data["roles"], &alice);
    assert_eq!((&role["login"], &role["comment"]), (&true.into(), &"Sells".into()));
    assert_eq!(role["options"], "LOGIN, BYPASSRLS, NOINHERIT");
    assert_eq!(role["groups"], serde_json::json!([[place(&data["roles"], &writer), 2]]));
    let lines = |role: &str| -> Vec<String> {
        let lines = named(&data["roles"], role)["lines"].as_array().expect("lines").clone();
        lines.iter().map(|line| text(&data, &line[1])).collect()
    };
    assert_eq!(lines(&reader), ["USAGE", "SELECT on all 2 tables"]);
    assert_eq!(lines(&writer), ["INSERT, UPDATE on 1 of 2 tables: orders, with grant option"]);
    let defaults = &named(&data["roles"], &owner)["defaults"];
    assert_eq!(text(&data, &defaults[0]), format!("SELECT on tables in shop to {reader}"));

    let finding = |title: &str| -> Vec<String> {
        let all = data["findings"].as_array().expect("findings");
        let items =
            all.iter().filter(|finding| finding["title"] == title).flat_map(|finding| finding["items"].as_array());
        items.flatten().map(|item| item.as_str().expect("a text").to_owned()).collect()
    };
    let is_found = |title: &str, item: String| {
        assert!(finding(title).contains(&item), "{title}: {item}: {:?}", finding(title));
    };
    is_found("Superusers", "postgres".into());
    is_found("Everybody may create in a schema", "dark".into());
    is_found("Everybody may connect to this database", db.name.clone());
    is_found("Roles that bypass row-level security", alice.clone());
    is_found("Members that do not inherit", format!("{alice} in {writer}"));
    is_found("Privileges without USAGE on their schema", format!("{stray} in dark"));
    is_found("Tables with row-level security", "shop.items: no policy".into());
    // Predefined roles may maintain what they may not name; that is nobody's mistake.
    let useless = finding("Privileges without USAGE on their schema");
    assert!(!useless.iter().any(|item| item.starts_with("pg_")), "{useless:?}");
    is_found("Owners without default privileges", format!("postgres owns a table in shop; defaults are for {owner}"));
    assert!(page.len() < 100_000, "{}", page.len());
}

#[test]
fn an_object_with_hundreds_of_grantees_and_ways_to_a_superuser_are_found() {
    let cluster = Cluster::start(&[]);
    let db = cluster.plain_database();
    run(
        &mut db.admin(),
        "CREATE TABLE t (); CREATE ROLE root SUPERUSER; CREATE ROLE eve LOGIN IN ROLE root;
         DO $$ BEGIN FOR n IN 1..201 LOOP
             EXECUTE format('CREATE ROLE r%s; GRANT SELECT ON t TO r%1$s', n); END LOOP; END $$",
    );
    let data = data(&page(&db));
    let findings = serde_json::to_string(&data["findings"]).expect("JSON");
    // The owner is a grantee too.
    assert!(findings.contains("table public.t: 202"), "{findings}");
    assert!(findings.contains("eve can become root"), "{findings}");
    assert_eq!(data["roles"].as_array().expect("roles").iter().filter(|role| role["name"] == "r7").count(), 1);
}

const LIST_ELEMENTS: &str = r#"
import html.parser, sys
class Elements(html.parser.HTMLParser):
    def handle_starttag(self, tag, attributes):
        print(tag, *(name for name, value in attributes))
        for name, value in attributes:
            if name in ('src', 'href', 'action', 'data') and not value.startswith('#'):
                print("elsewhere", value)
Elements().feed(sys.stdin.read())
"#;

#[test]
fn no_name_becomes_part_of_the_page_and_nothing_is_loaded() {
    let db = Cluster::shared().plain_database();
    let hostile =
        ["</script><script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "<!--<script>", "{{data}}&lt;"];
    for name in hostile {
        let unique = format!("\"{}{}\"", name.replace('"', "\"\""), db.name);
        let name = format!("\"{}\"", name.replace('"', "\"\""));
        run(
            &mut db.admin(),
            &format!(
                "CREATE ROLE {unique} LOGIN; CREATE SCHEMA {name}; CREATE TABLE {name}.{name} ({name} int);
                 GRANT CREATE ON SCHEMA {name} TO PUBLIC; GRANT SELECT ({name}) ON {name}.{name} TO {unique};
                 GRANT USAGE ON SCHEMA {name} TO {unique}; COMMENT ON ROLE {unique} IS '{}'",
                name.replace('\'', "''")
            ),
        );
    }
    let page = page(&db);
    let data = data(&page);
    for name in hostile {
        assert_eq!(named(&data["schemas"], name)["tables"], 1);
        assert_eq!(cell(&data, &format!("{name}{}", db.name), name), Some(("U".into(), "U".into(), true)));
    }
    let mut python = Command::new("python3");
    python.args(["-c", LIST_ELEMENTS]);
    let listed = crate::provisioner_world::run(python, &page);
    assert_eq!(listed.code, 0, "{listed:?}");
    let elements: Vec<&str> = listed.out.lines().collect();
    let count = |tag: &str| elements.iter().filter(|line| line.split(' ').next() == Some(tag)).count();
    assert_eq!((count("script"), count("style"), count("body")), (2, 1, 1), "{elements:?}");
    for tag in ["img", "link", "iframe", "object", "elsewhere"] {
        assert_eq!(count(tag), 0, "{tag}: {elements:?}");
    }
    assert!(!elements.iter().any(|line| line.split(' ').any(|word| word.starts_with("on"))), "{elements:?}");
    assert!(page.contains("default-src 'none'") && !page.contains("'unsafe"));
    // The script's own namespace of SVG is the only address on it.
    assert_eq!(page.matches("://").count(), page.matches("http://www.w3.org/2000/svg").count(), "an address");
}

#[test]
fn the_database_s_own_name_is_only_text_in_the_title() {
    let cluster = Cluster::shared();
    let db = cluster.plain_database();
    let odd = format!("<b>&{{{{script}}}}{}", db.name);
    run(&mut db.admin(), &format!("CREATE DATABASE \"{odd}\""));
    let mut command = db.rolecall("postgres");
    command.args(["report", "--html", "-", "--dbname", &odd]);
    let outcome = crate::provisioner_world::run(command, "");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let title = format!("<h1>Roles and privileges in &lt;b&gt;&amp;{{{{script}}}}{}</h1>", db.name);
    assert!(outcome.out.contains(&title), "{title}");
}

#[test]
fn the_file_is_replaced_at_once_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt;
    let db = Cluster::shared().plain_database();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("report.html");
    std::fs::write(&file, "an old report").expect("written");
    let name = file.to_str().expect("UTF-8");
    let reader = std::fs::File::open(&file).expect("somebody reads it");
    let outcome = rolecall(&db, &["report", "--html", name], "");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""), "{outcome:?}");
    assert!(outcome.err.contains(name) && outcome.err.contains(" roles, "), "{outcome:?}");
    assert!(std::fs::read_to_string(&file).expect("a page").ends_with("</html>\n"));
    // Who had the old one open keeps it.
    assert_eq!(std::io::read_to_string(reader).expect("the old one"), "an old report");
    assert_eq!(std::fs::read_dir(directory.path()).expect("a listing").count(), 1);
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o600, 0o600);
    assert_eq!(rolecall(&db, &["report", "--quiet", "--html", name], "").err, "");
    let json = rolecall(&db, &["report", "--json", "--html", name], "");
    assert!(json.out.contains("\"rolecall-report/1\""), "{json:?}");

    let nowhere = directory.path().join("none/report.html");
    let outcome = rolecall(&db, &["report", "--html", nowhere.to_str().expect("UTF-8")], "");
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("none/report.html"), "{outcome:?}");
    // What is no file is not replaced by one.
    let outcome = rolecall(&db, &["report", "--html", "/dev/null"], "");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(!std::fs::metadata("/dev/null").expect("it is there").is_file());
}
