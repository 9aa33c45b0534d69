//! Who waits for messages is woken, and what he waits for follows his roles.

use crate::pools::{Buyers, payload, receive, send};
use crate::support::*;
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// The channels notified until nothing has come for `milliseconds`.
fn notified(client: &mut Client, milliseconds: u64) -> Vec<String> {
    let mut notifications = client.notifications();
    let mut waiting = notifications.timeout_iter(Duration::from_millis(milliseconds));
    let mut channels = Vec::new();
    while let Some(notification) = waiting.next().unwrap() {
        assert_eq!(notification.payload(), "", "it tells nothing");
        channels.push(notification.channel().to_owned());
    }
    channels
}

/// Whether one notification comes in time; what comes with it is taken, too.
fn is_woken(client: &mut Client) -> bool {
    let came = client.notifications().timeout_iter(Duration::from_secs(10)).next().unwrap().is_some();
    notified(client, 50);
    came
}

/// Listens, and receives until there is nothing, as one does before one waits.
fn wait(client: &mut Client) {
    run(client, "SELECT rolecall.listen()");
    settle(client);
}

/// Receives until there is nothing and nobody says that there may be.
fn settle(client: &mut Client) {
    loop {
        assert_eq!(receive(client, ""), Value::Null);
        if notified(client, 100).is_empty() {
            return;
        }
    }
}

fn channels(client: &mut Client) -> BTreeSet<String> {
    column(client, "SELECT pg_listening_channels()").into_iter().collect()
}

#[test]
fn whoever_listens_is_woken_by_what_he_may_receive() {
    let mut it = Buyers::new();
    for client in [&mut it.john, &mut it.robot, &mut it.outsider] {
        wait(client);
    }
    assert_eq!(column(&mut it.john, "SELECT rolecall.listen()"), ["buyer_John", "role:Buyers"]);
    send(&mut it.maria, "'role:Buyers', '1'");
    assert!(is_woken(&mut it.john) && is_woken(&mut it.robot));
    assert_eq!(payload(&mut it.john, ""), 1);
    settle(&mut it.robot);
    it.send("'buyer_John', '2'");
    assert!(is_woken(&mut it.john));
    assert_eq!(payload(&mut it.john, ""), 2);
    assert!(notified(&mut it.robot, 50).is_empty() && notified(&mut it.outsider, 50).is_empty(), "nobody else");
    // What was sent before one listened is told at once.
    it.send("'buyer_Maria', '3'");
    run(&mut it.maria, "SELECT rolecall.listen()");
    assert!(is_woken(&mut it.maria));
    assert_eq!(payload(&mut it.maria, ""), 3);
    settle(&mut it.maria);
    // What somebody hands back, and what he has had too long.
    let sent = it.send("'role:Buyers', '4', NULL");
    assert!(is_woken(&mut it.maria));
    assert_eq!(payload(&mut it.robot, ""), 4);
    settle(&mut it.maria);
    run(&mut it.robot, &format!("SELECT rolecall.busy({sent})"));
    assert!(is_woken(&mut it.maria));
    notified(&mut it.john, 50);
    assert_eq!(payload(&mut it.maria, "'1 minute'"), 4);
    it.elapse("2 minutes");
    run(&mut it.outsider, "SELECT rolecall.expire()");
    assert!(is_woken(&mut it.john));
    assert_eq!(payload(&mut it.john, ""), 4);
}

#[test]
fn a_member_who_is_added_while_he_waits_is_woken() {
    let mut it = Buyers::new();
    let sent = it.send("'role:Buyers', '1'");
    wait(&mut it.outsider);
    for (grant, revoke) in [
        ("grant_role('Buyers', 'outsider')", "revoke_role('Buyers', 'outsider')"),
        ("grant_role('Robots', 'outsider')", "revoke_role('Robots', 'outsider')"),
    ] {
        run(&mut it.admin, &format!("SELECT rolecall.{grant}"));
        assert!(is_woken(&mut it.outsider));
        assert_eq!(payload(&mut it.outsider, ""), 1);
        assert_eq!(receive(&mut it.outsider, ""), Value::Null);
        assert!(is_woken(&mut it.outsider), "what came before one listened was not heard");
        settle(&mut it.outsider);
        it.send("'role:Buyers', '2'");
        assert!(is_woken(&mut it.outsider));
        assert_eq!(payload(&mut it.outsider, ""), 2);
        run(&mut it.admin, &format!("DELETE FROM rolecall.messages WHERE payload = '2'; SELECT rolecall.{revoke}"));
        assert!(is_woken(&mut it.outsider));
        settle(&mut it.outsider);
        // Who has it gives it back, a member or not.
        run(&mut it.outsider, &format!("SELECT rolecall.busy({sent}, '0')"));
    }
    // A role that becomes a member, one that becomes a pool, and a pool that is one no longer.
    run(&mut it.admin, "SELECT rolecall.create_role('Interns'), rolecall.grant_role('Interns', 'outsider')");
    settle(&mut it.outsider);
    run(&mut it.admin, "SELECT rolecall.grant_role('Buyers', 'role:Interns')");
    assert!(is_woken(&mut it.outsider));
    assert_eq!(payload(&mut it.outsider, ""), 1);
    run(&mut it.admin, "UPDATE rolecall.roles SET pool = true WHERE name = 'Interns'");
    assert!(is_woken(&mut it.outsider));
    settle(&mut it.outsider);
    it.send("'role:Interns', '3'");
    assert!(is_woken(&mut it.outsider));
    run(&mut it.admin, "UPDATE rolecall.roles SET pool = false WHERE name = 'Interns'");
    assert_eq!(receive(&mut it.outsider, ""), Value::Null);
    assert_eq!(column(&mut it.admin, "SELECT reason FROM rolecall.my_dead_letters"), ["dropped"]);
}

