-- A request that a guardrail stops is neither a success nor an error of the provider: it gets a status of its own.
--
-- Safe while the old version serves: adding a value locks no table and rewrites nothing. The old version never writes the
-- value and reads the status as text. Nothing here uses it, because PostgreSQL refuses a new value in the transaction
-- that adds it (55P04).

ALTER TYPE request_status ADD VALUE 'guardrail_blocked';
