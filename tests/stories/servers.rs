//! Servers: what their documents give, and what becomes of roles when they change.

use crate::support::*;
use postgres::Client;
use serde_json::{Value, json};

fn register(admin: &mut Client, document: &Value, limits: &str) -> Value {
    let sql = format!("SELECT rolecall.register_server('north', $1::text::jsonb{limits})::text");
    let report: String = admin.query_one(&sql, &[&document.to_string()]).unwrap_or_else(|e| panic!("{e:?}")).get(0);
    serde_json::from_str(&report).unwrap()
}

fn scopes_of(admin: &mut Client, role: &str) -> Vec<String> {
    column(admin, &format!("SELECT scope FROM rolecall.role_scopes WHERE role = '{role}' ORDER BY 1"))
}

#[test]
fn the_scopes_come_from_the_document() {
    let database = database();
    let mut admin = database.admin();
    let names = json!(["run", "get_results", "admin1:flows:flows", "run"]);
    for (document, audience) in [
        (json!({"components": {"securitySchemes": {"token": {"x-security-scopes": names, "x-audience": "a"}}}}), "a"),
        (json!({"scopes": names, "audience": "b"}), "b"),
        (json!({"scopes": names}), "north"),
    ] {
        register(&mut admin, &document, "");
        let scopes = column(&mut admin, "SELECT scope FROM rolecall.server_scopes ORDER BY 1");
        assert_eq!(scopes, ["admin1:flows:flows", "get_result", "run"], "{document}");
        assert_eq!(column(&mut admin, "SELECT audience FROM rolecall.servers"), [audience]);
    }
    let schema = json!({"oneOf": [{"properties": {"query_kind": {"enum": ["trips"]},
        "aggregation_unit": {"enum": ["admin1", "admin2"]},
        "from": {"properties": {"query_kind": {"enum": ["home"]}, "aggregation_unit": {"enum": ["x"]}}}}}]});
    register(&mut admin, &schema, "");
    let scopes = column(&mut admin, "SELECT scope FROM rolecall.server_scopes ORDER BY 1");
    assert_eq!(scopes, ["admin1:trips:home", "admin1:trips:trips", "admin2:trips:home", "admin2:trips:trips"]);
}

#[test]
fn a_document_that_is_none_is_refused() {
    let database = database();
    let mut admin = database.admin();
    run(&mut admin, "SELECT rolecall.register_server('south', '{\"scopes\": [\"run\"], \"audience\": \"s\"}')");
    for (arguments, state, message) in [
        ("'north', '{}'", "22023", "has neither components.securitySchemes.token.x-security-scopes nor scopes"),
        ("'north', '{\"scopes\": []}'", "22023", "scopes is empty"),
        ("'north', '{\"scopes\": [\"run\", \"a b\"]}'", "22023", "scopes[1] holds a space"),
        ("'north', '{\"scopes\": [\"run\"], \"audience\": \"rolecall\"}'", "22023", "is that of rolecall's own logins"),
        ("'rolecall', '{\"scopes\": [\"run\"]}'", "22023", "is that of rolecall's own logins"),
        ("'north', '{\"scopes\": [\"run\"], \"audience\": \"s\"}'", "42710", "another server with audience \"s\""),
        ("'', '{\"scopes\": [\"run\"]}'", "22023", "name \"\" must not be empty"),
        ("NULL, '{\"scopes\": [\"run\"]}'", "22023", "name must not be NULL"),
        ("'north', NULL", "22023", "spec must not be NULL"),
        ("'north', '{\"scopes\": [\"run\"]}', longest_life => '0'", "22023", "must be positive"),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.register_server({arguments})"), state, message);
    }
    assert_eq!(column(&mut admin, "SELECT name FROM rolecall.servers"), ["south"]);
}

