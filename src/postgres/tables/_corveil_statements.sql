CREATE TABLE {schema}._corveil_statements (
  version bigint NOT NULL,
  ordinal integer NOT NULL,
  checksum bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('started', 'finished', 'failed')),
  changed_at timestamptz NOT NULL DEFAULT now(),
  error text,
  statement text,
  relation oid,
  PRIMARY KEY (version, ordinal)
);
