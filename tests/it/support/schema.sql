-- The schema of the current database, a line for each part, in a fixed order. Names come out qualified, because nothing is
-- on the search path.
SET search_path = '';

WITH schemas AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), parts AS (
    SELECT 'schema ' || nspname AS part FROM schemas
    UNION ALL
    SELECT 'extension ' || extname FROM pg_catalog.pg_extension
    UNION ALL
    SELECT 'relation ' || c.oid::regclass || ' kind ' || c.relkind::text || ' persistence ' || c.relpersistence::text
           || CASE WHEN c.relkind IN ('v', 'm') THEN ' ' || pg_catalog.pg_get_viewdef(c.oid) ELSE '' END
      FROM pg_catalog.pg_class c JOIN schemas s ON s.oid = c.relnamespace
    UNION ALL
    SELECT 'column ' || c.oid::regclass || ' ' || a.attnum || ' ' || a.attname
           || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
           || CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text ELSE '' END
           || CASE WHEN a.attgenerated <> '' THEN ' generated ' || a.attgenerated::text ELSE '' END
           || coalesce(' default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid), '')
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
      JOIN schemas s ON s.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'constraint ' || coalesce(nullif(o.conrelid, 0)::regclass::text, o.contypid::regtype::text) || ' ' || o.conname
           || ' ' || pg_catalog.pg_get_constraintdef(o.oid)
      FROM pg_catalog.pg_constraint o JOIN schemas s ON s.oid = o.connamespace
    UNION ALL
    SELECT 'index ' || pg_catalog.pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      JOIN schemas s ON s.oid = c.relnamespace
    UNION ALL
    SELECT 'enum ' || e.enumtypid::regtype || ' ' || pg_catalog.string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder)
      FROM pg_catalog.pg_enum e GROUP BY e.enumtypid
    UNION ALL
    SELECT 'domain ' || t.oid::regtype || ' ' || pg_catalog.format_type(t.typbasetype, t.typtypmod)
           || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END || coalesce(' default ' || t.typdefault, '')
      FROM pg_catalog.pg_type t JOIN schemas s ON s.oid = t.typnamespace WHERE t.typtype = 'd'
    UNION ALL
    SELECT 'function ' || pg_catalog.pg_get_functiondef(p.oid)
      FROM pg_catalog.pg_proc p JOIN schemas s ON s.oid = p.pronamespace WHERE p.prokind IN ('f', 'p')
    UNION ALL
    SELECT 'trigger ' || pg_catalog.pg_get_triggerdef(t.oid) FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'comment ' || identity.type || ' ' || identity.identity || ' ' || d.description
      FROM pg_catalog.pg_description d
     CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) AS identity
     WHERE identity.schema IN (SELECT nspname FROM schemas)
)
SELECT part FROM parts ORDER BY part COLLATE "C";
