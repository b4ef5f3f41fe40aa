SELECT current_setting('server_version_num')::int4 AS version, current_database()::text AS database,
       pg_backend_pid() AS backend, pg_is_in_recovery() AS standby, {has_wanted_schema} AS has_wanted_schema,
       current_setting('corveil.path')::text[] AS path, current_setting('standard_conforming_strings', true) AS strings,
       EXISTS (SELECT FROM pg_index WHERE NOT indisvalid) AS has_invalid;
