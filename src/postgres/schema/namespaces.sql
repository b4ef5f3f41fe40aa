namespaces AS (
SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
 WHERE left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'
   AND n.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND :in_extension))
