\echo Use "CREATE EXTENSION rolecall" to load this file. \quit

-- Creating the schema, instead of using one that exists, keeps out whoever made it first.
CREATE SCHEMA rolecall;
COMMENT ON SCHEMA rolecall IS 'Access control: users, roles, scopes and filters, compiled into row-level security';

CREATE TABLE rolecall.users (
    id            text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    username      text COLLATE "C" NOT NULL UNIQUE CHECK (username <> '' AND username !~ '^(role|workflow):'),
    email         text,
    email_claimed boolean NOT NULL DEFAULT false,
    chose_username boolean NOT NULL DEFAULT false,
    kind          text NOT NULL CHECK (kind IN ('human', 'robot')),
    database_role regrole UNIQUE,
    password_hash text,
    must_change_password boolean NOT NULL DEFAULT false,
    disabled      boolean NOT NULL DEFAULT false,
    session_generation  bigint NOT NULL DEFAULT 0,
    sessions_revoked_at timestamptz,
    kept_token    text,
    issuer        text COLLATE "C",
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX users_email ON rolecall.users (lower(email));
COMMENT ON TABLE rolecall.users IS 'People and robots. Not PostgreSQL roles, so there may be millions';
COMMENT ON COLUMN rolecall.users.id IS 'What __loggedInUserId stands for; chosen by the application, or a UUIDv7';
COMMENT ON COLUMN rolecall.users.username IS 'What one logs in with';
COMMENT ON COLUMN rolecall.users.email IS 'What __loggedInUserEmail stands for';
COMMENT ON COLUMN rolecall.users.email_claimed IS 'The user himself said so when he registered; nobody has verified it';
COMMENT ON COLUMN rolecall.users.chose_username IS 'He chose the user name himself, or an issuer did: in an ACL only his id is his';
COMMENT ON COLUMN rolecall.users.kind IS 'human or robot';
COMMENT ON COLUMN rolecall.users.database_role IS 'Sessions whose session_user is this role are this user without a token';
COMMENT ON COLUMN rolecall.users.password_hash IS 'Argon2id as a PHC string, or bcrypt until the next login; NULL: no login by password';
COMMENT ON COLUMN rolecall.users.must_change_password IS 'The password is temporary: until it is changed nothing else works';
COMMENT ON COLUMN rolecall.users.disabled IS 'May not log in; open sessions are refused';
COMMENT ON COLUMN rolecall.users.session_generation IS 'Logins of an earlier generation were revoked';
COMMENT ON COLUMN rolecall.users.sessions_revoked_at IS 'Tokens of other issuers and for other servers that are not younger were revoked';
COMMENT ON COLUMN rolecall.users.kept_token IS 'The one earlier login that stays: it changed the password';
COMMENT ON COLUMN rolecall.users.issuer IS 'The token issuer whose subject this user is; NULL: created here';
COMMENT ON COLUMN rolecall.users.created_at IS 'When the user was created';

CREATE TABLE rolecall.servers (
    name          text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    audience      text COLLATE "C" NOT NULL UNIQUE CHECK (audience NOT IN ('', 'rolecall')),
    latest_expiry timestamptz,
    longest_life  interval CHECK (longest_life > '0'),
    registered_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rolecall.servers IS 'Other servers, for which users get tokens';
COMMENT ON COLUMN rolecall.servers.name IS 'The name';
COMMENT ON COLUMN rolecall.servers.audience IS 'The claim aud of its tokens. Never rolecall: such a token would be a login';
COMMENT ON COLUMN rolecall.servers.latest_expiry IS 'No token for it is good beyond this';
COMMENT ON COLUMN rolecall.servers.longest_life IS 'No token for it is good for longer';
COMMENT ON COLUMN rolecall.servers.registered_at IS 'When its document was last registered';

CREATE TABLE rolecall.server_scopes (
    server text COLLATE "C" REFERENCES rolecall.servers ON DELETE CASCADE,
    scope  text COLLATE "C",
    PRIMARY KEY (server, scope)
);
COMMENT ON TABLE rolecall.server_scopes IS 'The scopes in each server''s document';
COMMENT ON COLUMN rolecall.server_scopes.server IS 'The server';
COMMENT ON COLUMN rolecall.server_scopes.scope IS 'A leaf of its tree of scopes';

CREATE TABLE rolecall.roles (
    name          text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    description   text,
    built_in      boolean NOT NULL DEFAULT false,
    everybody     boolean NOT NULL DEFAULT false,
    pool          boolean NOT NULL DEFAULT false,
    server        text COLLATE "C" REFERENCES rolecall.servers,
    database_role regrole,
    latest_expiry timestamptz,
    longest_life  interval CHECK (longest_life > '0'),
    CHECK (server IS NOT NULL OR (latest_expiry IS NULL AND longest_life IS NULL))
);
CREATE UNIQUE INDEX roles_everybody ON rolecall.roles (everybody) WHERE everybody;
CREATE INDEX roles_server ON rolecall.roles (server) WHERE server IS NOT NULL;
CREATE INDEX roles_database_role ON rolecall.roles (database_role) WHERE database_role IS NOT NULL;
COMMENT ON TABLE rolecall.roles IS 'Named sets of permissions; members are users and other roles';
COMMENT ON COLUMN rolecall.roles.name IS 'The name, as has_role() and policies spell it';
COMMENT ON COLUMN rolecall.roles.description IS 'What the role is for';
COMMENT ON COLUMN rolecall.roles.built_in IS 'Made by rolecall itself: neither dropped nor renamed';
COMMENT ON COLUMN rolecall.roles.everybody IS 'The one role that every session holds; it may be renamed';
COMMENT ON COLUMN rolecall.roles.pool IS 'A queue that its members consume together';
COMMENT ON COLUMN rolecall.roles.server IS 'The server whose scopes it grants and for whose tokens it is';
COMMENT ON COLUMN rolecall.roles.database_role IS 'Sessions whose session_user is a member of this database role hold the role';
COMMENT ON COLUMN rolecall.roles.latest_expiry IS 'No server token made with it is good beyond this';
COMMENT ON COLUMN rolecall.roles.longest_life IS 'No server token made with it is good for longer';

CREATE TABLE rolecall.role_scopes (
    role  text COLLATE "C" REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    scope text COLLATE "C" CHECK (scope <> ''),
    PRIMARY KEY (role, scope)
);
COMMENT ON TABLE rolecall.role_scopes IS 'The scopes of roles. A node stands for all below it';
COMMENT ON COLUMN rolecall.role_scopes.role IS 'The role';
COMMENT ON COLUMN rolecall.role_scopes.scope IS 'A node or leaf of the tree of scopes';

CREATE TABLE rolecall.user_roles (
    user_id text COLLATE "C" REFERENCES rolecall.users ON DELETE CASCADE,
    role    text COLLATE "C" REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    PRIMARY KEY (user_id, role)
);
CREATE INDEX user_roles_role ON rolecall.user_roles (role);
COMMENT ON TABLE rolecall.user_roles IS 'Which roles a user was granted directly';
COMMENT ON COLUMN rolecall.user_roles.user_id IS 'The member';
COMMENT ON COLUMN rolecall.user_roles.role IS 'The role granted';

CREATE TABLE rolecall.role_members (
    member text COLLATE "C" REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    role   text COLLATE "C" REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    PRIMARY KEY (member, role)
);
CREATE INDEX role_members_role ON rolecall.role_members (role);
COMMENT ON TABLE rolecall.role_members IS 'Roles that are members of roles: whoever holds member holds role. Never a cycle';
COMMENT ON COLUMN rolecall.role_members.member IS 'The role that is a member';
COMMENT ON COLUMN rolecall.role_members.role IS 'The role granted to it';

CREATE TABLE rolecall.signing_keys (
    kid        text COLLATE "C" PRIMARY KEY,
    algorithm  text NOT NULL CHECK (algorithm IN ('HS256', 'RS256', 'ES256', 'EdDSA')),
    secret     bytea NOT NULL,
    jwk        jsonb NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX signing_keys_active ON rolecall.signing_keys (active) WHERE active;
COMMENT ON TABLE rolecall.signing_keys IS 'Keys that sign and verify rolecall''s own JWTs; at most one signs';
COMMENT ON COLUMN rolecall.signing_keys.kid IS 'The key id in a token''s header';
COMMENT ON COLUMN rolecall.signing_keys.algorithm IS 'The only algorithm the key is used with';
COMMENT ON COLUMN rolecall.signing_keys.secret IS 'The private key: bytes for HS256, else DER';
COMMENT ON COLUMN rolecall.signing_keys.jwk IS 'The key that verifies (RFC 7517)';
COMMENT ON COLUMN rolecall.signing_keys.active IS 'Signs new tokens; others only verify';
COMMENT ON COLUMN rolecall.signing_keys.created_at IS 'When the key was made';

CREATE TABLE rolecall.verification_keys (
    issuer     text COLLATE "C" CHECK (issuer <> ''),
    kid        text COLLATE "C",
    jwk        jsonb NOT NULL,
    audience   text NOT NULL,
    version    text COLLATE "C" NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, kid)
);
COMMENT ON TABLE rolecall.verification_keys IS 'Keys of other issuers whose JWTs are accepted';
COMMENT ON COLUMN rolecall.verification_keys.issuer IS 'The claim iss of the tokens';
COMMENT ON COLUMN rolecall.verification_keys.kid IS 'The key id in a token''s header; empty: tokens name none';
COMMENT ON COLUMN rolecall.verification_keys.jwk IS 'The key (RFC 7517)';
COMMENT ON COLUMN rolecall.verification_keys.audience IS 'What a token''s claim aud must name, where it has one';
COMMENT ON COLUMN rolecall.verification_keys.version IS 'Another one when the key is replaced: logins with the former key end';
COMMENT ON COLUMN rolecall.verification_keys.created_at IS 'When the key was added';

CREATE TABLE rolecall.api_tokens (
    id           text COLLATE "C" PRIMARY KEY,
    name         text NOT NULL CHECK (name <> ''),
    token_hash   bytea NOT NULL,
    owner        text COLLATE "C" REFERENCES rolecall.users ON UPDATE CASCADE ON DELETE CASCADE,
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
CREATE INDEX api_tokens_owner ON rolecall.api_tokens (owner);
COMMENT ON TABLE rolecall.api_tokens IS 'Tokens with roles of their own and no user behind them';
COMMENT ON COLUMN rolecall.api_tokens.id IS 'What __requestingApiToken stands for';
COMMENT ON COLUMN rolecall.api_tokens.name IS 'What it is for';
COMMENT ON COLUMN rolecall.api_tokens.token_hash IS 'SHA-256 of the token, which is random and long';
COMMENT ON COLUMN rolecall.api_tokens.owner IS 'The user who is accountable for it and may revoke it';
COMMENT ON COLUMN rolecall.api_tokens.expires_at IS 'From when on it is refused';
COMMENT ON COLUMN rolecall.api_tokens.created_at IS 'When it was made';
COMMENT ON COLUMN rolecall.api_tokens.last_used_at IS 'When it was last used, to the minute';

CREATE TABLE rolecall.api_token_roles (
    token text COLLATE "C" REFERENCES rolecall.api_tokens ON DELETE CASCADE,
    role  text COLLATE "C" REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    PRIMARY KEY (token, role)
);
CREATE INDEX api_token_roles_role ON rolecall.api_token_roles (role);
COMMENT ON TABLE rolecall.api_token_roles IS 'The roles of API tokens';
COMMENT ON COLUMN rolecall.api_token_roles.token IS 'The token';
COMMENT ON COLUMN rolecall.api_token_roles.role IS 'Its role';

CREATE TABLE rolecall.server_tokens (
    id         text COLLATE "C" PRIMARY KEY,
    user_id    text COLLATE "C" REFERENCES rolecall.users ON UPDATE CASCADE ON DELETE SET NULL,
    username   text NOT NULL,
    server     text COLLATE "C" NOT NULL REFERENCES rolecall.servers ON DELETE CASCADE,
    roles      jsonb NOT NULL,
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX server_tokens_user ON rolecall.server_tokens (user_id);
CREATE INDEX server_tokens_server ON rolecall.server_tokens (server, expires_at);
COMMENT ON TABLE rolecall.server_tokens IS 'Tokens that users were issued for other servers; not the tokens themselves';
COMMENT ON COLUMN rolecall.server_tokens.id IS 'The claim jti';
COMMENT ON COLUMN rolecall.server_tokens.user_id IS 'Whose it is; NULL: the user is gone';
COMMENT ON COLUMN rolecall.server_tokens.username IS 'The claim sub';
COMMENT ON COLUMN rolecall.server_tokens.server IS 'The server it is for';
COMMENT ON COLUMN rolecall.server_tokens.roles IS 'Its roles, each with its scopes';
COMMENT ON COLUMN rolecall.server_tokens.issued_at IS 'When it was issued';
COMMENT ON COLUMN rolecall.server_tokens.expires_at IS 'From when on it is refused';
COMMENT ON COLUMN rolecall.server_tokens.revoked_at IS 'When it was revoked';

CREATE TABLE rolecall.invitations (
    secret_hash bytea PRIMARY KEY,
    email       text NOT NULL,
    roles       text[] NOT NULL,
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rolecall.invitations IS 'Open invitations to register; gone once used';
COMMENT ON COLUMN rolecall.invitations.secret_hash IS 'SHA-256 of the invitation, which is random and long';
COMMENT ON COLUMN rolecall.invitations.email IS 'Whom it is for';
COMMENT ON COLUMN rolecall.invitations.roles IS 'The roles it gives';
COMMENT ON COLUMN rolecall.invitations.expires_at IS 'From when on it is refused';
COMMENT ON COLUMN rolecall.invitations.created_at IS 'When it was made';

CREATE TABLE rolecall.settings (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    login_required    boolean NOT NULL DEFAULT false,
    registration      text CHECK (registration IN ('open', 'domain', 'invite', 'closed')),
    registration_domains text[] NOT NULL DEFAULT '{}',
    registration_roles   text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE rolecall.settings IS 'What administrators have chosen; at most one row';
COMMENT ON COLUMN rolecall.settings.only_row IS 'There is one row';
COMMENT ON COLUMN rolecall.settings.login_required IS 'Nobody but administrators of the database acts without a login';
COMMENT ON COLUMN rolecall.settings.registration IS 'Who may register; NULL: the first user, then by invitation';
COMMENT ON COLUMN rolecall.settings.registration_domains IS 'E-mail domains that may register';
COMMENT ON COLUMN rolecall.settings.registration_roles IS 'Roles of whoever registers';

-- Nobody else may use it, so nobody puts anything there, or calls what is there.
CREATE SCHEMA rolecall_triggers;
COMMENT ON SCHEMA rolecall_triggers IS 'Functions that rolecall makes for triggers of protected tables';

CREATE TABLE rolecall.protected_tables (
    target regclass PRIMARY KEY,
    called text NOT NULL,
    preset_trigger name UNIQUE,
    acl_column name
);
COMMENT ON TABLE rolecall.protected_tables IS 'Tables that rolecall protects';
COMMENT ON COLUMN rolecall.protected_tables.target IS 'The table';
COMMENT ON COLUMN rolecall.protected_tables.called IS 'What it was called when that was last looked at, so that the audit log gets a new name';
COMMENT ON COLUMN rolecall.protected_tables.preset_trigger IS 'The trigger that sets preset columns and ACLs and its function in rolecall_triggers; NULL: there is none';
COMMENT ON COLUMN rolecall.protected_tables.acl_column IS 'The column with each row''s access-control list; NULL: there is none';

CREATE TABLE rolecall.permissions (
    role    text COLLATE "C" REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    target  regclass REFERENCES rolecall.protected_tables ON DELETE CASCADE,
    action  text COLLATE "C" CHECK (action IN ('select', 'insert', 'update', 'delete')),
    filter  jsonb NOT NULL,
    columns text[] CHECK (columns IS NULL OR action <> 'delete'),
    new_row jsonb CHECK (new_row IS NULL OR action IN ('insert', 'update')),
    preset  jsonb CHECK (preset IS NULL OR action IN ('insert', 'update')),
    PRIMARY KEY (target, action, role)
);
CREATE INDEX permissions_role ON rolecall.permissions (role);
COMMENT ON TABLE rolecall.permissions IS 'What a role may do with which rows';
COMMENT ON COLUMN rolecall.permissions.role IS 'Who';
COMMENT ON COLUMN rolecall.permissions.target IS 'With which table';
COMMENT ON COLUMN rolecall.permissions.action IS 'What';
COMMENT ON COLUMN rolecall.permissions.filter IS 'With which rows';
COMMENT ON COLUMN rolecall.permissions.columns IS 'Which columns it may touch; NULL: all';
COMMENT ON COLUMN rolecall.permissions.new_row IS 'What must hold for a row that is written; NULL: the filter';
COMMENT ON COLUMN rolecall.permissions.preset IS 'What columns of a row that is written are set to';

CREATE TABLE rolecall.exposed_views (
    target   regclass PRIMARY KEY REFERENCES rolecall.protected_tables ON DELETE CASCADE,
    shown_as regclass NOT NULL,
    query    text NOT NULL
);
COMMENT ON TABLE rolecall.exposed_views IS 'Views that show NULL in the cells of a table that one may not read';
COMMENT ON COLUMN rolecall.exposed_views.target IS 'The table';
COMMENT ON COLUMN rolecall.exposed_views.shown_as IS 'The view';
COMMENT ON COLUMN rolecall.exposed_views.query IS 'The query it was last made with: an unchanged one is left alone';

CREATE TABLE rolecall.relations (
    target                regclass,
    name                  text COLLATE "C" CHECK (name <> ''),
    many                  boolean NOT NULL,
    other                 regclass NOT NULL,
    columns               text[] NOT NULL,
    other_columns         text[] NOT NULL,
    through               regclass,
    through_columns       text[],
    through_other_columns text[],
    found                 boolean NOT NULL,
    PRIMARY KEY (target, name)
);
COMMENT ON TABLE rolecall.relations IS 'Relations that administrators have named, and those that rules use';
COMMENT ON COLUMN rolecall.relations.target IS 'The table whose filters have it';
COMMENT ON COLUMN rolecall.relations.name IS 'What filters call it';
COMMENT ON COLUMN rolecall.relations.many IS 'Several rows may be related';
COMMENT ON COLUMN rolecall.relations.other IS 'The table of the related rows';
COMMENT ON COLUMN rolecall.relations.columns IS 'The columns that equal other_columns or, through a table, through_columns';
COMMENT ON COLUMN rolecall.relations.other_columns IS 'The other table''s columns';
COMMENT ON COLUMN rolecall.relations.through IS 'The table between the two';
COMMENT ON COLUMN rolecall.relations.through_columns IS 'Its columns that equal columns';
COMMENT ON COLUMN rolecall.relations.through_other_columns IS 'Its columns that equal other_columns';
COMMENT ON COLUMN rolecall.relations.found IS 'A foreign key showed it when a rule was made, which goes on having it';

CREATE TABLE rolecall.users_tables (
    target    regclass PRIMARY KEY,
    id_column name NOT NULL
);
COMMENT ON TABLE rolecall.users_tables IS 'Which tables of the application hold the users';
COMMENT ON COLUMN rolecall.users_tables.target IS 'The table';
COMMENT ON COLUMN rolecall.users_tables.id_column IS 'The column with what user_id() is';

CREATE TABLE rolecall.column_names (
    target regclass,
    number int2,
    name   name NOT NULL,
    PRIMARY KEY (target, number)
);
COMMENT ON TABLE rolecall.column_names IS 'What the columns were called when the filters were written, so that a new name is noticed. Not dumped: restoring writes them anew';
COMMENT ON COLUMN rolecall.column_names.target IS 'The table';
COMMENT ON COLUMN rolecall.column_names.number IS 'The column''s number';
COMMENT ON COLUMN rolecall.column_names.name IS 'What the filters call it';

CREATE TABLE rolecall.compiled_policies (
    target  regclass,
    action  text COLLATE "C",
    clauses text NOT NULL,
    PRIMARY KEY (target, action)
);
COMMENT ON TABLE rolecall.compiled_policies IS 'The clauses each policy was last made with: an unchanged one is left alone, since changing a policy locks the table';
COMMENT ON COLUMN rolecall.compiled_policies.target IS 'The table: a protected one, or a partition or child of one, which has its rules';
COMMENT ON COLUMN rolecall.compiled_policies.action IS 'The policy''s command';
COMMENT ON COLUMN rolecall.compiled_policies.clauses IS 'The policy''s USING and WITH CHECK';

INSERT INTO rolecall.roles (name, description, built_in, everybody) VALUES
    ('admins', 'May do everything', true, false),
    ('users', 'Every logged-in user', true, false),
    ('guest', 'Everybody, logged in or not', true, true);

-- A dump has the role of everybody only under another name, and CREATE EXTENSION has made it as guest before that is
-- restored: then it takes the name.
CREATE FUNCTION rolecall.keep_one_everybody() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE rolecall.roles SET name = NEW.name, description = NEW.description WHERE everybody;
    RETURN CASE WHEN NOT FOUND THEN NEW END;
END
$$;
COMMENT ON FUNCTION rolecall.keep_one_everybody() IS 'Makes a second role of everybody the name of the first';
CREATE TRIGGER keep_one_everybody BEFORE INSERT ON rolecall.roles
    FOR EACH ROW WHEN (NEW.everybody) EXECUTE FUNCTION rolecall.keep_one_everybody();
ALTER TABLE rolecall.roles ENABLE ALWAYS TRIGGER keep_one_everybody;

-- pg_dump keeps what people entered; what CREATE EXTENSION makes is made again. Keys that sign are left out: a dump is
-- to hold no secret, and a new key only makes people log in again. Of passwords, API tokens and invitations there are
-- hashes only.
SELECT pg_extension_config_dump('rolecall.users', '');
SELECT pg_extension_config_dump('rolecall.servers', '');
SELECT pg_extension_config_dump('rolecall.server_scopes', '');
SELECT pg_extension_config_dump('rolecall.role_scopes', '');
SELECT pg_extension_config_dump('rolecall.server_tokens', '');
SELECT pg_extension_config_dump('rolecall.roles', 'WHERE name NOT IN (''admins'', ''users'', ''guest'')');
SELECT pg_extension_config_dump('rolecall.user_roles', '');
SELECT pg_extension_config_dump('rolecall.role_members', '');
SELECT pg_extension_config_dump('rolecall.verification_keys', 'WHERE jwk ->> ''kty'' <> ''oct''');
SELECT pg_extension_config_dump('rolecall.api_tokens', '');
SELECT pg_extension_config_dump('rolecall.api_token_roles', '');
SELECT pg_extension_config_dump('rolecall.invitations', '');
SELECT pg_extension_config_dump('rolecall.settings', '');
SELECT pg_extension_config_dump('rolecall.protected_tables', '');
SELECT pg_extension_config_dump('rolecall.permissions', '');
SELECT pg_extension_config_dump('rolecall.exposed_views', '');
SELECT pg_extension_config_dump('rolecall.relations', '');
SELECT pg_extension_config_dump('rolecall.users_tables', '');
SELECT pg_extension_config_dump('rolecall.compiled_policies', '');
-- Every backend keeps what it looked up about its identity. A change here tells all of them, hot standbys included, to
-- look again. ENABLE ALWAYS: also under logical replication and restores.
CREATE FUNCTION rolecall.invalidate_sessions() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'invalidate_sessions_wrapper';
COMMENT ON FUNCTION rolecall.invalidate_sessions() IS 'Makes every session look its roles up again';

-- A new hash of the same password changes nothing for anybody, and neither does the last use of a token.
CREATE TRIGGER invalidate_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, username, email, database_role,
    must_change_password, disabled, session_generation, sessions_revoked_at, kept_token
    ON rolecall.users FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
CREATE TRIGGER invalidate_sessions AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF id, owner, expires_at
    ON rolecall.api_tokens FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.users ENABLE ALWAYS TRIGGER invalidate_sessions;
ALTER TABLE rolecall.api_tokens ENABLE ALWAYS TRIGGER invalidate_sessions;

CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.roles ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.user_roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.user_roles ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.role_members FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.role_members ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.api_token_roles FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.api_token_roles ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.signing_keys FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.signing_keys ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.verification_keys FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.verification_keys ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.settings FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.settings ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE TRIGGER invalidate_sessions AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
    ON rolecall.role_scopes FOR EACH STATEMENT EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.role_scopes ENABLE ALWAYS TRIGGER invalidate_sessions;
CREATE FUNCTION rolecall.authenticate(token text, for_session boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'authenticate_wrapper';
COMMENT ON FUNCTION rolecall.authenticate(text, boolean) IS
    'Verifies a token and becomes that identity for this transaction, or for the session; returns the user id';

CREATE FUNCTION rolecall.assume(claims jsonb DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'assume_wrapper';
COMMENT ON FUNCTION rolecall.assume(jsonb) IS
    'Becomes the user of claims that a gateway has verified, by default of request.jwt.claims, for this transaction (logins in rolecall_authenticator)';

CREATE FUNCTION rolecall.become(username text, reason text, for_session boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'become_wrapper';
COMMENT ON FUNCTION rolecall.become(text, text, boolean) IS
    'Becomes another user, which the audit log records with the reason (administrators)';

CREATE FUNCTION rolecall.logout() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'logout_wrapper';
COMMENT ON FUNCTION rolecall.logout() IS 'Forgets the identity at once';

CREATE FUNCTION rolecall.require_login() RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'require_login_wrapper';
COMMENT ON FUNCTION rolecall.require_login() IS 'Raises an error (28000) unless somebody is logged in';

CREATE FUNCTION rolecall.whoami() RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'whoami_wrapper';
COMMENT ON FUNCTION rolecall.whoami() IS 'The present identity with its roles and scopes';

-- A gateway that has verified a token itself, as PostgREST does, connects as a member of this role.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rolecall_authenticator') THEN
        CREATE ROLE rolecall_authenticator NOLOGIN;
    END IF;
EXCEPTION
    -- Another database's CREATE EXTENSION was faster.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

-- The planner calls the support functions: two replace has_role() and has_scope() of a constant by true or false, the other marks
-- plans whose rows depend on who asks, so that the identity cannot change under them.
CREATE FUNCTION rolecall.has_role_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'has_role_support';
COMMENT ON FUNCTION rolecall.has_role_support(internal) IS 'Planner support: folds has_role() of a constant';
CREATE FUNCTION rolecall.has_scope_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'has_scope_support';
COMMENT ON FUNCTION rolecall.has_scope_support(internal) IS 'Planner support: folds has_scope() of a constant';
CREATE FUNCTION rolecall.identity_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'identity_support';
COMMENT ON FUNCTION rolecall.identity_support(internal) IS 'Planner support: marks plans that depend on the identity';

CREATE FUNCTION rolecall.user_id() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_id';
COMMENT ON FUNCTION rolecall.user_id() IS 'The logged-in user''s id, or NULL';
CREATE FUNCTION rolecall.user_id_as_uuid() RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_id_as_uuid';
COMMENT ON FUNCTION rolecall.user_id_as_uuid() IS 'The logged-in user''s id where it is a UUID, else NULL';
CREATE FUNCTION rolecall.user_id_as_bigint() RETURNS bigint
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_id_as_bigint';
COMMENT ON FUNCTION rolecall.user_id_as_bigint() IS 'The logged-in user''s id where it is an integer, else NULL';
CREATE FUNCTION rolecall.user_email() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'user_email';
COMMENT ON FUNCTION rolecall.user_email() IS 'The logged-in user''s e-mail address, or NULL';
CREATE FUNCTION rolecall.api_token_id() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'api_token_id';
COMMENT ON FUNCTION rolecall.api_token_id() IS 'The id of the API token that acts, or NULL';
CREATE FUNCTION rolecall.api_token_id_as_uuid() RETURNS uuid
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support
    AS 'MODULE_PATHNAME', 'api_token_id_as_uuid';
COMMENT ON FUNCTION rolecall.api_token_id_as_uuid() IS 'The id of the API token that acts as a UUID, or NULL';
CREATE FUNCTION rolecall.set_signing_key(alg text, key text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'set_signing_key_wrapper';
COMMENT ON FUNCTION rolecall.set_signing_key(text, text) IS
    'Makes or takes a key that signs from now on, HS256, RS256, ES256 or EdDSA, and returns its id; former keys still verify (administrators)';

CREATE FUNCTION rolecall.add_verification_key(issuer text, jwk jsonb, audience text DEFAULT 'rolecall') RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'add_verification_key_wrapper';
COMMENT ON FUNCTION rolecall.add_verification_key(text, jsonb, text) IS
    'Accepts tokens of another issuer; the same issuer and kid again replaces the key (administrators)';

CREATE FUNCTION rolecall.drop_key(kid text, issuer text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'drop_key_wrapper';
COMMENT ON FUNCTION rolecall.drop_key(text, text) IS
    'Forgets a key: what it has signed stops working (administrators)';

CREATE FUNCTION rolecall.jwks() RETURNS jsonb
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'jwks_wrapper';
COMMENT ON FUNCTION rolecall.jwks() IS 'The public keys that verify rolecall''s own tokens, as a JWK set (RFC 7517)';

CREATE FUNCTION rolecall.create_api_token(
    name text, roles text[], expires_at timestamptz DEFAULT NULL, owner text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'create_api_token_wrapper';
COMMENT ON FUNCTION rolecall.create_api_token(text, text[], timestamptz, text) IS
    'Makes an API token with these roles and returns it, this once (administrators)';

CREATE FUNCTION rolecall.revoke_api_token(id text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_api_token_wrapper';
COMMENT ON FUNCTION rolecall.revoke_api_token(text) IS 'Ends an API token (administrators and its owner)';

CREATE FUNCTION rolecall.revoke_sessions(username text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_sessions_wrapper';
COMMENT ON FUNCTION rolecall.revoke_sessions(text) IS
    'Ends every login of a user so far and his tokens for other servers (administrators, or the user himself)';
CREATE FUNCTION rolecall.create_user(
    username text, email text DEFAULT NULL, password text DEFAULT NULL, roles text[] DEFAULT '{}',
    id text DEFAULT NULL, kind text DEFAULT 'human', database_role name DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'create_user_wrapper';
COMMENT ON FUNCTION rolecall.create_user(text, text, text, text[], text, text, name) IS
    'Creates a user with roles and returns the id (administrators)';

CREATE FUNCTION rolecall.login(username text, password text, lifetime interval DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'login_wrapper';
COMMENT ON FUNCTION rolecall.login(text, text, interval) IS
    'Checks a password and returns a signed JWT for authenticate(), good for an hour unless said otherwise';

CREATE FUNCTION rolecall.drop_user(username text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'drop_user_wrapper';
COMMENT ON FUNCTION rolecall.drop_user(text) IS 'Removes a user and what he owns in rolecall (administrators)';

CREATE FUNCTION rolecall.disable_user(username text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'disable_user_wrapper';
COMMENT ON FUNCTION rolecall.disable_user(text) IS 'Keeps a user out, open sessions included (administrators)';

CREATE FUNCTION rolecall.enable_user(username text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'enable_user_wrapper';
COMMENT ON FUNCTION rolecall.enable_user(text) IS 'Lets a disabled user in again (administrators)';

CREATE FUNCTION rolecall.set_password(username text, temporary_password text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'set_password_wrapper';
COMMENT ON FUNCTION rolecall.set_password(text, text) IS
    'Gives a user a temporary password and ends his sessions (administrators)';

CREATE FUNCTION rolecall.change_password(old_password text, new_password text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'change_password_wrapper';
COMMENT ON FUNCTION rolecall.change_password(text, text) IS
    'Changes one''s own password and ends one''s other sessions';

CREATE FUNCTION rolecall.bootstrap_admin(username text, password_hash text) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'bootstrap_admin_wrapper';
COMMENT ON FUNCTION rolecall.bootstrap_admin(text, text) IS
    'Makes the first administrator, from the hash of his password (superusers and the extension''s owner)';

CREATE FUNCTION rolecall.enable_authentication() RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'enable_authentication_wrapper';
COMMENT ON FUNCTION rolecall.enable_authentication() IS
    'From now on nobody but the database''s administrators acts without a login (administrators)';

CREATE FUNCTION rolecall.disable_authentication() RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'disable_authentication_wrapper';
COMMENT ON FUNCTION rolecall.disable_authentication() IS
    'Lets sessions without a login be guests again (administrators)';

CREATE FUNCTION rolecall.register(username text, email text, password text, invite text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'register_wrapper';
COMMENT ON FUNCTION rolecall.register(text, text, text, text) IS
    'Registers oneself, where registration() lets one; returns the id';

CREATE FUNCTION rolecall.registration() RETURNS jsonb
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'registration_wrapper';
COMMENT ON FUNCTION rolecall.registration() IS 'Who may register, from which domains, and the roles they get';

CREATE FUNCTION rolecall.set_registration(
    mode text, domains text[] DEFAULT '{}', default_roles text[] DEFAULT '{}') RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'set_registration_wrapper';
COMMENT ON FUNCTION rolecall.set_registration(text, text[], text[]) IS
    'Says who may register: open, domain, invite or closed (administrators)';

CREATE FUNCTION rolecall.invite(email text, roles text[], expires_in interval DEFAULT '7 days') RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'invite_wrapper';
COMMENT ON FUNCTION rolecall.invite(text, text[], interval) IS
    'Makes an invitation to register, good once, and returns it (administrators)';
CREATE FUNCTION rolecall.create_role(
    name text, description text DEFAULT NULL, pool boolean DEFAULT false, server text DEFAULT NULL,
    database_role name DEFAULT NULL, latest_expiry timestamptz DEFAULT NULL, longest_life interval DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'create_role_wrapper';
COMMENT ON FUNCTION rolecall.create_role(text, text, boolean, text, name, timestamptz, interval) IS
    'Creates a role; members of database_role hold it; for a server, with limits to the tokens made with it (administrators)';

CREATE FUNCTION rolecall.rename_role(name text, new_name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'rename_role_wrapper';
COMMENT ON FUNCTION rolecall.rename_role(text, text) IS
    'Renames a role; its members, scopes and permissions stay (administrators)';

CREATE FUNCTION rolecall.drop_role(name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'drop_role_wrapper';
COMMENT ON FUNCTION rolecall.drop_role(text) IS
    'Removes a role with its memberships, scopes and permissions (administrators)';

CREATE FUNCTION rolecall.grant_role(role text, member text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'grant_role_wrapper';
COMMENT ON FUNCTION rolecall.grant_role(text, text) IS
    'Gives a role to a user, or to a role written role:NAME (administrators)';

CREATE FUNCTION rolecall.revoke_role(role text, member text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_role_wrapper';
COMMENT ON FUNCTION rolecall.revoke_role(text, text) IS
    'Takes a role from a user, or from a role written role:NAME (administrators)';

CREATE FUNCTION rolecall.has_role(role text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.has_role_support AS 'MODULE_PATHNAME', 'has_role';
COMMENT ON FUNCTION rolecall.has_role(text) IS 'Whether the present identity holds the role, nesting resolved';

CREATE FUNCTION rolecall.roles_of(username text) RETURNS SETOF text
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'roles_of_wrapper';
COMMENT ON FUNCTION rolecall.roles_of(text) IS
    'The roles of a user, nesting resolved (administrators, or the user himself)';

CREATE FUNCTION rolecall.add_default_roles(kit text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'add_default_roles_wrapper';
COMMENT ON FUNCTION rolecall.add_default_roles(text) IS
    'Adds the roles of core, openflow, graphistry, floating-server or 8base, with what they may do (administrators)';

CREATE FUNCTION rolecall.set_api_allow_anonymous(allowed boolean) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'set_api_allow_anonymous_wrapper';
COMMENT ON FUNCTION rolecall.set_api_allow_anonymous(boolean) IS
    'Whether everybody, logged in or not, has the scope nodered:api:call (administrators)';
CREATE FUNCTION rolecall.grant_scopes(role text, scopes text[]) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'grant_scopes_wrapper';
COMMENT ON FUNCTION rolecall.grant_scopes(text, text[]) IS
    'Gives a role scopes; a node stands for all below it; for a server''s role they must be the server''s (administrators)';

CREATE FUNCTION rolecall.revoke_scopes(role text, scopes text[]) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_scopes_wrapper';
COMMENT ON FUNCTION rolecall.revoke_scopes(text, text[]) IS
    'Takes scopes, and all below them, from a role (administrators)';

CREATE FUNCTION rolecall.has_scope(scope text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.has_scope_support AS 'MODULE_PATHNAME', 'has_scope';
COMMENT ON FUNCTION rolecall.has_scope(text) IS 'Whether some role of the present identity covers the scope';

CREATE FUNCTION rolecall.has_scopes(scopes text[]) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'has_scopes_wrapper';
COMMENT ON FUNCTION rolecall.has_scopes(text[]) IS
    'Whether one single role of the present identity covers all the scopes; of no scopes, none does';

CREATE FUNCTION rolecall.require_scope(scope text) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'require_scope_wrapper';
COMMENT ON FUNCTION rolecall.require_scope(text) IS 'Raises an error unless some role of the present identity covers the scope';

CREATE FUNCTION rolecall.query_scopes(query jsonb, unit text) RETURNS text[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'query_scopes_wrapper';
COMMENT ON FUNCTION rolecall.query_scopes(jsonb, text) IS
    'unit:TOP:kind for every query_kind in a FlowKit query, TOP being the outermost; no unit is nonspatial';

CREATE FUNCTION rolecall.can_query(action text, query jsonb, unit text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'can_query_wrapper';
COMMENT ON FUNCTION rolecall.can_query(text, jsonb, text) IS
    'Whether one role of the present identity covers what the action (run, poll, get_result ...) on the query needs';

CREATE FUNCTION rolecall.explain_query(action text, query jsonb, unit text) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'explain_query_wrapper';
COMMENT ON FUNCTION rolecall.explain_query(text, jsonb, text) IS
    'Whether the action on the query is allowed, what it needs, what is missing, and the role that comes nearest';
CREATE FUNCTION rolecall.register_server(
    name text, spec jsonb, latest_expiry timestamptz DEFAULT NULL, longest_life interval DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'register_server_wrapper';
COMMENT ON FUNCTION rolecall.register_server(text, jsonb, timestamptz, interval) IS
    'Takes a server''s scopes and audience from its OpenAPI document, and limits to its tokens; returns what changed (administrators)';

CREATE FUNCTION rolecall.drop_server(name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'drop_server_wrapper';
COMMENT ON FUNCTION rolecall.drop_server(text) IS
    'Forgets a server that has no roles any more, with the record of its tokens (administrators)';

CREATE FUNCTION rolecall.issue_token(
    server text, roles text[], lifetime interval DEFAULT NULL, scopes text[] DEFAULT NULL,
    user_claims boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'issue_token_wrapper';
COMMENT ON FUNCTION rolecall.issue_token(text, text[], interval, text[], boolean) IS
    'A JWT (RS256) for a server with one''s own roles there, good until the earliest limit; user_claims: in FlowKit''s form';

CREATE FUNCTION rolecall.revoke_token(id text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoke_token_wrapper';
COMMENT ON FUNCTION rolecall.revoke_token(text) IS 'Revokes a server token (administrators, and the user whose it is)';

CREATE FUNCTION rolecall.revoked_tokens(server text) RETURNS TABLE (id text, expires_at timestamptz)
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'revoked_tokens_wrapper';
COMMENT ON FUNCTION rolecall.revoked_tokens(text) IS
    'The tokens that a server is to refuse before they expire: revoked, or the user or one of the roles was taken away';

CREATE FUNCTION rolecall.token_is_good(id text) RETURNS boolean
    LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'token_is_good_wrapper';
COMMENT ON FUNCTION rolecall.token_is_good(text) IS
    'Whether a server token is on record, not expired and not revoked: for a server that asks about each one';

CREATE FUNCTION rolecall.server_key() RETURNS text
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'server_key_wrapper';
COMMENT ON FUNCTION rolecall.server_key() IS 'The public key, in PEM, that verifies new server tokens';

CREATE VIEW rolecall.my_tokens WITH (security_barrier) AS
    SELECT t.id, server, roles, issued_at, expires_at,
           coalesce(revoked_at, CASE WHEN issued_at <= sessions_revoked_at THEN sessions_revoked_at END) AS revoked_at
      FROM rolecall.server_tokens t JOIN rolecall.users u ON u.id = user_id WHERE user_id = rolecall.user_id();
COMMENT ON VIEW rolecall.my_tokens IS 'The server tokens that one was issued';
COMMENT ON COLUMN rolecall.my_tokens.id IS 'The claim jti';
COMMENT ON COLUMN rolecall.my_tokens.server IS 'The server it is for';
COMMENT ON COLUMN rolecall.my_tokens.roles IS 'Its roles, each with its scopes';
COMMENT ON COLUMN rolecall.my_tokens.issued_at IS 'When it was issued';
COMMENT ON COLUMN rolecall.my_tokens.expires_at IS 'From when on it is refused';
COMMENT ON COLUMN rolecall.my_tokens.revoked_at IS 'When it was revoked, or one''s sessions were ended';
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
CREATE FUNCTION rolecall.acl_support(internal) RETURNS internal
    LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'acl_support';
COMMENT ON FUNCTION rolecall.acl_support(internal) IS
    'Planner support: administrators pass, and an index of the ACL finds the rows of others';

CREATE FUNCTION rolecall.acl_allows(acl jsonb, "right" text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.acl_support COST 10 AS 'MODULE_PATHNAME', 'acl_allows';
COMMENT ON FUNCTION rolecall.acl_allows(jsonb, text) IS
    'Whether an ACL gives the present identity the right create, read, update, delete, invoke or full_control; a deny wins';

CREATE FUNCTION rolecall.acl_denies(acl jsonb, "right" text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.acl_support COST 10 AS 'MODULE_PATHNAME', 'acl_denies';
COMMENT ON FUNCTION rolecall.acl_denies(jsonb, text) IS 'Whether an ACL denies the present identity the right';

CREATE FUNCTION rolecall.acl_holders() RETURNS jsonpath
    LANGUAGE c STABLE PARALLEL SAFE SUPPORT rolecall.identity_support AS 'MODULE_PATHNAME', 'acl_holders';
COMMENT ON FUNCTION rolecall.acl_holders() IS
    'The condition that an ACL names the present identity, for an index: acl @@ acl_holders()';

CREATE FUNCTION rolecall.new_acl(given jsonb) RETURNS jsonb
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'new_acl_wrapper';
COMMENT ON FUNCTION rolecall.new_acl(jsonb) IS
    'The ACL of a new row: without one full control for its creator and admins; whoever could not read and update what he makes gets full control too';

CREATE FUNCTION rolecall.changed_acl(former jsonb, given jsonb) RETURNS jsonb
    LANGUAGE c STABLE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'changed_acl_wrapper';
COMMENT ON FUNCTION rolecall.changed_acl(jsonb, jsonb) IS
    'The ACL of a row that had another one: whoever writes it keeps his rights where he would lock himself out';

CREATE FUNCTION rolecall.grant_right(
    target regclass, key text, member text, rights text[], deny boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'grant_right_wrapper';
COMMENT ON FUNCTION rolecall.grant_right(regclass, text, text, text[], boolean) IS
    'Gives a user, or a role written role:NAME, rights to the row of that primary key, or denies them; for who may update the row';

CREATE FUNCTION rolecall.revoke_right(
    target regclass, key text, member text, rights text[] DEFAULT NULL, deny boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS 'MODULE_PATHNAME', 'revoke_right_wrapper';
COMMENT ON FUNCTION rolecall.revoke_right(regclass, text, text, text[], boolean) IS
    'Takes rights to a row, or their denial, from a user or a role; all of them where none is named';
CREATE TABLE rolecall.workflows (
    queue     text COLLATE "C" PRIMARY KEY CHECK (queue <> ''),
    role      text COLLATE "C" NOT NULL UNIQUE REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    publisher text COLLATE "C" REFERENCES rolecall.users ON UPDATE CASCADE ON DELETE SET NULL
);
CREATE INDEX workflows_publisher ON rolecall.workflows (publisher);
COMMENT ON TABLE rolecall.workflows IS 'Workflows that users have published for the members of a role';
COMMENT ON COLUMN rolecall.workflows.queue IS 'What it is called, and its queue after workflow:';
COMMENT ON COLUMN rolecall.workflows.role IS 'Whose members may invoke it';
COMMENT ON COLUMN rolecall.workflows.publisher IS 'Who consumes what is sent to it; NULL: the user is gone';

-- Who knows a channel's name hears when something is sent, so it can be guessed from nothing.
CREATE FUNCTION rolecall.new_channel() RETURNS text LANGUAGE sql VOLATILE
    RETURN 'rolecall_' || replace(gen_random_uuid()::text, '-', '');
COMMENT ON FUNCTION rolecall.new_channel() IS 'A name for a channel that nobody guesses';

CREATE TABLE rolecall.queues (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id  text COLLATE "C" UNIQUE REFERENCES rolecall.users ON UPDATE CASCADE ON DELETE CASCADE,
    role     text COLLATE "C" UNIQUE REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    workflow text COLLATE "C" UNIQUE REFERENCES rolecall.workflows ON UPDATE CASCADE ON DELETE CASCADE,
    channel  text NOT NULL UNIQUE DEFAULT rolecall.new_channel(),
    former   text,
    acl      jsonb NOT NULL DEFAULT '[]',
    CHECK (num_nonnulls(user_id, role, workflow) = 1)
);
-- Of the users' queues there may be millions.
CREATE INDEX queues_pools ON rolecall.queues (id) WHERE role IS NOT NULL;
COMMENT ON TABLE rolecall.queues IS 'Where messages wait: of users, of roles that are pools, of workflows';
COMMENT ON COLUMN rolecall.queues.id IS 'What messages call it';
COMMENT ON COLUMN rolecall.queues.user_id IS 'The user whose queue it is; there is none before somebody needs it';
COMMENT ON COLUMN rolecall.queues.role IS 'The pool whose queue it is';
COMMENT ON COLUMN rolecall.queues.workflow IS 'The workflow whose queue it is';
COMMENT ON COLUMN rolecall.queues.channel IS 'What is notified when there is something to receive';
COMMENT ON COLUMN rolecall.queues.former IS 'The channel before that: a sender that is not done yet has seen it';
COMMENT ON COLUMN rolecall.queues.acl IS 'Who else may send (invoke), who may not (invoke, denied), which members may not receive (read, denied)';

CREATE TABLE rolecall.change_channel (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    channel  text NOT NULL DEFAULT rolecall.new_channel()
);
INSERT INTO rolecall.change_channel DEFAULT VALUES;
COMMENT ON TABLE rolecall.change_channel IS 'The channel that is notified when somebody may consume from more queues. Not dumped: another database has another one';
COMMENT ON COLUMN rolecall.change_channel.only_row IS 'There is one row';
COMMENT ON COLUMN rolecall.change_channel.channel IS 'The channel';

-- No foreign keys: every message would lock its queue's row. What a dropped queue leaves, expire() finds.
CREATE TABLE rolecall.messages (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue       bigint NOT NULL,
    payload     jsonb NOT NULL,
    sender      text,
    sender_key  text,
    priority    int NOT NULL DEFAULT 2,
    state       text NOT NULL DEFAULT 'ready',
    due         timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    reply_to    bigint,
    in_reply_to bigint,
    attempts    int NOT NULL DEFAULT 0,
    lost        int NOT NULL DEFAULT 0,
    consumer    text,
    declined    jsonb,
    sent_at     timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX messages_ready ON rolecall.messages (queue, priority, id) WHERE state = 'ready';
CREATE INDEX messages_due ON rolecall.messages (due);
COMMENT ON TABLE rolecall.messages IS 'Messages that are waiting or being worked on';
COMMENT ON COLUMN rolecall.messages.id IS 'Older ones have lower ones';
COMMENT ON COLUMN rolecall.messages.queue IS 'The queue it waits in';
COMMENT ON COLUMN rolecall.messages.payload IS 'What it says';
COMMENT ON COLUMN rolecall.messages.sender IS 'Who sent it: a user''s name, api_token:ID, or a database role; NULL: rolecall itself';
COMMENT ON COLUMN rolecall.messages.sender_key IS 'The same as identity_key() says it, which nobody else ever gets';
COMMENT ON COLUMN rolecall.messages.priority IS 'Lower ones go first';
COMMENT ON COLUMN rolecall.messages.state IS 'ready: whoever comes gets it; leased: somebody has it';
COMMENT ON COLUMN rolecall.messages.due IS 'When something has to happen to it: while ready when it expires, while leased when the lease ends';
COMMENT ON COLUMN rolecall.messages.expires_at IS 'From when on nobody gets it';
COMMENT ON COLUMN rolecall.messages.reply_to IS 'The queue that gets the result, or hears that there is none';
COMMENT ON COLUMN rolecall.messages.in_reply_to IS 'The message that this answers';
COMMENT ON COLUMN rolecall.messages.attempts IS 'How often it was received';
COMMENT ON COLUMN rolecall.messages.lost IS 'How often a lease ended';
COMMENT ON COLUMN rolecall.messages.consumer IS 'Who has it, as identity_key() says it';
COMMENT ON COLUMN rolecall.messages.declined IS 'Who was busy, and until when (seconds since the epoch) others go first';
COMMENT ON COLUMN rolecall.messages.sent_at IS 'When it was sent';

CREATE TABLE rolecall.dead_letters (
    message     bigint PRIMARY KEY,
    queue       bigint NOT NULL,
    queue_name  text,
    payload     jsonb NOT NULL,
    sender      text,
    sender_key  text,
    priority    int NOT NULL,
    in_reply_to bigint,
    attempts    int NOT NULL,
    lost        int NOT NULL,
    sent_at     timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    reason      text NOT NULL CHECK (reason IN ('expired', 'attempts', 'dropped')),
    died_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dead_letters_queue ON rolecall.dead_letters (queue);
CREATE INDEX dead_letters_sender ON rolecall.dead_letters (sender_key);
COMMENT ON TABLE rolecall.dead_letters IS 'Messages that nobody has done';
COMMENT ON COLUMN rolecall.dead_letters.message IS 'The message''s id';
COMMENT ON COLUMN rolecall.dead_letters.queue IS 'The queue it waited in';
COMMENT ON COLUMN rolecall.dead_letters.queue_name IS 'What that was called';
COMMENT ON COLUMN rolecall.dead_letters.payload IS 'What it says';
COMMENT ON COLUMN rolecall.dead_letters.sender IS 'Who sent it; NULL: rolecall itself';
COMMENT ON COLUMN rolecall.dead_letters.sender_key IS 'The same as identity_key() says it';
COMMENT ON COLUMN rolecall.dead_letters.priority IS 'Its priority';
COMMENT ON COLUMN rolecall.dead_letters.in_reply_to IS 'The message that it was to answer';
COMMENT ON COLUMN rolecall.dead_letters.attempts IS 'How often it was received';
COMMENT ON COLUMN rolecall.dead_letters.lost IS 'How often a lease ended';
COMMENT ON COLUMN rolecall.dead_letters.sent_at IS 'When it was sent';
COMMENT ON COLUMN rolecall.dead_letters.expires_at IS 'When it expired, or would have';
COMMENT ON COLUMN rolecall.dead_letters.reason IS 'expired; attempts: too many leases have ended; dropped: its queue is gone';
COMMENT ON COLUMN rolecall.dead_letters.died_at IS 'Since when it lies here';

-- Sessions remember which queues they receive from. Users' own are known beforehand.
CREATE TRIGGER invalidate_on_entry AFTER INSERT OR UPDATE OF role, workflow, acl
    ON rolecall.queues FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION rolecall.invalidate_sessions();
CREATE TRIGGER invalidate_on_exit AFTER DELETE
    ON rolecall.queues FOR EACH ROW WHEN (OLD.user_id IS NULL) EXECUTE FUNCTION rolecall.invalidate_sessions();
ALTER TABLE rolecall.queues ENABLE ALWAYS TRIGGER invalidate_on_entry;
ALTER TABLE rolecall.queues ENABLE ALWAYS TRIGGER invalidate_on_exit;

SELECT pg_extension_config_dump('rolecall.workflows', '');
SELECT pg_extension_config_dump('rolecall.queues', '');
SELECT pg_extension_config_dump('rolecall.queues_id_seq', '');
SELECT pg_extension_config_dump('rolecall.messages', '');
SELECT pg_extension_config_dump('rolecall.messages_id_seq', '');
SELECT pg_extension_config_dump('rolecall.dead_letters', '');

CREATE FUNCTION rolecall.identity_key() RETURNS text LANGUAGE sql STABLE
    RETURN coalesce('user:' || rolecall.user_id(), 'api_token:' || rolecall.api_token_id());
COMMENT ON FUNCTION rolecall.identity_key() IS 'Who acts, by id: a name may be somebody else''s later. NULL: nobody is logged in';

CREATE VIEW rolecall.queue_names AS
    SELECT q.id, CASE WHEN role IS NOT NULL THEN 'role:' || role WHEN workflow IS NOT NULL THEN 'workflow:' || workflow
                      ELSE username END AS name
      FROM rolecall.queues q LEFT JOIN rolecall.users u ON u.id = user_id;
COMMENT ON VIEW rolecall.queue_names IS 'What queues are called';
COMMENT ON COLUMN rolecall.queue_names.id IS 'The queue';
COMMENT ON COLUMN rolecall.queue_names.name IS 'The user''s name, role:NAME or workflow:NAME';

CREATE VIEW rolecall.consumable AS
    SELECT q.id, username AS name, channel, former
      FROM rolecall.users u LEFT JOIN rolecall.queues q ON q.user_id = u.id
     WHERE u.id = rolecall.user_id()
     UNION ALL
    SELECT id, 'role:' || role, channel, former
      FROM rolecall.queues WHERE role IS NOT NULL AND rolecall.has_role(role)
       AND (acl = '[]' OR NOT rolecall.acl_denies(acl, 'read'))
     UNION ALL
    SELECT id, 'workflow:' || workflow, channel, former
      FROM rolecall.workflows w JOIN rolecall.queues q ON workflow = w.queue WHERE publisher = rolecall.user_id();
COMMENT ON VIEW rolecall.consumable IS 'The queues that one may receive from';
COMMENT ON COLUMN rolecall.consumable.id IS 'The queue; NULL: the user''s own, which nobody has needed yet';
COMMENT ON COLUMN rolecall.consumable.name IS 'What it is called';
COMMENT ON COLUMN rolecall.consumable.channel IS 'Its channel';
COMMENT ON COLUMN rolecall.consumable.former IS 'The channel before that';

CREATE FUNCTION rolecall.queue_of(of_user text) RETURNS rolecall.queues
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    hit queues;
BEGIN
    SELECT * INTO hit FROM queues WHERE user_id = of_user;
    IF NOT FOUND AND EXISTS (SELECT FROM users WHERE id = of_user) THEN
        INSERT INTO queues (user_id) VALUES (of_user) ON CONFLICT DO NOTHING;
        SELECT * INTO hit FROM queues WHERE user_id = of_user;
    END IF;
    RETURN hit;
END
$$;
COMMENT ON FUNCTION rolecall.queue_of(text) IS 'The queue of a user, made where there is none yet';

-- Who has no right does not learn whether there is such a queue. The rights are variables, since constants would become
-- part of the plan.
CREATE FUNCTION rolecall.queue_to_send_to(name text) RETURNS rolecall.queues
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    invoke text := 'invoke';
    owner text;
    members text;
    hit queues;
BEGIN
    IF name IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'queue must not be NULL';
    ELSIF starts_with(name, 'role:') THEN
        members := substr(name, 6);
        SELECT * INTO hit FROM queues WHERE role = members;
    ELSIF starts_with(name, 'workflow:') THEN
        SELECT * INTO hit FROM queues WHERE workflow = substr(name, 10);
        SELECT role INTO members FROM workflows WHERE queue = hit.workflow;
    ELSE
        SELECT id INTO owner FROM users WHERE username = name;
        SELECT * INTO hit FROM queues WHERE user_id = owner;
    END IF;
    IF NOT is_administrator() AND (acl_denies(coalesce(hit.acl, '[]'), invoke) IS NOT FALSE
        OR (owner = user_id() OR hit.id IS NOT NULL AND has_role(members) OR acl_allows(hit.acl, invoke)) IS NOT TRUE) THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('permission denied: you may not send to queue "%s"', name),
                  HINT = 'Ask an administrator for the role, or for a right to the queue (rolecall.grant_right()).';
    END IF;
    IF owner IS NOT NULL AND hit.id IS NULL THEN
        hit := queue_of(owner);
    END IF;
    IF hit.id IS NULL THEN
        RAISE undefined_object
            USING MESSAGE = format('queue "%s" does not exist', name),
                  HINT = 'A queue is the name of a user, role:NAME of a role that is a pool, or workflow:NAME.';
    END IF;
    RETURN hit;
END
$$;
COMMENT ON FUNCTION rolecall.queue_to_send_to(text) IS 'The queue of that name, for who may send to it; else an error';
-- Who waits for messages sleeps until one of his channels is notified. What he may consume changes meanwhile: who may
-- more has to wake and listen to more, and who may less must hear nothing any more.

CREATE FUNCTION rolecall.tell_of_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM queues WHERE role IS NOT NULL) OR TG_TABLE_NAME = 'queues' THEN
        PERFORM pg_notify(channel, '') FROM change_channel;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.tell_of_change() IS 'Wakes everybody who waits, to see whether there are more queues for him';
CREATE TRIGGER tell_of_change AFTER INSERT ON rolecall.queues
    FOR EACH ROW WHEN (NEW.user_id IS NULL) EXECUTE FUNCTION rolecall.tell_of_change();
CREATE TRIGGER tell_of_change AFTER INSERT ON rolecall.user_roles
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.tell_of_change();
CREATE TRIGGER tell_of_change AFTER INSERT ON rolecall.role_members
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.tell_of_change();

CREATE FUNCTION rolecall.change_channels(of_queues bigint[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    left_behind text;
BEGIN
    FOR left_behind IN
        UPDATE queues SET channel = new_channel(), former = channel WHERE id = ANY (of_queues) RETURNING former
    LOOP
        PERFORM pg_notify(left_behind, '');
    END LOOP;
END
$$;
COMMENT ON FUNCTION rolecall.change_channels(bigint[]) IS
    'Gives queues new channels and wakes who listens to the old ones: who still may asks for the new name';

CREATE FUNCTION rolecall.pools_of(of_roles text[]) RETURNS bigint[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    -- Without pools nothing need be looked up, however large the organisation.
    RETURN (
        WITH RECURSIVE held AS (
            SELECT role COLLATE "C" AS role FROM unnest(of_roles) role WHERE EXISTS (SELECT FROM queues WHERE role IS NOT NULL)
             UNION
            SELECT m.role FROM held JOIN role_members m ON m.member = held.role)
        SELECT array_agg(id) FROM queues JOIN held USING (role));
END
$$;
COMMENT ON FUNCTION rolecall.pools_of(text[]) IS 'The queues of the pools that holders of these roles consume';

CREATE FUNCTION rolecall.leave_channels() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM change_channels(pools_of(ARRAY(SELECT DISTINCT role FROM gone)));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.leave_channels() IS 'Leaves those who lost a role with channels on which nothing comes';
CREATE TRIGGER leave_channels AFTER DELETE ON rolecall.user_roles REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.leave_channels();
CREATE TRIGGER leave_channels AFTER DELETE ON rolecall.role_members REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.leave_channels();
CREATE TRIGGER leave_channels AFTER DELETE ON rolecall.api_token_roles REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.leave_channels();

CREATE FUNCTION rolecall.disabled_user_leaves() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM change_channels(pools_of(ARRAY(
        SELECT 'users'
         UNION SELECT role FROM user_roles WHERE user_id = NEW.id
         UNION SELECT role FROM api_token_roles r JOIN api_tokens t ON t.id = r.token WHERE owner = NEW.id))
        || ARRAY(SELECT q.id FROM queues q LEFT JOIN workflows w ON w.queue = workflow
                  WHERE user_id = NEW.id OR publisher = NEW.id));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.disabled_user_leaves() IS 'Leaves a disabled user with channels on which nothing comes';
CREATE TRIGGER leave_channels AFTER UPDATE OF disabled ON rolecall.users
    FOR EACH ROW WHEN (NEW.disabled AND NOT OLD.disabled) EXECUTE FUNCTION rolecall.disabled_user_leaves();

-- Before he is gone: his messages' dead letters say his name.
CREATE FUNCTION rolecall.drop_queue_of_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    DELETE FROM queues WHERE user_id = OLD.id;
    PERFORM change_channels(pools_of('{users}')
        || ARRAY(SELECT q.id FROM queues q JOIN workflows w ON w.queue = workflow WHERE publisher = OLD.id));
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION rolecall.drop_queue_of_user() IS 'Drops the queue of a user who is dropped';
CREATE TRIGGER drop_queue BEFORE DELETE ON rolecall.users
    FOR EACH ROW EXECUTE FUNCTION rolecall.drop_queue_of_user();

CREATE FUNCTION rolecall.keep_queue_of_pool() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    -- A restore has the queues as well, with what waits in them: pg_dump's own statement, alone.
    IF current_query() ~ '^COPY rolecall\.\w+ (\([^;]*\) )?FROM stdin;?\s*$' THEN
        RETURN NULL;
    ELSIF NEW.pool THEN
        INSERT INTO queues (role) VALUES (NEW.name) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM queues WHERE role = NEW.name;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.keep_queue_of_pool() IS 'Makes the queue of a role that is a pool, and drops that of one that no longer is';
CREATE TRIGGER keep_queue AFTER INSERT OR UPDATE OF pool ON rolecall.roles
    FOR EACH ROW EXECUTE FUNCTION rolecall.keep_queue_of_pool();
CREATE FUNCTION rolecall.wake(queues bigint[]) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp
    AS $$SELECT pg_notify(channel, '') FROM queues WHERE id = ANY ($1)$$;
COMMENT ON FUNCTION rolecall.wake(bigint[]) IS 'Wakes who listens to these queues';

CREATE FUNCTION rolecall.send(
    queue text, payload jsonb, expires_in interval DEFAULT '60 seconds', reply_to text DEFAULT NULL,
    priority int DEFAULT 2) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    expiry timestamptz := coalesce(moment + expires_in, 'infinity');
    target queues := queue_to_send_to(send.queue);
    answers queues;
    message bigint;
BEGIN
    IF send.payload IS NULL OR send.priority IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'payload and priority must not be NULL';
    ELSIF expiry <= moment THEN
        RAISE invalid_parameter_value USING MESSAGE = 'expires_in must be positive',
            HINT = 'NULL lets the message wait for ever.';
    END IF;
    IF send.reply_to IS NOT NULL THEN
        answers := queue_to_send_to(send.reply_to);
    END IF;
    INSERT INTO messages (queue, payload, sender, sender_key, priority, due, expires_at, reply_to, sent_at)
        VALUES (target.id, send.payload, coalesce(acting_as(), actor()), identity_key(), send.priority, expiry, expiry,
                answers.id, moment)
        RETURNING id INTO message;
    PERFORM pg_notify(target.channel, '');
    RETURN message;
END
$$;
COMMENT ON FUNCTION rolecall.send(text, jsonb, interval, text, int) IS
    'Sends a message to a user, role:NAME or workflow:NAME; the result, or that there is none, goes to reply_to';

-- Whoever was allowed to name the queue when he sent gets the answer there.
CREATE FUNCTION rolecall.answer(queue bigint, payload jsonb, in_reply_to bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    expiry timestamptz := clock_timestamp() + interval '1 hour';
BEGIN
    INSERT INTO messages (queue, payload, sender, sender_key, due, expires_at, in_reply_to)
        SELECT id, answer.payload, coalesce(acting_as(), actor()), identity_key(), expiry, expiry, answer.in_reply_to
          FROM queues WHERE id = answer.queue;
    PERFORM wake(ARRAY[answer.queue]);
END
$$;
COMMENT ON FUNCTION rolecall.answer(bigint, jsonb, bigint) IS 'Sends the result of a message; it waits for an hour';

CREATE FUNCTION rolecall.bury(ids bigint[], dropped boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz := clock_timestamp();
    told bigint[];
BEGIN
    WITH dead AS (
        DELETE FROM messages WHERE id = ANY (ids) RETURNING *),
    named AS (
        SELECT dead.*, name FROM dead LEFT JOIN queue_names n ON n.id = queue),
    kept AS (
        INSERT INTO dead_letters (message, queue, queue_name, payload, sender, sender_key, priority, in_reply_to, attempts,
                                  lost, sent_at, expires_at, reason)
        SELECT id, queue, name, payload, sender, sender_key, priority, in_reply_to, attempts, lost, sent_at, expires_at,
               CASE WHEN dropped THEN 'dropped' WHEN expires_at <= moment THEN 'expired' ELSE 'attempts' END
          FROM named),
    timeouts AS (
        INSERT INTO messages (queue, payload, due, expires_at, in_reply_to)
        SELECT reply_to,
               jsonb_build_object('command', 'timeout', 'message', d.id, 'queue', d.name, 'payload', d.payload),
               moment + interval '1 hour', moment + interval '1 hour', d.id
          FROM named d JOIN queues q ON q.id = reply_to
        RETURNING queue)
    SELECT array_agg(DISTINCT queue) INTO told FROM timeouts;
    PERFORM wake(told);
END
$$;
COMMENT ON FUNCTION rolecall.bury(bigint[], boolean) IS 'Moves messages to the dead letters and tells those who wait for a result';

CREATE FUNCTION rolecall.bury_all() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM bury(ARRAY(SELECT id FROM messages WHERE queue = OLD.id), true);
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION rolecall.bury_all() IS 'Moves what waits in a queue that is dropped to the dead letters';
CREATE TRIGGER bury_all BEFORE DELETE ON rolecall.queues FOR EACH ROW EXECUTE FUNCTION rolecall.bury_all();

-- What somebody else is seeing to is passed over. A message whose consumers die again and again may be why they die.
CREATE FUNCTION rolecall.tidy(most int, OUT seen_to bigint, OUT died bigint)
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    given_back bigint[];
    dead bigint[];
BEGIN
    SELECT array_agg(id) FILTER (WHERE lives), array_agg(id) FILTER (WHERE NOT lives) INTO given_back, dead
      FROM (SELECT id, state = 'leased' AND expires_at > moment AND lost < 9 AS lives
              FROM messages WHERE due <= moment ORDER BY due LIMIT most FOR UPDATE SKIP LOCKED) overdue;
    IF given_back IS NOT NULL THEN
        WITH again AS (
            UPDATE messages SET state = 'ready', due = expires_at, consumer = NULL, lost = lost + 1
             WHERE id = ANY (given_back) RETURNING queue)
        SELECT wake(array_agg(DISTINCT queue)) FROM again INTO moment;
    END IF;
    IF dead IS NOT NULL THEN
        PERFORM bury(dead);
    END IF;
    died := coalesce(cardinality(dead), 0);
    seen_to := died + coalesce(cardinality(given_back), 0);
END
$$;
COMMENT ON FUNCTION rolecall.tidy(int) IS
    'Buries messages that have expired, or whose leases have ended ten times, and gives others back whose lease has';

CREATE FUNCTION rolecall.expire() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    orphans bigint[] := ARRAY(
        SELECT id FROM messages WHERE queue NOT IN (SELECT id FROM queues) FOR UPDATE SKIP LOCKED);
    total bigint := cardinality(orphans);
    done record;
BEGIN
    -- They were sent while their queue was being dropped.
    PERFORM bury(orphans, true);
    LOOP
        done := tidy(1000);
        EXIT WHEN done.seen_to = 0;
        total := total + done.died;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION rolecall.expire() IS
    'Moves expired messages to the dead letters, gives back what a consumer has had too long; how many died';

CREATE FUNCTION rolecall.lease_end(lease interval) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    IF (moment + lease > moment) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'lease must be positive';
    END IF;
    RETURN moment + lease;
END
$$;
COMMENT ON FUNCTION rolecall.lease_end(interval) IS 'When a lease that starts now ends';

CREATE FUNCTION rolecall.queue_name(queue bigint) RETURNS text
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    RETURN (SELECT name FROM queue_names WHERE id = queue);
END
$$;
COMMENT ON FUNCTION rolecall.queue_name(bigint) IS 'What a queue is called';

-- Called for every message. They act as the extension's owner for their statements only: no path need be set for a call.
CREATE FUNCTION rolecall.receive(lease interval DEFAULT '60 seconds', queue text DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'receive_wrapper';
COMMENT ON FUNCTION rolecall.receive(interval, text) IS
    'The next message for the user, from a pool whose role one holds, or for one''s workflow; nobody else gets it while the lease lasts';

CREATE FUNCTION rolecall.not_leased(message bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    RAISE object_not_in_prerequisite_state
        USING MESSAGE = format('message %s is not yours (any more)', coalesce(message::text, 'NULL')),
              HINT = 'Its lease has ended, or it is done: receive another one.';
END
$$;
COMMENT ON FUNCTION rolecall.not_leased(bigint) IS
    'Raises the error of whoever has not got a message, whether there is one or not';

CREATE FUNCTION rolecall.done(message bigint, result jsonb DEFAULT NULL, attempt int DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'done_wrapper';
COMMENT ON FUNCTION rolecall.done(bigint, jsonb, int) IS
    'Ends a message that one has received; a result goes to reply_to. attempt: only if it is still this delivery';

CREATE FUNCTION rolecall.extend(message bigint, lease interval) RETURNS timestamptz
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    me text := identity_key();
    until timestamptz := lease_end(lease);
BEGIN
    UPDATE messages SET due = until WHERE id = message AND state = 'leased' AND consumer = me;
    IF NOT FOUND THEN
        PERFORM not_leased(message);
    END IF;
    RETURN until;
END
$$;
COMMENT ON FUNCTION rolecall.extend(bigint, interval) IS 'Keeps a message for so long from now; until when that is';

CREATE FUNCTION rolecall.busy(message bigint, delay interval DEFAULT '1 second') RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    me text := identity_key();
    until timestamptz := clock_timestamp() + delay;
    waits_in bigint;
BEGIN
    IF (until >= clock_timestamp() - interval '1 second') IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'delay must not be negative';
    END IF;
    UPDATE messages SET state = 'ready', due = expires_at, consumer = NULL,
           declined = coalesce(declined, '{}') || jsonb_build_object(me, extract(epoch FROM until))
     WHERE id = message AND state = 'leased' AND consumer = me
    RETURNING queue INTO waits_in;
    IF NOT FOUND THEN
        PERFORM not_leased(message);
    END IF;
    PERFORM wake(ARRAY[waits_in]);
END
$$;
COMMENT ON FUNCTION rolecall.busy(bigint, interval) IS
    'Gives a message back: at once to others, to oneself after the delay';

-- A channel of its own tells the session, and nobody else, to look again: for what was sent before it listened.
CREATE FUNCTION rolecall.follow_channels() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    listening text[] := ARRAY(SELECT c FROM pg_listening_channels() c WHERE starts_with(c, 'rolecall_'));
    own text := coalesce((SELECT c FROM unnest(listening) c WHERE starts_with(c, 'rolecall_self_')),
                         replace(new_channel(), 'rolecall_', 'rolecall_self_'));
    wanted text[] := ARRAY(SELECT own UNION SELECT channel FROM change_channel
        UNION SELECT channel FROM consumable WHERE channel IS NOT NULL
        UNION SELECT former FROM consumable WHERE former IS NOT NULL);
    name text;
BEGIN
    FOREACH name IN ARRAY listening LOOP
        IF name <> ALL (wanted) THEN
            EXECUTE format('UNLISTEN %I', name);
        END IF;
    END LOOP;
    IF wanted <@ listening THEN
        RETURN;
    END IF;
    FOREACH name IN ARRAY wanted LOOP
        EXECUTE format('LISTEN %I', name);
    END LOOP;
    PERFORM pg_notify(own, '');
END
$$;
COMMENT ON FUNCTION rolecall.follow_channels() IS 'Listens to the channels of the queues that one may receive from, and to no others';

CREATE FUNCTION rolecall.listen() RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF identity_key() IS NULL THEN
        PERFORM require_login();
    END IF;
    PERFORM queue_of(user_id());
    PERFORM follow_channels();
    RETURN QUERY SELECT name FROM consumable ORDER BY name;
END
$$;
COMMENT ON FUNCTION rolecall.listen() IS
    'Notifies this connection from now on when there may be something to receive(); the queues';
-- Work that members of a pool share: items wait, are processed by one at a time, are tried again, and end.

CREATE TABLE rolecall.work_queues (
    name          text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    pool          text COLLATE "C" NOT NULL REFERENCES rolecall.roles ON UPDATE CASCADE,
    max_retries   int NOT NULL CHECK (max_retries >= 1),
    retry_delay   interval NOT NULL CHECK (retry_delay >= '0'),
    initial_delay interval NOT NULL CHECK (initial_delay >= '0'),
    success_queue text COLLATE "C" REFERENCES rolecall.work_queues CHECK (success_queue <> name),
    failed_queue  text COLLATE "C" REFERENCES rolecall.work_queues CHECK (failed_queue <> name),
    acl           jsonb NOT NULL DEFAULT '[]',
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX work_queues_pool ON rolecall.work_queues (pool);
COMMENT ON TABLE rolecall.work_queues IS 'Queues of work that members of a pool share';
COMMENT ON COLUMN rolecall.work_queues.name IS 'The name';
COMMENT ON COLUMN rolecall.work_queues.pool IS 'The role whose members push and pop';
COMMENT ON COLUMN rolecall.work_queues.max_retries IS 'How many runs an item has before it is failed';
COMMENT ON COLUMN rolecall.work_queues.retry_delay IS 'How long an item waits after a run that failed';
COMMENT ON COLUMN rolecall.work_queues.initial_delay IS 'How long a new item waits, unless it says otherwise';
COMMENT ON COLUMN rolecall.work_queues.success_queue IS 'Where successful items are copied to';
COMMENT ON COLUMN rolecall.work_queues.failed_queue IS 'Where failed items are copied to';
COMMENT ON COLUMN rolecall.work_queues.acl IS 'Who else may push (create) and pop (invoke), and who may not';
COMMENT ON COLUMN rolecall.work_queues.created_at IS 'When the queue was made';

-- A pop is not to wait for what it does not take: it finds the next item by the first index, however many are delayed,
-- processed or finished, and by the second what has come due. No other index begins with the queue: a plan could take it.
CREATE TABLE rolecall.work_items (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue       text COLLATE "C" NOT NULL REFERENCES rolecall.work_queues ON DELETE CASCADE,
    payload     jsonb NOT NULL,
    priority    int NOT NULL,
    state       text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'processing', 'retry', 'successful', 'failed')),
    due         timestamptz,
    retries     int NOT NULL DEFAULT 0,
    run         int NOT NULL DEFAULT 0,
    consumer    text,
    result      jsonb,
    error       text,
    source      jsonb,
    created_by  text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK (state <> 'processing' OR (due IS NOT NULL AND consumer IS NOT NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX work_items_ready ON rolecall.work_items (queue, priority, id)
    WHERE state IN ('new', 'retry') AND due IS NULL;
CREATE INDEX work_items_due ON rolecall.work_items (queue, due);
COMMENT ON TABLE rolecall.work_items IS 'The items of work queues';
COMMENT ON COLUMN rolecall.work_items.id IS 'The number, in the order of pushing';
COMMENT ON COLUMN rolecall.work_items.queue IS 'The queue';
COMMENT ON COLUMN rolecall.work_items.payload IS 'What is to be done';
COMMENT ON COLUMN rolecall.work_items.priority IS 'Lower ones first';
COMMENT ON COLUMN rolecall.work_items.state IS 'new, processing, retry, successful or failed';
COMMENT ON COLUMN rolecall.work_items.due IS 'When something happens to it: while it waits, the end of its delay (NULL: ready); while it is processed, the end of the lease';
COMMENT ON COLUMN rolecall.work_items.retries IS 'How often it was put back after a run that failed';
COMMENT ON COLUMN rolecall.work_items.run IS 'How often it was popped';
COMMENT ON COLUMN rolecall.work_items.consumer IS 'Who processes it, or did last, as identity() spells it';
COMMENT ON COLUMN rolecall.work_items.result IS 'What the consumer gave back';
COMMENT ON COLUMN rolecall.work_items.error IS 'Why the last run failed';
COMMENT ON COLUMN rolecall.work_items.source IS 'The item this is a copy of, and how that ended';
COMMENT ON COLUMN rolecall.work_items.created_by IS 'Who pushed it, as identity() spells it; NULL: a copy';
COMMENT ON COLUMN rolecall.work_items.created_at IS 'When it was pushed';
COMMENT ON COLUMN rolecall.work_items.finished_at IS 'When it became successful or failed';

SELECT pg_extension_config_dump('rolecall.work_queues', '');
SELECT pg_extension_config_dump('rolecall.work_items', '');
SELECT pg_extension_config_dump('rolecall.work_items_id_seq', '');

-- Nothing in these two can be replaced by a search path, and so the planner may put them in place of the call.
CREATE FUNCTION rolecall.may_use(role text, acl jsonb, "right" text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT rolecall.is_administrator()
        OR (NOT rolecall.acl_denies(acl, "right") AND (rolecall.has_role(role) OR rolecall.acl_allows(acl, "right")))
$$;
COMMENT ON FUNCTION rolecall.may_use(text, jsonb, text) IS
    'Whether one holds the role or has the right by the ACL, which may deny it; administrators always';
CREATE FUNCTION rolecall.identity() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN rolecall.user_id() IS NOT NULL THEN 'user:' OPERATOR(pg_catalog.||) rolecall.user_id()
                WHEN rolecall.api_token_id() IS NOT NULL THEN 'api_token:' OPERATOR(pg_catalog.||) rolecall.api_token_id()
                ELSE 'role:' OPERATOR(pg_catalog.||) session_user::pg_catalog.text END
$$;
COMMENT ON FUNCTION rolecall.identity() IS
    'Who acts, by what is not given to anybody else: user:ID, api_token:ID or, without a login, role:NAME';

CREATE VIEW rolecall.my_work_items WITH (security_barrier) AS
    SELECT i.id AS item, i.queue, i.state, i.payload, i.priority, i.retries, i.run, i.consumer, i.due, i.result, i.error,
           i.source, i.created_by, i.created_at, i.finished_at
      FROM rolecall.work_items i
      JOIN (SELECT name, rolecall.may_use(pool, acl, 'invoke') AS pops, rolecall.may_use(pool, acl, 'create') AS pushes
              FROM rolecall.work_queues OFFSET 0) q ON q.name = i.queue
     WHERE q.pops OR (q.pushes AND i.created_by = rolecall.identity());
COMMENT ON VIEW rolecall.my_work_items IS 'The items of the queues one may pop from, and those one has pushed oneself';
COMMENT ON COLUMN rolecall.my_work_items.item IS 'The number, in the order of pushing';
COMMENT ON COLUMN rolecall.my_work_items.queue IS 'The queue';
COMMENT ON COLUMN rolecall.my_work_items.state IS 'new, processing, retry, successful or failed';
COMMENT ON COLUMN rolecall.my_work_items.payload IS 'What is to be done';
COMMENT ON COLUMN rolecall.my_work_items.priority IS 'Lower ones first';
COMMENT ON COLUMN rolecall.my_work_items.retries IS 'How often it was put back after a run that failed';
COMMENT ON COLUMN rolecall.my_work_items.run IS 'How often it was popped';
COMMENT ON COLUMN rolecall.my_work_items.consumer IS 'Who processes it, or did last, as identity() spells it';
COMMENT ON COLUMN rolecall.my_work_items.due IS 'When something happens to it: while it waits, the end of its delay (NULL: ready); while it is processed, the end of the lease';
COMMENT ON COLUMN rolecall.my_work_items.result IS 'What the consumer gave back';
COMMENT ON COLUMN rolecall.my_work_items.error IS 'Why the last run failed';
COMMENT ON COLUMN rolecall.my_work_items.source IS 'The item this is a copy of, and how that ended';
COMMENT ON COLUMN rolecall.my_work_items.created_by IS 'Who pushed it, as identity() spells it; NULL: a copy';
COMMENT ON COLUMN rolecall.my_work_items.created_at IS 'When it was pushed';
COMMENT ON COLUMN rolecall.my_work_items.finished_at IS 'When it became successful or failed';
-- What is done with work queues. The functions for everybody find their queue or item by work_queue() or held_item(),
-- which check the caller; the others are for them only.

CREATE FUNCTION rolecall.must_administer(action text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF NOT is_administrator() THEN
        RAISE insufficient_privilege USING MESSAGE = format('permission denied: %s needs an administrator', action),
            HINT = 'Log in as a member of the role "admins", or connect as the extension''s owner.';
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.must_administer(text) IS 'Raises an error unless one is an administrator';

CREATE FUNCTION rolecall.create_work_queue(
    name text, pool text, max_retries int DEFAULT 3, retry_delay interval DEFAULT '0', initial_delay interval DEFAULT '0',
    success_queue text DEFAULT NULL, failed_queue text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q      ALIAS FOR name;
    p      ALIAS FOR pool;
    target text;
    problem text;
    is_pool boolean;
BEGIN
    PERFORM must_administer('create_work_queue()');
    problem := CASE
        WHEN q IS NULL THEN 'name must not be NULL'
        WHEN p IS NULL THEN 'pool must not be NULL'
        WHEN q = '' THEN 'work queue name "" must not be empty'
        WHEN length(q) > 255 THEN 'the work queue''s name is longer than 255 characters'
        WHEN (max_retries >= 1) IS NOT TRUE THEN 'max_retries must be 1 or more'
        WHEN (retry_delay >= '0') IS NOT TRUE THEN 'retry_delay must be 0 or more'
        WHEN (initial_delay >= '0') IS NOT TRUE THEN 'initial_delay must be 0 or more'
        WHEN q IN (success_queue, failed_queue) THEN format('work queue "%s" cannot copy to itself', q)
    END;
    IF problem IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = problem;
    END IF;
    SELECT r.pool INTO is_pool FROM roles r WHERE r.name = p FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE undefined_object USING MESSAGE = format('role "%s" does not exist', p),
            HINT = 'Create it with rolecall.create_role(.., pool => true).';
    ELSIF NOT is_pool THEN
        RAISE invalid_parameter_value USING MESSAGE = format('role "%s" is no pool', p),
            HINT = 'Name a role that was made with rolecall.create_role(.., pool => true).';
    END IF;
    FOREACH target IN ARRAY array_remove(ARRAY[success_queue, failed_queue], NULL) LOOP
        PERFORM FROM work_queues w WHERE w.name = target FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE undefined_object USING MESSAGE = format('work queue "%s" does not exist', target),
                HINT = 'Create it first with rolecall.create_work_queue().';
        END IF;
    END LOOP;
    INSERT INTO work_queues VALUES (q, p, max_retries, retry_delay, initial_delay, success_queue, failed_queue)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE duplicate_object USING MESSAGE = format('work queue "%s" exists already', q);
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.create_work_queue(text, text, int, interval, interval, text, text) IS
    'Makes a queue of work for the members of a pool: max_retries runs for each item, copies of those that end to other queues (administrators)';

CREATE FUNCTION rolecall.drop_work_queue(name text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q      ALIAS FOR name;
    copies text;
BEGIN
    PERFORM must_administer('drop_work_queue()');
    PERFORM FROM work_queues w WHERE w.name = q FOR UPDATE;
    IF NOT FOUND THEN
        RAISE undefined_object USING MESSAGE = format('work queue "%s" does not exist', q);
    END IF;
    SELECT string_agg(format('"%s"', w.name), ', ' ORDER BY w.name) INTO copies
      FROM work_queues w WHERE q IN (w.success_queue, w.failed_queue);
    IF copies IS NOT NULL THEN
        RAISE dependent_objects_still_exist USING
            MESSAGE = format('work queue "%s" gets copies from %s', q, copies), HINT = 'Drop those queues first.';
    END IF;
    DELETE FROM work_queues w WHERE w.name = q;
END
$$;
COMMENT ON FUNCTION rolecall.drop_work_queue(text) IS 'Removes a work queue with its items (administrators)';

CREATE FUNCTION rolecall.keep_pool() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    served text;
BEGIN
    SELECT string_agg(format('"%s"', name), ', ' ORDER BY name) INTO served FROM work_queues WHERE pool = OLD.name;
    IF served IS NOT NULL THEN
        RAISE dependent_objects_still_exist USING
            MESSAGE = format('role "%s" is the pool of work queue %s', OLD.name, served),
            HINT = 'Drop the queue first (rolecall.drop_work_queue()).';
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION rolecall.keep_pool() IS 'Keeps a role that is a work queue''s pool from being dropped';
CREATE TRIGGER keep_pool BEFORE DELETE ON rolecall.roles FOR EACH ROW EXECUTE FUNCTION rolecall.keep_pool();

CREATE FUNCTION rolecall.work_queue(name text, "right" text) RETURNS rolecall.work_queues
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q work_queues;
BEGIN
    SELECT * INTO q FROM work_queues w WHERE w.name = work_queue.name;
    IF q.name IS NOT NULL AND may_use(q.pool, q.acl, "right") THEN
        -- A guest may hold the pool's role, but nobody could say who has the item.
        IF NOT is_administrator() THEN
            PERFORM require_login();
        END IF;
        RETURN q;
    END IF;
    IF is_administrator() THEN
        RAISE undefined_object USING MESSAGE = format('work queue "%s" does not exist', name),
            HINT = 'Create it with rolecall.create_work_queue().';
    END IF;
    PERFORM require_login();
    RAISE insufficient_privilege USING MESSAGE = format('permission denied: you may not %s work queue "%s"',
            CASE "right" WHEN 'create' THEN 'push to' ELSE 'pop from' END, name),
        HINT = 'Ask an administrator for the role of its pool (rolecall.grant_role()).';
END
$$;
COMMENT ON FUNCTION rolecall.work_queue(text, text) IS 'The work queue, where one has the right to it';

CREATE FUNCTION rolecall.held_item(item bigint, run int) RETURNS rolecall.work_items
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    i       work_items;
    q       work_queues;
    me      text := identity();
    "right" text := 'invoke';
BEGIN
    IF NOT is_administrator() THEN
        PERFORM require_login();
    END IF;
    SELECT * INTO i FROM work_items w
     WHERE w.id = item AND w.state = 'processing' AND w.consumer = me AND w.run = coalesce(held_item.run, w.run)
       FOR NO KEY UPDATE;
    SELECT * INTO q FROM work_queues w WHERE w.name = i.queue;
    IF q.name IS NOT NULL AND may_use(q.pool, q.acl, "right") THEN
        RETURN i;
    END IF;
    RAISE object_not_in_prerequisite_state USING MESSAGE = format('you are not processing item %s', item),
        HINT = 'Where its lease has ended it may have been given to somebody else: take the next one with rolecall.pop_item().';
END
$$;
COMMENT ON FUNCTION rolecall.held_item(bigint, int) IS 'The item, where one has popped it and nobody else has since';

CREATE FUNCTION rolecall.due_after(delay interval) RETURNS timestamptz
    LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN delay > '0' THEN clock_timestamp() + delay END
$$;
COMMENT ON FUNCTION rolecall.due_after(interval) IS 'When a delay that begins now ends; NULL: there is none';

CREATE FUNCTION rolecall.wake_pool(pool text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM pg_notify(channel, '') FROM queues WHERE role = pool;
END
$$;
COMMENT ON FUNCTION rolecall.wake_pool(text) IS 'Wakes the members of a pool that listen';

CREATE FUNCTION rolecall.add_item(
    q rolecall.work_queues, payload jsonb, priority int, delay interval, created_by text, source jsonb) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    due  timestamptz := due_after(coalesce(delay, q.initial_delay));
    item bigint;
BEGIN
    INSERT INTO work_items (queue, payload, priority, due, created_by, source)
        VALUES (q.name, payload, priority, due, created_by, source) RETURNING id INTO item;
    IF due IS NULL THEN
        PERFORM wake_pool(q.pool);
    END IF;
    RETURN item;
END
$$;
COMMENT ON FUNCTION rolecall.add_item(rolecall.work_queues, jsonb, int, interval, text, jsonb) IS
    'Puts a new item into a work queue';

CREATE FUNCTION rolecall.finish_item(i rolecall.work_items, state text, result jsonb, error text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    target work_queues;
BEGIN
    UPDATE work_items w
       SET state = finish_item.state, result = finish_item.result, error = finish_item.error, due = NULL,
           finished_at = clock_timestamp()
     WHERE w.id = i.id;
    SELECT t.* INTO target FROM work_queues q
      JOIN work_queues t ON t.name = CASE state WHEN 'successful' THEN q.success_queue ELSE q.failed_queue END
     WHERE q.name = i.queue;
    IF FOUND THEN
        PERFORM add_item(target, i.payload, i.priority, NULL, NULL, jsonb_build_object(
            'item', i.id, 'queue', i.queue, 'state', state, 'result', result, 'error', error));
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.finish_item(rolecall.work_items, text, jsonb, text) IS
    'Ends an item and copies it to where the queue wants it';

CREATE FUNCTION rolecall.fail_run(i rolecall.work_items, error text, final boolean) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    q     work_queues;
    until timestamptz;
BEGIN
    SELECT * INTO q FROM work_queues w WHERE w.name = i.queue;
    IF final OR i.retries + 1 >= q.max_retries THEN
        PERFORM finish_item(i, 'failed', NULL, error);
        RETURN;
    END IF;
    until := due_after(q.retry_delay);
    UPDATE work_items w
       SET state = 'retry', retries = i.retries + 1, due = until, consumer = NULL, error = fail_run.error
     WHERE w.id = i.id;
    IF until IS NULL THEN
        PERFORM wake_pool(q.pool);
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.fail_run(rolecall.work_items, text, boolean) IS
    'Ends a run: the item is tried again or, when it was the last one, failed';

-- At most so much that a pop does not become slow; others who pop at the same time leave it to the first one.
CREATE FUNCTION rolecall.settle_due_items(q rolecall.work_queues, moment timestamptz) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, rolecall, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    i work_items;
BEGIN
    UPDATE work_items SET due = NULL WHERE id = ANY (ARRAY(
        SELECT w.id FROM work_items w
         WHERE w.queue = q.name AND w.due <= moment AND w.state IN ('new', 'retry')
         ORDER BY w.due LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED));
    IF FOUND THEN
        PERFORM wake_pool(q.pool);
    END IF;
    FOR i IN
        SELECT * FROM work_items w
         WHERE w.queue = q.name AND w.due <= moment AND w.state = 'processing'
         ORDER BY w.due LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM fail_run(i, 'lease ended', false);
    END LOOP;
END
$$;
COMMENT ON FUNCTION rolecall.settle_due_items(rolecall.work_queues, timestamptz) IS
    'Makes items ready whose delay has ended, and ends the runs whose lease has';

CREATE FUNCTION rolecall.push_item(queue text, payload jsonb, priority int DEFAULT 2, delay interval DEFAULT NULL)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    "right" text := 'create';
    q       work_queues := work_queue(queue, "right");
BEGIN
    IF payload IS NULL OR priority IS NULL OR delay < '0' THEN
        RAISE invalid_parameter_value USING MESSAGE = CASE
            WHEN payload IS NULL THEN 'payload must not be NULL'
            WHEN priority IS NULL THEN 'priority must not be NULL'
            ELSE 'delay must be 0 or more' END;
    END IF;
    RETURN add_item(q, payload, priority, delay, identity(), NULL);
END
$$;
COMMENT ON FUNCTION rolecall.push_item(text, jsonb, int, interval) IS
    'Puts an item into a work queue and returns its number; lower priorities go first; delay: else the queue''s';

-- Plans stay in a session from when the queue was empty: they must not be those for an empty table.
CREATE FUNCTION rolecall.pop_item(queue text, lease interval DEFAULT '60 seconds') RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    "right" text := 'invoke';
    q       work_queues := work_queue(queue, "right");
    me      text := identity();
    -- Compared with a function that is volatile, due could not be looked up in an index.
    moment  timestamptz := clock_timestamp();
    popped  jsonb;
BEGIN
    IF (lease > '0') IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'lease must be more than 0';
    END IF;
    IF EXISTS (SELECT FROM work_items w WHERE w.queue = q.name AND w.due <= moment) THEN
        PERFORM settle_due_items(q, moment);
    END IF;
    UPDATE work_items i SET state = 'processing', due = moment + lease, consumer = me, run = i.run + 1
     WHERE i.id = (SELECT w.id FROM work_items w
                    WHERE w.queue = q.name AND w.state IN ('new', 'retry') AND w.due IS NULL
                    ORDER BY w.priority, w.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING jsonb_build_object('item', i.id, 'queue', i.queue, 'payload', i.payload, 'priority', i.priority,
            'retries', i.retries, 'run', i.run, 'lease_until', i.due)
        || CASE WHEN i.source IS NULL THEN '{}' ELSE jsonb_build_object('source', i.source) END
      INTO popped;
    RETURN popped;
END
$$;
COMMENT ON FUNCTION rolecall.pop_item(text, interval) IS
    'Takes the next item of a work queue, for as long as the lease: {item, queue, payload, priority, retries, run, lease_until}, for a copy also source; NULL: there is none';

CREATE FUNCTION rolecall.extend_item(item bigint, lease interval, run int DEFAULT NULL) RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    i     work_items := held_item(item, run);
    until timestamptz := due_after(lease);
BEGIN
    IF until IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'lease must be more than 0';
    END IF;
    UPDATE work_items w SET due = until WHERE w.id = i.id;
    RETURN until;
END
$$;
COMMENT ON FUNCTION rolecall.extend_item(bigint, interval, int) IS
    'Makes one''s lease of an item end that long from now; run: only if it is still this one';

CREATE FUNCTION rolecall.item_done(item bigint, result jsonb DEFAULT NULL, run int DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    PERFORM finish_item(held_item(item, run), 'successful', result, NULL);
END
$$;
COMMENT ON FUNCTION rolecall.item_done(bigint, jsonb, int) IS
    'Makes an item that one has popped successful; run: only if it is still this one';

CREATE FUNCTION rolecall.item_failed(item bigint, error text DEFAULT NULL, final boolean DEFAULT false, run int DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    IF final IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'final must not be NULL';
    END IF;
    PERFORM fail_run(held_item(item, run), error, final);
END
$$;
COMMENT ON FUNCTION rolecall.item_failed(bigint, text, boolean, int) IS
    'Ends a run of an item that one has popped: it is tried again while runs remain, unless final, else failed; run: only if it is still this one';

CREATE FUNCTION rolecall.retry_item(item bigint, delay interval DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    i     work_items;
    q     work_queues;
    push  text := 'create';
    pop   text := 'invoke';
    until timestamptz;
BEGIN
    IF NOT is_administrator() THEN
        PERFORM require_login();
    END IF;
    IF delay < '0' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'delay must be 0 or more';
    END IF;
    SELECT * INTO i FROM work_items w WHERE w.id = item;
    SELECT * INTO q FROM work_queues w WHERE w.name = i.queue;
    IF q.name IS NULL AND is_administrator() THEN
        RAISE undefined_object USING MESSAGE = format('item %s does not exist', item);
    ELSIF q.name IS NULL OR NOT (may_use(q.pool, q.acl, push) AND may_use(q.pool, q.acl, pop)) THEN
        RAISE insufficient_privilege USING MESSAGE = format('permission denied: you may not retry item %s', item),
            HINT = 'Ask an administrator for the role of its queue''s pool (rolecall.grant_role()).';
    END IF;
    until := due_after(delay);
    UPDATE work_items w
       SET state = 'retry', retries = 0, due = until, consumer = NULL, result = NULL, finished_at = NULL
     WHERE w.id = item AND w.state IN ('successful', 'failed');
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('item %s is neither successful nor failed', item), HINT = 'Only such items are retried.';
    ELSIF until IS NULL THEN
        PERFORM wake_pool(q.pool);
    END IF;
END
$$;
COMMENT ON FUNCTION rolecall.retry_item(bigint, interval) IS
    'Puts an item that is successful or failed back, with as many runs as a new one (whoever may push and pop there)';
CREATE FUNCTION rolecall.remove_role(name text) RETURNS void
    LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp
    AS 'MODULE_PATHNAME', 'remove_role_wrapper';
COMMENT ON FUNCTION rolecall.remove_role(text) IS 'What drop_role() does, for whoever may unpublish a workflow';

CREATE FUNCTION rolecall.publish_workflow(queue text, prefix text DEFAULT 'nodered1') RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    me text := user_id();
    role text := prefix || publish_workflow.queue || 'users';
BEGIN
    IF me IS NULL THEN
        RAISE invalid_authorization_specification USING MESSAGE = 'publish_workflow() needs a user who is logged in',
            HINT = 'Get a token with rolecall.login() and pass it to rolecall.authenticate().';
    ELSIF (publish_workflow.queue <> '' AND prefix <> '' AND length(role) <= 255) IS NOT TRUE THEN
        RAISE invalid_parameter_value
            USING MESSAGE = 'queue and prefix must not be empty, and the role''s name not be longer than 255 characters';
    END IF;
    INSERT INTO roles (name, description) VALUES (role, format('May invoke the workflow %s', publish_workflow.queue))
        ON CONFLICT DO NOTHING;
    -- Whoever holds a role that is there was not meant to invoke this.
    IF NOT FOUND THEN
        RAISE duplicate_object USING MESSAGE = format('role "%s" exists already', role),
            HINT = 'Choose another queue or prefix.';
    END IF;
    INSERT INTO workflows (queue, role, publisher) VALUES (publish_workflow.queue, role, me) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RAISE duplicate_object USING MESSAGE = format('workflow "%s" exists already', publish_workflow.queue),
            HINT = 'Choose another queue.';
    END IF;
    INSERT INTO queues (workflow) VALUES (publish_workflow.queue);
    INSERT INTO user_roles (user_id, role) VALUES (me, role);
    RETURN role;
END
$$;
COMMENT ON FUNCTION rolecall.publish_workflow(text, text) IS
    'Makes a queue workflow:NAME that one receives from, and the role whose members may invoke it; returns the role';

CREATE FUNCTION rolecall.invoke_workflow(
    queue text, payload jsonb, expires_in interval DEFAULT '60 seconds', reply_to text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    RETURN send('workflow:' || queue, payload, expires_in, reply_to);
END
$$;
COMMENT ON FUNCTION rolecall.invoke_workflow(text, jsonb, interval, text) IS
    'Sends a message to a workflow that one may invoke';

CREATE FUNCTION rolecall.unpublish_workflow(queue text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    hit workflows;
BEGIN
    SELECT * INTO hit FROM workflows WHERE queue = unpublish_workflow.queue;
    IF (is_administrator() OR hit.publisher = user_id()) IS NOT TRUE THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('permission denied: workflow "%s" is not yours', coalesce(unpublish_workflow.queue, 'NULL')),
                  HINT = 'Its publisher and administrators may unpublish it.';
    ELSIF hit.queue IS NULL THEN
        RAISE undefined_object
            USING MESSAGE = format('workflow "%s" does not exist', coalesce(unpublish_workflow.queue, 'NULL'));
    END IF;
    PERFORM remove_role(hit.role);
END
$$;
COMMENT ON FUNCTION rolecall.unpublish_workflow(text) IS
    'Removes a workflow and its role (its publisher, or an administrator)';

CREATE FUNCTION rolecall.workflows() RETURNS TABLE (queue text, role text, publisher text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
DECLARE
    administrator boolean := is_administrator();
    invoke text := 'invoke';
BEGIN
    RETURN QUERY SELECT w.queue, w.role, username
        FROM workflows w JOIN queues ON workflow = w.queue LEFT JOIN users u ON u.id = publisher
       WHERE administrator OR has_role(w.role) AND NOT acl_denies(acl, invoke) ORDER BY 1;
END
$$;
COMMENT ON FUNCTION rolecall.workflows() IS 'The workflows that one may invoke';
CREATE TABLE rolecall.audit_entries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text NOT NULL,
    acting_as    text,
    session_role name NOT NULL DEFAULT session_user,
    address      inet DEFAULT inet_client_addr(),
    action       text NOT NULL,
    object       text NOT NULL,
    old          jsonb,
    new          jsonb
);
COMMENT ON TABLE rolecall.audit_entries IS 'Who changed what, when, from where. Nobody can change it';
COMMENT ON COLUMN rolecall.audit_entries.id IS 'In the order of writing';
COMMENT ON COLUMN rolecall.audit_entries.at IS 'When';
COMMENT ON COLUMN rolecall.audit_entries.actor IS 'Who: a user''s name, api_token:ID, or the database role of a session without a login';
COMMENT ON COLUMN rolecall.audit_entries.acting_as IS 'The user he had become() at the time';
COMMENT ON COLUMN rolecall.audit_entries.session_role IS 'The database role of the session';
COMMENT ON COLUMN rolecall.audit_entries.address IS 'The client''s address; NULL: a local socket';
COMMENT ON COLUMN rolecall.audit_entries.action IS 'insert, update, delete, become or register_server';
COMMENT ON COLUMN rolecall.audit_entries.object IS 'The table of rolecall''s that changed; for become, the user; for register_server, the server';
COMMENT ON COLUMN rolecall.audit_entries.old IS 'The row as it was, for an update its key and what changed; secrets left out';
COMMENT ON COLUMN rolecall.audit_entries.new IS 'The row as it is, for an update its key and what changed; secrets left out';
SELECT pg_extension_config_dump('rolecall.audit_entries', '');
SELECT pg_extension_config_dump('rolecall.audit_entries_id_seq', '');

CREATE FUNCTION rolecall.actor() RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'actor_wrapper';
COMMENT ON FUNCTION rolecall.actor() IS 'Who acts, as the audit log names him; behind become() the administrator';
CREATE FUNCTION rolecall.acting_as() RETURNS text LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'acting_as_wrapper';
COMMENT ON FUNCTION rolecall.acting_as() IS 'The user one has become(), or NULL';
CREATE FUNCTION rolecall.is_administrator() RETURNS boolean
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'is_administrator_wrapper';
COMMENT ON FUNCTION rolecall.is_administrator() IS
    'Whether one is in admins or, without a login, a superuser or a member of the extension''s owner';

CREATE FUNCTION rolecall.name_of_dropped(number oid) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT object_identity FROM pg_event_trigger_dropped_objects()
                      WHERE classid = 'pg_class'::regclass AND objid = number AND objsubid = 0), number::text);
EXCEPTION
    -- It was dropped earlier, without rolecall's event trigger.
    WHEN event_trigger_protocol_violated THEN RETURN number;
END
$$;
COMMENT ON FUNCTION rolecall.name_of_dropped(oid) IS 'What a table was called that is just being dropped, else its number';

-- The arguments are columns whose values are secret: that they changed is recorded, not what they are.
CREATE FUNCTION rolecall.record_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after  jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    named  name[];
    secret text;
BEGIN
    -- A restore loads what was recorded when it was first written: pg_dump's own statement, alone.
    IF current_query() ~ '^COPY rolecall\.\w+ (\([^;]*\) )?FROM stdin;?\s*$' THEN
        RETURN NULL;
    END IF;
    IF before = after THEN
        RETURN NULL;
    ELSIF TG_TABLE_NAME = 'protected_tables' THEN
        before := (before || jsonb_build_object('target', before -> 'called')) - 'called';
        after := (after || jsonb_build_object('target', after -> 'called')) - 'called';
    ELSIF TG_OP = 'DELETE' AND before ->> 'target' ~ '^\d+$' THEN
        before := before || jsonb_build_object('target', name_of_dropped((before ->> 'target')::oid));
    END IF;
    IF TG_OP = 'UPDATE' THEN
        -- What did not change is left out, but for what says which row it is.
        SELECT array_agg(attname) || '{username}' INTO named
          FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
         WHERE indrelid = TG_RELID AND indisprimary;
        SELECT jsonb_object_agg(key, o.value), jsonb_object_agg(key, n.value) INTO before, after
          FROM jsonb_each(before) o JOIN jsonb_each(after) n USING (key)
         WHERE o.value <> n.value OR key = ANY (named);
    END IF;
    FOREACH secret IN ARRAY coalesce(TG_ARGV, '{}') LOOP
        before := CASE WHEN before ? secret THEN before || jsonb_build_object(secret, '(secret)') ELSE before END;
        after := CASE WHEN after ? secret THEN after || jsonb_build_object(secret, '(secret)') ELSE after END;
    END LOOP;
    INSERT INTO audit_entries (actor, acting_as, action, object, old, new)
        VALUES (actor(), acting_as(), lower(TG_OP), TG_TABLE_NAME, before, after);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.record_change() IS 'Records a change in the audit log, without the columns named';

CREATE FUNCTION rolecall.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'the audit log cannot be changed';
END
$$;
COMMENT ON FUNCTION rolecall.refuse_change() IS 'Keeps the audit log as it was written';
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE
    ON rolecall.audit_entries FOR EACH STATEMENT EXECUTE FUNCTION rolecall.refuse_change();
ALTER TABLE rolecall.audit_entries ENABLE ALWAYS TRIGGER refuse_change;

CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE OF id, username, email, kind, database_role, password_hash,
    must_change_password, disabled, session_generation, issuer
    ON rolecall.users FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('password_hash', 'kept_token');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.roles FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.user_roles FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.role_members FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.servers FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.role_scopes FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.server_tokens FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.signing_keys FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('secret', 'jwk');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.verification_keys FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('jwk');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE OF id, name, token_hash, owner, expires_at
    ON rolecall.api_tokens FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('token_hash');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.api_token_roles FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.invitations FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('secret_hash');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.settings FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE OF acl_column, called
    ON rolecall.protected_tables FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.permissions FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.workflows FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER UPDATE OF acl
    ON rolecall.queues FOR EACH ROW EXECUTE FUNCTION rolecall.record_change('channel', 'former');
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.work_queues FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE OR UPDATE
    ON rolecall.users_tables FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();
-- Relations that foreign keys show, and the text of a view, only follow what else changes.
CREATE TRIGGER record_change AFTER INSERT
    ON rolecall.relations FOR EACH ROW WHEN (NOT NEW.found) EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_drop AFTER DELETE
    ON rolecall.relations FOR EACH ROW WHEN (NOT OLD.found) EXECUTE FUNCTION rolecall.record_change();
CREATE TRIGGER record_change AFTER INSERT OR DELETE
    ON rolecall.exposed_views FOR EACH ROW EXECUTE FUNCTION rolecall.record_change();

CREATE VIEW rolecall.audit_log WITH (security_barrier) AS
    SELECT id, at, actor, acting_as, session_role, address, action, object, old, new
      FROM rolecall.audit_entries WHERE rolecall.is_administrator();
COMMENT ON VIEW rolecall.audit_log IS 'Who changed what, when, from where, old and new; for administrators, others see nothing';
COMMENT ON COLUMN rolecall.audit_log.id IS 'In the order of writing';
COMMENT ON COLUMN rolecall.audit_log.at IS 'When';
COMMENT ON COLUMN rolecall.audit_log.actor IS 'Who: a user''s name, api_token:ID, or the database role of a session without a login';
COMMENT ON COLUMN rolecall.audit_log.acting_as IS 'The user he had become() at the time';
COMMENT ON COLUMN rolecall.audit_log.session_role IS 'The database role of the session';
COMMENT ON COLUMN rolecall.audit_log.address IS 'The client''s address; NULL: a local socket';
COMMENT ON COLUMN rolecall.audit_log.action IS 'insert, update, delete, become or register_server';
COMMENT ON COLUMN rolecall.audit_log.object IS 'The table of rolecall''s that changed; for become, the user; for register_server, the server';
COMMENT ON COLUMN rolecall.audit_log.old IS 'The row as it was, for an update its key and what changed; secrets left out';
COMMENT ON COLUMN rolecall.audit_log.new IS 'The row as it is, for an update its key and what changed; secrets left out';
CREATE VIEW rolecall.my_queues WITH (security_barrier) AS
    SELECT name AS queue, coalesce(ready, 0) AS ready, coalesce(leased, 0) AS leased
      FROM rolecall.consumable c
      LEFT JOIN (SELECT queue, count(*) FILTER (WHERE state = 'ready' AND expires_at > clock_timestamp()) AS ready,
                        count(*) FILTER (WHERE state = 'leased') AS leased
                   FROM rolecall.messages GROUP BY queue) m ON m.queue = c.id;
COMMENT ON VIEW rolecall.my_queues IS 'The queues that one may receive from';
COMMENT ON COLUMN rolecall.my_queues.queue IS 'The user''s name, role:NAME or workflow:NAME';
COMMENT ON COLUMN rolecall.my_queues.ready IS 'How many messages wait in it';
COMMENT ON COLUMN rolecall.my_queues.leased IS 'How many messages of it somebody is working on';

CREATE VIEW rolecall.my_dead_letters WITH (security_barrier) AS
    SELECT message, queue_name AS queue, payload, sender, in_reply_to, attempts, sent_at, expires_at, reason, died_at
      FROM rolecall.dead_letters
     WHERE queue IN (SELECT id FROM rolecall.consumable)
        OR sender_key = coalesce('user:' || rolecall.user_id(), 'api_token:' || rolecall.api_token_id())
        OR rolecall.is_administrator();
COMMENT ON VIEW rolecall.my_dead_letters IS
    'Messages that nobody has done: one''s own, and of queues that one may receive from; administrators see all';
COMMENT ON COLUMN rolecall.my_dead_letters.message IS 'The message''s id';
COMMENT ON COLUMN rolecall.my_dead_letters.queue IS 'What its queue was called';
COMMENT ON COLUMN rolecall.my_dead_letters.payload IS 'What it says';
COMMENT ON COLUMN rolecall.my_dead_letters.sender IS 'Who sent it; NULL: rolecall itself';
COMMENT ON COLUMN rolecall.my_dead_letters.in_reply_to IS 'The message that it was to answer';
COMMENT ON COLUMN rolecall.my_dead_letters.attempts IS 'How often it was received';
COMMENT ON COLUMN rolecall.my_dead_letters.sent_at IS 'When it was sent';
COMMENT ON COLUMN rolecall.my_dead_letters.expires_at IS 'When it expired, or would have';
COMMENT ON COLUMN rolecall.my_dead_letters.reason IS 'expired, attempts (too many leases have ended) or dropped (its queue is gone)';
COMMENT ON COLUMN rolecall.my_dead_letters.died_at IS 'Since when it lies here';
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
-- Who may what, and what changed in it.

-- Administrators need no permission, so theirs are written down nowhere.
CREATE VIEW rolecall.access_matrix WITH (security_barrier) AS
    SELECT role, target, action, filter, columns, new_row, preset, acl_column
      FROM (SELECT role, target, action, filter, columns, new_row, preset FROM rolecall.permissions
             UNION
            SELECT 'admins', target, action, '{}', NULL, NULL, NULL
              FROM rolecall.protected_tables, unnest('{select,insert,update,delete}'::text[]) action) p
      JOIN rolecall.protected_tables USING (target)
     WHERE rolecall.is_administrator() OR rolecall.has_role(role);
COMMENT ON VIEW rolecall.access_matrix IS
    'Which role may do what with which rows; administrators see all, others the roles that they hold';
COMMENT ON COLUMN rolecall.access_matrix.role IS 'Who. Members of admins may do everything';
COMMENT ON COLUMN rolecall.access_matrix.target IS 'With which table';
COMMENT ON COLUMN rolecall.access_matrix.action IS 'select, insert, update or delete';
COMMENT ON COLUMN rolecall.access_matrix.filter IS 'With which rows; {}: all';
COMMENT ON COLUMN rolecall.access_matrix.columns IS 'Which columns it may touch; NULL: all';
COMMENT ON COLUMN rolecall.access_matrix.new_row IS 'What must hold for a row that is written; NULL: the filter';
COMMENT ON COLUMN rolecall.access_matrix.preset IS 'What columns of a row that is written are set to';
COMMENT ON COLUMN rolecall.access_matrix.acl_column IS
    'The column with each row''s own access-control list, which allows and denies besides; NULL: there is none';

-- What the log says of one thing is folded into what it was and what it is. A role or table goes by its last name: it
-- stays the same thing when it is renamed, which is no change of who may what.
CREATE FUNCTION rolecall.folded_changes(since timestamptz)
    RETURNS TABLE (entry bigint, object text, keys text[], before jsonb, after jsonb)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
    WITH RECURSIVE kinds (object, keys, facts) AS (VALUES
        ('users', '{id}'::text[], '{username,disabled,database_role}'::text[]),
        ('roles', '{name}', '{database_role}'),
        ('user_roles', '{user_id,role}', '{}'),
        ('api_token_roles', '{token,role}', '{}'),
        ('role_members', '{member,role}', '{}'),
        ('role_scopes', '{role,scope}', '{}'),
        ('protected_tables', '{target}', '{acl_column}'),
        ('permissions', '{role,target,action}', '{filter,columns,new_row,preset}')),
    entries AS MATERIALIZED (
        SELECT id, object, action, old, new, coalesce(new, old) AS row, keys, facts
          FROM audit_entries JOIN kinds USING (object)
         WHERE at > since AND action IN ('insert', 'update', 'delete')),
    renames AS (
        SELECT object, id, old ->> keys[1] AS name, new ->> keys[1] AS new_name FROM entries
         WHERE object IN ('roles', 'protected_tables') AND old ->> keys[1] <> new ->> keys[1]),
    -- Who bore the name before is gone once it is given to another.
    ends AS (
        SELECT object, id, name, new_name FROM renames
         UNION ALL
        SELECT object, id, new_name, NULL FROM renames
         UNION ALL
        SELECT object, id, new ->> keys[1], NULL FROM entries WHERE object IN ('roles', 'protected_tables') AND action = 'insert'),
    -- From when to when a name was one thing's.
    spans AS (
        SELECT object, name, lag(id, 1, 0::bigint) OVER (PARTITION BY object, name ORDER BY id) AS start, id AS until, new_name
          FROM ends
         UNION ALL
        SELECT object, name, max(id), NULL, NULL FROM ends GROUP BY object, name),
    chains AS (
        SELECT object, name, start, until, jsonb_build_array(name, until) AS thing FROM spans WHERE new_name IS NULL
         UNION ALL
        SELECT s.object, s.name, s.start, s.until, c.thing
          FROM spans s JOIN chains c ON c.object = s.object AND c.name = s.new_name AND c.start = s.until),
    things AS (
        SELECT *, first_value(name) OVER (PARTITION BY object, thing ORDER BY start) AS first_name FROM chains),
    named AS (
        SELECT id, object, action, keys, facts, key, old || coalesce(first_names, '{}') AS old, new || coalesce(last_names, '{}') AS new
          FROM entries e, LATERAL (
            SELECT jsonb_agg(coalesce(thing, row -> k) ORDER BY n) AS key,
                   jsonb_object_agg(k, first_name) FILTER (WHERE thing IS NOT NULL) AS first_names,
                   jsonb_object_agg(k, thing -> 0) FILTER (WHERE thing IS NOT NULL) AS last_names
              FROM unnest(keys) WITH ORDINALITY u (k, n)
              LEFT JOIN things t ON t.name = row ->> k AND e.id >= t.start AND (e.id >= t.until) IS NOT TRUE
               AND t.object = CASE WHEN k IN ('role', 'member') OR e.object = 'roles' THEN 'roles'
                                   WHEN k = 'target' THEN 'protected_tables' END) k),
    folded AS (
        SELECT max(id) AS id, object, keys, key,
               CASE WHEN (array_agg(action ORDER BY id))[1] <> 'insert'
                    THEN jsonb_object_agg(k, old -> k ORDER BY id DESC) FILTER (WHERE old ? k) END AS before,
               CASE WHEN (array_agg(action ORDER BY id DESC))[1] <> 'delete'
                    THEN jsonb_object_agg(k, new -> k ORDER BY id) FILTER (WHERE new ? k) END AS after
          FROM named, unnest(keys || facts) k GROUP BY object, keys, key),
    -- What is gone under the name of something that is new was replaced by it.
    paired AS (
        SELECT max(id) AS id, object, keys, jsonb_agg(before) FILTER (WHERE before IS NOT NULL) -> 0 AS before,
               jsonb_agg(after) FILTER (WHERE after IS NOT NULL) -> 0 AS after
          FROM folded
         GROUP BY object, keys, CASE WHEN before IS NULL OR after IS NULL
                                     THEN (SELECT jsonb_agg(coalesce(before, after) -> k ORDER BY n)
                                             FROM unnest(keys) WITH ORDINALITY u (k, n))
                                     ELSE jsonb_build_object('still', key) END)
    SELECT id, object, keys, before, after FROM paired
     WHERE CASE WHEN before IS NULL OR after IS NULL OR object IN ('roles', 'protected_tables')
                THEN before IS DISTINCT FROM after
                ELSE before - keys <> after - keys END
$$;
COMMENT ON FUNCTION rolecall.folded_changes(timestamptz) IS
    'What of who may what is different since then, as rows of rolecall''s tables, with the log''s last entry about it';

CREATE FUNCTION rolecall.diff_access(since timestamptz)
    RETURNS TABLE (at timestamptz, actor text, change text, role text, target text, action text, old jsonb, new jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM must_administer('diff_access()');
    IF since IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'since must not be NULL', HINT = 'Say -infinity for all that the log has.';
    END IF;
    RETURN QUERY
    WITH changes AS MATERIALIZED (SELECT *, coalesce(after, before) AS row FROM folded_changes(since)),
    told AS (
        SELECT c.*, coalesce(u.username, g.before ->> 'username') AS username, r.row ->> 'role' AS role, r.row ->> 'target' AS target,
               (SELECT string_agg(key, ', ' ORDER BY key) FROM jsonb_each(c.before) b JOIN jsonb_each(c.after) a USING (key)
                 WHERE a.value <> b.value AND key <> ALL (c.keys)) AS differs
          FROM changes c
          CROSS JOIN LATERAL (SELECT CASE WHEN c.object = 'roles' THEN jsonb_build_object('role', c.row -> 'name') ELSE c.row END) r (row)
          LEFT JOIN users u ON u.id = c.row ->> 'user_id'
          -- Of a user who is gone, the change that took him away tells the name.
          LEFT JOIN changes g ON g.object = 'users' AND g.after IS NULL AND g.before ->> 'id' = c.row ->> 'user_id')
    SELECT e.at, e.actor,
           CASE WHEN object = 'roles' AND before ->> 'name' <> after ->> 'name'
                THEN format('role %s is called %s', before ->> 'name', after ->> 'name')
                WHEN object = 'protected_tables' AND before ->> 'target' <> after ->> 'target'
                THEN format('%s is called %s', before ->> 'target', after ->> 'target')
                WHEN object = 'users' AND differs = 'disabled'
                THEN format('user %s is %s', row ->> 'username', CASE WHEN after -> 'disabled' = 'true' THEN 'disabled' ELSE 'enabled' END)
                ELSE CASE object
                     WHEN 'permissions' THEN format('role %s may %s %s', role, row ->> 'action', target)
                     WHEN 'user_roles' THEN format('%s is in role %s', username, role)
                     WHEN 'api_token_roles' THEN format('api_token:%s is in role %s', row ->> 'token', role)
                     WHEN 'role_members' THEN format('role %s is in role %s', row ->> 'member', role)
                     WHEN 'role_scopes' THEN format('role %s has scope %s', role, row ->> 'scope')
                     WHEN 'protected_tables' THEN format('%s is protected', target)
                     WHEN 'roles' THEN format('there is a role %s', role)
                     ELSE format('there is a user %s', row ->> 'username') END
                     || CASE WHEN after IS NULL THEN ' no more' WHEN before IS NULL THEN '' ELSE ', with another ' || differs END
           END, role, target, row ->> 'action', before, after
      FROM told JOIN (SELECT id, at, actor FROM audit_entries) e ON id = entry ORDER BY entry;
END
$$;
COMMENT ON FUNCTION rolecall.diff_access(timestamptz) IS
    'What changed since then in who may what, from the audit log; what was undone is left out (administrators)';
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
-- What doctor() finds about protected tables themselves. Each check is one query over the catalogs, however many tables
-- there are; nothing that users define is executed, and every name in an advice is quoted.

CREATE VIEW rolecall.bypassing_roles AS SELECT oid AS role FROM pg_roles WHERE rolsuper OR rolbypassrls;
COMMENT ON VIEW rolecall.bypassing_roles IS 'Roles whom no policy restricts';
COMMENT ON COLUMN rolecall.bypassing_roles.role IS 'The role';

CREATE VIEW rolecall.guarded_tables AS
    WITH RECURSIVE below AS (
        SELECT target::oid AS target, target::oid AS root FROM rolecall.protected_tables
         UNION
        SELECT i.inhrelid, b.root FROM below b JOIN pg_inherits i ON i.inhparent = b.target
         WHERE NOT EXISTS (SELECT FROM rolecall.protected_tables p WHERE p.target = i.inhrelid)),
    -- Of thousands of policies few are not rolecall's.
    others AS MATERIALIZED (
        SELECT oid, polrelid FROM pg_policy WHERE polname !~ '^rolecall_(select|insert|update|delete)(_gate)?$'),
    by_hand AS (
        SELECT DISTINCT p.polrelid AS target
          FROM others p JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_proc'::regclass
          JOIN pg_proc f ON f.oid = d.refobjid AND f.pronamespace = 'rolecall'::regnamespace)
    SELECT b.target, b.root, format('%I.%I', n.nspname, c.relname) AS name, format('%I.%I', m.nspname, r.relname) AS root_name,
           c.relowner AS owner, c.relkind = 'f' AS is_foreign,
           b.by_hand, NOT b.by_hand AND EXISTS (SELECT FROM rolecall.compiled_policies p WHERE p.target = b.target) AS has_rules
      FROM (SELECT target, root, false AS by_hand FROM below
             UNION ALL
            SELECT target, target, true FROM by_hand WHERE target NOT IN (SELECT target FROM below)) b
      JOIN pg_class c ON c.oid = b.target JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_class r ON r.oid = b.root JOIN pg_namespace m ON m.oid = r.relnamespace;
COMMENT ON VIEW rolecall.guarded_tables IS 'Protected tables with their partitions and children, which have their rules, and tables with policies by hand that ask rolecall';
COMMENT ON COLUMN rolecall.guarded_tables.target IS 'The table';
COMMENT ON COLUMN rolecall.guarded_tables.root IS 'The table that was protected';
COMMENT ON COLUMN rolecall.guarded_tables.name IS 'The table''s name in SQL';
COMMENT ON COLUMN rolecall.guarded_tables.root_name IS 'The name of the table that was protected, in SQL';
COMMENT ON COLUMN rolecall.guarded_tables.owner IS 'The table''s owner';
COMMENT ON COLUMN rolecall.guarded_tables.is_foreign IS 'A foreign table, which can have no rules';
COMMENT ON COLUMN rolecall.guarded_tables.by_hand IS 'It is not protected, but has policies that somebody has written';
COMMENT ON COLUMN rolecall.guarded_tables.has_rules IS 'It was given the rules';

CREATE FUNCTION rolecall.grantee_name(grantee oid) RETURNS text LANGUAGE sql STABLE
    RETURN CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END;
COMMENT ON FUNCTION rolecall.grantee_name(oid) IS 'A grantee as GRANT and REVOKE name him';

CREATE FUNCTION rolecall.column_list(target oid, numbers int2[]) RETURNS text LANGUAGE sql STABLE
    RETURN (SELECT string_agg(quote_ident(attname), ', ' ORDER BY position)
              FROM unnest(numbers) WITH ORDINALITY u (number, position) JOIN pg_attribute ON attrelid = target AND attnum = number);
COMMENT ON FUNCTION rolecall.column_list(oid, int2[]) IS 'Columns as a constraint lists them';

CREATE FUNCTION rolecall.policy_says(target oid, clauses text, using_tree pg_node_tree, check_tree pg_node_tree) RETURNS boolean
    LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'policy_says_wrapper';
COMMENT ON FUNCTION rolecall.policy_says(oid, text, pg_node_tree, pg_node_tree) IS 'Whether a policy has just these clauses';

-- Unknown where the clauses cannot be read any more because what they name was renamed. The table whose rules they are is
-- named in their end, for errors.
CREATE FUNCTION rolecall.policy_is_sound(target oid, root_name text, clauses text, policy pg_policy) RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
BEGIN
    clauses := regexp_replace(clauses, 'E?''([^'']|'''')*''::pg_catalog\.regclass\)\)$',
                              replace(quote_literal(root_name), '\', '\\') || '::pg_catalog.regclass))');
    RETURN policy_says(target, clauses, policy.polqual, policy.polwithcheck);
EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_schema_name OR data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION rolecall.policy_is_sound(oid, text, text, pg_policy) IS 'Whether a policy says what rolecall has made it say';

CREATE FUNCTION rolecall.doctor_tables() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
SELECT CASE WHEN c.relrowsecurity AND by_hand THEN 'notice' ELSE 'error' END, 'row-security', name,
       format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;', name)
  FROM guarded_tables JOIN pg_class c ON c.oid = target
 WHERE has_rules AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    OR by_hand AND NOT (c.relrowsecurity AND (c.relforcerowsecurity OR c.relowner IN (SELECT role FROM bypassing_roles)))
 UNION ALL
SELECT CASE WHEN sound IS NULL THEN 'warning' ELSE 'error' END, 'policy', g.name,
       format('DROP POLICY IF EXISTS %I ON %s; SELECT rolecall.protect(%L);', 'rolecall_' || a.action, g.name, g.root_name)
       || CASE WHEN sound IS NULL THEN ' -- what it names was renamed since it was made' ELSE '' END
  FROM guarded_tables g
 CROSS JOIN (VALUES ('select', 'r'), ('insert', 'a'), ('update', 'w'), ('delete', 'd')) a (action, command)
  LEFT JOIN compiled_policies c ON c.target = g.target AND c.action = a.action
  LEFT JOIN pg_policy p ON p.polrelid = g.target AND p.polname = 'rolecall_' || a.action
  LEFT JOIN pg_policy q ON q.polrelid = g.target AND q.polname = 'rolecall_' || a.action || '_gate',
       LATERAL (SELECT num_nulls(c.clauses, p.oid, q.oid) = 0
                   AND p.polcmd = a.command AND p.polpermissive AND p.polroles = '{0}'
                   AND q.polcmd = a.command AND NOT q.polpermissive AND q.polroles = '{0}'
                   AND policy_is_sound(g.target, g.root_name, c.clauses, p)
                   AND policy_is_sound(g.target, g.root_name, c.clauses, q)) x (sound)
 WHERE g.has_rules AND sound IS NOT TRUE
 UNION ALL
SELECT 'notice', 'foreign-policy', format('%I on %s', p.polname, g.name),
       format('DROP POLICY %I ON %s; -- %s', p.polname, g.name,
              CASE WHEN p.polpermissive THEN 'rolecall''s gates keep it from allowing anything' ELSE 'it hides rows that rolecall''s rules show' END)
  FROM guarded_tables g JOIN pg_policy p ON p.polrelid = g.target
 WHERE g.has_rules AND p.polname !~ '^rolecall_(select|insert|update|delete)(_gate)?$'
 UNION ALL
SELECT 'error', 'unprotected-partition', name, format('SELECT rolecall.protect(%L);', root_name)
  FROM guarded_tables WHERE NOT has_rules AND NOT by_hand AND NOT is_foreign
 UNION ALL
-- Who reads the parent does not pass the policies of its children.
SELECT 'error', 'unprotected-parent', format('%I.%I', n.nspname, c.relname), format('SELECT rolecall.protect(%L);', format('%I.%I', n.nspname, c.relname))
  FROM (WITH RECURSIVE above AS (
            SELECT i.inhparent FROM protected_tables p JOIN pg_inherits i ON i.inhrelid = p.target
             UNION
            SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.inhparent)
        SELECT inhparent FROM above WHERE inhparent NOT IN (SELECT target FROM guarded_tables)) a
  JOIN pg_class c ON c.oid = a.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace
 UNION ALL
SELECT 'error', 'foreign-table', g.name,
       format('REVOKE ALL ON %s FROM %s CASCADE;', g.name, string_agg(DISTINCT grantee_name(a.grantee), ', '))
  FROM guarded_tables g JOIN pg_class c ON c.oid = g.target, aclexplode(c.relacl) a
 WHERE g.is_foreign AND a.grantee <> g.owner AND a.grantor = g.owner
 GROUP BY g.name
 UNION ALL
SELECT 'warning', 'truncate', name,
       format('CREATE OR REPLACE TRIGGER rolecall_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION rolecall_relations.guard_truncate();', name)
  FROM guarded_tables g
 WHERE has_rules AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = g.target AND t.tgname = 'rolecall_truncate'
                                    AND t.tgfoid = 'rolecall_relations.guard_truncate()'::regprocedure AND t.tgenabled IN ('O', 'A'))
 UNION ALL
SELECT 'warning', 'preset', name, format('SELECT rolecall.protect(%L);', name)
  FROM guarded_tables g JOIN protected_tables p USING (target)
 WHERE p.preset_trigger IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = g.target AND t.tgname = p.preset_trigger)
 UNION ALL
SELECT 'warning', 'preset', g.name, format('ALTER TABLE %s ENABLE TRIGGER %I;', g.name, t.tgname)
  FROM guarded_tables g JOIN pg_trigger t ON t.tgrelid = g.target JOIN pg_proc f ON f.oid = t.tgfoid
 WHERE f.pronamespace = 'rolecall_triggers'::regnamespace AND t.tgenabled NOT IN ('O', 'A')
 UNION ALL
-- What the grantee has passed on goes with it. None of these knows rows: a trigger runs as whoever writes and sees what he writes, a foreign key tells which keys there are.
SELECT 'warning', 'privilege', name,
       format('REVOKE %s ON %s FROM %s CASCADE;', string_agg(DISTINCT privilege_type, ', '), name, grantee_name(grantee))
  FROM (SELECT g.name, g.owner, a.* FROM guarded_tables g JOIN pg_class c ON c.oid = g.target, aclexplode(c.relacl) a WHERE NOT g.is_foreign
         UNION ALL
        SELECT g.name, g.owner, a.* FROM guarded_tables g JOIN pg_attribute c ON c.attrelid = g.target, aclexplode(c.attacl) a) granted
 WHERE grantee <> owner AND grantor = owner AND privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
 GROUP BY name, grantee
 UNION ALL
-- What is deleted or changed along is not asked about, and whoever may delete from the other table need not see these rows.
SELECT 'warning', 'cascade', format('%I on %s', k.conname, g.name),
       -- Put together from the catalogs: a name may hold what looks like a clause.
       format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %I.%I (%s)%s%s%s%s; -- or protect the other table, too',
              g.name, k.conname, k.conname, column_list(k.conrelid, k.conkey), n.nspname, r.relname, column_list(k.confrelid, k.confkey),
              CASE WHEN k.confmatchtype = 'f' THEN ' MATCH FULL' END, CASE WHEN k.condeferrable THEN ' DEFERRABLE' END,
              CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' END, CASE WHEN NOT k.convalidated THEN ' NOT VALID' END)
  FROM guarded_tables g JOIN pg_constraint k ON k.conrelid = g.target AND k.contype = 'f' AND k.conparentid = 0
  JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE k.confrelid NOT IN (SELECT target FROM guarded_tables)
   AND EXISTS (SELECT FROM aclexplode(r.relacl) a WHERE a.grantee <> r.relowner
                  AND (a.privilege_type = 'DELETE' AND k.confdeltype IN ('c', 'n', 'd')
                    OR a.privilege_type = 'UPDATE' AND k.confupdtype IN ('c', 'n', 'd')))
$$;
COMMENT ON FUNCTION rolecall.doctor_tables() IS 'What doctor() finds about the protected tables themselves';
-- What doctor() finds of ways past row-level security: what runs with the powers of an owner whom no policy restricts, what
-- keeps copies, and roles that may do more than the rules say.

CREATE FUNCTION rolecall.doctor_views() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH RECURSIVE view AS (
    -- What reads what: a view with its own owner's privileges, or as a link of the chain with its reader's.
    SELECT DISTINCT d.refobjid AS reads, c.oid, c.relkind, c.relowner AS owner, format('%I.%I', n.nspname, c.relname) AS name,
           EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) AS is_granted,
           EXISTS (SELECT FROM pg_options_to_table(c.reloptions) WHERE option_name = 'security_invoker' AND option_value::boolean) AS is_invoker
      FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class AND c.relkind IN ('v', 'm')
      JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('rolecall', 'rolecall_relations')
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
     WHERE w.ev_type = '1'),
as_reader AS (
    SELECT target AS oid FROM guarded_tables
     UNION
    SELECT v.oid FROM as_reader r JOIN view v ON v.reads = r.oid WHERE v.is_invoker),
fed AS (
    SELECT target AS oid FROM guarded_tables
     UNION
    SELECT v.oid FROM fed f JOIN view v ON v.reads = f.oid)
SELECT CASE WHEN v.owner NOT IN (SELECT role FROM bypassing_roles) THEN 'notice' WHEN bool_or(v.is_granted) THEN 'error' ELSE 'warning' END,
       'view', v.name, format('ALTER VIEW %s SET (security_invoker = true); -- its readers then need privileges on its tables', v.name)
  FROM view v JOIN as_reader r ON r.oid = v.reads
 WHERE v.relkind = 'v' AND NOT v.is_invoker AND v.oid NOT IN (SELECT shown_as FROM exposed_views)
 GROUP BY v.name, v.owner
 UNION ALL
-- A copy of the rows that its owner, or whoever refreshed it, could see.
SELECT CASE WHEN c.relowner IN (SELECT role FROM bypassing_roles) THEN 'error' ELSE 'warning' END, 'materialized-view', v.name,
       format('REVOKE ALL ON %s FROM %s CASCADE;', v.name, string_agg(DISTINCT grantee_name(a.grantee), ', '))
  FROM (SELECT DISTINCT v.oid, v.name FROM view v JOIN fed USING (oid) WHERE v.relkind = 'm') v
  JOIN pg_class c USING (oid), aclexplode(c.relacl) a
 WHERE a.grantee <> c.relowner AND a.grantor = c.relowner
 GROUP BY v.name, c.relowner
 UNION ALL
-- Its actions run with the privileges of whoever owns the table or view it is on.
SELECT CASE WHEN c.relowner IN (SELECT role FROM bypassing_roles) THEN 'error' ELSE 'warning' END, 'rule',
       format('%I on %I.%I', w.rulename, n.nspname, c.relname), format('DROP RULE %I ON %I.%I;', w.rulename, n.nspname, c.relname)
  FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE w.ev_type <> '1' AND EXISTS (SELECT FROM pg_depend d JOIN as_reader r ON r.oid = d.refobjid
                                      WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass)
$$;
COMMENT ON FUNCTION rolecall.doctor_views() IS 'What doctor() finds of views and rules that lead past the rules';

CREATE FUNCTION rolecall.doctor_functions() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH definer AS MATERIALIZED (
    SELECT p.oid, p.prosrc, p.proconfig, l.lanname, n.nspname, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS name,
           p.proowner IN (SELECT role FROM bypassing_roles) AS bypasses
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
     WHERE p.prosecdef AND n.nspname <> 'rolecall_triggers'
       AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner)
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
       AND (p.proowner IN (SELECT role FROM bypassing_roles) OR p.proowner IN (SELECT owner FROM guarded_tables))),
-- A body in SQL that was parsed says what it uses, of others the words say what it may use.
uses AS (
    SELECT d.objid AS oid, 'warning' AS level FROM pg_depend d JOIN guarded_tables g ON g.target = d.refobjid
     WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
     UNION ALL
    SELECT word.oid, 'notice'
      FROM (SELECT DISTINCT oid, regexp_split_to_table(lower(prosrc), '[^[:alnum:]_$]+') AS text FROM definer WHERE bypasses) word
      JOIN guarded_tables g ON true JOIN pg_class c ON c.oid = g.target AND lower(c.relname) = word.text)
SELECT max(u.level), 'definer-function', d.name,
       format('ALTER ROUTINE %s SECURITY INVOKER; -- or let nobody call it who may not see all that it reads', d.name)
  FROM definer d JOIN uses u USING (oid) WHERE d.bypasses GROUP BY d.name
 UNION ALL
SELECT 'warning', 'search-path', name, format('ALTER ROUTINE %s SET search_path = pg_catalog, %I, pg_temp;', name, nspname)
  FROM definer
 WHERE lanname NOT IN ('c', 'internal') AND NOT EXISTS (SELECT FROM unnest(proconfig) setting WHERE setting LIKE 'search_path=%')
 UNION ALL
-- The planner lets it see rows before the policies do.
SELECT 'warning', 'leakproof', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
       format('ALTER FUNCTION %I.%I(%s) NOT LEAKPROOF;', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE p.proleakproof AND p.oid >= 16384
   AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname <> 'rolecall'
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
 UNION ALL
SELECT 'notice', 'publication', pubname::text, statement || '; -- whoever subscribes gets all rows'
  FROM pg_publication p, LATERAL (
        SELECT format('DROP PUBLICATION %I', pubname) WHERE p.puballtables AND EXISTS (SELECT FROM guarded_tables)
         UNION ALL
        SELECT format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA %I', pubname, n.nspname)
          FROM pg_publication_namespace s JOIN pg_namespace n ON n.oid = s.pnnspid
         WHERE s.pnpubid = p.oid AND EXISTS (SELECT FROM guarded_tables g JOIN pg_class c ON c.oid = g.target WHERE c.relnamespace = n.oid)
         UNION ALL
        SELECT format('ALTER PUBLICATION %I DROP TABLE %s', pubname, string_agg(DISTINCT g.name, ', '))
          FROM pg_publication_rel r JOIN guarded_tables g ON g.target = r.prrelid WHERE r.prpubid = p.oid HAVING count(*) > 0) q (statement)
$$;
COMMENT ON FUNCTION rolecall.doctor_functions() IS 'What doctor() finds of functions and publications that lead past the rules';
-- What doctor() finds about rolecall's own objects: PostgreSQL keeps what they were when the extension was installed.
CREATE FUNCTION rolecall.doctor_own() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH extension AS (SELECT oid, extowner AS owner FROM pg_extension WHERE extname = 'rolecall'),
member AS MATERIALIZED (
    SELECT d.classid, d.objid FROM pg_depend d JOIN extension e ON e.oid = d.refobjid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'),
own AS MATERIALIZED (
    SELECT m.classid, m.objid, 'TABLE' AS kind, format('%I.%I', n.nspname, c.relname) AS name, c.relowner AS owner,
           c.relacl AS acl, NULL::aclitem[] AS default_acl, c.relkind::text AS relkind
      FROM member m JOIN pg_class c ON c.oid = m.objid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'v', 'S')
     UNION ALL
    SELECT m.classid, m.objid, 'FUNCTION', format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner,
           coalesce(p.proacl, acldefault('f', p.proowner)), acldefault('f', p.proowner), ''
      FROM member m JOIN pg_proc p ON p.oid = m.objid JOIN pg_namespace n ON n.oid = p.pronamespace
     WHERE m.classid = 'pg_proc'::regclass
     UNION ALL
    SELECT m.classid, m.objid, 'SCHEMA', format('%I', n.nspname), n.nspowner, n.nspacl, NULL, ''
      FROM member m JOIN pg_namespace n ON n.oid = m.objid
     WHERE m.classid = 'pg_namespace'::regclass),
granted AS (
    SELECT o.*, a.grantor, a.grantee, a.privilege_type FROM own o, aclexplode(o.acl) a
     UNION ALL
    SELECT o.*, a.grantor, a.grantee, a.privilege_type
      FROM own o JOIN pg_attribute c ON o.kind = 'TABLE' AND c.attrelid = o.objid, aclexplode(c.attacl) a),
-- What everybody was given by the extension itself.
public AS (
    SELECT o.classid, o.objid, a.privilege_type
      FROM own o LEFT JOIN pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.objid AND i.objsubid = 0 AND i.privtype = 'e',
           aclexplode(coalesce(i.initprivs, o.default_acl)) a
     WHERE a.grantee = 0),
-- Every session looks its roles up again because of these, and a restore too must not go without.
always (function) AS (VALUES ('invalidate_sessions'), ('refuse_change'), ('note_columns'), ('keep_one_everybody'))
SELECT 'error', 'granted', format('%s %s', lower(kind), name),
       format('REVOKE %s ON %s %s FROM %s CASCADE;', string_agg(DISTINCT privilege_type, ', '),
              CASE WHEN relkind = 'S' THEN 'SEQUENCE' ELSE kind END, name, grantee_name(grantee))
  FROM granted g
 WHERE grantee <> owner AND grantor = owner
   AND NOT EXISTS (SELECT FROM public p WHERE p.classid = g.classid AND p.objid = g.objid AND p.privilege_type = g.privilege_type)
 GROUP BY kind, name, relkind, grantee
 UNION ALL
SELECT 'error', 'not-ours', format('%s %s', i.type, i.identity), format('ALTER %s %s SET SCHEMA public; -- or drop it', upper(i.type), i.identity)
  FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'rolecall'::regnamespace AND d.deptype = 'n' AND i.schema = 'rolecall'
   AND (d.classid, d.objid) NOT IN (SELECT classid, objid FROM member)
 UNION ALL
SELECT 'error', 'own-owner', format('%s %s', lower(kind), name),
       format('ALTER %s %s OWNER TO %I;', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE kind END, name, pg_get_userbyid(e.owner))
  FROM own o, extension e
 WHERE o.owner <> e.owner
   -- A sequence's owner is its table's.
   AND NOT (relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = o.objid AND d.deptype IN ('a', 'i')))
 UNION ALL
-- The views that rules read through, too.
SELECT 'error', 'own-owner', format('view %I.%I', 'rolecall_relations', c.relname), format('ALTER VIEW rolecall_relations.%I OWNER TO %I;', c.relname, pg_get_userbyid(e.owner))
  FROM pg_class c, extension e WHERE c.relnamespace = 'rolecall_relations'::regnamespace AND c.relkind = 'v' AND c.relowner <> e.owner
 UNION ALL
SELECT 'error', 'own-row-security', name, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', name)
  FROM own o JOIN pg_class c ON c.oid = o.objid WHERE o.relkind = 'r' AND NOT c.relrowsecurity
 UNION ALL
SELECT 'error', 'own-policy', format('%I on %s', p.polname, o.name), format('DROP POLICY %I ON %s;', p.polname, o.name)
  FROM own o JOIN pg_policy p ON o.kind = 'TABLE' AND p.polrelid = o.objid
 UNION ALL
SELECT 'error', 'own-trigger', format('%I on %s', t.tgname, o.name),
       format('ALTER TABLE %s ENABLE %sTRIGGER %I;', o.name, CASE WHEN f.proname IN (SELECT function FROM always) THEN 'ALWAYS ' ELSE '' END, t.tgname)
  FROM own o JOIN pg_trigger t ON o.relkind = 'r' AND t.tgrelid = o.objid AND NOT t.tgisinternal JOIN pg_proc f ON f.oid = t.tgfoid
 WHERE t.tgenabled NOT IN ('A', 'O') OR t.tgenabled = 'O' AND f.proname IN (SELECT function FROM always)
 UNION ALL
SELECT 'error', 'event-trigger', evtname::text, format('ALTER EVENT TRIGGER %I ENABLE ALWAYS;', evtname)
  FROM pg_event_trigger t JOIN member m ON m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid WHERE evtenabled <> 'A'
 UNION ALL
SELECT 'error', 'own-search-path', o.name, format('ALTER FUNCTION %s SET search_path = pg_catalog, rolecall, pg_temp;', o.name)
  FROM own o JOIN pg_proc p ON o.kind = 'FUNCTION' AND p.oid = o.objid
 WHERE p.prosecdef AND NOT EXISTS (SELECT FROM unnest(p.proconfig) setting WHERE setting = 'search_path=pg_catalog, rolecall, pg_temp')
$$;
COMMENT ON FUNCTION rolecall.doctor_own() IS 'What doctor() finds about rolecall''s own objects';
CREATE FUNCTION rolecall.doctor_roles() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH extension AS (SELECT extowner AS owner FROM pg_extension WHERE extname = 'rolecall'),
may_log_in AS (SELECT oid FROM pg_roles WHERE rolcanlogin AND NOT rolsuper)
-- No policy restricts them. The two that made the server and the extension are an administrator's.
SELECT 'notice', 'superuser', rolname::text, format('ALTER ROLE %I NOSUPERUSER; -- if a program logs in with it', rolname)
  FROM pg_roles, extension WHERE rolsuper AND rolcanlogin AND oid NOT IN (10, owner)
 UNION ALL
SELECT 'warning', 'bypassrls', rolname::text, format('ALTER ROLE %I NOBYPASSRLS;', rolname)
  FROM pg_roles r
 WHERE rolbypassrls AND NOT rolsuper AND (rolcanlogin OR EXISTS (SELECT FROM pg_auth_members m WHERE m.roleid = r.oid))
   AND EXISTS (SELECT FROM guarded_tables g WHERE has_table_privilege(r.oid, g.target, 'SELECT, INSERT, UPDATE, DELETE')
                                               OR has_any_column_privilege(r.oid, g.target, 'SELECT, INSERT, UPDATE'))
 UNION ALL
-- An owner has the rules of everybody, but he may drop them.
SELECT 'warning', 'owner', rolname::text,
       string_agg(format('ALTER TABLE %s OWNER TO %I;', g.name, pg_get_userbyid(e.owner)), ' ' ORDER BY g.name) || ' -- and grant it what it needs'
  FROM (SELECT DISTINCT name, owner FROM guarded_tables) g JOIN pg_roles r ON r.oid = g.owner, extension e
 WHERE r.rolcanlogin AND NOT r.rolsuper
 GROUP BY rolname
 UNION ALL
SELECT 'notice', 'owner', rolname::text, format('REVOKE %I FROM %I; -- if a program logs in with it', pg_get_userbyid(a.roleid), rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid IN (SELECT owner FROM guarded_tables) AND NOT m.rolsuper
   AND EXISTS (SELECT FROM may_log_in l WHERE pg_has_role(l.oid, m.oid, 'MEMBER'))
 UNION ALL
-- The views through which rules read related tables are closed to all but these.
SELECT 'warning', 'all-data', rolname::text, format('REVOKE %I FROM %I;', pg_get_userbyid(a.roleid), rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid IN ('pg_read_all_data'::regrole, 'pg_write_all_data'::regrole) AND NOT m.rolsuper
   AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'rolecall_relations'::regnamespace AND c.relkind = 'v')
 UNION ALL
-- Who reads or writes the server's files has its tables, and can be a superuser.
SELECT 'error', 'server-files', rolname::text, format('REVOKE %I FROM %I;', pg_get_userbyid(a.roleid), rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid IN ('pg_read_server_files'::regrole, 'pg_write_server_files'::regrole, 'pg_execute_server_program'::regrole) AND NOT m.rolsuper
 UNION ALL
-- Before PostgreSQL 16 it gives oneself any role but superusers.
SELECT 'warning', 'createrole', rolname::text, format('ALTER ROLE %I NOCREATEROLE;', rolname)
  FROM pg_roles WHERE rolcreaterole AND NOT rolsuper AND current_setting('server_version_num')::int < 160000
 UNION ALL
SELECT 'notice', 'replication', rolname::text, format('ALTER ROLE %I NOREPLICATION; -- unless it belongs to a replica or to backups', rolname)
  FROM pg_roles WHERE rolreplication AND rolcanlogin AND NOT rolsuper
 UNION ALL
-- A gateway acts as whom it says; who may make others gateways is an administrator in all but name.
SELECT 'warning', 'gateway', rolname::text, format('REVOKE ADMIN OPTION FOR rolecall_authenticator FROM %I;', rolname)
  FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
 WHERE a.roleid = to_regrole('rolecall_authenticator') AND a.admin_option AND NOT m.rolsuper
 UNION ALL
-- Whoever may make objects there puts them in the way of others.
SELECT 'warning', 'create', format('schema %I', n.nspname),
       format('REVOKE CREATE ON SCHEMA %I FROM %s CASCADE;', n.nspname, grantee_name(CASE WHEN a.grantor <> n.nspowner THEN a.grantor ELSE 0 END))
  FROM pg_namespace n, aclexplode(n.nspacl) a WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'
$$;
COMMENT ON FUNCTION rolecall.doctor_roles() IS 'What doctor() finds of database roles that may do more than the rules say';
CREATE FUNCTION rolecall.doctor_server() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
-- Older ones show hidden rows to operators of the reader's, or update them.
SELECT 'warning', 'server-version', 'PostgreSQL ' || current_setting('server_version'),
       format('-- install PostgreSQL %s.%s or a later minor version and restart the server', major, minor)
  FROM (VALUES (15, 20), (16, 16), (17, 12), (18, 6)) fixed (major, minor)
 WHERE current_setting('server_version_num')::int / 10000 = major AND current_setting('server_version_num')::int % 10000 < minor
 UNION ALL
-- Without it, a session that has not called rolecall yet may show a value that somebody made up for rolecall.identity.
SELECT 'notice', 'preload', format('database %I', current_database()),
       format('ALTER DATABASE %I SET session_preload_libraries = %s; -- for sessions from now on', current_database(),
              (SELECT string_agg(quote_literal(trim(library, ' "')), ', ')
                 FROM unnest(string_to_array(nullif(current_setting('session_preload_libraries'), ''), ',') || 'rolecall'::text) library))
 WHERE NOT EXISTS (
        SELECT FROM (SELECT current_setting(name) FROM unnest('{shared_preload_libraries,session_preload_libraries}'::text[]) name
                      UNION ALL
                     SELECT setting FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) setting
                      WHERE s.setrole = 0 AND d.datname = current_database() AND setting LIKE 'session\_preload\_libraries=%') settings (value)
         WHERE value ~ '(^|[ ,="/])rolecall("|,| |\.so|$)')
 UNION ALL
SELECT 'warning', 'log', 'log_parameter_max_length', 'ALTER SYSTEM SET log_parameter_max_length = 0; SELECT pg_reload_conf();'
 WHERE current_setting('log_parameter_max_length') <> '0'
   AND (current_setting('log_statement') = 'all' OR current_setting('log_min_duration_statement') <> '-1'
        OR current_setting('log_min_duration_sample') <> '-1' OR current_setting('log_transaction_sample_rate') <> '0')
 UNION ALL
SELECT 'warning', 'log', 'log_parameter_max_length_on_error', 'ALTER SYSTEM SET log_parameter_max_length_on_error = 0; SELECT pg_reload_conf();'
 WHERE current_setting('log_parameter_max_length_on_error') <> '0'
 UNION ALL
SELECT 'notice', 'log', 'log_statement', 'ALTER SYSTEM SET log_statement = ''mod''; SELECT pg_reload_conf(); -- unless secrets are always passed as parameters'
 WHERE current_setting('log_statement') = 'all'
 UNION ALL
-- These turn triggers off, or load code.
SELECT CASE WHEN parname LIKE 'rolecall.%' THEN 'warning' ELSE 'error' END, 'parameter', format('%s of %s', parname, grantee_name(a.grantee)),
       format('REVOKE %s ON PARAMETER %s FROM %s;', string_agg(a.privilege_type, ', '), parname, grantee_name(a.grantee))
  FROM pg_parameter_acl, aclexplode(paracl) a
 WHERE a.grantee <> a.grantor
   AND (parname LIKE 'rolecall.%'
     OR parname IN ('session_replication_role', 'session_preload_libraries', 'shared_preload_libraries', 'dynamic_library_path'))
 GROUP BY parname, a.grantee
$$;
COMMENT ON FUNCTION rolecall.doctor_server() IS 'What doctor() finds of the server and its settings';
CREATE FUNCTION rolecall.doctor_accounts() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
SELECT 'warning', 'first-user', 'registration', 'SELECT rolecall.set_registration(''invite''); -- else whoever registers first is an administrator'
 WHERE NOT EXISTS (SELECT FROM users) AND NOT EXISTS (SELECT FROM settings WHERE registration <> 'open')
 UNION ALL
-- An address that is typed in is nobody's until it is verified.
SELECT CASE WHEN by_email THEN 'warning' ELSE 'notice' END, 'registration', registration,
       'SELECT rolecall.set_registration(''invite'');' || CASE WHEN by_email THEN ' -- filters compare __loggedInUserEmail' ELSE '' END
  FROM settings, LATERAL (SELECT EXISTS (SELECT FROM permissions WHERE concat(filter, new_row) LIKE '%"__loggedInUserEmail"%') AS by_email) p
 WHERE EXISTS (SELECT FROM users) AND (registration = 'open' OR registration = 'domain' AND by_email)
 UNION ALL
SELECT 'notice', 'temporary-password', quote_ident(min(username)) || CASE WHEN count(*) > 1 THEN format(' and %s more', count(*) - 1) ELSE '' END,
       'SELECT rolecall.disable_user(username) FROM rolecall.users WHERE must_change_password AND NOT disabled AND created_at < now() - interval ''30 days'';'
  FROM users WHERE must_change_password AND NOT disabled AND created_at < now() - interval '30 days'
HAVING count(*) > 0
 UNION ALL
SELECT 'notice', 'api-token', format('%I (%s)', name, id), format('SELECT rolecall.revoke_api_token(%L); -- once another one that expires has taken its place', id)
  FROM api_tokens WHERE expires_at IS NULL
 UNION ALL
SELECT 'notice', 'dead-letters', 'rolecall.dead_letters', 'SELECT rolecall.purge(''30 days'');'
 WHERE EXISTS (SELECT FROM dead_letters WHERE died_at < now() - interval '30 days' OFFSET 999)
 UNION ALL
SELECT 'notice', 'expired-messages', 'rolecall.messages', 'SELECT rolecall.expire(); -- by a job, where nobody receives'
 WHERE EXISTS (SELECT FROM messages WHERE due < now() - interval '1 day')
$$;
COMMENT ON FUNCTION rolecall.doctor_accounts() IS 'What doctor() finds about users, tokens and messages';

-- Of small tables the planner reads all rows anyway.
CREATE FUNCTION rolecall.doctor_speed() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, rolecall, pg_temp AS $$
WITH RECURSIVE part AS (
    SELECT target::oid AS target, filter AS part FROM permissions
     UNION
    SELECT p.target, inner_part
      FROM part p, unnest(ARRAY[p.part -> 'AND', p.part -> 'OR']) list,
           jsonb_array_elements(CASE jsonb_typeof(list) WHEN 'array' THEN list ELSE '[]' END) inner_part),
field AS (SELECT p.target, e.key, e.value FROM part p, jsonb_each(CASE jsonb_typeof(p.part) WHEN 'object' THEN p.part ELSE '{}' END) e),
-- Columns that are compared with who acts: of all rows these find few.
compared AS (
    SELECT target, key AS name FROM field
     WHERE value ->> 'equals' LIKE '\_\_%' OR value @@ '$.in[*] starts with "__"'
     UNION
    SELECT f.target, r.columns[1]
      FROM field f JOIN relations r ON r.target = f.target AND r.name = f.key AND NOT r.many AND r.through IS NULL AND cardinality(r.columns) = 1
     WHERE f.value @> '{"is_self": true}'),
large AS (
    SELECT g.root AS target, g.root_name AS name FROM guarded_tables g JOIN pg_class c ON c.oid = g.target
     GROUP BY g.root, g.root_name HAVING sum(greatest(c.reltuples, 0)) >= 10000)
SELECT 'notice', 'index', format('%s(%I)', l.name, a.attname), format('CREATE INDEX ON %s (%I);', l.name, a.attname)
  FROM large l JOIN compared c USING (target) JOIN pg_attribute a ON a.attrelid = l.target AND a.attname = c.name
 WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = l.target AND i.indkey[0] = a.attnum AND i.indisvalid AND i.indpred IS NULL)
 UNION ALL
SELECT 'notice', 'index', format('%s(%I)', l.name, a.attname), format('CREATE INDEX ON %s USING gin (%I jsonb_path_ops);', l.name, a.attname)
  FROM large l JOIN protected_tables p ON p.target = l.target JOIN pg_attribute a ON a.attrelid = l.target AND a.attname = p.acl_column
 WHERE NOT EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                    WHERE i.indrelid = l.target AND a.attnum = ANY (i.indkey::int2[]) AND m.amname = 'gin' AND i.indisvalid AND i.indpred IS NULL)
$$;
COMMENT ON FUNCTION rolecall.doctor_speed() IS 'What doctor() finds that makes queries slow';

-- Of how many rows the catalogs' recursions find the planner has no idea, so it would compile each query.
CREATE FUNCTION rolecall.doctor() RETURNS TABLE (level text, "check" text, object text, advice text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp SET jit = off AS $$
BEGIN
    PERFORM must_administer('doctor()');
    RETURN QUERY
        SELECT f.* FROM (
            SELECT * FROM doctor_tables() UNION SELECT * FROM doctor_views() UNION SELECT * FROM doctor_functions()
             UNION SELECT * FROM doctor_roles() UNION SELECT * FROM doctor_server() UNION SELECT * FROM doctor_own()
             UNION SELECT * FROM doctor_accounts() UNION SELECT * FROM doctor_speed()) f (l, c, o, a)
         ORDER BY array_position('{error,warning,notice}'::text[], f.l), f.c COLLATE "C", f.o COLLATE "C", f.a COLLATE "C";
END
$$;
COMMENT ON FUNCTION rolecall.doctor() IS
    'What leads past the rules, weakens them or makes them slow, and the statement that mends it: error, warning, notice (administrators)';
CREATE FUNCTION rolecall.purge(older_than interval DEFAULT '90 days') RETURNS TABLE (what text, removed bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $$
DECLARE
    before timestamptz := clock_timestamp() - older_than;
BEGIN
    PERFORM must_administer('purge()');
    IF (older_than >= '0') IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'older_than must be 0 or more';
    END IF;
    what := 'dead letters';
    DELETE FROM dead_letters WHERE died_at < before;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    what := 'finished work items';
    DELETE FROM work_items WHERE finished_at < before;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    -- A token on no record counts as revoked, so only what has expired goes.
    what := 'expired server tokens';
    DELETE FROM server_tokens WHERE expires_at < least(before, clock_timestamp());
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
    what := 'expired invitations';
    DELETE FROM invitations WHERE expires_at < least(before, clock_timestamp());
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION rolecall.purge(interval) IS
    'Removes dead letters, finished work items, and expired server tokens and invitations that are older than that (administrators)';
CREATE FUNCTION rolecall.add_auth_schema() RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rolecall, pg_temp AS $body$
BEGIN
    IF NOT rolecall.is_administrator() THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied: add_auth_schema() needs an administrator';
    END IF;
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'auth') THEN
        RAISE duplicate_object USING MESSAGE = 'schema "auth" exists already',
            HINT = 'Rename it, or make the four functions in it by hand.';
    END IF;
    CREATE SCHEMA auth;
    COMMENT ON SCHEMA auth IS 'What policies written for Supabase call, answered by rolecall';
    -- Plain SQL functions without a SET clause, so that the planner sees through them.
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
        AS 'SELECT rolecall.user_id_as_uuid()';
    COMMENT ON FUNCTION auth.uid() IS 'The logged-in user''s id where it is a UUID, else NULL';
    CREATE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        AS 'SELECT rolecall.user_email()';
    COMMENT ON FUNCTION auth.email() IS 'The logged-in user''s e-mail address, or NULL';
    CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
        AS $$SELECT CASE WHEN rolecall.user_id() IS NULL THEN 'anon' ELSE 'authenticated' END$$;
    COMMENT ON FUNCTION auth.role() IS 'authenticated or anon';
    CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
        AS $$SELECT CASE WHEN rolecall.user_id() IS NOT NULL THEN pg_catalog.jsonb_build_object(
            'sub', rolecall.user_id(), 'email', rolecall.user_email(), 'role', 'authenticated') END$$;
    COMMENT ON FUNCTION auth.jwt() IS 'What rolecall vouches for: sub, email, role; NULL for nobody';
    GRANT USAGE ON SCHEMA auth TO PUBLIC;
END
$body$;
COMMENT ON FUNCTION rolecall.add_auth_schema() IS
    'Makes auth.uid(), auth.email(), auth.role() and auth.jwt(), which policies written for Supabase call (administrators)';
-- Tables are closed; every entry is a function that checks its caller.
REVOKE ALL ON ALL TABLES IN SCHEMA rolecall FROM PUBLIC;
-- To those too who may read or write all data (pg_read_all_data): without a policy there are rows for the owner only, as
-- whom these functions run.
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'rolecall'::regnamespace AND relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA rolecall TO PUBLIC;
GRANT SELECT ON rolecall.audit_log, rolecall.access_matrix, rolecall.my_tokens, rolecall.my_queues, rolecall.my_dead_letters, rolecall.my_work_items TO PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.invalidate_sessions(), rolecall.acl_support(internal), rolecall.record_change(), rolecall.refuse_change(), rolecall.name_of_dropped(oid), rolecall.folded_changes(timestamptz),
    rolecall.keep_one_everybody(), rolecall.follow_rename(regclass, name, name), rolecall.note_columns(),
    rolecall.include_children(regclass), rolecall.recompile(regclass), rolecall.refresh_exposed(regclass), rolecall.touches_support(internal),
    rolecall.touches(oid, text, text[], boolean, text[]), rolecall.after_table(), rolecall.after_drop() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.new_channel(), rolecall.identity_key(), rolecall.queue_of(text), rolecall.queue_to_send_to(text),
    rolecall.tell_of_change(), rolecall.change_channels(bigint[]), rolecall.pools_of(text[]), rolecall.leave_channels(),
    rolecall.disabled_user_leaves(), rolecall.drop_queue_of_user(), rolecall.keep_queue_of_pool(),
    rolecall.queue_name(bigint),
    rolecall.wake(bigint[]), rolecall.answer(bigint, jsonb, bigint), rolecall.bury(bigint[], boolean), rolecall.bury_all(),
    rolecall.tidy(int), rolecall.lease_end(interval), rolecall.not_leased(bigint), rolecall.follow_channels(),
    rolecall.remove_role(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.must_administer(text), rolecall.keep_pool(), rolecall.work_queue(text, text),
    rolecall.held_item(bigint, int), rolecall.due_after(interval), rolecall.wake_pool(text),
    rolecall.add_item(rolecall.work_queues, jsonb, int, interval, text, jsonb),
    rolecall.finish_item(rolecall.work_items, text, jsonb, text), rolecall.fail_run(rolecall.work_items, text, boolean),
    rolecall.settle_due_items(rolecall.work_queues, timestamptz) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION rolecall.grantee_name(oid), rolecall.column_list(oid, int2[]), rolecall.doctor_tables(),
    rolecall.policy_says(oid, text, pg_node_tree, pg_node_tree), rolecall.policy_is_sound(oid, text, text, pg_policy),
    rolecall.doctor_views(), rolecall.doctor_functions(), rolecall.doctor_roles(), rolecall.doctor_server(),
    rolecall.doctor_own(), rolecall.doctor_accounts(), rolecall.doctor_speed() FROM PUBLIC;
