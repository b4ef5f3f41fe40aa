WITH :namespaces, :relations
SELECT r.name AS owner, r.plain AS owner_plain, quote_ident(c.relname) AS name, c.relname::text AS plain,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid ORDER BY a.attnum) AS columns,
       i.indisunique AS is_unique, i.indisvalid AS is_valid, pg_get_indexdef(c.oid) AS definition
  FROM pg_index i JOIN relations r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
