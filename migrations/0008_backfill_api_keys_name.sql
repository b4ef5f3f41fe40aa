-- corveil:statement-timeout 10min
--
-- Names for the keys that were made before keys had names: the prefix, which is what people know them by.
-- It ships one release after 0006, with 0009 and 0010: now every serving pod names the keys it makes, so no nameless
-- key can follow.
--
-- Safe while the old version serves: reads never wait, and an update of the same key waits for the commit. The table has
-- thousands of rows, so one statement will do; README.md shows how to fill a large table in batches.

UPDATE api_keys SET name = key_prefix WHERE name IS NULL;
