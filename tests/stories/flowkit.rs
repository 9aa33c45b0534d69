//! FlowKit's page "Managing users and access": its three roles by name, and what each of them may do.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};
use serde_json::{Value, json};

/// What FlowKit's servers publish: every kind of query below every outermost one, at every unit, and the actions.
pub fn document() -> Value {
    let mut scopes = vec!["run".to_owned(), "get_result".into(), "get_available_dates".into(), "get_qa_checks".into()];
    for unit in ["admin1", "admin2", "admin3", "admin10"] {
        scopes.push(format!("{unit}:geography:geography"));
        for kind in ["flows", "home", "work"] {
            scopes.push(format!("{unit}:flows:{kind}"));
        }
        for kind in ["spatial_aggregate", "home", "modal"] {
            scopes.push(format!("{unit}:spatial_aggregate:{kind}"));
        }
    }
    scopes.extend(["histogram", "displacement", "home"].map(|kind| format!("nonspatial:histogram:{kind}")));
    json!({"openapi": "3.0.1", "components": {"securitySchemes": {"token":
        {"type": "http", "x-security-scopes": scopes, "x-audience": "flow-north"}}}})
}

/// The page's roles, each with a user who has it, on a registered server.
const ROLES: [(&str, &str, &str); 3] = [
    ("State-level analyst", "ana", "{run, get_available_dates, get_results, admin1, nonspatial}"),
    ("Automated monitor", "mona", "{get_available_dates, run, admin3:flows}"),
    ("Viewer", "vic", "{get_results, get_available_dates, admin1, admin2, admin3, admin10, nonspatial}"),
];

pub fn server() -> (Database<'static>, String) {
    let database = database();
    let login = database.login("app");
    let mut admin = database.admin();
    admin
        .execute(
            "SELECT rolecall.register_server('north', $1::text::jsonb, '2099-12-31', '30 days')",
            &[&document().to_string()],
        )
        .unwrap();
    for (role, username, scopes) in ROLES {
        admin.execute("SELECT rolecall.create_role($1, server => 'north')", &[&role]).unwrap();
        admin.execute("SELECT rolecall.grant_scopes($1, $2::text::text[])", &[&role, &scopes]).unwrap();
        admin
            .execute(
                "SELECT rolecall.create_user($1, password => 'welcome', roles => ARRAY[$2], id => 'id-' || $1)",
                &[&username, &role],
            )
            .unwrap();
    }
    (database, login)
}

/// A session of a user's.
pub fn session(database: &Database, login: &str, username: &str) -> Client {
    let mut app = database.connect(login);
    let token = first_token(&mut database.admin(), username, "welcome", "far from any dictionary");
    authenticate(&mut app, &token, true);
    app
}

fn can(app: &mut Client, action: &str, query: &Value, unit: Option<&str>) -> bool {
    let arguments: &[&(dyn postgres::types::ToSql + Sync)] = &[&action, &query.to_string(), &unit];
    let call = "($1, $2::text::jsonb, $3)";
    let can: bool = app.query_one(&format!("SELECT rolecall.can_query{call}"), arguments).unwrap().get(0);
    let why: String = app.query_one(&format!("SELECT rolecall.explain_query{call}::text"), arguments).unwrap().get(0);
    let why: Value = serde_json::from_str(&why).unwrap();
    assert_eq!(why["allowed"], can, "{why}");
    assert_eq!(why["missing"].as_array().unwrap().is_empty(), can, "{why}");
    can
}

/// Queries of several kinds: with one in another, in a list, and alone.
fn queries() -> [Value; 3] {
    let home = json!({"query_kind": "home", "date": "2026-01-01", "aggregation_unit": "admin9"});
    [
        json!({"query_kind": "flows", "from": home, "to": {"query_kind": "work"}}),
        json!({"query_kind": "spatial_aggregate", "locations": {"query_kind": "modal", "locations": [home, home]}}),
        json!({"query_kind": "histogram", "metric": {"query_kind": "displacement", "reference": home}, "bins": []}),
    ]
}

#[test]
fn each_role_of_the_page_has_its_scopes() {
    let (database, login) = server();
    for (username, scopes) in [
        ("ana", &["admin1", "get_available_dates", "get_result", "nonspatial", "run"][..]),
        ("mona", &["admin3:flows", "get_available_dates", "run"]),
        ("vic", &["admin1", "admin10", "admin2", "admin3", "get_available_dates", "get_result", "nonspatial"]),
    ] {
        let mut app = session(&database, &login, username);
        assert_eq!(column(&mut app, "SELECT jsonb_array_elements_text(rolecall.whoami() -> 'scopes')"), scopes);
    }
}

