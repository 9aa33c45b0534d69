-- Some tables, laid out as FlowDB lays them out, by the role that owns its schemas.
SET ROLE flowdb;
CREATE TABLE geography.geoms (gid serial PRIMARY KEY, short_name text);
CREATE TABLE events.calls (id text, datetime timestamptz NOT NULL, msisdn text) PARTITION BY RANGE (datetime);
CREATE TABLE events.calls_2026 PARTITION OF events.calls FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO geography.geoms (short_name) VALUES ('north'), ('south');
