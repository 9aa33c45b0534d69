-- What is done to tables outside of rolecall: its rules follow, or are defended.

CREATE FUNCTION rolecall.note_columns() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    INSERT INTO column_names (target, number, name)
        SELECT attrelid, attnum, attname
          FROM (SELECT DISTINCT value::regclass AS target FROM jsonb_each_text(to_jsonb(NEW))
                 WHERE key IN ('target', 'other', 'through') AND value IS NOT NULL) t
          JOIN pg_attribute ON attrelid = t.target AND attnum > 0 AND NOT attisdropped
        ON CONFLICT (target, number) DO UPDATE SET name = excluded.name WHERE column_names.name <> excluded.name;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.note_columns() IS 'Notes what the columns are called now that a rule names them';
CREATE TRIGGER note_columns AFTER INSERT OR UPDATE OF filter, new_row, columns, preset
    ON rolecall.permissions FOR EACH ROW EXECUTE FUNCTION rolecall.note_columns();
ALTER TABLE rolecall.permissions ENABLE ALWAYS TRIGGER note_columns;
CREATE TRIGGER note_columns AFTER INSERT ON rolecall.relations
    FOR EACH ROW EXECUTE FUNCTION rolecall.note_columns();
ALTER TABLE rolecall.relations ENABLE ALWAYS TRIGGER note_columns;
CREATE TRIGGER note_columns AFTER INSERT OR UPDATE ON rolecall.users_tables
    FOR EACH ROW EXECUTE FUNCTION rolecall.note_columns();
ALTER TABLE rolecall.users_tables ENABLE ALWAYS TRIGGER note_columns;

CREATE TRIGGER note_columns AFTER INSERT OR UPDATE ON rolecall.protected_tables
    FOR EACH ROW WHEN (NEW.acl_column IS NOT NULL) EXECUTE FUNCTION rolecall.note_columns();
ALTER TABLE rolecall.protected_tables ENABLE ALWAYS TRIGGER note_columns;

CREATE FUNCTION rolecall.follow_rename(target regclass, field name, new_name name) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'follow_rename_wrapper';
COMMENT ON FUNCTION rolecall.follow_rename(regclass, name, name) IS
    'Writes the new name of a column wherever rules have its old one; called when it is renamed';

CREATE FUNCTION rolecall.recompile(target regclass) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'recompile_for_ddl_wrapper';
COMMENT ON FUNCTION rolecall.recompile(regclass) IS
    'Makes the policies say what the permissions say; called when a column that some are limited to is dropped';

CREATE FUNCTION rolecall.refresh_exposed(target regclass) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'refresh_exposed_wrapper';
COMMENT ON FUNCTION rolecall.refresh_exposed(regclass) IS
    'Makes the view of expose() say what the permissions say; called when its table has other columns';

CREATE FUNCTION rolecall.include_children(target regclass) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'include_children_wrapper';
COMMENT ON FUNCTION rolecall.include_children(regclass) IS
    'Gives the rules of a protected table to new partitions and children; called when there are some';

CREATE FUNCTION rolecall.after_table() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM protected_tables) AND NOT EXISTS (SELECT FROM column_names) THEN
        RETURN;
    END IF;
    IF tg_tag = 'ALTER TABLE' THEN
        PERFORM follow_rename(n.target, n.name, a.attname)
           FROM column_names n JOIN pg_attribute a ON a.attrelid = n.target AND a.attnum = n.number
          WHERE a.attname <> n.name AND NOT a.attisdropped;
    END IF;
    UPDATE protected_tables SET called = target WHERE called <> target::text;
    PERFORM refresh_exposed(e.target) FROM exposed_views e
      JOIN pg_event_trigger_ddl_commands() d ON d.classid = 'pg_class'::regclass AND d.objid = e.target;
    PERFORM include_children(target) FROM (
        WITH RECURSIVE above AS (
            SELECT objid FROM pg_event_trigger_ddl_commands() WHERE classid = 'pg_class'::regclass
             UNION
            SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.objid)
        SELECT p.target FROM above a JOIN protected_tables p ON p.target = a.objid) q;
END
$$;
COMMENT ON FUNCTION rolecall.after_table() IS
    'Lets filters follow the name of a column and the audit log that of a table, and partitions and children have the rules of their parent';
CREATE EVENT TRIGGER rolecall_after_table ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'ALTER SCHEMA')
    EXECUTE FUNCTION rolecall.after_table();
ALTER EVENT TRIGGER rolecall_after_table ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER rolecall_after_table IS 'Carries rules to new partitions and to new names of columns';

