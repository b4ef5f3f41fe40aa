-- One row per request sent to a model: the record for audits, and what spend is computed from.
-- It is the largest table, so the status is an enum: 4 bytes a row, and a new value scans nothing.
--
-- Safe while the old version serves: type and table are new. The foreign key takes SHARE ROW EXCLUSIVE on api_keys until
-- the commit, a few milliseconds in which reads, and so authentication, go on.

CREATE TYPE request_status AS ENUM ('success', 'error');

CREATE TABLE request_logs (
    id                uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    request_id        text           NOT NULL,
    api_key_id        uuid           CONSTRAINT request_logs_api_key_id_fkey REFERENCES api_keys (id) ON DELETE SET NULL,
    model             text           NOT NULL,
    provider          text           NOT NULL,
    prompt_tokens     integer        NOT NULL DEFAULT 0
                      CONSTRAINT request_logs_prompt_tokens_check CHECK (prompt_tokens >= 0),
    completion_tokens integer        NOT NULL DEFAULT 0
                      CONSTRAINT request_logs_completion_tokens_check CHECK (completion_tokens >= 0),
    cost              numeric(20,10) NOT NULL DEFAULT 0
                      CONSTRAINT request_logs_cost_check CHECK (cost >= 0 AND cost < 'NaN'),
    latency_ms        integer        NOT NULL CONSTRAINT request_logs_latency_ms_check CHECK (latency_ms >= 0),
    status            request_status NOT NULL,
    created_at        timestamptz    NOT NULL DEFAULT now()
);

-- One request by the id that its client quotes; the newest requests of everybody.
CREATE INDEX request_logs_request_id_idx ON request_logs (request_id);
CREATE INDEX request_logs_created_at_idx ON request_logs (created_at);

COMMENT ON TYPE request_status IS 'How a request ended.';
COMMENT ON TABLE request_logs IS 'One row per request sent to a model. Rows outlive the key that made them.';
COMMENT ON COLUMN request_logs.request_id IS 'The id the client was given. Not unique: each provider that was tried has a row.';
COMMENT ON COLUMN request_logs.api_key_id IS 'The key used; NULL once that key is deleted.';
COMMENT ON COLUMN request_logs.provider IS 'Where the request was routed, whether or not it arrived.';
COMMENT ON COLUMN request_logs.cost IS 'In USD, at the provider''s price of that moment.';
COMMENT ON COLUMN request_logs.latency_ms IS 'From the request''s arrival to the last byte of the answer.';
