WITH :namespaces, :relations
SELECT r.name, json_strip_nulls(json_build_object(
         'materialized', r.relkind = 'm', 'query', rtrim(pg_get_viewdef(r.oid), ';'),
         'columns', (SELECT json_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                                     ORDER BY a.attnum)
                       FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),
         'options', CASE WHEN r.relkind = 'v' THEN (
           SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest(c.reloptions) o) END))::text AS definition
  FROM relations r JOIN pg_class c ON c.oid = r.oid WHERE r.relkind IN ('v', 'm')
