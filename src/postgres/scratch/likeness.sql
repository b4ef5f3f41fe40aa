-- Through JSON, as the columns of ICU and of the built-in provider came with PostgreSQL 15 and 17.
SELECT pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding, d.datcollate::text AS collate, d.datctype::text AS ctype,
       j->>'datlocprovider' AS provider, coalesce(j->>'datlocale', j->>'daticulocale') AS locale,
       j->>'daticurules' AS icu_rules,
       (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path') AS search_path, current_user::text AS role,
       pg_catalog.current_setting('standard_conforming_strings', true) AS strings
  FROM pg_catalog.pg_database d, pg_catalog.to_jsonb(d) j WHERE d.datname = pg_catalog.current_database()
