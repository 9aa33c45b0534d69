//! What becomes of messages that nobody ends: leases, expiry, dead letters.

use crate::pools::{Buyers, payload, receive, send};
use crate::support::*;
use serde_json::{Value, json};

#[test]
fn what_a_consumer_does_not_end_goes_to_another_one() {
    let mut it = Buyers::new();
    let sent = it.send("'role:Buyers', '1', NULL");
    assert_eq!(receive(&mut it.john, "'2 minutes'")["attempts"], 1);
    assert_eq!(receive(&mut it.maria, ""), Value::Null);
    run(&mut it.john, &format!("SELECT rolecall.extend({sent}, '6 minutes')"));
    it.elapse("3 minutes");
    assert_eq!(receive(&mut it.maria, ""), Value::Null, "the lease was extended");
    it.elapse("4 minutes");
    let got = receive(&mut it.maria, "");
    assert_eq!((&got["message"], &got["attempts"]), (&json!(sent), &json!(2)));
    refused(&mut it.john, &format!("SELECT rolecall.done({sent}, '\"late\"')"), "55000", "not yours");
    it.send("'role:Buyers', '3', NULL");
    assert_eq!(payload(&mut it.maria, ""), 3);
    run(&mut it.maria, &format!("SELECT rolecall.busy({sent}), rolecall.extend({sent} + 1, '1 hour')"));
    let states = "SELECT concat_ws(' ', state, state = 'leased' AND due > now() + interval '50 minutes') FROM rolecall.messages ORDER BY id";
    assert_eq!(column(&mut it.admin, states), ["ready f", "leased t"], "the one and not the other");
    run(&mut it.maria, &format!("SELECT rolecall.done({sent} + 1)"));
    it.elapse("2 seconds");
    assert_eq!(payload(&mut it.maria, ""), 1);
    // A transaction that fails gives it back at once.
    run(&mut it.maria, &format!("SELECT rolecall.done({sent})"));
    it.send("'role:Buyers', '2'");
    run(&mut it.john, "BEGIN");
    assert_eq!(payload(&mut it.john, ""), 2);
    assert_eq!(receive(&mut it.maria, ""), Value::Null);
    run(&mut it.john, "ROLLBACK");
    assert_eq!(payload(&mut it.maria, ""), 2);
}

#[test]
fn who_is_busy_hands_the_message_to_somebody_else() {
    let mut it = Buyers::new();
    let sent = it.send("'role:Buyers', '1', NULL");
    for (first, second) in [(0, 1), (1, 0)] {
        let mut both = [&mut it.john, &mut it.maria];
        assert_eq!(payload(both[first], ""), 1);
        run(both[first], &format!("SELECT rolecall.busy({sent}, '4 minutes')"));
        assert_eq!(receive(both[first], ""), Value::Null, "not to oneself");
        assert_eq!(payload(both[second], ""), 1);
        run(both[second], &format!("SELECT rolecall.busy({sent}, '4 minutes')"));
        for client in &mut both {
            assert_eq!(receive(client, ""), Value::Null, "both are busy");
        }
        it.elapse("5 minutes");
    }
    let got = receive(&mut it.john, "");
    assert_eq!((&got["payload"], &got["attempts"]), (&json!(1), &json!(5)));
    assert_eq!(one::<i32>(&mut it.admin, "SELECT lost FROM rolecall.messages"), 0, "no lease has ended");
}

