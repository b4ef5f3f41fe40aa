WITH :namespaces, :relations
SELECT r.name AS owner, quote_ident(t.tgname) AS name, t.tgenabled::text AS fires, pg_get_triggerdef(t.oid) AS definition
  FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0
