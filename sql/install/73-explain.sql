CREATE FUNCTION rolecall.explain_access(
    target regclass, action text, key text DEFAULT NULL, username text DEFAULT NULL) RETURNS jsonb
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'explain_access_wrapper';
COMMENT ON FUNCTION rolecall.explain_access(regclass, text, text, text) IS
    'Why somebody, by default oneself, may select, insert, update or delete rows of a table, or the one of that primary key: the rules that let him, or the nearest and what it lacks; of a row and of others for administrators only';

CREATE FUNCTION rolecall.who_can(target regclass, action text, key text DEFAULT NULL)
    RETURNS TABLE (username text, via text)
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'who_can_wrapper';
COMMENT ON FUNCTION rolecall.who_can(regclass, text, text) IS
    'The users who may select, insert, update or delete rows of a table, or the one of that primary key, and what lets them (administrators)';
