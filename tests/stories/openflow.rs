//! OpenFlow's page "Roles", as one would do it in psql: a role with users and roles as members.

use crate::support::*;
use rolecall_tests::sqlstate;

#[test]
fn a_user_loses_access_the_moment_he_is_removed() {
    let database = database();
    let login = database.login("app");
    let mut admin = database.admin();
    run(
        &mut admin,
        &format!(
            r#"SELECT rolecall.add_default_roles('openflow');
            CREATE TABLE workflows (id int PRIMARY KEY, name text); INSERT INTO workflows VALUES (1, 'invoice'), (2, 'mail');
            GRANT SELECT ON workflows TO {login};
            SELECT rolecall.create_role('Buyers', 'Everybody who buys', pool => true);
            SELECT rolecall.create_role('Robots');
            SELECT rolecall.create_user(u, password => 'welcome') FROM unnest('{{buyer_John, buyer_Maria}}'::text[]) u;
            SELECT rolecall.create_user('buyer_robot1', password => 'welcome', kind => 'robot');
            SELECT rolecall.create_user('boss', password => 'welcome', roles => '{{admins}}');
            SELECT rolecall.protect('workflows');
            SELECT rolecall.allow('Buyers', 'workflows', 'select');"#
        ),
    );
    let mut sessions = ["buyer_John", "buyer_Maria", "buyer_robot1"].map(|username| {
        let token = first_token(&mut admin, username, "welcome", "bought and paid for");
        let mut session = database.connect(&login);
        authenticate(&mut session, &token, true);
        session
    });
    let prepared = sessions.each_mut().map(|session| session.prepare("SELECT count(*) FROM workflows").unwrap());
    let mut seen = || -> [i64; 3] {
        let mut counts = [0; 3];
        for ((session, statement), count) in sessions.iter_mut().zip(&prepared).zip(&mut counts) {
            *count = session.query_one(statement, &[]).unwrap().get(0);
        }
        counts
    };
    assert_eq!(seen(), [0, 0, 0]);
    // An administrator opens the role, adds a user, and a role with a robot in it.
    let boss = first_token(&mut admin, "boss", "welcome", "whose word is law");
    let mut boss_session = database.connect(&login);
    authenticate(&mut boss_session, &boss, true);
    run(
        &mut boss_session,
        "SELECT rolecall.grant_role('Buyers', 'buyer_John'); SELECT rolecall.grant_role('Robots', 'buyer_robot1');
         SELECT rolecall.grant_role('Buyers', 'role:Robots')",
    );
    assert_eq!(seen(), [2, 0, 2]);
    run(
        &mut boss_session,
        "SELECT rolecall.revoke_role('Buyers', 'buyer_John'); SELECT rolecall.grant_role('Buyers', 'buyer_Maria')",
    );
    assert_eq!(seen(), [0, 2, 2]);
    run(&mut boss_session, "SELECT rolecall.revoke_role('Buyers', 'role:Robots')");
    assert_eq!(seen(), [0, 2, 0]);

    // In the middle of a transaction, whatever its snapshot, and with a cursor open.
    let [_, maria, robot] = &mut sessions;
    for level in ["READ COMMITTED", "REPEATABLE READ"] {
        run(maria, &format!("BEGIN ISOLATION LEVEL {level}"));
        assert_eq!(one::<i64>(maria, "SELECT count(*) FROM workflows"), 2);
        run(&mut boss_session, "SELECT rolecall.revoke_role('Buyers', 'buyer_Maria')");
        assert_eq!(one::<i64>(maria, "SELECT count(*) FROM workflows"), 0, "{level}");
        run(maria, "COMMIT");
        run(&mut boss_session, "SELECT rolecall.grant_role('Buyers', 'buyer_Maria')");
    }
    run(maria, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM workflows; FETCH 1 FROM c");
    run(&mut boss_session, "SELECT rolecall.revoke_role('Buyers', 'buyer_Maria')");
    assert_eq!(sqlstate(maria.batch_execute("FETCH 1 FROM c")).0, "40001", "rather than going on with what he had");
    run(maria, "ROLLBACK");
    // Who is no administrator changes no member.
    refused(robot, "SELECT rolecall.grant_role('Buyers', 'buyer_robot1')", "42501", "needs an administrator");
}
