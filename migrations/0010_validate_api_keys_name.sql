-- corveil:lock-timeout 1s
-- corveil:retries 20
--
-- Contract: the name becomes NOT NULL, and the constraint that led there goes.
--
-- Safe while the old version serves: it names every key it makes. VALIDATE scans under SHARE UPDATE EXCLUSIVE, which
-- stops neither reads nor writes. Only then comes ACCESS EXCLUSIVE, for milliseconds: SET NOT NULL takes the validated
-- constraint as proof and scans nothing.

ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_name_present;
ALTER TABLE api_keys ALTER COLUMN name SET NOT NULL;
ALTER TABLE api_keys DROP CONSTRAINT api_keys_name_present;
