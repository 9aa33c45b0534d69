//! Workflows that Node-RED publishes.

use crate::pools::{Buyers, payload, receive};
use crate::support::*;
use serde_json::{Value, json};

const WORKFLOW: &str = "google-vision-api";
const ROLE: &str = "nodered1google-vision-apiusers";

fn listed(client: &mut postgres::Client) -> Vec<String> {
    column(client, "SELECT concat_ws(' ', queue, role, publisher) FROM rolecall.workflows()")
}

/// The page: "to have access and invoke that workflow, the user must be added to that Role".
#[test]
fn a_workflow_is_invoked_by_the_members_of_its_role() {
    let mut it = Buyers::new();
    assert_eq!(one::<String>(&mut it.robot, &format!("SELECT rolecall.publish_workflow('{WORKFLOW}')")), ROLE);
    let invoke = format!("SELECT rolecall.invoke_workflow('{WORKFLOW}', '{{\"image\": 7}}', reply_to => 'buyer_John')");
    for (workflow, invoke) in [(WORKFLOW, invoke.clone()), ("nope", invoke.replace(WORKFLOW, "nope"))] {
        let message = format!("permission denied: you may not send to queue \"workflow:{workflow}\"");
        refused(&mut it.john, &invoke, "42501", &message);
    }
    assert!(listed(&mut it.john).is_empty());
    run(&mut it.admin, &format!("SELECT rolecall.grant_role('{ROLE}', 'buyer_John')"));
    let row = format!("{WORKFLOW} {ROLE} buyer_robot1");
    for client in [&mut it.john, &mut it.robot, &mut it.admin] {
        assert_eq!(listed(client), [row.as_str()]);
    }
    let sent: i64 = one(&mut it.john, &invoke);
    assert_eq!(receive(&mut it.john, ""), Value::Null, "who may invoke it does not receive from it");
    refused(
        &mut it.john,
        &format!("SELECT rolecall.receive(queue => 'workflow:{WORKFLOW}')"),
        "42501",
        "may not receive",
    );
    let got = receive(&mut it.robot, &format!("queue => 'workflow:{WORKFLOW}'"));
    assert_eq!(
        (&got["message"], &got["sender"], &got["payload"]),
        (&json!(sent), &json!("buyer_John"), &json!({"image": 7}))
    );
    run(&mut it.robot, &format!("SELECT rolecall.done({sent}, '\"a cat\"')"));
    assert_eq!(payload(&mut it.john, ""), "a cat");
    one::<i64>(&mut it.admin, &format!("SELECT rolecall.invoke_workflow('{WORKFLOW}', '1')"));
    refused(
        &mut it.admin,
        "SELECT rolecall.invoke_workflow('nope', '1')",
        "42704",
        "queue \"workflow:nope\" does not exist",
    );
    // The role may be renamed; the workflow stays.
    run(&mut it.admin, &format!("SELECT rolecall.rename_role('{ROLE}', 'vision')"));
    assert_eq!(listed(&mut it.john), [format!("{WORKFLOW} vision buyer_robot1")]);
    assert_eq!(payload(&mut it.robot, ""), 1);
    let log = "SELECT concat_ws(' ', actor, action, old ->> 'role', new ->> 'role') FROM rolecall.audit_log WHERE object = 'workflows'";
    assert_eq!(
        column(&mut it.admin, log),
        [format!("buyer_robot1 insert {ROLE}"), format!("postgres update {ROLE} vision")]
    );
}

