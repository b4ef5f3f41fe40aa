-- corveil:lock-timeout 1s
-- corveil:retries 20
--
-- People want to name their keys. Expand: the column comes without a default and without NOT NULL.
-- 0008 to 0010 fill it and require it, one release later.
--
-- Safe while the old version serves: it names its columns when it inserts, so its rows simply have no name yet. The
-- ALTER needs ACCESS EXCLUSIVE only for a change in the catalog. Every request reads this table, and all of them queue
-- behind an ALTER that waits: so it waits a second at most and rather tries more often.

ALTER TABLE api_keys ADD COLUMN name text;

COMMENT ON COLUMN api_keys.name IS 'What its owner calls the key.';
