//! The attacker writes: more than his own rows, and errors that tell of others.

use crate::attacker_world::{Attempt, World};
use crate::support::database;

pub const ROWS: &[Attempt] = &[
    ("all rows", "UPDATE mails SET body = body || '!' WHERE tell(body) RETURNING body", "own!"),
    ("a row's owner", "UPDATE mails SET owner_id = 'mal' WHERE id = 5 RETURNING *", ""),
    ("a row given away", "UPDATE mails SET owner_id = 'vic' WHERE id = 1", "!42501"),
    (
        "a row of somebody else's",
        "INSERT INTO mails (owner_id, subject, body) VALUES ('vic', 'forged', 'forged') RETURNING *",
        "!42501",
    ),
    (
        "rows without an owner",
        "INSERT INTO mails (subject, body) VALUES ('forged', 'forged'); UPDATE mails SET owner_id = NULL",
        "!42501 !42501",
    ),
    (
        "a preset column",
        "INSERT INTO papers VALUES (900, 1, 'vic', 'w') RETURNING owner_id;
         UPDATE papers SET owner_id = 'vic' WHERE id = 1",
        "mal !42501",
    ),
    (
        "a row moved to another team",
        "UPDATE papers SET team_id = 2 WHERE id = 1; INSERT INTO papers VALUES (901, 2, 'mal', 'w')",
        "!42501 !42501",
    ),
    (
        "a row moved to another partition",
        "UPDATE papers SET id = 902 WHERE id = 1 RETURNING tableoid::regclass, body;
         UPDATE papers SET id = 903 WHERE id = 2",
        "papers_high|own",
    ),
    (
        "a partition",
        "INSERT INTO papers_high VALUES (904, 2, 'vic', 'w');
         UPDATE papers_high SET body = 'w' WHERE tell(body) RETURNING *; DELETE FROM papers_low WHERE tell(body)",
        "!42501",
    ),
    (
        "what the relation reads",
        "INSERT INTO members VALUES (2, 'mal'); UPDATE members SET person_id = 'mal'; DELETE FROM members RETURNING *",
        "!42501",
    ),
    ("the users", "UPDATE people SET id = 'vic' RETURNING *; INSERT INTO people VALUES ('mal2', 'x')", "!42501"),
    (
        "a row that is there already",
        "INSERT INTO mails (id, owner_id, subject, body) VALUES (5, 'mal', 's', 'b')
         ON CONFLICT (id) DO UPDATE SET body = mails.body || excluded.body RETURNING body",
        "!42501",
    ),
    (
        "a row that is there already and nothing",
        "INSERT INTO mails (id, owner_id, subject, body) VALUES (5, 'mal', 's', 'b')
         ON CONFLICT DO NOTHING RETURNING *",
        "",
    ),
    (
        "a conflict that takes over",
        "INSERT INTO mails (id, owner_id, subject, body) SELECT id, 'mal', id, 'x' FROM numbers
         ON CONFLICT (id) DO UPDATE SET owner_id = 'mal'",
        "!42501",
    ),
    (
        "MERGE that updates",
        "MERGE INTO mails m USING numbers n ON m.id = n.id WHEN MATCHED
         AND tell(m.body) THEN UPDATE SET body = 'w' WHEN NOT MATCHED THEN DO NOTHING; SELECT body FROM mails",
        "w",
    ),
    (
        "MERGE that deletes",
        "MERGE INTO papers p USING papers_low q ON p.id = q.id + 1 WHEN MATCHED THEN DELETE;
         SELECT count(*) FROM papers",
        "2 !42501",
    ),
    (
        "MERGE that inserts",
        "MERGE INTO papers p USING (VALUES (905)) v (i) ON p.id = i WHEN NOT MATCHED THEN INSERT VALUES (i, 2, 'mal',
         'w')",
        "!42501",
    ),
    (
        "DELETE by a join",
        "DELETE FROM papers p USING numbers n WHERE n.id = p.id AND tell(p.body) RETURNING p.body",
        "own",
    ),
    (
        "WHERE CURRENT OF",
        "BEGIN; DECLARE c CURSOR FOR SELECT * FROM papers FOR UPDATE; FETCH 1 c;
         DELETE FROM papers WHERE CURRENT OF c; FETCH 1 c; COMMIT; SELECT count(*) FROM papers",
        "1|1|mal|own 1",
    ),
    (
        "writes in WITH",
        "WITH w AS (UPDATE papers SET body = 'w' RETURNING *), d AS (DELETE FROM answers
         WHERE tell(body) RETURNING *), i AS (INSERT INTO his.got SELECT id, body FROM d RETURNING *) SELECT w.body,
         i.x FROM w, i",
        "w|own",
    ),
    (
        "how many rows were written",
        "DO $$ DECLARE n int; BEGIN UPDATE mails SET score = 2; GET DIAGNOSTICS n = ROW_COUNT;
         INSERT INTO his.got VALUES (n); END $$; TABLE his.got",
        "1|",
    ),
    ("TRUNCATE", "TRUNCATE mails, answers; TRUNCATE papers_high; TRUNCATE ONLY papers CASCADE", "!42501 !42501 !42501"),
    // psql 18.6 reads no further.
    ("COPY into a table", "COPY mails (owner_id, subject, body) FROM STDIN", "*"),
    (
        "COPY from a file, from a program",
        "COPY his.got (x) FROM '/etc/passwd'; COPY his.got (x) FROM PROGRAM 'id'",
        "!42501 !42501",
    ),
    (
        "a column that no rule gives",
        "UPDATE staff SET salary = 1; UPDATE staff SET name = 'x'; INSERT INTO staff VALUES ('new', 'x', 1);
         DELETE FROM staff",
        "!42501",
    ),
    (
        "the view beside the table",
        "UPDATE staff_exposed SET salary = 1; INSERT INTO staff_exposed (id) VALUES ('new')",
        "!55000 !55000",
    ),
    (
        "a view's rows",
        "UPDATE mails_seen SET body = 'w' WHERE tell(body); DELETE FROM mails_seen WHERE id > 1;
         INSERT INTO mails_seen (subject, body) VALUES ('forged', 'forged')",
        "!42501",
    ),
    (
        "a view of his with a rule",
        "CREATE VIEW his.ruled AS SELECT ''::text AS x;
         CREATE RULE r AS ON INSERT TO his.ruled DO INSTEAD UPDATE public.mails SET body = 'w'
         WHERE his.tell(body) RETURNING body; INSERT INTO his.ruled VALUES ('')",
        "",
    ),
    (
        "a view of his with a trigger",
        "CREATE VIEW his.triggered AS SELECT * FROM public.mails;
         CREATE FUNCTION his.instead() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         $$ BEGIN RAISE NOTICE 'got %', OLD; UPDATE public.mails SET body = 'w' WHERE id >= OLD.id; RETURN OLD;
         END $$;
         CREATE TRIGGER t INSTEAD OF UPDATE ON his.triggered FOR EACH ROW EXECUTE FUNCTION his.instead();
         UPDATE his.triggered SET body = ''",
        "",
    ),
    (
        "a trigger of his that writes",
        "CREATE TABLE his.bait (x int); CREATE FUNCTION his.snap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         DELETE FROM public.papers; DELETE FROM public.staff; RETURN NEW; END $$;
         CREATE TRIGGER t BEFORE INSERT ON his.bait FOR EACH ROW EXECUTE FUNCTION his.snap();
         INSERT INTO his.bait VALUES (1); SELECT count(*) FROM papers",
        "1",
    ),
];

