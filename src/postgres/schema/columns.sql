-- What a table has from a parent is the parent's.
WITH :namespaces, :relations, unvalidated AS MATERIALIZED (
SELECT conrelid, conkey[1] AS attnum FROM pg_constraint WHERE contype = 'n' AND NOT convalidated), owned AS (
SELECT o.refobjid, o.refobjsubid, o.deptype, c.relname::text AS plain, c.oid::regclass::text AS name,
       nullif((CASE WHEN o.deptype = 'a' AND s.seqtypid <> a.atttypid THEN 'AS ' || format_type(s.seqtypid, NULL) || ' '
         ELSE '' END) || CASE WHEN (s.seqstart, s.seqincrement, s.seqmin, s.seqcache, s.seqcycle) = (1, 1, 1, 1, false)
         AND s.seqmax = CASE s.seqtypid WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE 9223372036854775807 END THEN ''
         ELSE 'START WITH ' || s.seqstart || ' INCREMENT BY ' || s.seqincrement || ' MINVALUE ' || s.seqmin
         || ' MAXVALUE ' || s.seqmax || ' CACHE ' || s.seqcache
         || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END END, '') AS options
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
  JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                  AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
  JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
  LEFT JOIN pg_attrdef d ON d.adrelid = o.refobjid AND d.adnum = o.refobjsubid
 WHERE o.deptype = 'i'
    OR pg_get_expr(d.adbin, d.adrelid) = format('nextval(%L::regclass)', c.oid::regclass))
SELECT r.name AS table_name, r.plain AS table_plain, quote_ident(a.attname) AS name, a.attname::text AS plain,
       json_strip_nulls(json_build_object(
         'position', a.attnum, 'type', format_type(a.atttypid, a.atttypmod),
         'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
         'not_null', a.attnotnull,
         'not_validated', u.attnum IS NOT NULL,
         'default', CASE WHEN a.attgenerated = '' AND o.name IS NULL THEN pg_get_expr(d.adbin, d.adrelid) END,
         'generated', CASE a.attgenerated WHEN 's' THEN json_build_object('stored', pg_get_expr(d.adbin, d.adrelid))
                                          WHEN 'v' THEN json_build_object('virtual', pg_get_expr(d.adbin, d.adrelid)) END,
         'sequence', CASE WHEN o.name IS NOT NULL THEN json_build_object(
           'kind', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by_default' ELSE 'serial' END,
           'options', o.options) END))::text AS definition,
       CASE WHEN o.deptype = 'a' THEN o.plain END AS sequence_plain,
       CASE WHEN o.deptype = 'a' THEN o.name END AS sequence_name
  FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN owned o ON o.refobjid = a.attrelid AND o.refobjsubid = a.attnum
  LEFT JOIN unvalidated u ON u.conrelid = a.attrelid AND u.attnum = a.attnum
 WHERE r.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0
