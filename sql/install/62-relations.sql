-- Nobody may look into this schema: what is in it is for the policies, which know it by number. Its views read related
-- tables as the extension's owner, whom no policy restricts: a rule sees all related rows, needs no privilege on them and
-- cannot run into itself.
CREATE SCHEMA rolecall_relations;
COMMENT ON SCHEMA rolecall_relations IS 'What rules of rolecall read of related tables; closed to everybody';

CREATE FUNCTION rolecall_relations.id_set(ids anyarray) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'id_set';
COMMENT ON FUNCTION rolecall_relations.id_set(anyarray) IS 'A set of ids in which is_in() looks';
CREATE FUNCTION rolecall_relations.ids_of(ids bytea, "like" anyelement) RETURNS anyarray
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ids_of';
COMMENT ON FUNCTION rolecall_relations.ids_of(bytea, anyelement) IS 'The ids of a set, for an index';

CREATE FUNCTION rolecall_relations.is_in_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'is_in_support';
COMMENT ON FUNCTION rolecall_relations.is_in_support(internal) IS 'Planner support: lets is_in() use an index';
DO $$
DECLARE
    type text;
BEGIN
    FOREACH type IN ARRAY '{int2,int4,int8,uuid,text}'::text[] LOOP
        EXECUTE format('CREATE FUNCTION rolecall_relations.is_in(value %s, ids bytea) RETURNS boolean
            LANGUAGE c IMMUTABLE PARALLEL SAFE SUPPORT rolecall_relations.is_in_support AS ''MODULE_PATHNAME'', %L',
            type, 'is_in_' || type);
        EXECUTE format('COMMENT ON FUNCTION rolecall_relations.is_in(%s, bytea) IS %L', type,
            'Whether an id is in a set; false for NULL');
    END LOOP;
END
$$;

CREATE FUNCTION rolecall_relations.related_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'related_support';
COMMENT ON FUNCTION rolecall_relations.related_support(internal) IS 'Planner support: replaces related() by one of its arguments';
CREATE FUNCTION rolecall_relations.related(by_row boolean, by_set boolean) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall_relations.related_support AS 'MODULE_PATHNAME', 'related';
COMMENT ON FUNCTION rolecall_relations.related(boolean, boolean) IS
    'Two forms of the same condition on related rows: the planner takes one';

CREATE FUNCTION rolecall.relate(
    target regclass, name text, other regclass, columns text[], other_columns text[], through regclass DEFAULT NULL,
    through_columns text[] DEFAULT NULL, through_other_columns text[] DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'relate_wrapper';
COMMENT ON FUNCTION rolecall.relate(regclass, text, regclass, text[], text[], regclass, text[], text[]) IS
    'Names a relation of a table for its filters, where foreign keys show none or several (administrators)';

CREATE FUNCTION rolecall.users_table(target regclass, id_column name) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'users_table_wrapper';
COMMENT ON FUNCTION rolecall.users_table(regclass, name) IS
    'Says that a table holds the users and in which column their ids are, for is_self and not_self (administrators)';

CREATE FUNCTION rolecall_relations.refused(action text, target regclass) RETURNS boolean
    LANGUAGE c VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'refused_wrapper';
COMMENT ON FUNCTION rolecall_relations.refused(text, regclass) IS
    'Raises the error of a row that may not be written, with a hint at the rules that would have let it pass';

CREATE FUNCTION rolecall_relations.guard_truncate() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF row_security_active(TG_RELID) AND NOT rolecall.has_role('admins') THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('permission denied: TRUNCATE removes all rows of %s, whatever the rules say', TG_RELID::regclass),
                  HINT = 'DELETE removes those that you may delete.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall_relations.guard_truncate() IS
    'Lets only administrators empty a protected table, and those whom row-level security does not concern';
