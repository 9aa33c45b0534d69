-- alice may read events and write cache, and what she makes there others can read.
CREATE TABLE cache.result AS SELECT count(*) AS calls FROM events.calls;
INSERT INTO geography.geoms (short_name) VALUES ('east');
\dp cache.result
