\echo Use "CREATE EXTENSION rolecall" to load this file. \quit

DO $$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE feature_not_supported
            USING MESSAGE = format('rolecall needs a database with the encoding UTF8; that of this one is %s', getdatabaseencoding()),
                  HINT = 'Make one (CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0) and move what is here there.';
    END IF;
END
$$;

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
