//! One intent in the language of every tool: each schema has a reader and a writer, for the tables there and those to come.

use std::fmt::Write;

/// Who owns schemas and tables.
pub const OWNER: &str = "bench_owner";
const READER: &str = "SELECT";
const WRITER: &str = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER";
const TEMPLATES: [(&str, &str); 2] = [("reader", READER), ("writer", WRITER)];
const OBJECTS_A_STATEMENT: usize = 500;
const MESSAGE: usize = 1 << 20;

/// What there is to provide for.
pub struct Landscape {
    pub schemas: usize,
    /// In each schema.
    pub tables: usize,
    /// In all; those that are no reader and no writer are logins.
    pub roles: usize,
}

impl Landscape {
    fn schemas(&self) -> impl Iterator<Item = String> + Clone {
        (0..self.schemas).map(|number| format!("s{number:03}"))
    }

    fn logins(&self) -> impl Iterator<Item = (String, String)> + Clone {
        let extra = self.roles - 2 * self.schemas;
        (0..extra).zip(self.schemas()).map(|(number, schema)| (format!("login{number}"), format!("{schema}_reader")))
    }

    /// Schemas and tables, without any privileges.
    pub fn layout(&self) -> String {
        let mut sql = format!("CREATE ROLE {OWNER}; SET ROLE NONE;");
        for schema in self.schemas() {
            let _ = write!(sql, "CREATE SCHEMA {schema} AUTHORIZATION {OWNER};");
            for table in 0..self.tables {
                let _ = write!(sql, "CREATE TABLE {schema}.t{table:03} (id int);");
                let _ = write!(sql, "ALTER TABLE {schema}.t{table:03} OWNER TO {OWNER};");
            }
        }
        sql
    }

    /// The limit of a first run: what to grant is known, in as few statements and messages as make sense.
    pub fn least_sql(&self) -> String {
        let mut statements = vec!["BEGIN".to_owned()];
        for schema in self.schemas() {
            let tables: Vec<String> = (0..self.tables).map(|table| format!("{schema}.t{table:03}")).collect();
            for (template, privileges) in TEMPLATES {
                let role = format!("{schema}_{template}");
                statements.push(format!("CREATE ROLE {role}"));
                statements.push(format!("GRANT USAGE ON SCHEMA {schema} TO {role}"));
                for tables in tables.chunks(OBJECTS_A_STATEMENT) {
                    statements.push(format!("GRANT {privileges} ON {} TO {role}", tables.join(", ")));
                }
                statements.push(format!(
                    "ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA {schema} GRANT {privileges} ON TABLES TO {role}"
                ));
            }
        }
        for (login, group) in self.logins() {
            statements.push(format!("CREATE ROLE {login} LOGIN"));
            statements.push(format!("GRANT {group} TO {login}"));
        }
        statements.push("COMMIT".to_owned());
        // psql sends what \; joins as one message.
        let mut script = String::new();
        let mut length = 0;
        for statement in &statements {
            length += statement.len();
            let end = if length < MESSAGE { "\\;\n" } else { ";\n" };
            length %= MESSAGE;
            script += statement;
            script += end;
        }
        script + ";\n"
    }

    pub fn rolecall(&self) -> String {
        let mut spec = "role_name: \"{schema}_{template}\"\ntemplates:\n".to_owned();
        for (template, privileges) in TEMPLATES {
            let _ = writeln!(spec, "  {template}:\n    grants: [[USAGE, schema], [\"{privileges}\", table]]");
            let _ = writeln!(spec, "    default_privileges: [[\"{privileges}\", table]]");
        }
        spec += "schemas:\n";
        for schema in self.schemas() {
            let _ = writeln!(spec, "  {schema}: {{owner: {OWNER}, templates: [reader, writer]}}");
        }
        spec += "roles:\n";
        for (login, group) in self.logins() {
            let _ = writeln!(spec, "  {login}: {{login: true, member_of: [{group}]}}");
        }
        spec
    }

    pub fn pgroles(&self) -> String {
        let mut spec = format!("default_owner: {OWNER}\nprofiles:\n");
        for (template, privileges) in TEMPLATES {
            let _ = writeln!(
                spec,
                "  {template}:\n    grants:\n    - {{privileges: [USAGE], object: {{type: schema}}}}\n\
                 \x20   - {{privileges: [{privileges}], object: {{type: table, name: \"*\"}}}}\n\
                 \x20   default_privileges: [{{privileges: [{privileges}], on_type: table}}]"
            );
        }
        spec += "schemas:\n";
        for schema in self.schemas() {
            let pattern = "{schema}_{profile}";
            let _ = writeln!(spec, "- {{name: {schema}, role_pattern: \"{pattern}\", profiles: [reader, writer]}}");
        }
        spec += "roles:\n";
        let _ = writeln!(spec, "- {{name: {OWNER}}}");
        for (login, _) in self.logins() {
            let _ = writeln!(spec, "- {{name: {login}, login: true}}");
        }
        if self.logins().next().is_some() {
            spec += "memberships:\n";
        }
        for (login, group) in self.logins() {
            let _ = writeln!(spec, "- {{role: {group}, members: [{{name: {login}}}]}}");
        }
        spec
    }