#[test]
fn each_role_of_the_page_may_do_what_the_page_says() {
    let (database, login) = server();
    let [flows, aggregate, histogram] = queries();
    // For each unit: the query, and who may poll it. Who may poll it may run it or get it if he has that scope.
    let polled: [(Option<&str>, &Value, &[&str]); 8] = [
        (Some("admin1"), &flows, &["ana", "vic"]),
        (Some("admin1"), &aggregate, &["ana", "vic"]),
        (Some("admin3"), &flows, &["mona", "vic"]),
        (Some("admin3"), &aggregate, &["vic"]),
        (Some("admin10"), &flows, &["vic"]),
        (None, &histogram, &["ana", "vic"]),
        (Some(""), &histogram, &["ana", "vic"]),
        (Some("nonspatial"), &flows, &["ana", "vic"]),
    ];
    for (username, actions) in [
        ("ana", &["run", "get_result", "get_results", "get_available_dates"][..]),
        ("mona", &["run", "get_available_dates"]),
        ("vic", &["get_result", "get_results", "get_available_dates"]),
    ] {
        let mut app = session(&database, &login, username);
        for (unit, query, who) in polled {
            let polls = who.contains(&username);
            assert_eq!(can(&mut app, "poll", query, unit), polls, "{username} polls {query} at {unit:?}");
            for action in ["run", "get_result", "get_results"] {
                let expected = polls && actions.contains(&action);
                assert_eq!(can(&mut app, action, query, unit), expected, "{username} {action} {query} at {unit:?}");
            }
        }
        assert!(can(&mut app, "get_available_dates", &Value::Null, None), "{username}");
        assert!(!can(&mut app, "get_qa_checks", &Value::Null, None), "{username}");
    }
}

#[test]
fn a_refusal_says_what_is_missing_and_which_role_comes_nearest() {
    let (database, login) = server();
    let mut app = session(&database, &login, "mona");
    let explain = |app: &mut Client, query: &Value, unit: &str| -> Value {
        let sql = "SELECT rolecall.explain_query('run', $1::text::jsonb, $2)::text";
        serde_json::from_str(app.query_one(sql, &[&query.to_string(), &unit]).unwrap().get(0)).unwrap()
    };
    let [flows, aggregate, _] = queries();
    assert_eq!(
        explain(&mut app, &aggregate, "admin3"),
        json!({"allowed": false, "nearest_role": "Automated monitor",
               "required": ["admin3:spatial_aggregate:home", "admin3:spatial_aggregate:modal",
                            "admin3:spatial_aggregate:spatial_aggregate", "run"],
               "missing": ["admin3:spatial_aggregate:home", "admin3:spatial_aggregate:modal",
                           "admin3:spatial_aggregate:spatial_aggregate"]})
    );
    assert_eq!(explain(&mut app, &flows, "admin3")["nearest_role"], "Automated monitor");
    run(&mut app, "SELECT rolecall.logout()");
    let nobody = explain(&mut app, &flows, "admin3");
    assert_eq!((&nobody["nearest_role"], nobody["missing"].as_array().unwrap().len()), (&Value::Null, 4));
}

#[test]
fn roles_are_never_pooled() {
    let (database, login) = server();
    let mut admin = database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('runs'); SELECT rolecall.grant_scopes('runs', '{run, get_result}');
         SELECT rolecall.create_role('sees'); SELECT rolecall.grant_scopes('sees', '{get_result, admin3:flows}');
         SELECT rolecall.create_role('areas'); SELECT rolecall.grant_scopes('areas', '{get_result, admin3:geography:geography}');
         SELECT rolecall.create_role('empty');
         SELECT rolecall.create_user('eve', password => 'welcome', roles => '{runs, sees, areas, empty}')",
    );
    let mut app = session(&database, &login, "eve");
    let [flows, ..] = queries();
    assert!(one::<bool>(&mut app, "SELECT rolecall.has_scope('run') AND rolecall.has_scope('admin3:flows:home')"));
    assert!(!one::<bool>(&mut app, "SELECT rolecall.has_scopes('{run, admin3:flows:home}')"));
    assert!(!can(&mut app, "run", &flows, Some("admin3")));
    assert!(can(&mut app, "get_result", &flows, Some("admin3")) && can(&mut app, "poll", &flows, Some("admin3")));
    // The areas' shapes are a request of their own, which another role may answer.
    assert!(can(&mut app, "get_result_geojson", &flows, Some("admin3")));
    assert!(can(&mut app, "get_geography", &Value::Null, Some("admin3")));
    run(&mut admin, "SELECT rolecall.revoke_role('areas', 'eve')");
    assert!(!can(&mut app, "get_result_geojson", &flows, Some("admin3")));
    // Of two requests that are refused, both are explained.
    let why = "SELECT jsonb_array_elements_text(rolecall.explain_query('get_result_geojson', '{\"query_kind\": \"x\"}', 'admin3') -> 'missing')";
    assert_eq!(column(&mut app, why), ["admin3:x:x", "admin3:geography:geography"]);
    // What a role inherits is the other role's: it is not added to its own.
    run(&mut admin, "SELECT rolecall.grant_role('runs', 'role:sees')");
    assert!(!can(&mut app, "run", &flows, Some("admin3")));
    run(&mut admin, "SELECT rolecall.grant_scopes('sees', '{run}')");
    assert!(can(&mut app, "run", &flows, Some("admin3")));
}

