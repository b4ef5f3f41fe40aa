-- `is_shared`: something in the schema is not compared.
WITH :namespaces, :relations, shared AS (
SELECT extnamespace AS oid FROM pg_extension
 UNION ALL
SELECT d.refobjid FROM pg_depend d JOIN pg_depend m ON m.classid = d.classid AND m.objid = d.objid
 WHERE d.refclassid = 'pg_namespace'::regclass AND m.deptype = 'e' AND m.refclassid = 'pg_extension'::regclass
 UNION ALL
SELECT c.relnamespace FROM pg_class c
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.oid NOT IN (SELECT oid FROM relations))
SELECT n.name, n.oid IN (SELECT oid FROM shared) AS is_shared
  FROM namespaces n
