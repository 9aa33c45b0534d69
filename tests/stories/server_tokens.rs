//! Tokens for other servers: what they say, how long they are good, and how they end.

use crate::flowkit::{server, session};
use crate::pyjwt::python;
use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;
use serde_json::{Value, json};

const ANALYST: &str = "{State-level analyst}";

/// A token that is issued with these arguments, as PyJWT reads it.
fn issued(app: &mut Client, arguments: &str) -> Value {
    let token: String = one(app, &format!("SELECT rolecall.issue_token({arguments})"));
    let key: String = one(app, "SELECT rolecall.server_key()");
    python(&["server", &token, &key, "flow-north"]).unwrap_or_else(|e| panic!("{arguments}: {e}"))
}

fn lifetime(token: &Value) -> i64 {
    token["claims"]["exp"].as_i64().unwrap() - token["claims"]["iat"].as_i64().unwrap()
}

#[test]
fn pyjwt_reads_a_token_for_a_server() {
    let (database, login) = server();
    let mut ana = session(&database, &login, "ana");
    let token = issued(&mut ana, &format!("'north', '{ANALYST}', '1 hour'"));
    let claims = &token["claims"];
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("ana"), &json!("flow-north")));
    let scopes = json!(["admin1", "get_available_dates", "get_result", "nonspatial", "run"]);
    assert_eq!(claims["roles"], json!({"State-level analyst": scopes}));
    assert_eq!((lifetime(&token), &claims["nbf"]), (3600, &claims["iat"]));
    assert!(claims["jti"].as_str().unwrap().len() == 36 && claims["user_claims"].is_null());
    let kid: String = one(&mut ana, "SELECT rolecall.jwks() -> 'keys' -> 0 ->> 'kid'");
    assert_eq!(token["header"], json!({"alg": "RS256", "typ": "JWT", "kid": kid}));

    let text: String = one(&mut ana, &format!("SELECT rolecall.issue_token('north', '{ANALYST}')"));
    let jwks: String = one(&mut ana, "SELECT rolecall.jwks()::text");
    assert!(python(&["verify", &text, &jwks]).unwrap_err().contains("InvalidAudienceError"), "for one server only");
    let (state, message) = sqlstate(ana.execute("SELECT rolecall.authenticate($1)", &[&text]));
    assert_eq!(state, "28000", "no login here: {message}");
}

#[test]
fn flowkits_form_holds_whole_scopes() {
    let (database, login) = server();
    let mut mona = session(&database, &login, "mona");
    let token = issued(&mut mona, "'north', '{Automated monitor}', user_claims => true");
    assert!(token["claims"]["roles"].is_null());
    let roles = python(&["flowkit", token["claims"]["user_claims"].as_str().unwrap()]).unwrap();
    let scopes = ["admin3:flows:flows", "admin3:flows:home", "admin3:flows:work", "get_available_dates", "run"];
    assert_eq!(roles, json!({"Automated monitor": scopes}));
    let narrow = "'north', '{Automated monitor}', scopes => '{admin3:flows:home, run}', user_claims => true";
    let token = issued(&mut mona, narrow);
    let roles = python(&["flowkit", token["claims"]["user_claims"].as_str().unwrap()]).unwrap();
    assert_eq!(roles, json!({"Automated monitor": ["admin3:flows:home", "run"]}));
}

