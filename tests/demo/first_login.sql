-- The password an administrator gives is temporary: it is changed before anything else works.
SELECT rolecall.login(:'username', 'welcome') AS token \gset
BEGIN;
SELECT rolecall.authenticate(:'token');
SELECT rolecall.change_password('welcome', :'password');
COMMIT;
