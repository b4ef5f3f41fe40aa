SELECT date_trunc('second', started_at)::text AS started_at, date_trunc('second', ended_at)::text AS ended_at,
       CASE WHEN ended_at IS NULL AND backend IN (SELECT pid FROM ({lock_holders}) h) THEN 'running'
            ELSE coalesce(outcome, 'died') END AS outcome,
       exit_code, from_version, to_version, failed_version, encode(failed_checksum, 'hex') AS failed_checksum, error,
       build, host, extract(epoch FROM started_at)::int8 AS started_epoch, extract(epoch FROM ended_at)::int8 AS ended_epoch
  FROM {table} ORDER BY id DESC LIMIT {limit};
