-- PL/pgSQL is in every database.
SELECT quote_ident(e.extname) AS name, quote_ident(n.nspname) AS schema
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname <> 'plpgsql'
