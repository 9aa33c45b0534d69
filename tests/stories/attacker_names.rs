//! The attacker makes things: under the names that rules and rolecall use, and on what is not his.

use crate::attacker_world::{Attempt, World};
use crate::support::database;

pub const SHADOWS: &[Attempt] = &[
    (
        "temporary tables named as the rules' ones",
        "CREATE TEMP TABLE members AS SELECT 2 AS team_id, 'mal' AS person_id;
         CREATE TEMP TABLE teams AS SELECT 2 AS id; CREATE TEMP TABLE people AS SELECT 'mal' AS id;
         CREATE TEMP VIEW people_1 AS SELECT 'mal' AS id; SET search_path = pg_temp, public; SELECT body FROM papers",
        "own shown",
    ),
    (
        "temporary tables named as rolecall's",
        "CREATE TEMP TABLE users AS SELECT 'mal' AS id, 'mallory' AS username, NULL::text AS password_hash;
         CREATE TEMP TABLE user_roles AS SELECT 'mal' AS user_id, 'admins' AS role;
         CREATE TEMP TABLE roles AS SELECT 'admins' AS name;
         CREATE TEMP TABLE permissions AS SELECT 'users' AS role, 'mails'::regclass AS target;
         CREATE TEMP TABLE queues AS SELECT 1::bigint AS id, 'mal' AS user_id;
         CREATE TEMP TABLE settings AS SELECT true AS only_row;
         CREATE TEMP TABLE work_queues AS SELECT 'jobs' AS name, 'users' AS pool;
         CREATE TEMP TABLE signing_keys AS SELECT 'k' AS kid;
         SET search_path = pg_temp, pg_catalog, rolecall; SELECT rolecall.roles_of('mallory') r ORDER BY 1;
         SELECT rolecall.is_administrator(); SELECT rolecall.pop_item('jobs'); SELECT rolecall.send('victor', '{}')",
        "clerk guest users f !42501 !42501",
    ),
    (
        "functions named as rolecall's",
        "CREATE FUNCTION pg_temp.user_id() RETURNS text LANGUAGE sql AS $$ SELECT 'vic' $$;
         CREATE FUNCTION his.has_role(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION his.is_administrator() RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE FUNCTION his.must_administer(text) RETURNS void LANGUAGE sql AS '';
         SET search_path = his, pg_temp, rolecall, pg_catalog, public; SELECT body FROM mails;
         SELECT rolecall.expire(); SELECT rolecall.purge()",
        "own 0 !42501",
    ),
    (
        "functions named as the catalog's",
        "CREATE FUNCTION his.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'as %: %',
         current_user, $1; RETURN 'x'; END $$;
         CREATE FUNCTION his.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'x'::text $$;
         CREATE FUNCTION his.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'infinity'::timestamptz $$;
         CREATE FUNCTION his.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 99::bigint';
         SET search_path = his, pg_catalog, public; SELECT body FROM public.mails;
         SELECT rolecall.login('victor', 'x')",
        "own !28P01",
    ),
    (
        "equality that is always true",
        "CREATE FUNCTION his.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR his.= (FUNCTION = his.yes, LEFTARG = text, RIGHTARG = text);
         CREATE FUNCTION his.yes(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR his.= (FUNCTION = his.yes, LEFTARG = name, RIGHTARG = text);
         CREATE OPERATOR his.<> (FUNCTION = his.yes, LEFTARG = text, RIGHTARG = text);
         SET search_path = his, pg_catalog, public;
         SELECT 'a'::text = 'b'::text; SELECT body FROM mails;
         SELECT rolecall.has_role('admins'), rolecall.acl_allows('[]', 'read')",
        "t own f|f",
    ),
    (
        "JSON operators of his",
        "CREATE FUNCTION his.id(jsonb, text) RETURNS text LANGUAGE sql AS $$ SELECT 'vic' $$;
         CREATE OPERATOR his.->> (FUNCTION = his.id, LEFTARG = jsonb, RIGHTARG = text);
         CREATE FUNCTION his.yes(jsonb, jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR his.@> (FUNCTION = his.yes, LEFTARG = jsonb, RIGHTARG = jsonb);
         SET search_path = his, pg_catalog, public; SELECT name FROM files;
         SELECT rolecall.send('mallory', '{}') > 0; SELECT rolecall.whoami() ->> 'user_id'",
        "own t vic",
    ),
    (
        "types named as the catalog's",
        "CREATE DOMAIN his.text AS pg_catalog.text CHECK (his.tell(VALUE)); CREATE TYPE his.jsonb AS (x int);
         CREATE DOMAIN pg_temp.regclass AS int; CREATE TYPE his.interval AS ENUM ('x');
         SET search_path = his, pg_temp, pg_catalog, public; SELECT body FROM mails;
         SELECT rolecall.explain_access('mails', 'insert') OPERATOR(pg_catalog.->>) 'allowed';
         SELECT rolecall.receive() IS NULL",
        "own true f",
    ),
    (
        "a cast between types that are not his",
        "CREATE CAST (text AS int4range) WITH FUNCTION his.tell(text);
         CREATE CAST (text AS jsonb) WITH INOUT AS IMPLICIT; CREATE CAST (name AS text) WITHOUT FUNCTION",
        "!42501 !42501 !42501",
    ),
    (
        "a collation, a conversion, a search configuration",
        "CREATE COLLATION his.\"C\" (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
         CREATE TEXT SEARCH CONFIGURATION his.simple (COPY = simple);
         CREATE DEFAULT CONVERSION his.c FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
         SET search_path = his, pg_catalog, public; SELECT body FROM mails WHERE owner_id = 'MAL' COLLATE his.\"C\"",
        "own or !0A000 !42704", // without ICU
    ),
    (
        "an operator class of his",
        "CREATE OPERATOR CLASS his.ops DEFAULT FOR TYPE text USING btree AS OPERATOR 1 <, FUNCTION 1 bttextcmp(text,
         text); CREATE OPERATOR FAMILY his.family USING hash; ALTER OPERATOR = (text, text) SET (RESTRICT = NONE)",
        "!42501 !42501 !42501",
    ),
    (
        "functions that are not his",
        "CREATE OR REPLACE FUNCTION rolecall.user_id() RETURNS text LANGUAGE sql AS $$ SELECT 'vic' $$;
         ALTER FUNCTION rolecall.user_id() RENAME TO x; ALTER FUNCTION rolecall.login(text, text, interval) SECURITY
         INVOKER;
         ALTER FUNCTION rolecall.has_role(text) SET search_path = his;
         GRANT EXECUTE ON FUNCTION rolecall.must_administer(text) TO CURRENT_USER;
         DROP FUNCTION rolecall.tidy(int) CASCADE",
        "!42501 !42501 !42501 !42501 !42501 !42501",
    ),
    (
        "functions of C and of the server",
        "CREATE FUNCTION his.me() RETURNS text LANGUAGE c AS '$libdir/rolecall', 'user_id_wrapper';
         CREATE FUNCTION his.raw(text) RETURNS oid LANGUAGE internal AS 'be_lo_import'; LOAD 'rolecall';
         CREATE LANGUAGE plperlu;
         CREATE FUNCTION his.silent(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true';
         ALTER FUNCTION his.tell(text) LEAKPROOF",
        "!42501 !42501 !42501 !0A000 !42501 !42501 or !42501 !42501 !42501 !42501 !42501 !42501",
    ),
];

pub const THINGS: &[Attempt] = &[
    (
        "policies",
        "CREATE POLICY his ON mails USING (true); ALTER POLICY rolecall_select ON mails USING (true);
         DROP POLICY rolecall_select_gate ON mails; ALTER TABLE mails DISABLE ROW LEVEL SECURITY;
         ALTER TABLE papers_high NO FORCE ROW LEVEL SECURITY",
        "!42501 !42501 !42501 !42501 !42501",
    ),
    (
        "triggers and rules",
        "CREATE TRIGGER his AFTER UPDATE ON mails FOR EACH ROW EXECUTE FUNCTION his.snap();
         CREATE RULE his AS ON UPDATE TO mails DO ALSO SELECT 1; ALTER TABLE papers DISABLE TRIGGER ALL;
         DROP TRIGGER rolecall_preset_papers ON papers",
        "!42501 !42501 !42501 !42501",
    ),
    (
        "a key into a table",
        "CREATE TABLE his.refers (id int REFERENCES mails ON DELETE CASCADE);
         CREATE TABLE his.refers2 (t int, p text, FOREIGN KEY (t, p) REFERENCES members)",
        "!42501 !42501",
    ),
    (
        "a child of a table",
        "CREATE TABLE his.heir () INHERITS (public.mails);
         CREATE TABLE his.part PARTITION OF public.papers FOR VALUES FROM (1000) TO (2000)",
        "!42501 !42501",
    ),
    (
        "a parent of a table",
        "CREATE TABLE his.whole (LIKE public.papers) PARTITION BY RANGE (id);
         ALTER TABLE his.whole ATTACH PARTITION public.papers_high FOR VALUES FROM (200) TO (1000);
         ALTER TABLE public.papers DETACH PARTITION public.papers_high;
         ALTER TABLE public.mails INHERIT his.kin; ALTER TABLE his.whole ATTACH PARTITION public.mails DEFAULT",
        "!42501 !42501 !42501 !42501",
    ),
    (
        "indexes and statistics",
        "CREATE INDEX ON mails (his.tell(body)); CREATE STATISTICS his.facts ON owner_id, body FROM mails;
         CREATE STATISTICS his.facts2 (mcv) ON his.tell(body), id FROM public.papers_high; REINDEX TABLE mails;
         CLUSTER mails USING mails_pkey",
        "!42501 !42501 !42501 !42501 !42501",
    ),
    (
        "maintenance",
        "ANALYZE mails; VACUUM mails; BEGIN; LOCK TABLE rolecall.users IN ACCESS SHARE MODE; ROLLBACK;
         SELECT pg_stat_reset_single_table_counters('mails'::regclass); SELECT gin_clean_pending_list('mails_pkey')",
        "!42501 !42501 !42809",
    ),
    (
        "a table's shape",
        "ALTER TABLE mails ADD x text DEFAULT his.tell('x')::text; ALTER TABLE mails RENAME owner_id TO o;
         ALTER TABLE mails ALTER body TYPE text USING his.tell(body)::text; ALTER TABLE mails OWNER TO CURRENT_USER;
         ALTER TABLE mails SET SCHEMA his; DROP TABLE mails CASCADE",
        "!42501 !42501 !42501 !42501 !42501 !42501",
    ),
    (
        "views that others made",
        "CREATE OR REPLACE VIEW mails_seen AS SELECT * FROM mails;
         ALTER VIEW mails_seen SET (security_invoker = false); ALTER VIEW staff_exposed RESET (security_barrier);
         COMMENT ON TABLE mails IS 'his'; SECURITY LABEL ON TABLE mails IS 'his'",
        "!42501 !42501 !42501 !42501 !22023",
    ),
    (
        "privileges",
        "GRANT SELECT ON vault TO CURRENT_USER; GRANT ALL ON mails TO PUBLIC; GRANT postgres TO CURRENT_USER;
         GRANT rolecall_authenticator TO CURRENT_USER; GRANT SET ON PARAMETER rolecall.identity TO CURRENT_USER;
         ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO PUBLIC",
        "*",
    ),
    ("what one owns goes away", "BEGIN; DROP OWNED BY CURRENT_USER; SELECT body FROM mails", "!42501 !25P02"),
    (
        "owners",
        "REASSIGN OWNED BY postgres TO CURRENT_USER; REASSIGN OWNED BY CURRENT_USER TO postgres;
         CREATE TABLE his.gift (x int); ALTER TABLE his.gift OWNER TO postgres;
         ALTER TABLE his.gift SET SCHEMA rolecall",
        "!42501 !42501 !42501 !42501",
    ),
    (
        "the extension",
        "DROP EXTENSION rolecall CASCADE; ALTER EXTENSION rolecall ADD FUNCTION his.tell(text);
         ALTER EXTENSION rolecall DROP FUNCTION rolecall.user_id(); ALTER EXTENSION rolecall UPDATE TO '0.1.0';
         ALTER EXTENSION rolecall SET SCHEMA his;
         CREATE EXTENSION rolecall; SELECT pg_extension_config_dump('rolecall.users', '')",
        "!42501 !42501 !42501 !42501 !42501 !42710 !0A000",
    ),
    (
        "schemas",
        "CREATE SCHEMA rolecall_his; ALTER SCHEMA rolecall RENAME TO x; ALTER SCHEMA his RENAME TO rolecall2;
         DROP SCHEMA rolecall_relations CASCADE; CREATE SCHEMA AUTHORIZATION CURRENT_USER CREATE TABLE x (y int);
         CREATE TABLE public.members2 (x int)",
        "!42501 !42501 !42501 !42501 !42501 !42501",
    ),
    (
        "publications and subscriptions",
        "CREATE PUBLICATION his FOR TABLE mails; CREATE PUBLICATION his FOR ALL TABLES;
         CREATE SUBSCRIPTION his CONNECTION 'dbname=x' PUBLICATION x; ALTER TABLE mails REPLICA IDENTITY FULL",
        "!42501 !42501 !42501 !42501",
    ),
    (
        "databases and roles",
        "CREATE DATABASE his TEMPLATE postgres; ALTER DATABASE postgres SET search_path = his;
         CREATE ROLE his SUPERUSER; ALTER ROLE CURRENT_USER BYPASSRLS; ALTER ROLE CURRENT_USER SUPERUSER;
         DROP ROLE postgres; CREATE USER MAPPING FOR PUBLIC SERVER x",
        "!42501 !42501 !42501 !42501 !42501 !42501 !42704",
    ),
    (
        "a type of table that is not his",
        "CREATE TABLE his.typed OF public.mails; CREATE TYPE his.pair AS (a rolecall.users);
         CREATE TABLE his.copy (LIKE rolecall.users INCLUDING ALL); CREATE SEQUENCE his.owned OWNED BY public.mails.id",
        "!42809 !42501 !55000",
    ),
];

#[test]
fn no_name_of_his_is_taken_for_another() {
    let mut world = World::new(database());
    world.survives(SHADOWS);
}

#[test]
fn what_is_not_his_stays_as_it_is() {
    let mut world = World::new(database());
    world.survives(THINGS);
}
