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
