//! What is over and old is removed when an administrator says so.

use crate::support::*;

#[test]
fn what_is_over_and_old_goes_and_the_rest_stays() {
    let database = database();
    let mut admin = database.admin();
    run(
        &mut admin,
        "SELECT rolecall.create_role('packers', pool => true); SELECT rolecall.create_work_queue('parcels', 'packers');
         SELECT rolecall.push_item('parcels', '1'), rolecall.push_item('parcels', '2'), rolecall.push_item('parcels', '3');
         SELECT rolecall.item_done((rolecall.pop_item('parcels') ->> 'item')::bigint);
         SELECT rolecall.item_done((rolecall.pop_item('parcels') ->> 'item')::bigint);
         UPDATE rolecall.work_items SET finished_at = now() - interval '91 days' WHERE id = 1;
         SELECT rolecall.send('role:packers', '1', '1 microsecond'), rolecall.send('role:packers', '2', '1 microsecond'),
                rolecall.send('role:packers', '3');
         SELECT pg_sleep(0.01); SELECT rolecall.expire();
         UPDATE rolecall.dead_letters SET died_at = now() - interval '91 days' WHERE message = 1;
         SELECT rolecall.invite('old@example.org', '{}'), rolecall.invite('new@example.org', '{}');
         UPDATE rolecall.invitations SET expires_at = now() - interval '91 days' WHERE email = 'old@example.org';
         SELECT rolecall.register_server('north', '{\"scopes\": [\"run\"]}');
         INSERT INTO rolecall.server_tokens SELECT n, NULL, 'x', 'north', '{}', now() - interval '1 year',
                now() - n * interval '60 days' FROM generate_series(-1, 2) n;",
    );
    let purge = "SELECT concat_ws(' ', removed, what) FROM rolecall.purge()";
    let first = ["1 dead letters", "1 finished work items", "1 expired server tokens", "1 expired invitations"];
    assert_eq!(column(&mut admin, purge), first);
    assert!(column(&mut admin, purge).iter().all(|line| line.starts_with("0 ")));
    let left = "SELECT concat_ws(' ', (SELECT count(*) FROM rolecall.dead_letters), (SELECT count(*) FROM rolecall.work_items),
                    (SELECT count(*) FROM rolecall.server_tokens), (SELECT count(*) FROM rolecall.invitations),
                    (SELECT count(*) FROM rolecall.messages))";
    assert_eq!(one::<String>(&mut admin, left), "1 2 3 1 1");
    // Whatever the age, only what is over.
    run(&mut admin, "SELECT rolecall.purge('0')");
    assert_eq!(one::<String>(&mut admin, left), "0 1 1 1 1");
    for older in ["'-1 day'", "NULL"] {
        refused(&mut admin, &format!("SELECT rolecall.purge({older})"), "22023", "older_than must be 0 or more");
    }
}
