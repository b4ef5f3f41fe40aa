-- corveil:lock-timeout 1s
-- corveil:retries 20
--
-- From now on a key needs a name. NOT VALID: rows written from here on are checked, those already there are not read, so
-- the ACCESS EXCLUSIVE lock lasts milliseconds. 0010 checks the others without that lock.
--
-- Safe while the old version serves: it names every key it makes, as it has since the release of 0006.

ALTER TABLE api_keys ADD CONSTRAINT api_keys_name_present CHECK (name IS NOT NULL) NOT VALID;
