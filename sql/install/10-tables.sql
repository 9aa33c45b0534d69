\echo Use "CREATE EXTENSION rolecall" to load this file. \quit

-- Creating the schema, instead of using one that exists, keeps out whoever made it first.
CREATE SCHEMA rolecall;
COMMENT ON SCHEMA rolecall IS 'Access control: users, roles, scopes and filters, compiled into row-level security';

CREATE TABLE rolecall.users (
    id            text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    username      text COLLATE "C" NOT NULL UNIQUE CHECK (username <> '' AND username NOT LIKE 'role:%'),
    email         text,
    kind          text NOT NULL CHECK (kind IN ('human', 'robot')),
    database_role regrole UNIQUE,
    password_hash text,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rolecall.users IS 'People and robots. Not PostgreSQL roles, so there may be millions';
COMMENT ON COLUMN rolecall.users.id IS 'What __loggedInUserId stands for; chosen by the application, or a UUIDv7';
COMMENT ON COLUMN rolecall.users.username IS 'What one logs in with';
COMMENT ON COLUMN rolecall.users.email IS 'What __loggedInUserEmail stands for';
COMMENT ON COLUMN rolecall.users.kind IS 'human or robot';
COMMENT ON COLUMN rolecall.users.database_role IS 'Sessions whose session_user is this role are this user without a token';
COMMENT ON COLUMN rolecall.users.password_hash IS 'Argon2id, as a PHC string; NULL: no login by password';
COMMENT ON COLUMN rolecall.users.created_at IS 'When the user was created';

CREATE TABLE rolecall.roles (
    name          text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    description   text,
    built_in      boolean NOT NULL DEFAULT false,
    database_role regrole
);
CREATE INDEX roles_database_role ON rolecall.roles (database_role) WHERE database_role IS NOT NULL;
COMMENT ON TABLE rolecall.roles IS 'Named sets of permissions; members are users and other roles';
COMMENT ON COLUMN rolecall.roles.name IS 'The name, as has_role() and policies spell it';
COMMENT ON COLUMN rolecall.roles.description IS 'What the role is for';
COMMENT ON COLUMN rolecall.roles.built_in IS 'Made by rolecall itself';
COMMENT ON COLUMN rolecall.roles.database_role IS 'Sessions whose session_user is a member of this database role hold the role';

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
    algorithm  text NOT NULL CHECK (algorithm IN ('HS256')),
    secret     bytea NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX signing_keys_active ON rolecall.signing_keys (active) WHERE active;
COMMENT ON TABLE rolecall.signing_keys IS 'Keys that sign and verify JWTs; at most one signs';
COMMENT ON COLUMN rolecall.signing_keys.kid IS 'The key id in a token''s header';
COMMENT ON COLUMN rolecall.signing_keys.algorithm IS 'The only algorithm the key is used with';
COMMENT ON COLUMN rolecall.signing_keys.secret IS 'The key itself';
COMMENT ON COLUMN rolecall.signing_keys.active IS 'Signs new tokens; others only verify';
COMMENT ON COLUMN rolecall.signing_keys.created_at IS 'When the key was made';

CREATE TABLE rolecall.protected_tables (
    target regclass PRIMARY KEY
);
COMMENT ON TABLE rolecall.protected_tables IS 'Tables that rolecall protects';
COMMENT ON COLUMN rolecall.protected_tables.target IS 'The table';

CREATE TABLE rolecall.permissions (
    role    text COLLATE "C" REFERENCES rolecall.roles ON UPDATE CASCADE ON DELETE CASCADE,
    target  regclass REFERENCES rolecall.protected_tables ON DELETE CASCADE,
    action  text COLLATE "C" CHECK (action IN ('select', 'insert', 'update', 'delete')),
    filter  jsonb NOT NULL,
    PRIMARY KEY (target, action, role)
);
CREATE INDEX permissions_role ON rolecall.permissions (role);
COMMENT ON TABLE rolecall.permissions IS 'What a role may do with which rows';
COMMENT ON COLUMN rolecall.permissions.role IS 'Who';
COMMENT ON COLUMN rolecall.permissions.target IS 'With which table';
COMMENT ON COLUMN rolecall.permissions.action IS 'What';
COMMENT ON COLUMN rolecall.permissions.filter IS 'With which rows';

CREATE TABLE rolecall.compiled_policies (
    target  regclass REFERENCES rolecall.protected_tables ON DELETE CASCADE,
    action  text COLLATE "C",
    clauses text NOT NULL,
    PRIMARY KEY (target, action)
);
COMMENT ON TABLE rolecall.compiled_policies IS 'The clauses each policy was last made with: an unchanged one is left alone, since changing a policy locks the table';
COMMENT ON COLUMN rolecall.compiled_policies.target IS 'The table';
COMMENT ON COLUMN rolecall.compiled_policies.action IS 'The policy''s command';
COMMENT ON COLUMN rolecall.compiled_policies.clauses IS 'The policy''s USING and WITH CHECK';

INSERT INTO rolecall.roles (name, description, built_in) VALUES
    ('admins', 'May do everything', true),
    ('users', 'Every logged-in user', true),
    ('guest', 'Everybody, logged in or not', true);

-- pg_dump keeps what people entered; what CREATE EXTENSION makes is made again. Signing keys are left out: a dump is to
-- hold no secret, and a new key only makes people log in again.
SELECT pg_extension_config_dump('rolecall.users', '');
SELECT pg_extension_config_dump('rolecall.roles', 'WHERE NOT built_in');
SELECT pg_extension_config_dump('rolecall.user_roles', '');
SELECT pg_extension_config_dump('rolecall.role_members', '');
SELECT pg_extension_config_dump('rolecall.protected_tables', '');
SELECT pg_extension_config_dump('rolecall.permissions', '');
SELECT pg_extension_config_dump('rolecall.compiled_policies', '');
