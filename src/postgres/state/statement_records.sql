-- By way of JSON, as the table of an earlier build lacks the last two columns.
SELECT s.version, s.ordinal, s.checksum, s.state, s.error, j.record ->> 'statement' AS statement,
       (j.record ->> 'relation')::int8 AS relation
  FROM {table} s, LATERAL to_jsonb(s) j(record) ORDER BY s.version, s.ordinal;
