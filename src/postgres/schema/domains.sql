WITH :namespaces
SELECT n.name || '.' || quote_ident(t.typname) AS name, json_strip_nulls(json_build_object(
         'type', format_type(t.typbasetype, t.typtypmod)
                 || CASE WHEN t.typcollation <> b.typcollation THEN ' COLLATE ' || t.typcollation::regcollation ELSE '' END,
         'not_null', t.typnotnull, 'default', pg_get_expr(t.typdefaultbin, 0)))::text AS definition
  FROM pg_type t JOIN namespaces n ON n.oid = t.typnamespace JOIN pg_type b ON b.oid = t.typbasetype
 WHERE t.typtype = 'd'
   AND t.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_type'::regclass AND :in_extension)
