SELECT rolecall.login(:'username', :'password') AS token \gset
BEGIN;
SELECT rolecall.authenticate(:'token');
SELECT * FROM files ORDER BY id;
EXPLAIN (COSTS OFF) SELECT * FROM files;
COMMIT;
SELECT count(*) AS rows_for_nobody FROM files;
