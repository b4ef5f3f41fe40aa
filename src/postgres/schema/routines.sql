-- Those that come with a range are not listed.
WITH :namespaces
SELECT n.name || '.' || quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')' AS name,
       p.prokind = 'p' AS is_procedure,
       pg_get_functiondef(p.oid) AS definition
  FROM pg_proc p JOIN namespaces n ON n.oid = p.pronamespace
 WHERE p.prokind IN ('f', 'p', 'w')
   AND p.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_proc'::regclass
                      AND (deptype = 'i' OR (:in_extension)))
