//! A row that may not be written: the error names the rules.

use crate::support::*;
use rolecall_tests::sqlstate;

/// The error's message and hint.
fn refusal(client: &mut postgres::Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).expect_err(sql);
    let error = error.as_db_error().expect("of the server").clone();
    assert_eq!(error.code().code(), "42501", "{error:?}");
    (error.message().to_owned(), error.hint().unwrap_or_default().to_owned())
}

/// Trap 16.
#[test]
fn a_refused_row_names_the_rules_of_ones_own_roles() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        r#"SELECT rolecall.create_role('writer'), rolecall.create_role('other');
           SELECT rolecall.grant_role('writer', 'bob');
           SELECT rolecall.disallow('users', 'notes', 'all');
           SELECT rolecall.allow('users', 'notes', 'select');
           SELECT rolecall.allow('other', 'notes', 'insert', '{"body": {"equals": "secret of others"}}');"#,
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let insert = "INSERT INTO notes (id, owner_id, body) VALUES (100000, 'u9', 'x')";
    let (message, hint) = refusal(&mut app, insert);
    assert_eq!(message, r#"new row violates row-level security policy for table "notes""#);
    assert_eq!(
        hint,
        "None of your roles may insert rows of public.notes; administrators permit it with rolecall.allow()."
    );
    run(
        &mut admin,
        r#"SELECT rolecall.allow('writer', 'notes', 'insert', '{"owner_id": {"equals": "__loggedInUserId"}}');
           SELECT rolecall.allow('writer', 'notes', 'update', '{}', new_row => '{"body": {"starts_with": "w"}}', preset => '{"owner_id": "u2"}');"#,
    );
    let (_, hint) = refusal(&mut app, insert);
    assert_eq!(hint, r#"Role "writer" may insert rows that match {"owner_id": {"equals": "__loggedInUserId"}}."#);
    let (message, hint) = refusal(&mut app, "UPDATE notes SET body = 'x' WHERE id = 1");
    assert_eq!(message, r#"new row violates row-level security policy for table "notes""#);
    assert_eq!(
        hint,
        r#"Role "writer" may update rows that match {"body": {"starts_with": "w"}} and have {"owner_id": "u2"}."#
    );
    run(&mut app, "UPDATE notes SET body = 'well' WHERE id = 1");
    // The name is followed, and another's policy that would let everything pass changes nothing.
    run(&mut admin, "ALTER TABLE notes RENAME TO memos; CREATE POLICY a ON memos USING (true) WITH CHECK (true)");
    let (state, message) = sqlstate(app.batch_execute(&insert.replace("notes", "memos")));
    assert!(state == "42501" && message.contains(r#"policy for table "memos""#), "{message}");
}
