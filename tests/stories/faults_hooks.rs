//! Another library's hooks come between rolecall's and PostgreSQL: an error passes them all and leaves nothing behind.

use crate::support::*;
use postgres::Client;
use rolecall_tests::{Cluster, sqlstate};

/// Statements that fail when they are planned, started, run or carried out.
const FAILING: &[(&str, &str)] = &[
    ("SELECT 1 / 0 FROM notes", "22012"),
    ("SELECT count(*) FROM notes WHERE 1 / (length(body) - length(body)) = 1", "22012"),
    ("DELETE FROM pg_authid", "42501"),
    ("CREATE TABLE notes (id int)", "42501"),
    ("COPY notes TO PROGRAM 'cat'", "42501"),
    ("DO $$ BEGIN PERFORM 1 / 0 FROM notes; END $$", "22012"),
    ("EXECUTE unheard_of", "26000"),
];

fn fail(app: &mut Client) {
    for (statement, expected) in FAILING {
        assert_eq!(sqlstate(app.batch_execute(statement)).0, *expected, "{statement}");
    }
}

#[test]
fn an_error_passes_the_hooks_of_other_libraries() {
    for order in ["pg_stat_statements,auto_explain,rolecall", "rolecall,pg_stat_statements,auto_explain"] {
        let cluster = Cluster::start(&[
            &format!("shared_preload_libraries={order}"),
            "pg_stat_statements.track=all",
            "pg_stat_statements.track_planning=on",
            "auto_explain.log_min_duration=0",
            "auto_explain.log_nested_statements=on",
        ]);
        let story = Notes::in_database(cluster.database());
        let mut app = story.connect();
        authenticate(&mut app, &story.bob, true);
        for _ in 0..3 {
            fail(&mut app);
        }
        run(&mut app, "DO $$ BEGIN PERFORM 1 / 0 FROM notes; EXCEPTION WHEN division_by_zero THEN END $$");
        assert_eq!(notes(&mut app), BOBS, "{order}");
        // No query counts as running any more.
        run(&mut app, "SELECT rolecall.logout()");
        assert_eq!(notes(&mut app), 0, "{order}");
        authenticate(&mut app, &story.alice, true);
        assert_eq!(notes(&mut app), ALL, "{order}");
    }
}
