CREATE TABLE {schema}._corveil_runs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  outcome text,
  exit_code smallint,
  from_version bigint,
  to_version bigint,
  failed_version bigint,
  failed_checksum bytea,
  error text,
  build text NOT NULL,
  host text NOT NULL,
  backend integer NOT NULL
);
