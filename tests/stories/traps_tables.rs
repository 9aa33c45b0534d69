//! Traps 9 to 11, 14, 15, 20 to 22, 28 and 29: what is around a table, such as views, owners, keys, partitions, triggers
//! and other policies. Each springs beside a policy by hand, or where a name in the story says that PostgreSQL is so.

use crate::support::*;
use postgres::Client;
use rolecall_tests::sqlstate;

const OWN: &str = r#"{"owner_id": {"equals": "__loggedInUserId"}}"#;
const BY_HAND: &str = "USING (owner_id = rolecall.user_id())";

/// The findings of `doctor()` with their objects.
fn found(admin: &mut Client, checks: &str) -> Vec<String> {
    column(
        admin,
        &format!(
            r#"SELECT "check" || ' ' || object FROM rolecall.doctor() WHERE "check" ~ '^({checks})$'
                  AND (object !~ '^t\d+_' OR starts_with(object, current_database() || '_')) ORDER BY 1"#
        ),
    )
}

/// Trap 9. A view reads as its owner, and what a rule or a function behind it does it does as its own.
#[test]
fn views_show_what_their_owner_sees() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let clerk = story.database.login("clerk");
    run(
        &mut admin,
        &format!(
            "GRANT SELECT, INSERT ON notes TO {clerk};
             CREATE VIEW definer AS SELECT * FROM notes; CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM notes;
             CREATE VIEW clerks AS SELECT * FROM notes; ALTER VIEW clerks OWNER TO {clerk};
             CREATE VIEW inward WITH (security_invoker) AS SELECT * FROM notes;
             CREATE RULE insert_as_owner AS ON INSERT TO inward DO INSTEAD INSERT INTO notes (id, owner_id) VALUES (NEW.id, NEW.owner_id);
             CREATE VIEW fired WITH (security_invoker) AS SELECT * FROM notes;
             CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO notes (id, owner_id) VALUES (NEW.id, NEW.owner_id); RETURN NEW; END $$;
             CREATE TRIGGER put INSTEAD OF INSERT ON fired FOR EACH ROW EXECUTE FUNCTION put();
             GRANT SELECT, INSERT ON definer, invoker, clerks, inward, fired TO {app}",
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let seen =
        ["definer", "invoker", "clerks"].map(|view| one::<i64>(&mut app, &format!("SELECT count(*) FROM {view}")));
    assert_eq!(seen, [ALL, BOBS, BOBS], "the first trap springs: a superuser's view");
    // A rule's action is the view's owner's, whom no policy restricts.
    run(&mut app, "INSERT INTO inward (id, owner_id) VALUES (20001, 'u1')");
    // An INSTEAD OF trigger acts as whoever writes.
    refused(&mut app, "INSERT INTO fired (id, owner_id) VALUES (20002, 'u1')", "42501", "row-level security");
    run(&mut app, "INSERT INTO fired (id, owner_id) VALUES (20003, 'u2')");
    assert_eq!(
        found(&mut admin, "view|rule"),
        ["rule insert_as_owner on public.inward", "view public.clerks", "view public.definer"]
    );
    run(&mut admin, "ALTER TRIGGER put ON fired RENAME TO put2; ALTER FUNCTION put() SECURITY DEFINER");
    run(&mut app, "INSERT INTO fired (id, owner_id) VALUES (20002, 'u1')");
    assert_eq!(
        found(&mut admin, "definer-function|search-path"),
        ["definer-function public.put()", "search-path public.put()"]
    );
}

/// Trap 10. What keeps a copy, or sends one, has no rules; `doctor()` tells of each.
#[test]
fn copies_have_no_rules_and_doctor_tells() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let backup = story.database.login("backup");
    run(
        &mut admin,
        &format!(
            "CREATE MATERIALIZED VIEW kept AS SELECT * FROM notes; GRANT SELECT ON kept TO {app};
             CREATE PUBLICATION feed FOR TABLE notes; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {backup}",
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM kept"), ALL, "the trap springs");
    assert_eq!(
        found(&mut admin, "materialized-view|publication"),
        ["materialized-view public.kept", "publication feed"]
    );
    // A dump is whole or none.
    let dump = story
        .database
        .cluster()
        .client_program("pg_dump", &backup, &story.database.name)
        .args(["-t", "notes"])
        .output();
    let dump = dump.unwrap();
    let said = String::from_utf8_lossy(&dump.stderr).into_owned();
    assert!(!dump.status.success() && said.contains("row-level security"), "{said}");
    assert!(!String::from_utf8_lossy(&dump.stdout).contains("note 1"));
    let some = story
        .database
        .cluster()
        .client_program("pg_dump", &backup, &story.database.name)
        .args(["-t", "notes", "--enable-row-security"])
        .output();
    assert!(!String::from_utf8_lossy(&some.unwrap().stdout).contains("note 1"), "nobody's rows");
    // A foreign table can have no rules.
    run(
        &mut admin,
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE far (id int) SERVER s",
    );
    let (state, message) = sqlstate(admin.batch_execute("SELECT rolecall.protect('far')"));
    assert_eq!(state, "22023", "{message}");
}

/// Trap 11. Policies do not bind an owner unless they are forced, nor whoever can become him; rolecall's do, and
/// `doctor()` tells who could take them away, by a membership that is not inherited too.
#[test]
fn the_owner_and_who_can_be_him_are_bound() {
    let story = Notes::new();
    let [owner, member, bypass] = ["owner", "member", "bypass"].map(|name| story.database.login(name));
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "ALTER TABLE notes OWNER TO {owner}; CREATE TABLE naive AS TABLE notes; ALTER TABLE naive OWNER TO {owner};
             ALTER TABLE naive ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON naive {BY_HAND};
             ALTER ROLE {member} NOINHERIT; GRANT {owner} TO {member};
             ALTER ROLE {bypass} NOLOGIN BYPASSRLS; GRANT SELECT ON notes TO {bypass}; GRANT {bypass} TO {member}"
        ),
    );
    for login in [&owner, &member] {
        let mut client = story.database.connect(login);
        run(&mut client, &format!("SET ROLE {owner}"));
        assert_eq!(one::<i64>(&mut client, "SELECT count(*) FROM naive"), ALL, "the trap springs");
        assert_eq!(notes(&mut client), 0);
        authenticate(&mut client, &story.bob, true);
        assert_eq!(notes(&mut client), BOBS);
    }
    let mut client = story.database.connect(&member);
    refused(&mut client, "TABLE notes", "42501", "permission denied");
    run(&mut client, &format!("SET ROLE {bypass}"));
    assert_eq!(notes(&mut client), ALL, "what the attribute is for");
    assert_eq!(
        found(&mut admin, "owner|bypassrls"),
        [format!("bypassrls {bypass}"), format!("owner {member}"), format!("owner {owner}")]
    );
}

