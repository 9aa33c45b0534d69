//! Messages that somebody else changes meanwhile, and what a message carries.

use crate::pools::{Buyers, payload, receive};
use crate::support::*;
use rolecall_tests::sqlstate;
use serde_json::{Value, json};
use std::time::Duration;

/// John ends the message while an administrator has changed it in a transaction that then ends as `end` says.
fn end_while(it: &mut Buyers, change: &str, end: &str, sent: i64) -> Result<u64, postgres::Error> {
    let mut other = it.database.admin();
    run(&mut other, &format!("BEGIN; {change}"));
    run(&mut it.john, "SET statement_timeout = '60s'");
    let (john, admin) = (&mut it.john, &mut it.admin);
    std::thread::scope(|scope| {
        let ending = scope.spawn(move || john.execute("SELECT rolecall.done($1)", &[&sent]));
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while !ending.is_finished() && one::<i64>(admin, waiting) == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
        run(&mut other, end);
        ending.join().expect("an answer")
    })
}

#[test]
fn a_message_that_changes_while_it_is_ended_is_looked_at_again() {
    let mut it = Buyers::new();
    let sent = it.send("'role:Buyers', '1', NULL");
    assert_eq!(payload(&mut it.john, ""), 1);
    let taken_away = "UPDATE rolecall.messages SET consumer = 'user:somebody'";
    let failed = end_while(&mut it, taken_away, "COMMIT", sent);
    assert_eq!(sqlstate(failed).0, "55000");
    assert_eq!(
        one::<String>(&mut it.admin, "SELECT consumer FROM rolecall.messages"),
        "user:somebody",
        "it is still there"
    );

    run(&mut it.admin, "UPDATE rolecall.messages SET state = 'ready', consumer = NULL");
    assert_eq!(receive(&mut it.john, "")["attempts"], 2);
    let failed = end_while(&mut it, "DELETE FROM rolecall.messages", "COMMIT", sent);
    assert_eq!(sqlstate(failed).0, "55000", "gone");

    let sent = it.send("'role:Buyers', '2', NULL");
    assert_eq!(payload(&mut it.john, ""), 2);
    for (change, end) in [(taken_away, "ROLLBACK"), ("UPDATE rolecall.messages SET priority = 7", "COMMIT")] {
        run(&mut it.john, "BEGIN");
        end_while(&mut it, change, end, sent).unwrap_or_else(|e| panic!("{change}: {e:?}"));
        run(&mut it.john, "ROLLBACK");
    }
    run(&mut it.john, "SET lock_timeout = '20ms'");
    run(&mut it.admin, "BEGIN; SELECT FROM rolecall.messages FOR UPDATE");
    assert_eq!(sqlstate(it.john.execute("SELECT rolecall.done($1)", &[&sent])).0, "55P03");
    run(&mut it.admin, "ROLLBACK");
    assert_eq!(it.john.execute("SELECT rolecall.done($1)", &[&sent]).unwrap(), 1);
    assert_eq!(one::<i64>(&mut it.admin, "SELECT count(*) FROM rolecall.messages"), 0);
}

/// In REPEATABLE READ there is an error that clients know to try again after.
#[test]
fn an_old_snapshot_takes_and_ends_nothing_that_has_changed() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut it = Buyers::new();
        let sent = it.send("'role:Buyers', '1', NULL");
        let begin = format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM rolecall.my_queues");
        run(&mut it.john, &begin);
        run(&mut it.admin, "UPDATE rolecall.messages SET priority = 7");
        assert_eq!(sqlstate(it.john.query("SELECT rolecall.receive()", &[])).0, "40001", "{level}");
        run(&mut it.john, "ROLLBACK");
        assert_eq!(receive(&mut it.john, "")["attempts"], 1);
        run(&mut it.john, &begin);
        run(&mut it.admin, "UPDATE rolecall.messages SET priority = 8");
        assert_eq!(sqlstate(it.john.execute("SELECT rolecall.done($1)", &[&sent])).0, "40001", "{level}");
        run(&mut it.john, "ROLLBACK");
        run(&mut it.john, &begin);
        run(&mut it.admin, "DELETE FROM rolecall.messages");
        assert_eq!(sqlstate(it.john.execute("SELECT rolecall.done($1)", &[&sent])).0, "40001", "{level}");
        run(&mut it.john, "ROLLBACK");
        // What nobody else touches is taken and ended as ever.
        let sent = it.send("'role:Buyers', '1', NULL");
        run(&mut it.john, &begin);
        assert_eq!(receive(&mut it.john, "")["message"], sent);
        run(&mut it.john, &format!("SELECT rolecall.done({sent}); COMMIT"));
    }
}

