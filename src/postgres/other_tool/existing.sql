-- An unqualified name means the first schema of the search path that exists, as CREATE takes it.
SELECT w.number::int4,
       CASE WHEN w.catalog = 'schema' THEN pg_catalog.quote_ident(w.name)
            ELSE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(w.name) END AS name
  FROM (VALUES {wanted}) AS w(number, catalog, schema, name)
  JOIN pg_catalog.pg_namespace n
    ON n.nspname = CASE WHEN w.catalog = 'schema' THEN w.name ELSE coalesce(w.schema::text, {first}) END
 WHERE CASE w.catalog
       WHEN 'schema' THEN true
       WHEN 'function' THEN EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid AND p.proname = w.name)
       WHEN 'type' THEN EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid AND t.typname = w.name)
       ELSE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = w.name) END
 ORDER BY 1