    /// Wants to know every role, `predefined` ones too but one that it knows itself.
    pub fn pgbedrock(&self, predefined: &[String]) -> String {
        let mut spec = "postgres: {can_login: yes, is_superuser: yes, attributes: [BYPASSRLS, CREATEDB, CREATEROLE, REPLICATION], \
             owns: {schemas: [information_schema, pg_catalog, public], tables: [information_schema.*, pg_catalog.*]}}\n"
            .to_owned();
        for (role, groups) in predefined.iter().map(|role| (role, if role == "pg_monitor" { MONITOR } else { "" })) {
            let _ = writeln!(spec, "{role}: {{member_of: [{groups}]}}");
        }
        let schemas: Vec<String> = self.schemas().collect();
        let tables: Vec<String> = schemas.iter().map(|schema| format!("{schema}.*")).collect();
        let _ =
            writeln!(spec, "{OWNER}: {{owns: {{schemas: [{}], tables: [{}]}}}}", schemas.join(", "), tables.join(", "));
        for schema in &schemas {
            for (template, access) in [("reader", "read"), ("writer", "write")] {
                let _ = writeln!(
                    spec,
                    "{schema}_{template}: {{privileges: {{schemas: {{read: [{schema}]}}, tables: {{{access}: [{schema}.*]}}}}}}"
                );
            }
        }
        for (login, group) in self.logins() {
            let _ = writeln!(spec, "{login}: {{can_login: yes, member_of: [{group}]}}");
        }
        spec
    }

    pub fn ldap2pg(&self, database: &str) -> String {
        let schemas: Vec<String> = self.schemas().collect();
        let mut spec = format!(
            "version: 5\npostgres:\n  databases_query: [{database}]\n  owners_query: [{OWNER}]\n  schemas_query: [{}]\n\
             \x20 roles_blacklist_query: [postgres, \"pg_*\", {OWNER}]\nprivileges:\n",
            schemas.join(", ")
        );
        for (template, privileges) in TEMPLATES {
            let on_tables: Vec<String> =
                privileges.split(", ").map(|word| format!("__{}_on_tables__", word.to_lowercase())).collect();
            let _ = writeln!(spec, "  {template}: [__usage_on_schemas__, {}]", on_tables.join(", "));
        }
        spec += "sync_map:\n- roles:\n";
        for schema in &schemas {
            let _ = writeln!(spec, "  - names: [{schema}_reader, {schema}_writer]\n    options: NOLOGIN");
        }
        for (login, group) in self.logins() {
            let _ = writeln!(spec, "  - {{name: {login}, options: LOGIN, parents: [{group}]}}");
        }
        spec += "  grant:\n";
        for schema in &schemas {
            for (template, _) in TEMPLATES {
                let _ = writeln!(
                    spec,
                    "  - {{privilege: {template}, database: {database}, schema: {schema}, role: {schema}_{template}}}"
                );
            }
        }
        spec
    }
}

const MONITOR: &str = "pg_read_all_settings, pg_read_all_stats, pg_stat_scan_tables";

/// The limit of a run that finds nothing to do: what there is to know, in a handful of queries of one snapshot.
pub const LEAST_QUERIES: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT r.*, d.description FROM pg_authid r LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass;
SELECT setrole, setdatabase, setconfig FROM pg_db_role_setting;
SELECT roleid, member, grantor, admin_option FROM pg_auth_members;
SELECT oid, nspname, nspowner, nspacl FROM pg_namespace;
SELECT oid, relnamespace, relname, relowner, relacl, relkind FROM pg_class WHERE relkind IN ('r','p','v','m','f','S') AND oid >= 16384;
SELECT attrelid, attname, attacl FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid >= 16384;
SELECT oid, pronamespace, proname, proowner, proacl FROM pg_proc WHERE oid >= 16384;
SELECT oid, typnamespace, typname, typowner, typacl FROM pg_type WHERE typacl IS NOT NULL;
SELECT datname, datdba, datacl FROM pg_database;
SELECT defaclrole, defaclnamespace, defaclobjtype, defaclacl FROM pg_default_acl;
COMMIT;
";
