-- The people and services that spend: every API key, and so every request, belongs to one user.
--
-- Safe while the old version serves: it only adds a table that nobody reads yet.

CREATE TABLE users (
    id         uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    email      text           NOT NULL CONSTRAINT users_email_check CHECK (email LIKE '_%@_%'),
    name       text,
    max_budget numeric(20,10) CONSTRAINT users_max_budget_check CHECK (max_budget >= 0 AND max_budget < 'NaN'),
    spend      numeric(20,10) NOT NULL DEFAULT 0
               CONSTRAINT users_spend_check CHECK (spend >= 0 AND spend < 'NaN'),
    is_active  boolean        NOT NULL DEFAULT true,
    source     text           NOT NULL DEFAULT 'api_key'
               CONSTRAINT users_source_check CHECK (source IN ('api_key', 'socketzero', 'admin')),
    created_at timestamptz    NOT NULL DEFAULT now(),
    updated_at timestamptz    NOT NULL DEFAULT now()
);

-- An expression index instead of citext: the schema needs no extension.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

COMMENT ON TABLE users IS 'Who may spend, and how much.';
COMMENT ON COLUMN users.email IS 'As it was entered; unique without regard to case, so look it up by lower(email).';
COMMENT ON COLUMN users.max_budget IS 'Most that all keys of this user may spend, in USD; NULL means no limit.';
COMMENT ON COLUMN users.spend IS 'What all keys of this user have spent so far, in USD; the gateway adds to it.';
COMMENT ON COLUMN users.is_active IS 'False locks out every key of this user.';
COMMENT ON COLUMN users.source IS 'How the user came to be: api_key, socketzero or admin.';
COMMENT ON COLUMN users.updated_at IS 'Set by the gateway; there is no trigger.';
