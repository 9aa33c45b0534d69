-- An application's table: files are for everybody where they are public, else for who made them.
CREATE EXTENSION rolecall;
CREATE TABLE files (id int PRIMARY KEY, filename text, public boolean, created_by text);
INSERT INTO files VALUES (1, 'menu.pdf', true, 'u1'), (2, 'diary.txt', false, 'u1'), (3, 'taxes.ods', false, 'u2');
CREATE ROLE app LOGIN;
GRANT CONNECT ON DATABASE :DBNAME TO app;
GRANT SELECT ON files TO app;
SELECT rolecall.create_user('ada', 'ada@example.org', 'welcome', id => 'u1');
SELECT rolecall.create_user('ben', 'ben@example.org', 'welcome', id => 'u2');
SELECT rolecall.protect('files');
SELECT rolecall.allow('users', 'files', 'select',
    '{"OR": [{"public": {"equals": true}}, {"created_by": {"equals": "__loggedInUserId"}}]}');
