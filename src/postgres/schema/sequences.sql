-- Those of identity columns and of `serial` are read with their columns.
WITH :namespaces, :relations
SELECT n.name || '.' || quote_ident(c.relname) AS name,
       'AS ' || format_type(s.seqtypid, NULL) || ' START WITH ' || s.seqstart || ' INCREMENT BY ' || s.seqincrement
         || ' MINVALUE ' || s.seqmin || ' MAXVALUE ' || s.seqmax || ' CACHE ' || s.seqcache
         || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END AS options,
       r.name || '.' || quote_ident(a.attname) AS owner
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN namespaces n ON n.oid = c.relnamespace
  LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                       AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
  LEFT JOIN relations r ON r.oid = o.refobjid
  LEFT JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
  LEFT JOIN pg_attrdef d ON d.adrelid = o.refobjid AND d.adnum = o.refobjsubid
 WHERE o.deptype IS DISTINCT FROM 'i' AND (o.refobjid IS NULL OR r.oid IS NOT NULL)
   AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM format('nextval(%L::regclass)', c.oid::regclass)
   AND c.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND :in_extension)
