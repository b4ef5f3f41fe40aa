SELECT c.relnamespace::regnamespace::text AS schema, c.relname::text AS name, c.relkind = 'r' AS is_ordinary,
       pg_get_userbyid(c.relowner)::text AS owner, pg_get_userbyid(c.relowner) = current_user AS is_own,
       has_schema_privilege(c.relnamespace, 'USAGE') AS in_reach, has_table_privilege(c.oid, 'SELECT') AS readable,
       {needs_grant} AS needs_grant, row_security_active(c.oid) AS row_security, c.oid::int8,
       c.relhastriggers OR c.relhasrules AS has_guards,
       has_any_column_privilege(c.oid, 'INSERT')
         AND (c.relname = '{history}' OR has_any_column_privilege(c.oid, 'UPDATE'))
         AND (c.relname <> '{statements}' OR has_table_privilege(c.oid, 'DELETE')) AS writable,
       c.relname = '{statements}' AND coalesce(pg_relation_size(c.oid), 0) > 0 AS has_records
  FROM pg_class c
 WHERE c.relname IN ({names}) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't';
