//! A search path in which somebody else's functions and operators come first.

use crate::rule_attacks::Firm;
use crate::support::*;

/// Calls everything that rolecall offers where other people's functions and operators come first: a superuser must not
/// run them unknowingly, nor must what rolecall does for somebody.
/// Trap 8, CVE-2018-1058.
#[test]
fn nothing_of_rolecall_runs_what_somebody_else_has_made() {
    let mut firm = Firm::new();
    let traps = "SELECT format('CREATE FUNCTION mine.trap_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS
            $f$ BEGIN RAISE NOTICE ''trapped as %%'', current_user; RETURN NULL; END $f$; ', oid, oprleft::regtype, oprright::regtype,
            oprresult::regtype) || format('CREATE OPERATOR mine.%s (FUNCTION = mine.trap_%s, LEFTARG = %s, RIGHTARG = %s)',
            oprname, oid, oprleft::regtype, oprright::regtype)
          FROM pg_operator WHERE oprname IN ('=', '<>', '||', '>', '<', '->', '->>', '?', '&&', '@>', '~', '~~', '+', '-', '>=', '<=')
           AND oprleft = ANY ('{text,name,oid,int4,int8,bool,jsonb,timestamptz,interval,text[],\"char\",regclass}'::regtype[])
           AND oprright = ANY ('{text,name,oid,int4,int8,bool,jsonb,timestamptz,interval,text[],\"char\",regclass}'::regtype[])
        UNION ALL
        SELECT format('CREATE FUNCTION mine.%I(%s) RETURNS %s LANGUAGE plpgsql AS
            $f$ BEGIN RAISE NOTICE ''trapped as %%'', current_user; RETURN NULL; END $f$', proname,
            pg_get_function_identity_arguments(oid), prorettype::regtype)
          FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset AND provariadic = 0
           AND proname IN ('lower', 'now', 'format', 'current_setting', 'set_config', 'strpos', 'length', 'md5', 'quote_ident', 'to_jsonb',
                           'has_table_privilege', 'clock_timestamp', 'array_position', 'cardinality', 'pg_get_expr', 'pg_has_role')";
    let traps = column(&mut firm.admin, traps);
    assert!(traps.len() > 60, "{}", traps.len());
    let made = firm.psql(&(traps.join(";\n") + ";\nSET search_path = mine, pg_catalog; SELECT 'a'::text = 'a'::text"));
    assert_eq!((made.matches("ERROR").count(), made.matches("trapped as").count()), (0, 1), "{made}");
    let calls = "SELECT format('SELECT rolecall.%I(%s)', p.proname, (SELECT string_agg(CASE t
            WHEN 'text' THEN $$'bob'::text$$ WHEN 'text[]' THEN $$'{users}'::text[]$$ WHEN 'jsonb' THEN $$'{}'::jsonb$$
            WHEN 'regclass' THEN $$'public.papers'::regclass$$ WHEN 'name' THEN $$'id'::name$$ WHEN 'name[]' THEN $$'{id}'::name[]$$
            WHEN 'boolean' THEN 'true' WHEN 'interval' THEN $$'1 minute'::interval$$ WHEN 'bigint' THEN '1' WHEN 'integer' THEN '1'
            ELSE 'NULL::' || t END, ', ' ORDER BY n) FROM unnest(proargtypes::regtype[]::text[]) WITH ORDINALITY u(t, n)))
          FROM pg_proc p WHERE pronamespace = 'rolecall'::regnamespace AND prokind = 'f'
           AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
         ORDER BY proname IN ('logout', 'drop_user', 'disable_user', 'revoke_sessions'), proname ~ 'drop|unprotect|disable', proname";
    let calls = column(&mut firm.admin, calls);
    assert!(calls.len() > 60, "{calls:?}");
    let tables = "; TABLE papers_exposed; SELECT * FROM papers; UPDATE papers SET title = title; INSERT INTO papers (id, project_id) VALUES (200000, 1)";
    let script = "SET search_path = mine, pg_catalog, public;\n".to_owned() + &calls.join(";\n") + tables;
    let as_bob = firm.psql(&script);
    firm.app = "postgres".into();
    let allow = "SELECT rolecall.logout(); BEGIN; SELECT rolecall.allow('users', 'papers', 'all', '{\"project\": {\"name\": {\"starts_with\": \"o\"}}}', columns => NULL);
        SELECT rolecall.relate('papers', 'work', 'projects', '{project_id}', '{id}'); SELECT rolecall.users_table('people', 'id');
        SELECT rolecall.expose('papers'); ALTER TABLE papers RENAME title TO t; ALTER TABLE papers ADD extra int; ROLLBACK;\n";
    let as_admin = firm.psql(&("SET search_path = mine, pg_catalog, public;\n".to_owned() + allow + &script));
    for printed in [as_bob, as_admin] {
        assert!(!printed.contains("trapped as"), "{printed}");
        assert!(!printed.contains("XX000") && !printed.contains("syntax error"), "{printed}");
    }
}
