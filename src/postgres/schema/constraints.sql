WITH :namespaces, :relations
SELECT coalesce(r.name, n.name || '.' || quote_ident(t.typname)) AS owner,
       coalesce(r.plain, t.typname::text) AS owner_plain,
       quote_ident(k.conname) AS name, k.conname::text AS plain, k.contype::text AS kind,
       CASE WHEN k.contype IN ('p', 'u', 'x')
         THEN ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conindid ORDER BY a.attnum)
         ELSE ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS key(attnum, place)
               JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.attnum ORDER BY key.place) END AS columns,
       pg_get_constraintdef(k.oid) AS definition
  FROM pg_constraint k JOIN namespaces n ON n.oid = k.connamespace LEFT JOIN relations r ON r.oid = k.conrelid
  LEFT JOIN pg_type t ON t.oid = k.contypid
 WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND (r.oid IS NOT NULL OR t.oid IS NOT NULL)
   AND k.conparentid = 0 AND k.coninhcount = 0
