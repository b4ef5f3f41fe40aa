'pid ' || a.pid || ' (' || coalesce(nullif(a.application_name, ''), 'no name')
  || coalesce(', ' || host(a.client_addr), '') || ', ' || coalesce(a.state, 'state not visible')
  || coalesce(', transaction open for ' || extract(epoch FROM clock_timestamp() - a.xact_start)::int || ' s',
              ', idle for ' || extract(epoch FROM clock_timestamp() - a.state_change)::int || ' s', '')
  || '): ' || coalesce(left(regexp_replace(a.query, '[[:space:]]+', ' ', 'g'), 120)
                       || CASE WHEN length(a.query) > 120 THEN '…' ELSE '' END, '')
