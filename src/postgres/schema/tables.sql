WITH :namespaces, :relations
SELECT r.name, json_strip_nulls(json_build_object(
         'unlogged', c.relpersistence = 'u',
         'partition_by', pg_get_partkeydef(c.oid),
         'partition_of', (SELECT json_build_object('table', i.inhparent::regclass::text,
                                                 'bound', pg_get_expr(c.relpartbound, c.oid))
                          FROM pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition),
         'inherits', (SELECT json_agg(i.inhparent::regclass::text ORDER BY i.inhseqno)
                        FROM pg_inherits i WHERE i.inhrelid = c.oid AND NOT c.relispartition),
         'foreign', (SELECT quote_ident(s.srvname) || coalesce(' OPTIONS (' || (
             SELECT string_agg(quote_ident(o.option_name) || ' ' || quote_literal(o.option_value), ', '
                               ORDER BY o.option_name) FROM pg_options_to_table(f.ftoptions) o) || ')', '')
           FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid),
         'row_security', CASE WHEN c.relrowsecurity AND c.relforcerowsecurity THEN 'forced'
                              WHEN c.relrowsecurity THEN 'enabled' END))::text AS definition
  FROM pg_class c JOIN relations r ON r.oid = c.oid WHERE r.relkind IN ('r', 'p', 'f')