-- What CASCADE takes along must not be the gate of a table that stays: a policy of somebody else's would open it.
CREATE FUNCTION rolecall.after_drop() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    lost record;
BEGIN
    -- Most of what is dropped is none of rolecall's business, such as temporary tables.
    IF NOT EXISTS (
        SELECT FROM pg_event_trigger_dropped_objects() d
         WHERE d.object_type = 'policy'
            OR d.classid = 'pg_class'::regclass
               AND (EXISTS (SELECT FROM column_names n WHERE n.target = d.objid)
                 OR EXISTS (SELECT FROM compiled_policies c WHERE c.target = d.objid)
                 OR EXISTS (SELECT FROM exposed_views e WHERE e.shown_as = d.objid))) THEN
        RETURN;
    END IF;
    FOR lost IN
        DELETE FROM protected_tables p USING pg_event_trigger_dropped_objects() d
         WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = p.target
        RETURNING p.preset_trigger
    LOOP
        IF lost.preset_trigger IS NOT NULL THEN
            EXECUTE format('DROP FUNCTION IF EXISTS rolecall_triggers.%I() CASCADE', lost.preset_trigger);
        END IF;
    END LOOP;
    DELETE FROM relations r USING pg_event_trigger_dropped_objects() d
     WHERE d.classid = 'pg_class'::regclass
       AND ((d.objsubid = 0 AND d.objid IN (r.target, r.other, r.through))
         OR (r.found AND (d.objid = r.target AND d.address_names[3] = ANY (r.columns)
                       OR d.objid = r.other AND d.address_names[3] = ANY (r.other_columns)
                       OR d.objid = r.through AND d.address_names[3] = ANY (r.through_columns || r.through_other_columns))));
    DELETE FROM users_tables u USING pg_event_trigger_dropped_objects() d
     WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = u.target;
    DELETE FROM column_names n USING pg_event_trigger_dropped_objects() d
     WHERE d.classid = 'pg_class'::regclass AND d.objid = n.target AND d.objsubid IN (0, n.number);
    DELETE FROM compiled_policies c USING pg_event_trigger_dropped_objects() d
     WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = c.target;
    SELECT c.target INTO lost
      FROM pg_event_trigger_dropped_objects() d
      JOIN compiled_policies c ON c.target = to_regclass(format('%I.%I', d.address_names[1], d.address_names[2]))
     WHERE d.object_type = 'policy' AND NOT d.original
       AND d.address_names[3] ~ '^rolecall_(select|insert|update|delete)(_gate)?$'
     LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state
            USING MESSAGE = format('rules of rolecall on %s use what is to be dropped', lost.target),
                  HINT = 'Change those rules first (rolecall.allow(), rolecall.disallow()), or drop the table as a whole.';
    END IF;
    -- A later column of the same name is another one, and nobody's yet. A list that loses its last column stays a list.
    FOR lost IN
        WITH dropped AS (
            SELECT objid, array_agg(address_names[3]) AS names
              FROM pg_event_trigger_dropped_objects() WHERE object_type = 'table column' GROUP BY objid),
        changed AS (
            UPDATE permissions p
               SET columns = ARRAY(SELECT c FROM unnest(p.columns) WITH ORDINALITY u (c, n) WHERE c <> ALL (d.names) ORDER BY n)
              FROM dropped d WHERE d.objid = p.target AND p.columns && d.names
            RETURNING p.target)
        SELECT DISTINCT target FROM changed
    LOOP
        PERFORM recompile(lost.target);
    END LOOP;
    -- A view that somebody drops is gone; one that went with a column is made again.
    DELETE FROM exposed_views e USING pg_event_trigger_dropped_objects() d
     WHERE d.classid = 'pg_class'::regclass AND d.objid = e.shown_as AND d.objsubid = 0 AND d.original;
    PERFORM refresh_exposed(e.target) FROM exposed_views e JOIN pg_event_trigger_dropped_objects() d
         ON d.classid = 'pg_class'::regclass AND d.objid = e.shown_as AND d.objsubid = 0;
END
$$;
COMMENT ON FUNCTION rolecall.after_drop() IS 'Forgets tables that are gone and keeps the policies of those that stay';
CREATE EVENT TRIGGER rolecall_after_drop ON sql_drop EXECUTE FUNCTION rolecall.after_drop();
ALTER EVENT TRIGGER rolecall_after_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER rolecall_after_drop IS 'Forgets tables that are gone and keeps the policies of those that stay';