/// Trap 14. PostgreSQL checks keys against all rows: a reference tells which there are, unless the key carries the owner,
/// and what is deleted along is not asked about.
#[test]
fn keys_tell_of_hidden_rows_unless_they_carry_the_owner() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE tags (note int REFERENCES notes ON DELETE CASCADE, owner_id text);
             ALTER TABLE notes ADD UNIQUE (owner_id, id);
             CREATE TABLE own_tags (note int, owner_id text, FOREIGN KEY (owner_id, note) REFERENCES notes (owner_id, id));
             INSERT INTO tags VALUES (2, 'u1'); GRANT ALL ON tags, own_tags TO {app};
             SELECT rolecall.protect(t) FROM unnest('{{tags,own_tags}}'::regclass[]) t;
             SELECT rolecall.allow('users', t, 'all', '{OWN}') FROM unnest('{{tags,own_tags}}'::regclass[]) t",
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    // The key of alice's note 1 is accepted, one that is nobody's is not: the trap springs.
    run(&mut app, "INSERT INTO tags VALUES (1, 'u2')");
    refused(&mut app, "INSERT INTO tags VALUES (99999, 'u2')", "23503", "foreign key");
    // With the owner in the key both are the same.
    for note in [1, 99999] {
        refused(&mut app, &format!("INSERT INTO own_tags VALUES ({note}, 'u2')"), "23503", "foreign key");
    }
    run(&mut app, "INSERT INTO own_tags VALUES (102, 'u2')");
    // Alice's tag of bob's note goes with the note.
    assert_eq!(one::<i64>(&mut app, "SELECT count(*) FROM tags WHERE note = 2"), 0);
    assert_eq!(app.execute("DELETE FROM notes WHERE id = 2", &[]).unwrap(), 1);
    assert_eq!(one::<i64>(&mut admin, "SELECT count(*) FROM tags WHERE note = 2"), 0, "the trap springs");
    // Whose rules the other table has, `doctor()` leaves be; it tells where that has none.
    assert_eq!(found(&mut admin, "cascade"), [""; 0]);
    run(&mut admin, "SELECT rolecall.unprotect('notes')");
    assert_eq!(found(&mut admin, "cascade"), ["cascade tags_note_fkey on public.tags"]);
}