#[test]
fn each_call_sees_what_the_one_before_has_done() {
    let mut it = Buyers::new();
    for number in 1..=4 {
        it.send(&format!("'role:Buyers', '{number}', NULL"));
    }
    let both = "SELECT string_agg(rolecall.receive()->>'payload', ' ') FROM generate_series(1, 2)";
    assert_eq!(one::<String>(&mut it.john, both), "1 2");
    run(&mut it.john, "BEGIN; SAVEPOINT s");
    assert_eq!(payload(&mut it.john, ""), 3);
    run(&mut it.john, "ROLLBACK TO s");
    assert_eq!(payload(&mut it.john, ""), 3, "given back with the savepoint");
    assert_eq!(payload(&mut it.maria, ""), 4, "John's is passed over");
    run(&mut it.john, "COMMIT");
    run(&mut it.john, "BEGIN READ ONLY");
    assert_eq!(sqlstate(it.john.query("SELECT rolecall.receive()", &[])).0, "25006");
    run(&mut it.john, "ROLLBACK");
}

#[test]
fn a_message_carries_any_payload_unchanged() {
    let mut it = Buyers::new();
    let long = "x1y2".repeat(5_000);
    let random: String =
        (0..40_000u32).map(|n| char::from(b'!' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let mut payloads: Vec<Value> =
        ["null", "true", "0", "-1.50", "\"\"", "\"ü\\u0001\\\"\"", "[]", "{}", "[null, [1], {\"a\": {}}]", &deep]
            .map(|text| serde_json::from_str(text).unwrap())
            .into();
    payloads.extend([json!(long), json!(random), json!({"long": long, "random": [random, 1], "message": "no"})]);
    for sent in payloads {
        it.admin
            .execute("SELECT rolecall.send('role:Buyers', $1::text::jsonb, NULL, 'buyer_John')", &[&sent.to_string()])
            .unwrap();
        for attempt in 1..=3 {
            let got = receive(&mut it.maria, "");
            assert_eq!((&got["payload"], &got["attempts"]), (&sent, &json!(attempt)));
            assert_eq!((&got["queue"], &got["sender"]), (&json!("role:Buyers"), &json!("postgres")));
            assert_eq!((&got["reply_to"], got.get("in_reply_to")), (&json!("buyer_John"), None));
            let message = &got["message"];
            if attempt == 3 {
                run(&mut it.maria, &format!("SELECT rolecall.done({message}, '{{}}')"));
            } else {
                run(&mut it.maria, &format!("SELECT rolecall.busy({message}, '0')"));
            }
        }
    }
    // A time is written as JSON has it in that session's zone.
    run(&mut it.maria, "SET timezone = 'Asia/Kolkata'; SET datestyle = 'German'");
    it.send("'role:Buyers', '1', NULL");
    let until = receive(&mut it.maria, "'1 hour'")["lease_until"].as_str().unwrap().to_owned();
    run(&mut it.admin, "SET timezone = 'Asia/Kolkata'");
    let due = "SELECT to_jsonb(due) #>> '{}' FROM rolecall.messages WHERE state = 'leased'";
    assert_eq!(until, one::<String>(&mut it.admin, due));
}

/// A superuser may add a trigger to rolecall's table: it runs as the owner, not as whoever receives.
#[test]
fn triggers_on_messages_run_as_the_owner() {
    let mut it = Buyers::new();
    run(
        &mut it.admin,
        "CREATE TABLE seen (what text, before text, after text, by text DEFAULT current_user);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO public.seen VALUES (TG_WHEN || ' ' || TG_OP, OLD.state, NEW.state); RETURN coalesce(NEW, OLD); END $$;
         CREATE TRIGGER before BEFORE UPDATE OR DELETE ON rolecall.messages FOR EACH ROW EXECUTE FUNCTION see();
         CREATE TRIGGER after AFTER UPDATE OR DELETE ON rolecall.messages FOR EACH ROW EXECUTE FUNCTION see()",
    );
    let sent = it.send("'role:Buyers', '1', NULL");
    assert_eq!(payload(&mut it.john, ""), 1);
    run(&mut it.john, &format!("SELECT rolecall.done({sent})"));
    assert_eq!(
        column(&mut it.admin, "SELECT concat_ws(' ', what, before, after, by) FROM seen"),
        [
            "BEFORE UPDATE ready leased postgres",
            "AFTER UPDATE ready leased postgres",
            "BEFORE DELETE leased postgres",
            "AFTER DELETE leased postgres"
        ]
    );
    assert_eq!(
        one::<String>(&mut it.john, "SELECT current_user::text"),
        one::<String>(&mut it.john, "SELECT session_user::text")
    );
}