#[test]
fn a_role_of_a_server_has_that_servers_scopes_and_limits() {
    let database = database();
    let mut admin = database.admin();
    register(&mut admin, &json!({"scopes": ["run", "admin1:flows:flows"]}), ", '2030-01-01', '7 days'");
    run(&mut admin, "SELECT rolecall.create_role('r', 'A role', false, 'north', NULL, '2029-12-31', '7 days')");
    run(&mut admin, "SELECT rolecall.grant_scopes('r', '{run, admin1, admin1:flows}')");
    for (call, state, message) in [
        ("grant_scopes('r', '{run, admin2}')", "42704", "scope \"admin2\" does not exist"),
        ("grant_scopes('r', '{admin}')", "42704", "scope \"admin\" does not exist"),
        ("grant_scopes('r', '{admin1:flows:flows:x}')", "42704", "does not exist"),
        ("create_role('x', server => 'south')", "42704", "server \"south\" does not exist"),
        (
            "create_role('x', server => 'north', latest_expiry => '2030-01-02')",
            "22023",
            "latest_expiry is beyond the latest expiry of server \"north\"",
        ),
        ("create_role('x', server => 'north', latest_expiry => 'infinity')", "22023", "beyond the latest expiry"),
        (
            "create_role('x', server => 'north', longest_life => '8 days')",
            "22023",
            "longest_life is beyond the longest life of server \"north\"",
        ),
        ("create_role('x', server => 'north', longest_life => '-1 day')", "22023", "must be positive"),
        ("create_role('x', longest_life => '1 day')", "55000", "a role without a server has no tokens to limit"),
        ("drop_server('south')", "42704", "server \"south\" does not exist"),
        ("drop_server('north')", "55000", "the server has roles"),
    ] {
        refused(&mut admin, &format!("SELECT rolecall.{call}"), state, message);
    }
    assert_eq!(scopes_of(&mut admin, "r"), ["admin1", "admin1:flows", "run"]);
    run(&mut admin, "SELECT rolecall.drop_role('r'); SELECT rolecall.drop_server('north')");
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.server_scopes"), 0);
}

#[test]
fn registering_again_takes_from_roles_what_has_vanished() {
    let database = database();
    let login = database.login("app");
    let mut admin = database.admin();
    register(&mut admin, &json!({"scopes": ["run", "qa", "a:x:x", "b:x:x", "b:x:y"]}), ", '2030-01-01', '7 days'");
    run(
        &mut admin,
        "SELECT rolecall.create_role('r', server => 'north', latest_expiry => '2029-01-01');
         SELECT rolecall.grant_scopes('r', '{run, qa, a, b:x}');
         SELECT rolecall.create_role('elsewhere'); SELECT rolecall.grant_scopes('elsewhere', '{qa, a}');
         SELECT rolecall.create_user('ada', password => 'welcome', roles => '{r}')",
    );
    let ada = first_token(&mut admin, "ada", "welcome", "no engine but one");
    let mut app = database.connect(&login);
    authenticate(&mut app, &ada, true);
    assert!(one::<bool>(&mut app, "SELECT rolecall.has_scope('qa')"));
    let report = register(&mut admin, &json!({"scopes": ["run", "b:x:y", "b:x:z", "c"]}), ", '2028-01-01'");
    assert_eq!(
        report,
        json!({"scopes": 4, "added": 2, "removed": ["a:x:x", "b:x:x", "qa"], "revoked": {"r": ["a", "qa"]}, "shortened": ["r"]})
    );
    assert_eq!(scopes_of(&mut admin, "r"), ["b:x", "run"]);
    assert_eq!(scopes_of(&mut admin, "elsewhere"), ["a", "qa"], "no business of that server");
    assert!(!one::<bool>(&mut app, "SELECT rolecall.has_scope('qa')"), "at once");
    assert!(one::<bool>(&mut app, "SELECT rolecall.has_scope('b:x:z')"), "new below a node");
    let limits = "SELECT latest_expiry::date || ' ' || coalesce(longest_life::text, 'none') FROM";
    assert_eq!(column(&mut admin, &format!("{limits} rolecall.servers")), ["2028-01-01 7 days"], "NULL keeps it");
    assert_eq!(column(&mut admin, &format!("{limits} rolecall.roles WHERE name = 'r'")), ["2028-01-01 none"]);
    assert_eq!(register(&mut admin, &json!({"scopes": ["run", "b:x:y", "b:x:z", "c"]}), "")["removed"], json!([]));
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM rolecall.audit_log WHERE action = 'register_server'"), 3);
}
