//! Pools: messages that one of several consumers gets.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Database, sqlstate};
use serde_json::{Value, json};

/// The pool of OpenFlow's page with its buyers, each with a login that is the user, and somebody outside.
pub struct Buyers {
    pub database: Database<'static>,
    pub admin: Client,
    pub john: Client,
    pub maria: Client,
    pub robot: Client,
    pub outsider: Client,
}

impl Buyers {
    pub fn new() -> Self {
        let database = database();
        let mut admin = database.admin();
        run(
            &mut admin,
            "SELECT rolecall.create_role('Buyers', 'Everybody who buys', pool => true);
             SELECT rolecall.create_role('Robots'); SELECT rolecall.grant_role('Buyers', 'role:Robots')",
        );
        let mut user = |name: &str, roles: &str, kind: &str| {
            let login = database.login(&name.to_lowercase());
            run(
                &mut admin,
                &format!(
                    "SELECT rolecall.create_user('{name}', roles => '{roles}', kind => '{kind}', database_role => '{login}')"
                ),
            );
            database.connect(&login)
        };
        let john = user("buyer_John", "{Buyers}", "human");
        let maria = user("buyer_Maria", "{Buyers}", "human");
        let robot = user("buyer_robot1", "{Robots}", "robot");
        let outsider = user("outsider", "{}", "human");
        Self { admin, john, maria, robot, outsider, database }
    }

    /// Sends what the arguments say; the message.
    pub fn send(&mut self, arguments: &str) -> i64 {
        send(&mut self.admin, arguments)
    }

    /// Lets time pass for what is in the queues, which no busy machine makes longer.
    pub fn elapse(&mut self, time: &str) {
        run(
            &mut self.admin,
            &format!(
                "UPDATE rolecall.messages SET due = due - interval '{time}', expires_at = expires_at - interval '{time}',
                        declined = (SELECT jsonb_object_agg(key, value::numeric - extract(epoch FROM interval '{time}'))
                                      FROM jsonb_each_text(declined))"
            ),
        );
    }
}

pub fn send(client: &mut Client, arguments: &str) -> i64 {
    one(client, &format!("SELECT rolecall.send({arguments})"))
}

