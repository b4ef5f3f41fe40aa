SELECT set_config('search_path', coalesce((
         SELECT quote_ident(s) || ', pg_temp' FROM unnest({path}) s
          WHERE pg_relation_filenode(to_regclass(quote_ident(s) || '.{history}')) IS NOT NULL LIMIT 1), 'pg_temp'), true);
SELECT {columns} FROM {history};
