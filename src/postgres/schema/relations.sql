-- Needs the namespaces before it.
relations AS (
SELECT c.oid, n.name || '.' || quote_ident(c.relname) AS name, c.relname::text AS plain, c.relkind, c.relispartition,
       c.relnamespace
  FROM pg_class c JOIN namespaces n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND lower(c.relname) NOT IN (:hidden) AND left(c.relname, 9) <> '_corveil_'
   AND c.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND :in_extension))