#[test]
fn an_expired_message_is_never_handed_out_and_its_sender_hears_so() {
    let mut it = Buyers::new();
    run(&mut it.admin, "SELECT rolecall.grant_role('Buyers', 'outsider')");
    let sent = send(&mut it.outsider, r#"'role:Buyers', '{"a": 1}', '1 minute', 'outsider'"#);
    let forever = it.send("'role:Buyers', '2', NULL, priority => 9");
    run(&mut it.admin, "SELECT rolecall.revoke_role('Buyers', 'outsider')");
    it.elapse("2 minutes");
    // Somebody else is seeing to it.
    run(&mut it.admin, "BEGIN; SELECT FROM rolecall.messages WHERE id <> 2 FOR UPDATE");
    assert_eq!(receive(&mut it.john, "")["message"], forever);
    run(&mut it.admin, "ROLLBACK");
    assert_eq!(receive(&mut it.maria, ""), Value::Null);
    let row = "SELECT concat_ws(' ', message, queue, payload, sender, attempts, reason) FROM rolecall.my_dead_letters";
    for who in [&mut it.outsider, &mut it.maria] {
        assert_eq!(column(who, row), [format!("{sent} role:Buyers {{\"a\": 1}} outsider 0 expired")]);
    }
    let timeout = receive(&mut it.outsider, "");
    let expected = json!({"command": "timeout", "message": sent, "queue": "role:Buyers", "payload": {"a": 1}});
    assert_eq!((&timeout["payload"], &timeout["in_reply_to"]), (&expected, &json!(sent)));
    assert_eq!((&timeout["sender"], &timeout["queue"]), (&Value::Null, &json!("outsider")));
    // Nor before anybody has looked for what is overdue.
    run(&mut it.admin, "DELETE FROM rolecall.messages");
    assert_eq!(receive(&mut it.john, ""), Value::Null);
    let expired = it.send("'role:Buyers', '5'");
    it.send("'role:Buyers', '6', NULL");
    it.elapse("2 minutes");
    assert_eq!(payload(&mut it.john, ""), 6);
    // Unless John has looked himself: a connection does every second.
    run(&mut it.admin, "SELECT rolecall.expire()");
    let dead = format!("SELECT reason FROM rolecall.my_dead_letters WHERE message = {expired}");
    assert_eq!(column(&mut it.admin, &dead), ["expired"]);
    // It dies while somebody has it and lets the lease end, too.
    it.send("'role:Buyers', '3', '1 minute'");
    assert_eq!(payload(&mut it.john, "'5 minutes'"), 3);
    it.elapse("2 minutes");
    assert_eq!(one::<i64>(&mut it.outsider, "SELECT rolecall.expire()"), 0, "a lease goes before");
    it.elapse("4 minutes");
    assert_eq!(one::<i64>(&mut it.outsider, "SELECT rolecall.expire()"), 1);
    assert_eq!(one::<i64>(&mut it.outsider, "SELECT rolecall.expire()"), 0);
}

#[test]
fn a_message_whose_consumers_die_ten_times_is_not_handed_out_again() {
    let mut it = Buyers::new();
    let sent = it.send("'role:Buyers', '1', NULL, reply_to => 'buyer_Maria'");
    for attempt in 1..=10 {
        assert_eq!(receive(&mut it.john, "'1 minute', 'role:Buyers'")["attempts"], attempt);
        it.elapse("2 minutes");
    }
    assert_eq!(receive(&mut it.john, ""), Value::Null);
    assert_eq!(receive(&mut it.maria, "")["in_reply_to"], sent);
    let reason = "SELECT concat_ws(' ', reason, attempts) FROM rolecall.my_dead_letters";
    assert_eq!(column(&mut it.john, reason), ["attempts 10"]);
}

#[test]
fn what_waits_in_a_queue_that_is_dropped_is_not_lost() {
    let mut it = Buyers::new();
    run(&mut it.admin, "SELECT rolecall.create_role('Passing', pool => true)");
    for queue in ["role:Passing", "outsider"] {
        it.send(&format!("'{queue}', '1', NULL, 'buyer_Maria'"));
    }
    // One that was sent at the same moment.
    run(&mut it.admin, "SELECT rolecall.send('role:Passing', '2', NULL, 'buyer_Maria')");
    run(
        &mut it.admin,
        "SELECT rolecall.rename_role('Passing', 'Gone'); UPDATE rolecall.messages SET queue = 99 WHERE payload = '2'",
    );
    run(&mut it.admin, "SELECT rolecall.drop_role('Gone'), rolecall.drop_user('outsider')");
    assert_eq!(one::<i64>(&mut it.maria, "SELECT rolecall.expire()"), 1);
    let queues: Vec<Value> = (0..4).map(|_| payload(&mut it.maria, "")["queue"].clone()).collect();
    assert_eq!(json!(queues), json!(["role:Gone", "outsider", null, null]));
    assert_eq!(column(&mut it.admin, "SELECT DISTINCT reason FROM rolecall.my_dead_letters"), ["dropped"]);
    assert_eq!(one::<i64>(&mut it.admin, "SELECT count(*) FROM rolecall.my_dead_letters"), 3);
    assert_eq!(one::<i64>(&mut it.admin, "SELECT count(*) FROM rolecall.queues WHERE role = 'Gone' OR id > 3"), 0);
}
