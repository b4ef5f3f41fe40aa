-- The virtual keys that the gateway hands out. Every request looks one up by its hash, so the hash has an index of its own.
--
-- Safe while the old version serves: the table is new. The foreign key takes SHARE ROW EXCLUSIVE on users until the
-- commit, a few milliseconds in which reads go on and writes wait.

CREATE TABLE api_keys (
    id             uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    key_hash       bytea          NOT NULL CONSTRAINT api_keys_key_hash_check CHECK (octet_length(key_hash) = 32),
    key_prefix     text           NOT NULL CONSTRAINT api_keys_key_prefix_check CHECK (char_length(key_prefix) = 20),
    user_id        uuid           NOT NULL CONSTRAINT api_keys_user_id_fkey REFERENCES users (id) ON DELETE CASCADE,
    max_budget     numeric(20,10) CONSTRAINT api_keys_max_budget_check CHECK (max_budget >= 0 AND max_budget < 'NaN'),
    allowed_models text[]         CONSTRAINT api_keys_allowed_models_check CHECK (array_position(allowed_models, NULL) IS NULL),
    rate_limit_rpm integer        CONSTRAINT api_keys_rate_limit_rpm_check CHECK (rate_limit_rpm > 0),
    rate_limit_tpm integer        CONSTRAINT api_keys_rate_limit_tpm_check CHECK (rate_limit_tpm > 0),
    expires_at     timestamptz,
    created_at     timestamptz    NOT NULL DEFAULT now(),
    CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash)
);

-- The keys of a user, and the cascade when a user is deleted.
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);

COMMENT ON TABLE api_keys IS 'Virtual API keys. A key is shown once and then only its hash is kept; it goes with its user.';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the whole key, 32 bytes.';
COMMENT ON COLUMN api_keys.key_prefix IS 'First 20 characters of the key, for people to recognise it; it authenticates nobody.';
COMMENT ON COLUMN api_keys.max_budget IS 'Most that this key may spend, in USD; NULL means only the limit of its user applies.';
COMMENT ON COLUMN api_keys.allowed_models IS 'Models this key may call; NULL means all, an empty array means none.';
COMMENT ON COLUMN api_keys.rate_limit_rpm IS 'Requests per minute; NULL means the gateway''s default.';
COMMENT ON COLUMN api_keys.rate_limit_tpm IS 'Tokens per minute; NULL means the gateway''s default.';
COMMENT ON COLUMN api_keys.expires_at IS 'From then on the key is refused; NULL means never. To revoke a key, set now().';
