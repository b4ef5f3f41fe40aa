WITH :namespaces
SELECT n.name || '.' || quote_ident(t.typname) AS name, t.typtype::text AS kind, CASE t.typtype
  WHEN 'e' THEN ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
  WHEN 'c' THEN ARRAY(
    SELECT quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attcollation <> b.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END
      FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid
     WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
  WHEN 'r' THEN ARRAY(
    SELECT '(SUBTYPE = ' || format_type(r.rngsubtype, NULL)
           || CASE WHEN r.rngcollation NOT IN (0, b.typcollation)
                   THEN ', COLLATION = ' || r.rngcollation::regcollation ELSE '' END
           || CASE WHEN r.rngcanonical <> 0 THEN ', CANONICAL = ' || r.rngcanonical ELSE '' END
           || CASE WHEN r.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff ELSE '' END || ')'
      FROM pg_range r JOIN pg_type b ON b.oid = r.rngsubtype WHERE r.rngtypid = t.oid) END::text[] AS parts
  FROM pg_type t JOIN namespaces n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
 WHERE (t.typtype IN ('e', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
   AND t.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_type'::regclass AND :in_extension)
