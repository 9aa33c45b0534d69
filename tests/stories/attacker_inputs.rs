//! The attacker calls rolecall with what it does not expect.

use crate::attacker_world::{Attempt, World};
use crate::support::database;

pub const INPUTS: &[Attempt] = &[
    (
        "JSON that is deep",
        "CREATE FUNCTION his.deep(a text, b text, c text) RETURNS jsonb LANGUAGE sql AS $$ SELECT (repeat(a,
         2500) || b || repeat(c, 2500))::jsonb $$;
         SELECT rolecall.matches('mails', his.deep('{\"NOT\":', '{}', '}'), '{}');
         SELECT rolecall.compile_filter('mails', his.deep('{\"AND\":[', '{}', ']}'));
         SELECT rolecall.acl_allows(his.deep('[', '', ']'), 'read');
         SELECT rolecall.query_scopes(his.deep('{\"query_kind\":\"a\",\"x\":', '1', '}'), 'u') IS NULL;
         SELECT rolecall.send('mallory', his.deep('[', '', ']')) > 0; SELECT length(rolecall.receive()::text) > 5000;
         UPDATE files SET _acl = his.deep('[', '', ']')",
        "f t f !22023 !22023 !22023 !22023",
    ),
    (
        "things that are long",
        "SELECT rolecall.has_role(repeat('x', 1000000)), rolecall.has_scope(repeat('a:', 1000000)),
         rolecall.has_scopes(ARRAY[repeat('a:', 1000000)]),
         rolecall.acl_allows((SELECT jsonb_agg(jsonb_build_object('id', n, 'rights', '[\"read\"]'::jsonb))
         FROM generate_series(1, 10000) n), 'read');
         SELECT rolecall.login(repeat('x', 1000000), 'x'); SELECT rolecall.authenticate(repeat('x.', 1000000));
         SELECT rolecall.authenticate('rca_' || repeat('x', 1000000));
         SELECT rolecall.login('nobody here', repeat('x', 1000000))",
        "f|f|f|f !28P01 !28000 !28000 !28P01",
    ),
    (
        "times at the edge",
        "SELECT rolecall.send('mallory', '{}', '178000000 years');
         SELECT rolecall.send('mallory', '{}', '-1 second'); SELECT rolecall.receive('-1 second');
         SELECT rolecall.receive('178000000 years');
         SELECT rolecall.send('mallory', '{}', priority => -2147483648) > 0; SELECT rolecall.extend(1, '1 year');
         SELECT rolecall.login('nobody', 'x', '178000000 years'); SELECT rolecall.login('nobody', 'x', '-1 second')",
        "t !22008 !22023 !22023 !22008 !55000 !22023 !22023",
    ),
    (
        "values of any type",
        "SELECT rolecall.new_acl(1); SELECT rolecall.new_acl('x'::text); SELECT rolecall.new_acl(ROW(1, 2));
         SELECT rolecall.new_acl('{}'::json); SELECT rolecall.new_acl(ARRAY['{}'::jsonb]);
         SELECT rolecall.new_acl('1 day'::interval);
         SELECT rolecall.changed_acl(1.5, 2.5); SELECT rolecall.changed_acl('a'::\"char\", 'b'::\"char\");
         SELECT rolecall.changed_acl(NULL::point, '(1,2)'); SELECT rolecall.new_acl(NULL::void);
         SELECT rolecall.new_acl(NULL)",
        "[{\"id\": \"mal\", \"rights\": [\"create\", \"read\", \"update\", \"delete\", \"invoke\"]}, {\"id\": \"admins\", \"rights\": [\"create\", \"read\", \"update\", \"delete\", \"invoke\"]}] !42883 !42883 !42883 !42883 !42883 !42883 !42883 !42883 !42883 !42883",
    ),
    (
        "a domain over JSON",
        "CREATE DOMAIN his.listed AS jsonb CHECK (his.spy(VALUE::text));
         SELECT jsonb_array_length(rolecall.new_acl('[]'::his.listed));
         SELECT rolecall.changed_acl('[]'::his.listed, '[]'::his.listed) IS NULL",
        "2 f",
    ),
    (
        "lists of every kind",
        "SELECT bool_or(rolecall.acl_allows(l, r)), bool_or(rolecall.acl_denies(l, r))
         FROM unnest('{read,update,full_control}'::text[]) r,
         jsonb_array_elements('[null, 1, \"mal\", {}, [[]], [null], [1], [{\"id\": 1}],
         [{\"id\": \"mal\"}], [{\"id\": \"mal\", \"rights\": 31.5}], [{\"id\": \"mal\", \"rights\": \"read\"}],
         [{\"id\": [\"mal\"], \"rights\": [\"read\"]}], [{\"id\": \"vic\", \"id \": \"mal\", \"rights\": -1}],
         [{\"_id\": \"vic\", \"rights\": -1}]]') l;
         SELECT rolecall.acl_allows('[]', 'everything');
         SELECT rolecall.acl_allows(NULL, 'read'), rolecall.acl_denies('[]', NULL)",
        "f|f f| !22023",
    ),
    (
        "tables that are none",
        "SELECT rolecall.matches(999999::regclass, '{}', '{}'); SELECT rolecall.compile_filter(0::regclass, '{}');
         SELECT rolecall.explain_access(4711::regclass, 'select');
         SELECT rolecall.explain_access('mails_pkey', 'select');
         SELECT rolecall.compile_filter('mails_id_seq', '{\"id\": {\"equals\": 1}}');
         SELECT rolecall.grant_right('pg_authid', '10', 'mallory', '{read}');
         SELECT rolecall.explain_access('mails', 'truncate'); SELECT rolecall.refused('select', 1::oid)",
        "{\"user\": \"mallory\", \"action\": \"select\", \"reason\": \"the table is not protected: only PostgreSQL's own privileges count\", \"target\": \"public.mails_pkey\", \"allowed\": true} !42704 !42704 !42704 !22023 !55000 !22023 !42883",
    ),
    (
        "a table of his with code in it",
        "CREATE DOMAIN his.spied AS text CHECK (his.spy(VALUE));
         CREATE TABLE his.trap (id his.spied PRIMARY KEY, _acl jsonb CHECK (his.spy(_acl::text)));
         INSERT INTO his.trap VALUES ('x', '[]');
         SELECT rolecall.matches('his.trap', '{\"id\": {\"equals\": \"x\"}}', '{\"id\": \"x\"}');
         SELECT rolecall.compile_filter('his.trap', '{\"id\": {\"starts_with\": \"x\"}}') IS NOT NULL;
         SELECT rolecall.grant_right('his.trap', 'x', 'vic', '{read}');
         SELECT rolecall.explain_access('his.trap', 'select')",
        "t t {\"user\": \"mallory\", \"action\": \"select\", \"reason\": \"the table is not protected: only PostgreSQL's own privileges count\", \"target\": \"his.trap\", \"allowed\": true} !55000",
    ),
    (
        "an operator and a cast of his in a filter",
        "CREATE TYPE his.odd AS ENUM ('a', 'b'); CREATE FUNCTION his.odd_eq(his.odd, his.odd) RETURNS boolean
         LANGUAGE plpgsql AS $$ BEGIN RETURN his.spy($1::text); END $$;
         CREATE OPERATOR his.= (FUNCTION = his.odd_eq, LEFTARG = his.odd, RIGHTARG = his.odd);
         CREATE FUNCTION his.odd_of(text) RETURNS his.odd LANGUAGE plpgsql AS $$ BEGIN PERFORM his.spy($1);
         RETURN 'a'; END $$; CREATE CAST (text AS his.odd) WITH FUNCTION his.odd_of(text) AS IMPLICIT;
         CREATE TABLE his.odds (x his.odd);
         SET search_path = his, pg_catalog; SELECT rolecall.matches('his.odds', '{\"x\": {\"equals\": \"a\"}}',
         '{\"x\": \"a\"}')",
        "t",
    ),
    (
        "keys of rows that are no keys",
        "SELECT rolecall.grant_right('files', k, 'vic', '{read}') FROM unnest(ARRAY['1 OR true']) k;
         SELECT rolecall.grant_right('files', '{\"id\": 2}', 'mallory', '{read}');
         SELECT rolecall.grant_right('files', NULL, 'mallory', '{read}');
         SELECT rolecall.grant_right('files', '1', 'no such user', '{read}');
         SELECT rolecall.grant_right('files', '1', 'vic', '{everything}');
         SELECT rolecall.grant_right('mails', '1', 'vic', '{read}')",
        "!22P02 !22P02 !22023 !42704 !22023 !55000",
    ),
    (
        "filters that would end the string",
        "SELECT rolecall.compile_filter('mails', '{\"body\\\"; DROP TABLE x; --\": {\"equals\": 1}}');
         SELECT rolecall.compile_filter('mails', '{\"body\": {\"equals\": \"''; DROP TABLE x; --\"}}');
         SELECT rolecall.compile_filter('mails', '{\"body\": {\"in\": [\"a'', ''b\"]}}');
         SELECT rolecall.matches('mails', '{\"body\": {\"starts_with\": \"%_\\\\\\\\''\"}}', '{\"body\": \"quo\"}');
         SELECT rolecall.matches('files', '{\"_acl\": {\"path\": \"$.a) || (true\", \"equals\": 1}}', '{}')",
        "(\"body\" OPERATOR(pg_catalog.=) '''; DROP TABLE x; --'::pg_catalog.text) (\"body\" OPERATOR(pg_catalog.=) ANY (ARRAY['a'', ''b'::pg_catalog.text])) f !22023 !22023",
    ),
    (
        "variables as values",
        "SELECT rolecall.matches('mails', '{\"owner_id\": {\"equals\": \"__loggedInUserId\"}}',
         '{\"owner_id\": \"vic\"}'), rolecall.matches('mails', '{\"owner_id\": {\"equals\": \"__loggedInUserId\"}}',
         '{\"owner_id\": \"__loggedInUserId\"}'),
         rolecall.matches('mails', '{\"owner_id\": {\"not_equals\": \"__requestingApiToken\"}}',
         '{\"owner_id\": \"vic\"}'); SELECT rolecall.compile_filter('mails', '{\"body\": {\"equals\": \"__\"}}')",
        "f|f|f !22023",
    ),
    (
        "names of queues and workflows",
        "SELECT rolecall.send(q, '{}') FROM unnest(ARRAY['role:desk ']) q; SELECT rolecall.send('', '{}');
         SELECT rolecall.send(NULL, '{}'); SELECT rolecall.send('role:', '{}');
         SELECT rolecall.send('ROLE:desk', '{}'); SELECT rolecall.send('workflow:', '{}');
         SELECT rolecall.publish_workflow(' ', 'filestore'); SELECT rolecall.unpublish_workflow(' ');
         SELECT rolecall.publish_workflow('', 'x'); SELECT rolecall.publish_workflow('k', repeat('x', 300));
         SELECT rolecall.pop_item(NULL); SELECT rolecall.push_item('', '{}')",
        "filestore users  !42501 !42501 !22023 !42501 !42501 !42501 !22023 !22023 !42501 !42501",
    ),
    (
        "functions of rolecall in places of his",
        "CREATE VIEW his.me AS SELECT rolecall.user_id() AS u;
         CREATE FUNCTION his.me_definer() RETURNS text LANGUAGE sql SECURITY DEFINER
         AS 'SELECT rolecall.whoami() ->> ''user_id''';
         CREATE TABLE his.stamped (u text DEFAULT rolecall.user_id() CHECK (u = rolecall.user_id()));
         INSERT INTO his.stamped DEFAULT VALUES; TABLE his.stamped;
         CREATE INDEX ON his.stamped ((rolecall.user_id()));
         CREATE INDEX ON his.stamped (u) WHERE rolecall.has_role('x');
         ALTER TABLE his.stamped ADD g text GENERATED ALWAYS AS (rolecall.user_id()) STORED;
         SELECT u, his.me_definer() FROM his.me",
        "mal mal|mal !42P17 !42P17 !42P17",
    ),
];

#[test]
fn no_input_confuses_rolecall() {
    let mut world = World::new(database());
    world.survives(INPUTS);
}