#[test]
fn the_earliest_limit_ends_a_token() {
    let (database, login) = server();
    let mut admin = database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('week', server => 'north', longest_life => '7 days');
         SELECT rolecall.create_role('day', server => 'north', longest_life => '1 day', latest_expiry => '2099-01-01');
         SELECT rolecall.create_role('soon', server => 'north', latest_expiry => now() + interval '90 seconds');
         SELECT rolecall.create_role('over', server => 'north', latest_expiry => '2020-01-01');
         SELECT rolecall.create_user('max', password => 'welcome', roles => '{week, day, soon, over}')",
    );
    let mut max = session(&database, &login, "max");
    for (roles, seconds) in [("{week}", 604_800), ("{day}", 86_400), ("{week, day, day}", 86_400)] {
        assert_eq!(lifetime(&issued(&mut max, &format!("'north', '{roles}'"))), seconds, "{roles}");
        assert_eq!(lifetime(&issued(&mut max, &format!("'north', '{roles}', '2 minutes'"))), 120, "{roles}");
    }
    assert_eq!(lifetime(&issued(&mut max, "'north', '{day}', '1 day'")), 86_400, "as much as is allowed");
    assert!((60..=90).contains(&lifetime(&issued(&mut max, "'north', '{week, soon}'"))));
    for (arguments, state, message) in [
        ("'north', '{week, day}', '2 days'", "22023", "lifetime is beyond the longest life of role \"day\""),
        ("'north', '{week, soon}', '5 minutes'", "22023", "lifetime is beyond the latest expiry of role \"soon\""),
        ("'north', '{over}'", "55000", "the latest expiry of role \"over\" has passed"),
        ("'north', '{week}', '0'", "22023", "lifetime"),
        ("'north', '{week}', '-5 minutes'", "22023", "lifetime"),
        ("'north', '{}'", "22023", "at least one role"),
        ("'north', NULL", "22023", "roles must not be NULL"),
        ("'north', '{week, NULL}'", "22023", "must not be NULL"),
        ("'south', '{week}'", "42704", "server \"south\" does not exist"),
    ] {
        refused(&mut max, &format!("SELECT rolecall.issue_token({arguments})"), state, message);
    }
    // A server's limit that was lowered afterwards counts too.
    let document = crate::flowkit::document().to_string();
    let lower = "SELECT rolecall.register_server('north', $1::text::jsonb, longest_life => '1 hour')::text";
    let report: String = admin.query_one(lower, &[&document]).unwrap().get(0);
    assert!(report.contains(r#""shortened": ["day", "week"]"#), "{report}");
    assert_eq!(lifetime(&issued(&mut max, "'north', '{week}'")), 3600);
    refused(&mut max, "SELECT rolecall.issue_token('north', '{week}', '2 hours')", "22023", "longest life of");
}

#[test]
fn without_limits_a_token_is_good_for_an_hour() {
    let (database, login) = server();
    run(
        &mut database.admin(),
        "SELECT rolecall.register_server('free', '{\"scopes\": [\"run\"], \"audience\": \"flow-north-2\"}', 'infinity');
         SELECT rolecall.create_role('r', server => 'free'); SELECT rolecall.grant_scopes('r', '{run}');
         SELECT rolecall.grant_role('r', 'ana')",
    );
    let mut ana = session(&database, &login, "ana");
    run(&mut ana, "SELECT rolecall.issue_token('free', '{r}'), rolecall.issue_token('free', '{r}', '400 days')");
    let lives = "SELECT round(extract(epoch FROM expires_at - issued_at) / 60) FROM rolecall.my_tokens ORDER BY 1";
    assert_eq!(column(&mut ana, lives), ["60", "576000"]);
}

#[test]
fn one_gets_only_roles_and_scopes_one_has_there() {
    let (database, login) = server();
    let mut admin = database.admin();
    run(
        &mut admin,
        "SELECT rolecall.register_server('south', '{\"scopes\": [\"run\"]}');
         SELECT rolecall.create_role('southerner', server => 'south'); SELECT rolecall.create_role('local');
         SELECT rolecall.grant_role(r, 'ana') FROM unnest('{southerner,local}'::text[]) r;
         SELECT rolecall.create_role('analysts'); SELECT rolecall.grant_role('Viewer', 'role:analysts')",
    );
    let mut ana = session(&database, &login, "ana");
    for (role, why) in [
        ("Viewer", "not held"),
        ("southerner", "of another server"),
        ("local", "of none"),
        ("users", "of none"),
        ("no such", "unknown"),
    ] {
        let roles = format!("'{{State-level analyst, {role}}}'");
        let (state, message) = sqlstate(ana.batch_execute(&format!("SELECT rolecall.issue_token('north', {roles})")));
        let expected = format!("permission denied: you hold no role {role:?} of server \"north\"");
        assert_eq!((state.as_str(), message), ("42501", expected), "{why}");
    }
    // Held through another role is held.
    run(&mut admin, "SELECT rolecall.grant_role('analysts', 'ana')");
    let both = issued(&mut ana, "'north', '{State-level analyst, Viewer}', scopes => '{run, admin3:flows, admin1}'");
    let expected = json!({"State-level analyst": ["admin1", "run"], "Viewer": ["admin1", "admin3:flows"]});
    assert_eq!(both["claims"]["roles"], expected, "of each role what it has of them");
    for (scopes, scope) in [("{run, admin3}", "admin3"), ("{admin10}", "admin10"), ("{*}", "*")] {
        let call = format!("SELECT rolecall.issue_token('north', '{ANALYST}', scopes => '{scopes}')");
        refused(&mut ana, &call, "42501", &format!("none of the roles covers scope {scope:?}"));
    }
    let none = format!("SELECT rolecall.issue_token('north', '{ANALYST}', scopes => '{{}}')");
    refused(&mut ana, &none, "22023", "at least one scope");
}

#[test]
fn only_a_user_himself_gets_one() {
    let (database, login) = server();
    let mut admin = database.admin();
    let mut app = database.connect(&login);
    let call = format!("SELECT rolecall.issue_token('north', '{ANALYST}')");
    refused(&mut app, &call, "28000", "Please log in");
    let robot: String = one(&mut admin, "SELECT rolecall.create_api_token('robot', '{State-level analyst}')");
    authenticate(&mut app, &robot, true);
    refused(&mut app, &call, "42501", "an API token is none");
    run(&mut admin, "SELECT rolecall.become('ana', 'to see', true)");
    refused(&mut admin, &call, "42501", "while acting as somebody else");
    // A role that only the session's database role has stays with the session.
    let mut admin = database.admin();
    run(&mut admin, &format!("SELECT rolecall.create_role('by login', server => 'north', database_role => '{login}')"));
    let mut ana = session(&database, &login, "ana");
    assert!(one::<bool>(&mut ana, "SELECT rolecall.has_role('by login')"));
    refused(&mut ana, "SELECT rolecall.issue_token('north', '{by login}')", "42501", "you hold no role \"by login\"");
}

#[test]
fn a_server_is_told_which_tokens_to_refuse() {
    let (database, login) = server();
    let mut admin = database.admin();
    let mut ana = session(&database, &login, "ana");
    let mut vic = session(&database, &login, "vic");
    let issue = |app: &mut Client, arguments: &str| -> String {
        issued(app, arguments)["claims"]["jti"].as_str().unwrap().to_owned()
    };
    let whole = issue(&mut ana, &format!("'north', '{ANALYST}'"));
    let narrow = issue(&mut ana, &format!("'north', '{ANALYST}', scopes => '{{run}}'"));
    let vics = issue(&mut vic, "'north', '{Viewer}'");
    let revoked = |client: &mut Client| column(client, "SELECT id FROM rolecall.revoked_tokens('north') ORDER BY id");
    // A server asks without a login.
    let mut nobody = database.connect(&login);
    assert!(revoked(&mut nobody).is_empty());
    assert_eq!(column(&mut ana, "SELECT id FROM rolecall.my_tokens ORDER BY id"), [whole.as_str(), &narrow]);
    assert_eq!(column(&mut nobody, "SELECT id FROM rolecall.my_tokens"), [] as [&str; 0]);
    refused(&mut nobody, "SELECT * FROM rolecall.server_tokens", "42501", "permission denied");

    refused(&mut vic, &format!("SELECT rolecall.revoke_token('{whole}')"), "42501", "needs an administrator");
    refused(&mut vic, "SELECT rolecall.revoke_token('none')", "42501", "needs an administrator");
    refused(&mut admin, "SELECT rolecall.revoke_token('none')", "42704", "token \"none\" does not exist");
    // A scope that the role has lost, a role that was renamed, one that was taken away.
    run(&mut admin, "SELECT rolecall.revoke_scopes('State-level analyst', '{nonspatial}')");
    assert_eq!(revoked(&mut nobody), [whole.as_str()]);
    run(&mut admin, "SELECT rolecall.rename_role('State-level analyst', 'Analyst')");
    assert_eq!(revoked(&mut nobody), [whole.as_str()]);
    run(&mut admin, "BEGIN; SELECT rolecall.revoke_role('Analyst', 'ana')");
    assert_eq!(revoked(&mut admin), [whole.as_str(), &narrow]);
    run(&mut admin, "ROLLBACK; BEGIN; SELECT rolecall.drop_role('Viewer')");
    assert_eq!(revoked(&mut admin), [whole.as_str(), &vics]);
    run(&mut admin, "ROLLBACK; BEGIN; SELECT rolecall.disable_user('vic')");
    assert_eq!(revoked(&mut admin), [whole.as_str(), &vics]);
    run(&mut admin, "ROLLBACK; BEGIN; SELECT rolecall.revoke_sessions('vic')");
    assert_eq!(revoked(&mut admin), [whole.as_str(), &vics]);
    run(&mut admin, "ROLLBACK");
    run(&mut ana, &format!("SELECT rolecall.revoke_token('{narrow}')"));
    run(&mut admin, &format!("SELECT rolecall.revoke_token('{whole}')"));
    assert_eq!(column(&mut ana, "SELECT revoked_at IS NOT NULL FROM rolecall.my_tokens"), ["true", "true"]);
    run(&mut admin, "SELECT rolecall.drop_user('vic')");
    assert_eq!(revoked(&mut nobody), [whole.as_str(), &narrow, &vics]);
    // Nor does a role of a dropped one's name make its tokens good again.
    run(
        &mut admin,
        "BEGIN; SELECT rolecall.create_user('eve', id => 'e', roles => '{Viewer}');
         INSERT INTO rolecall.server_tokens (id, user_id, username, server, roles, issued_at, expires_at)
             SELECT 'eves', 'e', 'eve', server, roles, now(), expires_at FROM rolecall.server_tokens WHERE username = 'vic' LIMIT 1",
    );
    assert!(one::<bool>(&mut admin, "SELECT rolecall.token_is_good('eves')"));
    run(
        &mut admin,
        "SELECT rolecall.drop_role('Viewer'); SELECT rolecall.create_role('Viewer', server => 'north');
         SELECT rolecall.grant_role('Viewer', 'eve');
         SELECT rolecall.grant_scopes('Viewer', '{get_results, get_available_dates, admin1, admin2, admin3, admin10, nonspatial}')",
    );
    assert!(!one::<bool>(&mut admin, "SELECT rolecall.token_is_good('eves')"));
    run(&mut admin, "ROLLBACK");
    // Another user of the same name and id has nothing to do with it.
    run(&mut admin, "SELECT rolecall.create_user('vic', password => 'welcome', roles => '{Viewer}', id => 'id-vic')");
    let mut other = session(&database, &login, "vic");
    assert_eq!(one::<i64>(&mut other, "SELECT count(*) FROM rolecall.my_tokens"), 0);
    assert_eq!(revoked(&mut nobody).len(), 3);
    run(&mut admin, "UPDATE rolecall.server_tokens SET expires_at = now()");
    assert!(revoked(&mut nobody).is_empty(), "expired ones are refused anyway");
    refused(&mut nobody, "SELECT rolecall.revoked_tokens('south')", "42704", "server \"south\" does not exist");
}

/// Nor does one escape that is issued while the sessions are ended.
#[test]
fn ending_the_sessions_ends_the_tokens() {
    let (database, login) = server();
    let mut admin = database.admin();
    let mut ana = session(&database, &login, "ana");
    let revoked = |client: &mut Client| one::<i64>(client, "SELECT count(*) FROM rolecall.revoked_tokens('north')");
    run(&mut ana, &format!("BEGIN; SELECT rolecall.issue_token('north', '{ANALYST}')"));
    run(&mut admin, "SELECT rolecall.revoke_sessions('ana')");
    run(&mut ana, "COMMIT");
    assert_eq!(revoked(&mut admin), 1);
    authenticate(&mut ana, &token(&mut admin, "ana", "far from any dictionary"), true);
    assert!(one::<bool>(&mut ana, "SELECT revoked_at IS NOT NULL FROM rolecall.my_tokens"));
    // A new password ends them too, and what is issued afterwards is good.
    run(&mut ana, &format!("SELECT rolecall.issue_token('north', '{ANALYST}')"));
    assert_eq!(revoked(&mut admin), 1);
    run(&mut ana, "SELECT rolecall.change_password('far from any dictionary', 'near to no dictionary')");
    assert_eq!(revoked(&mut admin), 2);
    run(&mut ana, &format!("SELECT rolecall.issue_token('north', '{ANALYST}')"));
    assert_eq!(revoked(&mut admin), 2);
}

#[test]
fn a_server_may_ask_about_each_token() {
    let (database, login) = server();
    let mut ana = session(&database, &login, "ana");
    let mut nobody = database.connect(&login);
    let call = format!("'north', '{ANALYST}'");
    let mut good = |id: &str| -> bool { nobody.query_one("SELECT rolecall.token_is_good($1)", &[&id]).unwrap().get(0) };
    let id = |token: &Value| token["claims"]["jti"].as_str().unwrap().to_owned();
    let kept = id(&issued(&mut ana, &call));
    run(&mut ana, "BEGIN");
    let rolled_back = id(&issued(&mut ana, &call));
    run(&mut ana, "ROLLBACK");
    assert_eq!((good(&kept), good(&rolled_back), good("")), (true, false, false));
    run(&mut database.admin(), "SELECT rolecall.revoke_scopes('State-level analyst', '{run}')");
    assert!(!good(&kept));
    run(&mut database.admin(), "SELECT rolecall.grant_scopes('State-level analyst', '{run}')");
    assert!(good(&kept));
    run(&mut ana, &format!("SELECT rolecall.revoke_token('{kept}')"));
    assert!(!good(&kept));
}

#[test]
fn no_token_is_kept() {
    let (database, login) = server();
    let mut ana = session(&database, &login, "ana");
    let token: String = one(&mut ana, &format!("SELECT rolecall.issue_token('north', '{ANALYST}')"));
    let signature = token.rsplit('.').next().unwrap();
    let mut admin = database.admin();
    let kept: String = one(
        &mut admin,
        "SELECT (SELECT string_agg(t::text, '') FROM rolecall.server_tokens t)
             || (SELECT string_agg(e::text, '') FROM rolecall.audit_entries e)",
    );
    assert!(kept.contains("State-level analyst") && !kept.contains(signature));
}