/// Whatever takes the role: he is woken once, gets nothing, and what he goes on listening to is dead; the others hear on.
/// Trap 10.
#[test]
fn a_member_who_is_removed_while_he_waits_hears_nothing_any_more() {
    let token = |it: &mut Buyers| -> String {
        one(&mut it.admin, "SELECT rolecall.create_api_token('ci', '{Robots}', owner => 'buyer_robot1')")
    };
    for (change, of_token, refused) in [
        ("rolecall.revoke_role('Robots', 'buyer_robot1')", false, false),
        ("rolecall.revoke_role('Buyers', 'role:Robots')", false, false),
        ("rolecall.drop_role('Robots')", false, false),
        ("rolecall.disable_user('buyer_robot1')", false, true),
        ("rolecall.drop_user('buyer_robot1')", false, true),
        ("rolecall.drop_role('Robots')", true, false),
        ("rolecall.disable_user('buyer_robot1')", true, true),
        ("rolecall.revoke_api_token(id) FROM rolecall.api_tokens", true, true),
    ] {
        let mut it = Buyers::new();
        if of_token {
            let token = token(&mut it);
            authenticate(&mut it.robot, &token, true);
        }
        wait(&mut it.john);
        wait(&mut it.robot);
        let before = channels(&mut it.robot);
        run(&mut it.admin, &format!("SELECT {change}"));
        assert!(is_woken(&mut it.robot), "{change}");
        assert!(is_woken(&mut it.john), "{change}");
        settle(&mut it.john);
        send(&mut it.maria, "'role:Buyers', '1'");
        assert!(is_woken(&mut it.john), "{change}");
        assert_eq!(channels(&mut it.robot), before);
        assert!(notified(&mut it.robot, 50).is_empty(), "{change}");
        let got = it.robot.query_one("SELECT rolecall.receive()::text", &[]);
        if refused {
            assert_eq!(got.unwrap_err().code().unwrap().code(), "28000", "{change}");
        } else {
            assert_eq!(got.unwrap().get::<_, Option<String>>(0), None, "{change}");
            let pool: String = one(&mut it.admin, "SELECT channel FROM rolecall.queues WHERE role = 'Buyers'");
            assert!(!channels(&mut it.robot).contains(&pool), "{change}");
        }
        assert_eq!(payload(&mut it.john, ""), 1);
    }
}

/// A sender that is not done when a member is removed has seen the old channel: the others still hear it.
#[test]
fn what_is_being_sent_while_a_member_is_removed_is_heard() {
    let mut it = Buyers::new();
    wait(&mut it.john);
    run(&mut it.maria, "BEGIN; SELECT rolecall.send('role:Buyers', '1')");
    run(&mut it.admin, "SELECT rolecall.revoke_role('Robots', 'buyer_robot1')");
    assert!(is_woken(&mut it.john));
    settle(&mut it.john);
    run(&mut it.maria, "COMMIT");
    assert!(is_woken(&mut it.john));
    assert_eq!(payload(&mut it.john, ""), 1);
    for _ in 0..5 {
        run(
            &mut it.admin,
            "SELECT rolecall.grant_role('Robots', 'buyer_robot1'); SELECT rolecall.revoke_role('Robots', 'buyer_robot1')",
        );
        assert!(is_woken(&mut it.john));
        settle(&mut it.john);
    }
    assert_eq!(channels(&mut it.john).len(), 5, "own, changes, and of the pool two, of the session one");
}

/// Who does not listen need not, and somebody else's channels are not touched.
#[test]
fn only_who_asks_for_it_listens() {
    let mut it = Buyers::new();
    run(&mut it.john, "LISTEN mine");
    assert_eq!(receive(&mut it.john, ""), Value::Null);
    assert_eq!(channels(&mut it.john).len(), 1);
    wait(&mut it.john);
    assert!(channels(&mut it.john).contains("mine"));
    let mut names: Vec<String> =
        channels(&mut it.john).into_iter().filter(|name| name.starts_with("rolecall_")).collect();
    wait(&mut it.maria);
    names.retain(|name| !channels(&mut it.maria).contains(name));
    assert_eq!(names.len(), 2, "one's own and the session's");
    // Another identity in the same session hears its own only.
    let token: String = one(&mut it.admin, "SELECT rolecall.create_api_token('ci', '{}')");
    authenticate(&mut it.john, &token, true);
    wait(&mut it.john);
    assert_eq!(channels(&mut it.john).len(), 3, "mine, the session's, changes");
}
