CREATE FUNCTION rolecall.protect(target regclass, acl_column name DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'protect_wrapper';
COMMENT ON FUNCTION rolecall.protect(regclass, name) IS
    'Row-level security on, for the owner too: nothing is allowed until allow() says so or, where a column of ACLs is named, a row''s own ACL does (administrators)';

CREATE FUNCTION rolecall.unprotect(target regclass) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'unprotect_wrapper';
COMMENT ON FUNCTION rolecall.unprotect(regclass) IS
    'Removes rolecall''s policies and permissions and turns row-level security off (administrators)';

CREATE FUNCTION rolecall.allow(
    role text, target regclass, action text, filter jsonb DEFAULT '{}', columns text[] DEFAULT NULL,
    new_row jsonb DEFAULT NULL, preset jsonb DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'allow_wrapper';
COMMENT ON FUNCTION rolecall.allow(text, regclass, text, jsonb, text[], jsonb, jsonb) IS
    'Lets a role select, insert, update, delete or all rows of a protected table that match the filter, in these columns only; what is written must match new_row, else the filter, and gets the preset values (administrators)';

-- In policies only. The planner replaces every call; what it would leave, nobody may execute.
CREATE FUNCTION rolecall.touches_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'touches_support';
COMMENT ON FUNCTION rolecall.touches_support(internal) IS
    'Planner support: folds touches(), and refuses a statement that touches what none of the session''s roles may';
CREATE FUNCTION rolecall.touches(of_row oid, action text, columns text[], beyond boolean, roles text[]) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.touches_support AS 'MODULE_PATHNAME', 'touches_wrapper';
COMMENT ON FUNCTION rolecall.touches(oid, text, text[], boolean, text[]) IS
    'In policies: whether the statement reads, inserts or updates one of the columns, or one beyond them, which the roles may';

CREATE FUNCTION rolecall.expose(target regclass) RETURNS regclass
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'expose_wrapper';
COMMENT ON FUNCTION rolecall.expose(regclass) IS
    'Makes a view of a protected table, named after it, that shows NULL in the cells that one may not read; it follows the rules (administrators)';

CREATE FUNCTION rolecall.disallow(role text, target regclass, action text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'disallow_wrapper';
COMMENT ON FUNCTION rolecall.disallow(text, regclass, text) IS 'Takes a permission back (administrators)';

CREATE FUNCTION rolecall.file_store(target regclass) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'file_store_wrapper';
COMMENT ON FUNCTION rolecall.file_store(regclass) IS
    'Marks a table as the file store: filestore users may read all of it, filestore admins do everything (administrators)';

CREATE FUNCTION rolecall.compile_filter(target regclass, filter jsonb) RETURNS text
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'compile_filter_wrapper';
COMMENT ON FUNCTION rolecall.compile_filter(regclass, jsonb) IS 'The SQL condition that a filter becomes';

CREATE FUNCTION rolecall.matches(target regclass, filter jsonb, candidate jsonb) RETURNS boolean
    LANGUAGE c STABLE SUPPORT rolecall.identity_support SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'matches_wrapper';
COMMENT ON FUNCTION rolecall.matches(regclass, jsonb, jsonb) IS
    'Whether a row of the table, given as JSON, matches a filter; for triggers and checks';

CREATE FUNCTION rolecall.preview(target regclass, filter jsonb, username text DEFAULT NULL) RETURNS SETOF jsonb
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'preview_wrapper';
COMMENT ON FUNCTION rolecall.preview(regclass, jsonb, text) IS
    'The rows that a filter would show a user, or nobody who is logged in, read with the caller''s own privileges (administrators)';

CREATE FUNCTION rolecall.add_default_filters(role text, users regclass DEFAULT NULL, files regclass DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'add_default_filters_wrapper';
COMMENT ON FUNCTION rolecall.add_default_filters(text, regclass, regclass) IS
    'Lets a role read and update one''s own record among the users, and files that are public or that one has created (administrators)';
