-- no-transaction
--
-- The newest requests of one key: 0003 indexed by time alone, so the logs of a quiet key were filtered out of everybody's.
-- The index also serves the foreign key when a key is deleted.
--
-- Safe while the old version serves: CONCURRENTLY lets it read and write during the build.

-- CREATE INDEX CONCURRENTLY commits between its passes over the table and refuses to run inside a transaction.
CREATE INDEX CONCURRENTLY request_logs_api_key_id_created_at_idx ON request_logs (api_key_id, created_at DESC);