/// What is received, Null for nothing.
pub fn receive(client: &mut Client, arguments: &str) -> Value {
    let text: Option<String> = one(client, &format!("SELECT rolecall.receive({arguments})::text"));
    text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

/// The payload of what is received.
pub fn payload(client: &mut Client, arguments: &str) -> Value {
    receive(client, arguments)["payload"].clone()
}

#[test]
fn one_of_the_buyers_gets_the_message_and_the_sender_the_result() {
    let mut it = Buyers::new();
    run(&mut it.admin, "SELECT rolecall.grant_role('Buyers', 'outsider')");
    let sent = send(&mut it.outsider, r#"'role:Buyers', '{"buy": "paper"}', reply_to => 'outsider'"#);
    let mut got = receive(&mut it.robot, "'30 seconds'");
    let until = got["lease_until"].take();
    let expected = json!({"message": sent, "queue": "role:Buyers", "payload": {"buy": "paper"}, "sender": "outsider",
        "reply_to": "outsider", "attempts": 1, "lease_until": null});
    assert_eq!(got, expected);
    let left =
        format!("SELECT extract(epoch FROM '{}'::timestamptz - clock_timestamp())::float8", until.as_str().unwrap());
    assert!((20.0..30.0).contains(&one::<f64>(&mut it.admin, &left)));
    assert_eq!(receive(&mut it.john, ""), Value::Null, "one gets it, the others nothing");
    assert_eq!(
        column(&mut it.john, "SELECT concat_ws(' ', queue, ready, leased) FROM rolecall.my_queues ORDER BY 1"),
        ["buyer_John 0 0", "role:Buyers 0 1"]
    );
    // Who has not got it cannot end it, whatever he is a member of, and does not learn whether it is there.
    for message in [sent, 4711] {
        for call in ["done(MESSAGE)", "extend(MESSAGE, '1 hour')", "busy(MESSAGE)"] {
            let call = format!("SELECT rolecall.{}", call.replace("MESSAGE", &message.to_string()));
            refused(&mut it.john, &call, "55000", &format!("message {message} is not yours (any more)"));
        }
    }
    refused(&mut it.robot, &format!("SELECT rolecall.done({sent}, attempt => 2)"), "55000", "not yours");
    run(&mut it.robot, &format!("SELECT rolecall.done({sent}, '{{\"paid\": 12}}', 1)"));
    refused(&mut it.robot, &format!("SELECT rolecall.done({sent})"), "55000", "not yours");
    let mut answer = receive(&mut it.outsider, "");
    answer["lease_until"].take();
    let id = answer["message"].take();
    let expected = json!({"message": null, "queue": "outsider", "payload": {"paid": 12}, "sender": "buyer_robot1",
        "reply_to": null, "in_reply_to": sent, "attempts": 1, "lease_until": null});
    assert_eq!(answer, expected);
    run(&mut it.outsider, &format!("SELECT rolecall.done({id}, '\"nobody waits for this\"')"));
    assert_eq!(one::<i64>(&mut it.admin, "SELECT count(*) FROM rolecall.messages"), 0);
}

#[test]
fn lower_priorities_go_first_and_then_older_ones() {
    let mut it = Buyers::new();
    for (payload, priority) in [(1, 2), (2, 2), (3, 1), (4, 7), (5, -1)] {
        it.send(&format!("'role:Buyers', '{payload}', priority => {priority}"));
    }
    let got: Vec<Value> = (0..6).map(|_| payload(&mut it.john, "")).collect();
    assert_eq!(json!(got), json!([5, 3, 1, 2, 4, null]));
}

/// However much waits in one queue, the others get their turn, and those that are empty take nobody's.
#[test]
fn queues_take_turns() {
    let mut it = Buyers::new();
    run(
        &mut it.admin,
        "SELECT rolecall.create_role(r, pool => true), rolecall.grant_role(r, 'buyer_John') FROM unnest('{Empty,Sellers}'::text[]) r",
    );
    for n in 0..6 {
        it.send(&format!("'role:Buyers', '\"b{n}\"', priority => 0"));
        it.send(&format!("'role:Sellers', '\"s{n}\"'"));
        it.send(&format!("'buyer_John', '\"j{n}\"', priority => 5"));
    }
    let got: Vec<Value> = (0..18).map(|_| payload(&mut it.john, "")).collect();
    for three in got.chunks(3) {
        let mut queues: Vec<&str> = three.iter().map(|payload| &payload.as_str().unwrap()[..1]).collect();
        queues.sort_unstable();
        assert_eq!(queues, ["b", "j", "s"], "{got:?}");
    }
    for n in [1, 2] {
        it.send(&format!("'role:Buyers', '{n}'"));
    }
    it.send("'role:Sellers', '3'");
    assert_eq!(payload(&mut it.john, "queue => 'role:Sellers'"), 3);
    assert_eq!(payload(&mut it.john, "queue => 'role:Sellers'"), Value::Null, "only from there");
    assert_eq!(payload(&mut it.john, "queue => 'buyer_John'"), Value::Null);
    assert_eq!(payload(&mut it.john, "queue => 'role:Buyers'"), 1);
}

#[test]
fn who_has_no_right_neither_sends_nor_receives_nor_sees_whether_there_is_a_queue() {
    let mut it = Buyers::new();
    run(&mut it.admin, "SELECT rolecall.create_role('Plain')");
    it.send("'role:Buyers', '1'");
    it.elapse("2 minutes");
    it.send("'role:Buyers', '2'");
    assert_eq!(one::<i64>(&mut it.admin, "SELECT rolecall.expire()"), 1);
    let mut anonymous = it.database.connect(&it.database.login("anonymous"));
    for client in [&mut it.outsider, &mut anonymous] {
        for queue in ["role:Buyers", "role:Plain", "role:nope", "buyer_John", "nobody", "workflow:x", ""] {
            let message = format!("permission denied: you may not send to queue \"{queue}\"");
            let one = sqlstate(client.execute("SELECT rolecall.send($1, '{}')", &[&queue]));
            assert_eq!(one, ("42501".into(), message), "{queue}");
        }
        for view in ["my_queues WHERE queue <> 'outsider'", "my_dead_letters"] {
            assert_eq!(one::<i64>(client, &format!("SELECT count(*) FROM rolecall.{view}")), 0, "{view}");
        }
        for table in ["queues", "messages", "dead_letters", "workflows", "change_channel", "consumable", "queue_names"]
        {
            refused(client, &format!("TABLE rolecall.{table}"), "42501", "permission denied");
        }
        refused(
            client,
            "SELECT rolecall.grant_right('rolecall.queues', 'role:Buyers', 'outsider', '{invoke}')",
            "42501",
            "needs an administrator",
        );
    }
    refused(
        &mut it.outsider,
        "SELECT rolecall.send('outsider', '1', reply_to => 'role:Buyers')",
        "42501",
        "\"role:Buyers\"",
    );
    for queue in ["role:Buyers", "role:nope", "buyer_John"] {
        let message = format!("may not receive from queue \"{queue}\"");
        refused(&mut it.outsider, &format!("SELECT rolecall.receive(queue => '{queue}')"), "42501", &message);
    }
    assert_eq!(receive(&mut it.outsider, ""), Value::Null);
    for call in ["receive()", "listen()"] {
        refused(&mut anonymous, &format!("SELECT rolecall.{call}"), "28000", "Please log in");
    }
    refused(&mut anonymous, "SELECT rolecall.done(2)", "55000", "not yours");
    // An administrator learns what there is; a member of the pool and the user himself may send.
    for queue in ["role:Plain", "role:nope", "nobody", "workflow:x"] {
        refused(&mut it.admin, &format!("SELECT rolecall.send('{queue}', '1')"), "42704", "does not exist");
    }
    send(&mut it.robot, "'role:Buyers', '3', NULL, 'buyer_robot1'");
    send(&mut it.outsider, "'outsider', '4'");
    assert_eq!(payload(&mut it.outsider, ""), 4);
    assert_eq!(column(&mut it.maria, "SELECT payload FROM rolecall.my_dead_letters"), ["1"]);
    assert_eq!(column(&mut it.admin, "SELECT payload FROM rolecall.my_dead_letters"), ["1"]);
}

/// The list of a queue lets others send, and keeps out whom it denies.
#[test]
fn a_queues_list_says_who_else_may_send_and_who_may_not() {
    let mut it = Buyers::new();
    // The first makes her queue; after the second the connection remembers what there is.
    for _ in 0..2 {
        assert_eq!(receive(&mut it.maria, ""), Value::Null);
    }
    it.send("'role:Buyers', '1'");
    run(
        &mut it.admin,
        "SELECT rolecall.grant_right('rolecall.queues', 'role:Buyers', 'outsider', '{invoke}'),
                rolecall.grant_right('rolecall.queues', 'role:Buyers', 'buyer_Maria', '{invoke,read}', deny => true)",
    );
    send(&mut it.outsider, "'role:Buyers', '2'");
    refused(&mut it.maria, "SELECT rolecall.send('role:Buyers', '3')", "42501", "may not send");
    assert_eq!(receive(&mut it.maria, ""), Value::Null);
    refused(&mut it.maria, "SELECT rolecall.receive(queue => 'role:Buyers')", "42501", "may not receive");
    assert_eq!(payload(&mut it.john, ""), 1);
    assert_eq!(receive(&mut it.outsider, ""), Value::Null, "who may send may not receive");
    // Everybody decides who may send to himself, and cannot lock himself out.
    run(
        &mut it.john,
        "SELECT rolecall.grant_right('rolecall.queues', 'buyer_John', 'buyer_John', '{invoke}', deny => true)",
    );
    refused(&mut it.john, "SELECT rolecall.send('buyer_John', '1')", "42501", "may not send");
    run(
        &mut it.john,
        "SELECT rolecall.revoke_right('rolecall.queues', 'buyer_John', 'buyer_John', deny => true),
                rolecall.grant_right('rolecall.queues', 'buyer_John', 'role:Buyers', '{invoke}')",
    );
    send(&mut it.robot, "'buyer_John', '5'");
    refused(&mut it.outsider, "SELECT rolecall.send('buyer_John', '6')", "42501", "may not send");
    let maria = "SELECT rolecall.grant_right('rolecall.queues', 'buyer_John', 'buyer_Maria', '{invoke}')";
    refused(&mut it.maria, maria, "42501", "needs an administrator");
    let nothing = "SELECT rolecall.grant_right('rolecall.queues', 'role:nope', 'buyer_Maria', '{invoke}')";
    refused(&mut it.admin, nothing, "42704", "queue \"role:nope\" does not exist");
    refused(
        &mut it.admin,
        "SELECT rolecall.rename_role('Buyers', 'Purchasers')",
        "2BP01",
        "ACLs of rolecall.queues name it",
    );
    let log = "SELECT count(*) FROM rolecall.audit_log WHERE object = 'queues' AND new ? 'acl' AND new ? 'id'";
    assert_eq!(one::<i64>(&mut it.admin, log), 5);
}

#[test]
fn an_api_token_consumes_the_pools_of_its_roles() {
    let mut it = Buyers::new();
    let token: String = one(&mut it.admin, "SELECT rolecall.create_api_token('ci', '{Robots}')");
    authenticate(&mut it.outsider, &token, true);
    let sent = it.send("'role:Buyers', '1', reply_to => 'buyer_John'");
    assert_eq!(column(&mut it.outsider, "SELECT rolecall.listen()"), ["role:Buyers"]);
    assert_eq!(receive(&mut it.outsider, "")["message"], sent);
    refused(&mut it.outsider, "SELECT rolecall.receive(queue => 'outsider')", "42501", "may not receive");
    run(&mut it.outsider, &format!("SELECT rolecall.done({sent}, '7')"));
    let answer = receive(&mut it.john, "");
    assert_eq!(answer["payload"], 7);
    assert!(answer["sender"].as_str().unwrap().starts_with("api_token:"));
    // A message is not its owner's or anybody else's of another identity.
    let sent = it.send("'role:Buyers', '2'");
    assert_eq!(payload(&mut it.outsider, ""), 2);
    run(&mut it.outsider, "SELECT rolecall.logout()");
    refused(&mut it.outsider, &format!("SELECT rolecall.done({sent})"), "55000", "not yours");
}

#[test]
fn behind_become_it_is_the_user_who_sends() {
    let mut it = Buyers::new();
    run(
        &mut it.admin,
        "SELECT rolecall.become('buyer_John', 'a test', true); SELECT rolecall.send('role:Buyers', '1')",
    );
    assert_eq!(receive(&mut it.maria, "")["sender"], "buyer_John");
}

#[test]
fn every_message_has_one_consumer() {
    const MESSAGES: i64 = 400;
    let mut it = Buyers::new();
    run(
        &mut it.admin,
        &format!("SELECT rolecall.send('role:Buyers', to_jsonb(n)) FROM generate_series(1, {MESSAGES}) n"),
    );
    let got: Vec<i64> = std::thread::scope(|scope| {
        let consumers = [&mut it.john, &mut it.maria, &mut it.robot].map(|client| {
            scope.spawn(move || {
                let mut got = Vec::new();
                loop {
                    match receive(client, "") {
                        Value::Null => return got,
                        message => got.push(message["message"].as_i64().unwrap()),
                    }
                    run(client, &format!("SELECT rolecall.done({})", got.last().unwrap()));
                }
            })
        });
        consumers.into_iter().flat_map(|consumer| consumer.join().unwrap()).collect()
    });
    let mut once = got.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((got.len() as i64, once.len() as i64), (MESSAGES, MESSAGES));
}

#[test]
fn bad_arguments_of_messages_get_one_clear_error() {
    let mut it = Buyers::new();
    let sent = it.send("'buyer_John', '1'");
    assert_eq!(receive(&mut it.john, "")["message"], sent);
    for (call, message) in [
        ("send(NULL, '1')", "queue must not be NULL"),
        ("send('buyer_John', NULL)", "must not be NULL"),
        ("send('buyer_John', '1', priority => NULL)", "must not be NULL"),
        ("send('buyer_John', '1', '0')", "expires_in must be positive"),
        ("send('buyer_John', '1', '-1 second')", "expires_in must be positive"),
        ("receive('0')", "lease \"00:00:00\" must be positive"),
        ("receive(NULL)", "lease must not be NULL"),
        (&format!("extend({sent}, '-1 second')"), "lease must be positive"),
        (&format!("busy({sent}, NULL)"), "delay must not be negative"),
        (&format!("busy({sent}, '-1 second')"), "delay must not be negative"),
    ] {
        refused(&mut it.john, &format!("SELECT rolecall.{call}"), "22023", message);
    }
    refused(&mut it.john, "SELECT rolecall.done(NULL)", "55000", "message NULL is not yours");
    refused(&mut it.admin, "SELECT rolecall.create_user('workflow:x')", "22023", "begin with");
}

/// Roles may be renamed, and all of it is restored from a dump.
#[test]
fn queues_are_renamed_and_restored_with_what_waits_in_them() {
    let mut it = Buyers::new();
    run(
        &mut it.john,
        "SELECT rolecall.publish_workflow('scan'); SELECT rolecall.invoke_workflow('scan', '1', NULL, 'buyer_John')",
    );
    it.send("'role:Buyers', '2', NULL");
    it.send("'role:Buyers', '3', '5 minutes'");
    it.send("'buyer_Maria', '4', NULL");
    assert_eq!(payload(&mut it.robot, ""), 2);
    it.elapse("10 minutes");
    run(&mut it.admin, "SELECT rolecall.rename_role('Buyers', 'Purchasing'); SELECT rolecall.expire()");
    let restored = crate::dump::restore(&it.database);
    let mut admin = restored.admin();
    for table in ["queues", "workflows", "messages", "dead_letters"] {
        let rows = format!("SELECT t FROM rolecall.{table} t ORDER BY t::text");
        let before = column(&mut it.admin, &rows);
        assert!(!before.is_empty());
        assert_eq!(column(&mut admin, &rows), before, "{table}");
    }
    let [mut john, mut maria] =
        ["buyer_john", "buyer_maria"].map(|name| restored.connect(&format!("{}_{name}", it.database.name)));
    assert_eq!(receive(&mut john, "")["queue"], "role:Purchasing");
    assert_eq!(receive(&mut john, "")["queue"], "workflow:scan");
    assert_eq!(payload(&mut maria, ""), 4);
    assert_eq!(send(&mut john, "'buyer_John', '5'"), 5, "ids go on");
    run(&mut admin, "SELECT rolecall.create_role('More', pool => true); SELECT rolecall.send('role:More', '1')");
}