#[test]
fn a_query_inside_counts_wherever_it_stands() {
    let (database, login) = server();
    let mut app = session(&database, &login, "ana");
    for (query, unit, scopes) in [
        (
            json!({"query_kind": "flows", "from": {"query_kind": "home", "subscriber_subset":
                   {"query_kind": "modal", "locations": [[{"query_kind": "home"}]]}}}),
            Some("admin1"),
            &["admin1:flows:flows", "admin1:flows:home", "admin1:flows:modal"][..],
        ),
        (
            json!({"query_kind": "histogram", "metric": {"query_kind": "home", "aggregation_unit": "lon-lat"}}),
            None,
            &["nonspatial:histogram:histogram", "nonspatial:histogram:home"],
        ),
    ] {
        let sql = "SELECT rolecall.query_scopes($1::text::jsonb, $2)";
        assert_eq!(app.query_one(sql, &[&query.to_string(), &unit]).unwrap().get::<_, Vec<String>>(0), scopes);
        assert!(can(&mut app, "run", &query, unit));
    }
}

#[test]
fn what_is_no_query_or_action_is_an_error() {
    let (database, login) = server();
    let mut app = session(&database, &login, "ana");
    let deep = (0..300).fold(json!(1), |inner, _| json!([inner]));
    for (action, query, unit, message) in [
        ("run", json!({"kind": "flows"}), Some("admin1"), "has no \"query_kind\" at $"),
        ("run", json!([]), Some("admin1"), "has no \"query_kind\" at $"),
        ("run", json!({"query_kind": "flows:home"}), Some("admin1"), "no single word at $.query_kind"),
        ("poll", json!({"query_kind": "flows", "a": [{"query_kind": 1}]}), Some("admin1"), "at $.a[0].query_kind"),
        ("poll", json!({"query_kind": "flows"}), Some("admin1:flows"), "unit \"admin1:flows\""),
        ("poll", json!({"query_kind": "flows", "a": deep}), Some("admin1"), "nested too deeply"),
        ("delete", json!({"query_kind": "flows"}), Some("admin1"), "action \"delete\" is none of run"),
        ("run", Value::Null, None, "has no \"query_kind\""),
    ] {
        for function in ["can_query", "explain_query"] {
            let sql = format!("SELECT rolecall.{function}($1, $2::text::jsonb, $3)::text");
            let (state, text) = sqlstate(app.query_one(&sql, &[&action, &query.to_string(), &unit]));
            assert!(state == "22023" && text.contains(message), "{function} {action} {query}: {state} {text}");
        }
    }
    refused(&mut app, "SELECT rolecall.can_query(NULL, '{}', NULL)", "22023", "action must not be NULL");
}

#[test]
fn without_a_good_login_there_is_nothing() {
    let (database, login) = server();
    let mut admin = database.admin();
    let [flows, ..] = queries();
    let mut app = database.connect(&login);
    assert!(!can(&mut app, "poll", &flows, Some("admin1")), "nobody");
    let robot: String = one(&mut admin, "SELECT rolecall.create_api_token('robot', '{Automated monitor}')");
    authenticate(&mut app, &robot, true);
    assert!(can(&mut app, "run", &flows, Some("admin3")) && !can(&mut app, "run", &flows, Some("admin1")));
    run(&mut admin, "SELECT rolecall.revoke_api_token(id) FROM rolecall.api_tokens");
    refused(&mut app, "SELECT rolecall.has_scope('run')", "28000", "revoked");
    refused(&mut app, "SELECT rolecall.has_scopes('{run}')", "28000", "revoked");
    refused(&mut app, "SELECT rolecall.can_query('get_available_dates', NULL, NULL)", "28000", "revoked");
    // An administrator may do everything.
    run(&mut admin, "SELECT rolecall.create_user('root', password => 'welcome', roles => '{admins}')");
    let mut root = session(&database, &login, "root");
    assert!(can(&mut root, "run", &flows, Some("admin77")));
    assert!(one::<bool>(&mut root, "SELECT rolecall.has_scope('whatever:there:is')"));
}
