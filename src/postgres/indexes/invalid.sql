-- A session that builds an index holds a SHARE UPDATE EXCLUSIVE lock on the table, as do VACUUM, ANALYZE and others. The progress
-- view tells them apart: to a role that may not see other roles' sessions it shows no more than their process and database,
-- which is enough here.
SELECT n.nspname::text AS schema, c.relname::text AS name,
       -- The table and the partitioned tables above it, three entries for each.
       ARRAY(SELECT u.part
               FROM (SELECT t.oid UNION SELECT a.relid FROM pg_catalog.pg_partition_ancestors(t.oid) a(relid)) x(oid)
               JOIN pg_catalog.pg_class o ON o.oid = x.oid JOIN pg_catalog.pg_namespace s ON s.oid = o.relnamespace
              CROSS JOIN LATERAL pg_catalog.unnest(ARRAY[o.oid::text, s.nspname::text, o.relname::text])
                                 WITH ORDINALITY u(part, place)
              ORDER BY o.oid <> t.oid, o.oid, u.place) AS tables,
       ARRAY(SELECT o.relname::text FROM pg_catalog.pg_index j JOIN pg_catalog.pg_class o ON o.oid = j.indexrelid
              WHERE j.indrelid = i.indrelid AND j.indexrelid <> i.indexrelid ORDER BY 1) AS others
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON (t.oid = i.indrelid OR t.reltoastrelid = i.indrelid) AND t.relkind <> 't'
  JOIN pg_catalog.pg_namespace m ON m.oid = t.relnamespace
 WHERE NOT i.indisvalid AND c.relkind = 'i' AND left(m.nspname, 3) <> 'pg_'
   AND NOT EXISTS (
     SELECT FROM pg_catalog.pg_locks l
       JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid = l.pid AND p.datid = l.database
      WHERE p.datname = pg_catalog.current_database() AND l.locktype = 'relation' AND l.relation = i.indrelid AND l.granted
        AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid())
 ORDER BY 1, 2;