/// Trap 15. A key that is taken tells of a hidden row, unless it carries the owner. Rules are asked first.
#[test]
fn unique_keys_tell_of_hidden_rows_unless_they_carry_the_owner() {
    let story = Notes::new();
    run(
        &mut story.database.admin(),
        &format!(
            "CREATE TABLE names (owner_id text, name text UNIQUE); CREATE TABLE own_names (owner_id text, name text, UNIQUE (owner_id, name));
             INSERT INTO names VALUES ('u1', 'secret'); INSERT INTO own_names VALUES ('u1', 'secret'); GRANT ALL ON names, own_names TO {};
             SELECT rolecall.protect(t) FROM unnest('{{names,own_names}}'::regclass[]) t;
             SELECT rolecall.allow('users', t, 'all', '{OWN}') FROM unnest('{{names,own_names}}'::regclass[]) t",
            story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    refused(&mut app, "INSERT INTO names VALUES ('u2', 'secret')", "23505", "names_name_key");
    run(&mut app, "INSERT INTO own_names VALUES ('u2', 'secret')");
    for table in ["names", "own_names"] {
        refused(&mut app, &format!("INSERT INTO {table} VALUES ('u1', 'secret')"), "42501", "row-level security");
        refused(&mut app, &format!("INSERT INTO {table} VALUES ('u1', 'free')"), "42501", "row-level security");
    }
    // Nor does the error show the row that is in the way.
    let error = app.batch_execute("INSERT INTO names VALUES ('u2', 'secret')").unwrap_err();
    assert_eq!(error.as_db_error().unwrap().detail(), None);
}

/// Trap 20. A parent's policies by hand are not its partitions'; rolecall's are, also those of later ones.
#[test]
fn partitions_are_not_a_way_around() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let tables = |parent: &str| {
        format!(
            "CREATE TABLE {parent} (id int, owner_id text) PARTITION BY RANGE (id);
             CREATE TABLE {parent}_1 PARTITION OF {parent} FOR VALUES FROM (0) TO (100);
             INSERT INTO {parent} VALUES (1, 'u1'), (2, 'u2');"
        )
    };
    let later = |parent: &str| {
        format!(
            "CREATE TABLE {parent}_2 PARTITION OF {parent} FOR VALUES FROM (100) TO (200); INSERT INTO {parent} VALUES (101, 'u1'), (102, 'u2');"
        )
    };
    run(
        &mut admin,
        &format!(
            "{}{} ALTER TABLE naive ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON naive {BY_HAND};
             SELECT rolecall.protect('ours'); SELECT rolecall.allow('users', 'ours', 'all', '{OWN}'); {}{}
             GRANT ALL ON ALL TABLES IN SCHEMA public TO {}",
            tables("naive"),
            tables("ours"),
            later("naive"),
            later("ours"),
            story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let mut seen = |parent: &str| {
        ["", "_1", "_2"].map(|part| one::<i64>(&mut app, &format!("SELECT count(*) FROM {parent}{part}")))
    };
    assert_eq!((seen("naive"), seen("ours")), ([2, 2, 2], [2, 1, 1]), "the trap springs");
}

/// Trap 21. Policies by hand that read each other's tables run into each other.
#[test]
fn rules_that_read_each_other_do_not_recurse() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    let tables = |a: &str| {
        format!("CREATE TABLE {a}_teams (id int PRIMARY KEY, lead text);
                 CREATE TABLE {a}_members (team int REFERENCES {a}_teams, who text);
                 INSERT INTO {a}_teams VALUES (1, 'u2'), (2, 'u1'); INSERT INTO {a}_members VALUES (1, 'u2'), (2, 'u1');")
    };
    run(
        &mut admin,
        &format!(
            r#"{}{} GRANT SELECT ON ALL TABLES IN SCHEMA public TO {};
            ALTER TABLE naive_teams ENABLE ROW LEVEL SECURITY; ALTER TABLE naive_members ENABLE ROW LEVEL SECURITY;
            CREATE POLICY a ON naive_teams USING (id IN (SELECT team FROM naive_members WHERE who = rolecall.user_id()));
            CREATE POLICY b ON naive_members USING (team IN (SELECT id FROM naive_teams));
            SELECT rolecall.protect(t) FROM unnest('{{our_teams,our_members}}'::regclass[]) t;
            SELECT rolecall.relate('our_teams', 'members', 'our_members', '{{id}}', '{{team}}'),
                   rolecall.relate('our_members', 'team_of', 'our_teams', '{{team}}', '{{id}}');
            SELECT rolecall.allow('users', 'our_teams', 'select', '{{"members": {{"some": {{"who": {{"equals": "__loggedInUserId"}}}}}}}}');
            SELECT rolecall.allow('users', 'our_members', 'select',
                '{{"team_of": {{"members": {{"some": {{"who": {{"equals": "__loggedInUserId"}}}}}}}}}}')"#,
            tables("naive"),
            tables("our"),
            story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    refused(&mut app, "TABLE naive_teams", "42P17", "infinite recursion detected in policy");
    assert_eq!(column(&mut app, "SELECT id FROM our_teams"), ["1"]);
    assert_eq!(column(&mut app, "SELECT who FROM our_members"), ["u2"]);
}

/// Trap 22. One more permissive policy widens those by hand, and a restrictive one alone shows nothing.
#[test]
fn other_policies_widen_nothing() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE naive AS TABLE notes; CREATE TABLE closed AS TABLE notes; GRANT ALL ON naive, closed TO {app};
             ALTER TABLE naive ENABLE ROW LEVEL SECURITY; ALTER TABLE closed ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON naive {BY_HAND}; CREATE POLICY own ON closed AS RESTRICTIVE {BY_HAND};
             CREATE POLICY more ON naive TO {app} USING (true); CREATE POLICY more ON notes TO {app} USING (true) WITH CHECK (true)",
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    let seen = ["naive", "closed", "notes"].map(|table| one::<i64>(&mut app, &format!("SELECT count(*) FROM {table}")));
    assert_eq!(seen, [ALL, 0, BOBS]);
    refused(&mut app, "INSERT INTO notes VALUES (20001, 'u1')", "42501", "row-level security");
    assert_eq!(found(&mut admin, "foreign-policy"), ["foreign-policy more on public.notes"]);
    // All of rolecall's come in pairs: what lets and what restricts.
    let pairs = "SELECT cmd, count(*) FILTER (WHERE permissive = 'PERMISSIVE'), count(*) FILTER (WHERE permissive = 'RESTRICTIVE'), count(DISTINCT concat(qual, with_check))
                   FROM pg_policies WHERE tablename = 'notes' AND policyname ~ '^rolecall' GROUP BY cmd ORDER BY cmd";
    let pairs = column(&mut admin, &format!("SELECT q::text FROM ({pairs}) q"));
    assert_eq!(pairs, ["(DELETE,1,1,1)", "(INSERT,1,1,1)", "(SELECT,1,1,1)", "(UPDATE,1,1,1)"]);
}

/// Trap 28. A default is a proposal, and a trigger of somebody's may rewrite the owner; the check has the last word, since
/// it sees the row that is stored.
#[test]
fn what_is_stored_is_checked_whoever_wrote_it() {
    let story = Notes::new();
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE naive (id int, owner_id text DEFAULT rolecall.user_id()); GRANT ALL ON naive TO {app};
             ALTER TABLE naive ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON naive USING (true) WITH CHECK (owner_id IS NOT NULL);
             ALTER TABLE notes ALTER owner_id SET DEFAULT rolecall.user_id(), ADD made_by text GENERATED ALWAYS AS ('by ' || owner_id) STORED;
             CREATE FUNCTION rewrite() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF NEW.body = 'for alice' THEN NEW.owner_id := 'u1'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER zz_rewrite BEFORE INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION rewrite()",
            app = story.app
        ),
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    run(&mut app, "INSERT INTO naive VALUES (1); INSERT INTO naive VALUES (2, 'u1')");
    assert_eq!(column(&mut admin, "SELECT owner_id FROM naive ORDER BY 1"), ["u1", "u2"], "the trap springs");
    run(&mut app, "INSERT INTO notes (id) VALUES (20001)");
    assert_eq!(column(&mut app, "SELECT made_by FROM notes WHERE id = 20001"), ["by u2"]);
    for statement in [
        "INSERT INTO notes (id, owner_id) VALUES (20002, 'u1')",
        "INSERT INTO notes (id, body) VALUES (20002, 'for alice')",
        "UPDATE notes SET body = 'for alice' WHERE id = 20001",
        "INSERT INTO notes (id) VALUES (20001) ON CONFLICT (id) DO UPDATE SET body = 'for alice'",
        "MERGE INTO notes USING (VALUES (20001)) v(i) ON id = i WHEN MATCHED THEN UPDATE SET body = 'for alice'",
    ] {
        refused(&mut app, statement, "42501", "row-level security");
    }
    // With a preset, too, whose own trigger runs before this one.
    run(
        &mut admin,
        r#"SELECT rolecall.allow('users', 'notes', 'insert', preset => '{"owner_id": "__loggedInUserId"}')"#,
    );
    run(&mut app, "INSERT INTO notes (id, owner_id) VALUES (20003, 'u1')");
    assert_eq!(column(&mut admin, "SELECT owner_id FROM notes WHERE id = 20003"), ["u2"]);
    refused(&mut app, "INSERT INTO notes (id, body) VALUES (20004, 'for alice')", "42501", "row-level security");
}

/// Trap 29. A policy `TO` a database role keeps that from being dropped, and needs it when it is restored; rolecall's are
/// for everybody and test roles of its own, whose names are what they are, in case and spelling.
#[test]
fn rules_depend_on_no_database_role() {
    let story = Notes::new();
    let (named, unnamed) = (story.database.login("named"), story.database.login("unnamed"));
    let mut admin = story.database.admin();
    run(
        &mut admin,
        &format!(
            "CREATE TABLE naive (id int); ALTER TABLE naive ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON naive TO {named} USING (true);
             SELECT rolecall.create_role('named', database_role => '{unnamed}'), rolecall.create_role('Editor'), rolecall.create_role('PUBLIC');
             SELECT rolecall.allow('named', 'notes', 'select'), rolecall.allow('PUBLIC', 'notes', 'select')"
        ),
    );
    let (state, message) = sqlstate(admin.batch_execute(&format!("DROP ROLE {named}")));
    assert_eq!(state, "2BP01", "the trap springs: {message}");
    run(&mut admin, &format!("DROP ROLE {unnamed}"));
    assert_eq!(
        one::<i64>(&mut admin, "SELECT count(*) FROM pg_policies WHERE tablename = 'notes' AND roles <> '{public}'"),
        0
    );
    let mut app = story.connect();
    authenticate(&mut app, &story.bob, true);
    assert_eq!(notes(&mut app), BOBS, "who is in no role PUBLIC does not hold it");
    run(&mut admin, "SELECT rolecall.grant_role('Editor', 'bob')");
    assert_eq!((notes(&mut app), one::<bool>(&mut app, "SELECT rolecall.has_role('editor')")), (BOBS, false));
    run(&mut admin, "SELECT rolecall.grant_role('PUBLIC', 'bob')");
    assert_eq!(notes(&mut app), ALL);
    refused(
        &mut admin,
        "SELECT rolecall.allow('EDITOR', 'notes', 'select')",
        "42704",
        "role \"EDITOR\" does not exist",
    );
}