#[test]
fn a_workflow_goes_with_its_role_and_what_policies_say_of_it() {
    let mut it = Buyers::new();
    let login = it.database.login("reader");
    run(&mut it.robot, &format!("SELECT rolecall.publish_workflow('{WORKFLOW}')"));
    run(
        &mut it.admin,
        &format!(
            "CREATE TABLE images (id int); GRANT SELECT ON images TO {login}; SELECT rolecall.protect('images');
             SELECT rolecall.allow('{ROLE}', 'images', 'select'), rolecall.invoke_workflow('{WORKFLOW}', '1', NULL, 'buyer_John')"
        ),
    );
    for workflow in [WORKFLOW, "nope"] {
        let message = format!("permission denied: workflow \"{workflow}\" is not yours");
        refused(&mut it.john, &format!("SELECT rolecall.unpublish_workflow('{workflow}')"), "42501", &message);
    }
    run(&mut it.robot, &format!("SELECT rolecall.unpublish_workflow('{WORKFLOW}')"));
    assert_eq!(payload(&mut it.john, "")["queue"], format!("workflow:{WORKFLOW}"));
    let left = format!(
        "SELECT count(*) FROM rolecall.roles WHERE name = '{ROLE}' UNION ALL SELECT count(*) FROM rolecall.workflows
         UNION ALL SELECT count(*) FROM rolecall.queues WHERE workflow IS NOT NULL
         UNION ALL SELECT count(*) FROM pg_policies WHERE qual LIKE '%{ROLE}%'"
    );
    assert_eq!(column(&mut it.admin, &left), ["0"; 4]);
    refused(&mut it.admin, "SELECT rolecall.unpublish_workflow('nope')", "42704", "workflow \"nope\" does not exist");
    // An administrator may, too, also when the publisher is gone, and so may whoever drops the role.
    for way in [format!("unpublish_workflow('{WORKFLOW}')"), format!("drop_role('{ROLE}')")] {
        run(&mut it.robot, &format!("SELECT rolecall.publish_workflow('{WORKFLOW}')"));
        run(&mut it.admin, &format!("SELECT rolecall.{way}"));
        assert_eq!(column(&mut it.admin, &left), ["0"; 4]);
    }
    run(&mut it.robot, &format!("SELECT rolecall.publish_workflow('{WORKFLOW}')"));
    run(&mut it.admin, "SELECT rolecall.drop_user('buyer_robot1')");
    assert_eq!(listed(&mut it.admin), [format!("{WORKFLOW} {ROLE}")]);
    run(&mut it.admin, &format!("SELECT rolecall.unpublish_workflow('{WORKFLOW}')"));
    assert_eq!(column(&mut it.admin, &left), ["0"; 4]);
}

#[test]
fn publishing_takes_over_nothing_that_is_there() {
    let mut it = Buyers::new();
    run(&mut it.admin, "SELECT rolecall.create_role('superusers'), rolecall.add_default_roles('openflow')");
    run(&mut it.robot, "SELECT rolecall.publish_workflow('scan')");
    for (arguments, state, message) in [
        ("'er', 'sup'", "42710", "role \"superusers\" exists already"),
        ("'tore ', 'files'", "42710", "role \"filestore users\" exists already"),
        ("'scan'", "42710", "exists already"),
        ("'scan', 'other'", "42710", "workflow \"scan\" exists already"),
        ("''", "22023", "must not be empty"),
        ("NULL", "22023", "must not be empty"),
        ("'x', ''", "22023", "must not be empty"),
        ("'x', NULL", "22023", "must not be empty"),
        ("repeat('x', 250)", "22023", "longer than 255"),
    ] {
        refused(&mut it.john, &format!("SELECT rolecall.publish_workflow({arguments})"), state, message);
    }
    let roles = "SELECT count(*) FROM rolecall.roles_of('buyer_John')";
    assert_eq!(one::<i64>(&mut it.admin, roles), 3, "guest, users and Buyers");
    let token: String = one(&mut it.admin, "SELECT rolecall.create_api_token('ci', '{Buyers}')");
    let mut other = it.database.connect(&it.database.login("other"));
    refused(&mut other, "SELECT rolecall.publish_workflow('x')", "28000", "needs a user");
    authenticate(&mut other, &token, true);
    refused(&mut other, "SELECT rolecall.publish_workflow('x')", "28000", "needs a user");
    assert_eq!(one::<String>(&mut it.john, "SELECT rolecall.publish_workflow('x', 'n')"), "nxusers");
}

/// Who publishes is told to listen to one more queue.
#[test]
fn a_publisher_who_waits_is_woken() {
    let mut it = Buyers::new();
    run(&mut it.robot, "SELECT rolecall.publish_workflow('scan')");
    assert_eq!(column(&mut it.robot, "SELECT rolecall.listen()"), ["buyer_robot1", "role:Buyers", "workflow:scan"]);
    let listens = "SELECT count(*) FROM rolecall.queues WHERE workflow = 'scan' AND channel = ANY ($1)";
    let channels = column(&mut it.robot, "SELECT pg_listening_channels()");
    assert_eq!(it.admin.query_one(listens, &[&channels]).unwrap().get::<_, i64>(0), 1);
}
