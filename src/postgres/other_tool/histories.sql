SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS quoted,
       lower(c.relname) AS name, n.nspname::text AS schema,
       ARRAY(SELECT t.typcategory::text || lower(a.attname)
               FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       CASE WHEN NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
              THEN 'USAGE ON SCHEMA ' || pg_catalog.quote_ident(n.nspname)
            WHEN NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
              THEN 'SELECT ON ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
            END AS missing,
       n.nspname::text = ANY ({path}) AS in_sight,
       ARRAY(SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid < {first_normal}) AS plain
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND lower(c.relname) IN ({names}) AND left(n.nspname, 3) <> 'pg_'
 ORDER BY pg_catalog.array_position({path}, n.nspname::text), 1
