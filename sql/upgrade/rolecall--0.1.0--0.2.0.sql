\echo Use "ALTER EXTENSION rolecall UPDATE" to load this file. \quit
-- One section for each file of sql/install that has changed.

-- 75-ddl.sql
COMMENT ON EVENT TRIGGER rolecall_after_table IS 'Carries rules to new partitions and to new names of columns';
COMMENT ON EVENT TRIGGER rolecall_after_drop IS 'Forgets tables that are gone and keeps the policies of those that stay';

-- Rules are to say what this version makes of them. Last: it takes all of the above.
SELECT rolecall.recompile(target) FROM rolecall.protected_tables;