pub const LISTS: &[Attempt] = &[
    (
        "the list of a hidden row",
        "UPDATE files SET _acl = '[{\"id\": \"mal\", \"rights\": [\"full_control\"]}]' WHERE id > 1;
         SELECT rolecall.grant_right('files', '2', 'mallory', '{read}')",
        "!42501",
    ),
    ("a denial of his own", "SELECT rolecall.revoke_right('files', '3', 'mallory', '{read}', true)", "!42501"),
    (
        "a new row for others to find",
        "INSERT INTO files VALUES (7, 'x', '[{\"id\": \"vic\", \"rights\": [\"read\"]}]')",
        "",
    ),
    (
        "a list that is none",
        "UPDATE files SET _acl = '{\"id\": \"mal\"}'; UPDATE files SET _acl = 'true'; UPDATE files SET _acl = NULL;
         SELECT name FROM files",
        "own !22023 !22023",
    ),
    (
        "a list that names a role he has not",
        "UPDATE files SET _acl = '[{\"id\": \"admins\", \"rights\": [\"full_control\"]}]' RETURNING
         rolecall.acl_allows(_acl, 'delete')",
        "f",
    ),
    ("deletion by a list that does not say so", "DELETE FROM files RETURNING *", ""),
];

pub const ERRORS: &[Attempt] = &[
    ("a key that is taken", "INSERT INTO mails (id, owner_id, subject, body) VALUES (5, 'mal', 's', 'b')", "!23505"),
    (
        "ranges that overlap",
        "INSERT INTO mails (id, owner_id, subject, body, span) VALUES (1000, 'mal', 's', 'b', '[2,)')",
        "!23P01",
    ),
    ("a check that fails", "UPDATE mails SET score = 0 WHERE tell(body)", "!23514"),
    ("NULL in a row", "UPDATE mails SET body = NULL", "!23502"),
    ("a generated column", "UPDATE mails SET shout = 'x'; INSERT INTO mails (shout) VALUES ('x')", "!428C9 !428C9"),
    (
        "a row for no partition",
        "INSERT INTO papers VALUES (5000, 1, 'mal', 'x'); UPDATE papers SET id = 5000;
         INSERT INTO papers_low VALUES (300, 1, 'mal', 'x')",
        "!23514 !23514 !0A000",
    ),
    ("a reference to nothing", "INSERT INTO answers VALUES (3, 5000, 'mal', 'x')", "!23503"),
    ("a row that is referred to", "DELETE FROM mails WHERE id = 1; UPDATE mails SET id = 1001", "!23503 !23503"),
    (
        "a row that answers a hidden one",
        "INSERT INTO answers VALUES (3, 5, 'mal', 'x') RETURNING (SELECT body FROM mails WHERE id = mail_id);
         SELECT m.body FROM answers a JOIN mails m ON m.id = a.mail_id",
        " own",
    ),
    (
        "arithmetic on others' numbers",
        "UPDATE mails SET score = score / (id - 5), body = (1 / (id - 5))::text WHERE id > 1",
        "",
    ),
    (
        "a value too long, a number too great",
        "UPDATE mails SET score = score * 2000000000; SELECT body::varchar(2), body::\"char\", id::int2 * 40000::int2
         FROM mails",
        "!22003",
    ),
    (
        "JSON that is none",
        "SELECT body::json FROM mails; SELECT jsonb_path_query(_acl, 'strict $.x') FROM files",
        "!22P02 !2203A",
    ),
    (
        "an ordinal of a sequence",
        "SELECT nextval('mails_id_seq') > 0; SELECT setval('mails_id_seq', 1); SELECT last_value FROM mails_id_seq;
         SELECT currval('rolecall.messages_id_seq')",
        "t !42501 !42501 !42501",
    ),
    (
        "what an exception says",
        "DO $$ DECLARE d text; c text; h text; BEGIN UPDATE mails SET score = -1; EXCEPTION WHEN OTHERS THEN
         GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, c = PG_EXCEPTION_CONTEXT, h = PG_EXCEPTION_HINT;
         RAISE NOTICE '% % % %', SQLERRM, d, c, h; END $$",
        "",
    ),
];

#[test]
fn only_his_own_rows_can_be_written() {
    let mut world = World::new(database());
    world.survives(&[ROWS, LISTS].concat());
}

#[test]
fn no_error_tells_of_others() {
    let mut world = World::new(database());
    world.survives(ERRORS);
}
