-- Spend per day, user, provider and model. Dashboards read it, so that they need not scan request_logs.
--
-- Safe while the old version serves: the table is new. The foreign key takes SHARE ROW EXCLUSIVE on users until the
-- commit, a few milliseconds in which reads go on and writes wait.

CREATE TABLE daily_spend (
    id                bigint         PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    day               date           NOT NULL,
    user_id           uuid           CONSTRAINT daily_spend_user_id_fkey REFERENCES users (id) ON DELETE SET NULL,
    provider          text           NOT NULL,
    model             text           NOT NULL,
    request_count     bigint         NOT NULL DEFAULT 0
                      CONSTRAINT daily_spend_request_count_check CHECK (request_count >= 0),
    prompt_tokens     bigint         NOT NULL DEFAULT 0
                      CONSTRAINT daily_spend_prompt_tokens_check CHECK (prompt_tokens >= 0),
    completion_tokens bigint         NOT NULL DEFAULT 0
                      CONSTRAINT daily_spend_completion_tokens_check CHECK (completion_tokens >= 0),
    cost              numeric(20,10) NOT NULL DEFAULT 0
                      CONSTRAINT daily_spend_cost_check CHECK (cost >= 0 AND cost < 'NaN'),
    -- The day comes first: the same index answers "everybody's spend from day to day".
    CONSTRAINT daily_spend_day_user_id_provider_model_key UNIQUE (day, user_id, provider, model)
);

-- One user's spend from day to day.
CREATE INDEX daily_spend_user_id_day_idx ON daily_spend (user_id, day);

COMMENT ON TABLE daily_spend IS 'request_logs aggregated per day, for dashboards. The gateway adds to it with ON CONFLICT.';
COMMENT ON COLUMN daily_spend.day IS 'The day in UTC.';
COMMENT ON COLUMN daily_spend.user_id IS 'Who spent; NULL once that user is deleted. The totals of a day stay true.';
COMMENT ON COLUMN daily_spend.cost IS 'In USD.';
