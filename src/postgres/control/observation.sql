SELECT coalesce({session_line}, 'a prepared transaction, see pg_prepared_xacts') AS blocker
  FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids({backend})) AS b(pid)
  LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) ORDER BY a.xact_start NULLS LAST;
SELECT phase::text, coalesce(nullif(blocks_total, 0), tuples_total)::int8 AS total,
       CASE WHEN blocks_total > 0 THEN blocks_done ELSE tuples_done END::int8 AS done
  FROM pg_catalog.pg_stat_progress_create_index WHERE pid = {backend};
SELECT coalesce(a.state NOT LIKE 'idle%', true) AS is_at_work, a.wait_event IS NOT DISTINCT FROM 'SyncRep' AS waits_for_standby
  FROM pg_catalog.pg_stat_activity a WHERE a.pid = {backend};
