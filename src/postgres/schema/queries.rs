//! The questions to the catalog. They are the same for every server: what a version lacks is empty there.
//!
//! Names leave the server quoted as a statement needs them. Where a name has to be held against what the server would have
//! chosen, it comes a second time as it is.

use crate::core::sql::quote::literal;

/// All of them as one message, in a transaction that sees one moment; `hidden` are tables that do not count.
///
/// The settings decide how the server prints: everything qualified, constants the same whatever the role prefers. It looks
/// at a view under a lock, for which it may have to wait while somebody changes a table.
pub(super) fn message<'a>(hidden: impl Iterator<Item = &'a str>) -> String {
    let hidden: Vec<_> = hidden.map(literal).collect();
    let mut sql = String::from(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''; \
         SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on; \
         SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = hex; SET LOCAL DateStyle = 'ISO, YMD'; \
         SET LOCAL IntervalStyle = postgres; SET LOCAL TimeZone = 'UTC'; SET LOCAL statement_timeout = 0; \
         SET LOCAL lock_timeout = 10000;\n",
    );
    for question in QUESTIONS {
        // The last two stand in the first two.
        sql += &question
            .replace(":relations", RELATIONS)
            .replace(":namespaces", NAMESPACES)
            .replace(":hidden", &hidden.join(", "))
            .replace(":in_extension", IN_EXTENSION);
        sql += ";\n";
    }
    sql += "COMMIT";
    sql
}

/// Statements of [`message`] before the first question.
pub(super) const BEFORE: usize = 11;

/// In the order in which the answers are read.
const QUESTIONS: [&str; 13] = [
    SCHEMAS,
    EXTENSIONS,
    TYPES,
    DOMAINS,
    SEQUENCES,
    ROUTINES,
    TABLES,
    COLUMNS,
    VIEWS,
    CONSTRAINTS,
    INDEXES,
    TRIGGERS,
    POLICIES_AND_RULES,
];

const NAMESPACES: &str = "namespaces AS (
    SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
     WHERE left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'
       AND n.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND :in_extension))";

/// Needs [`NAMESPACES`] before it.
const RELATIONS: &str = "relations AS (
    SELECT c.oid, n.name || '.' || quote_ident(c.relname) AS name, c.relname::text AS plain, c.relkind, c.relispartition,
           c.relnamespace
      FROM pg_class c JOIN namespaces n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND lower(c.relname) NOT IN (:hidden) AND left(c.relname, 9) <> '_corveil_'
       AND c.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND :in_extension))";

const IN_EXTENSION: &str = "deptype = 'e' AND refclassid = 'pg_extension'::regclass";

/// name, whether there is something in it that is not compared
const SCHEMAS: &str = "WITH :namespaces, :relations, shared AS (
    SELECT extnamespace AS oid FROM pg_extension
     UNION ALL
    SELECT d.refobjid FROM pg_depend d JOIN pg_depend m ON m.classid = d.classid AND m.objid = d.objid
     WHERE d.refclassid = 'pg_namespace'::regclass AND m.deptype = 'e' AND m.refclassid = 'pg_extension'::regclass
     UNION ALL
    SELECT c.relnamespace FROM pg_class c
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.oid NOT IN (SELECT oid FROM relations))
    SELECT n.name, n.oid IN (SELECT oid FROM shared) FROM namespaces n";

/// name, schema. PL/pgSQL is everywhere.
const EXTENSIONS: &str = "SELECT quote_ident(e.extname), quote_ident(n.nspname) FROM pg_extension e
      JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'";

/// name, kind, and what it is made of
const TYPES: &str = "WITH :namespaces
    SELECT n.name || '.' || quote_ident(t.typname), t.typtype::text, CASE t.typtype
      WHEN 'e' THEN ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
      WHEN 'c' THEN ARRAY(
        SELECT quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attcollation <> b.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END
          FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid
         WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
      WHEN 'r' THEN ARRAY(
        SELECT '(SUBTYPE = ' || format_type(r.rngsubtype, NULL)
               || CASE WHEN r.rngcollation NOT IN (0, b.typcollation)
                       THEN ', COLLATION = ' || r.rngcollation::regcollation ELSE '' END
               || CASE WHEN r.rngcanonical <> 0 THEN ', CANONICAL = ' || r.rngcanonical ELSE '' END
               || CASE WHEN r.rngsubdiff <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff ELSE '' END || ')'
          FROM pg_range r JOIN pg_type b ON b.oid = r.rngsubtype WHERE r.rngtypid = t.oid) END::text[]
      FROM pg_type t JOIN namespaces n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
     WHERE (t.typtype IN ('e', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))
       AND t.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_type'::regclass AND :in_extension)";

/// name, definition
const DOMAINS: &str = "WITH :namespaces
    SELECT n.name || '.' || quote_ident(t.typname), json_strip_nulls(json_build_object(
             'type', format_type(t.typbasetype, t.typtypmod)
                     || CASE WHEN t.typcollation <> b.typcollation THEN ' COLLATE ' || t.typcollation::regcollation ELSE '' END,
             'not_null', t.typnotnull, 'default', pg_get_expr(t.typdefaultbin, 0)))::text
      FROM pg_type t JOIN namespaces n ON n.oid = t.typnamespace JOIN pg_type b ON b.oid = t.typbasetype
     WHERE t.typtype = 'd'
       AND t.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_type'::regclass AND :in_extension)";

/// name, options, owner. Those of identity columns and of `serial` are read with their columns.
const SEQUENCES: &str = "WITH :namespaces, :relations
    SELECT n.name || '.' || quote_ident(c.relname),
           'AS ' || format_type(s.seqtypid, NULL) || ' START WITH ' || s.seqstart || ' INCREMENT BY ' || s.seqincrement
             || ' MINVALUE ' || s.seqmin || ' MAXVALUE ' || s.seqmax || ' CACHE ' || s.seqcache
             || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END,
           r.name || '.' || quote_ident(a.attname)
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN namespaces n ON n.oid = c.relnamespace
      LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                           AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
      LEFT JOIN relations r ON r.oid = o.refobjid
      LEFT JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
      LEFT JOIN pg_attrdef d ON d.adrelid = o.refobjid AND d.adnum = o.refobjsubid
     WHERE o.deptype IS DISTINCT FROM 'i' AND (o.refobjid IS NULL OR r.oid IS NOT NULL)
       AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM format('nextval(%L::regclass)', c.oid::regclass)
       AND c.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND :in_extension)";

/// name with arguments, whether a procedure, definition. Those that come with a range are not listed.
const ROUTINES: &str = "WITH :namespaces
    SELECT n.name || '.' || quote_ident(p.proname) || '(' || oidvectortypes(p.proargtypes) || ')', p.prokind = 'p',
           pg_get_functiondef(p.oid)
      FROM pg_proc p JOIN namespaces n ON n.oid = p.pronamespace
     WHERE p.prokind IN ('f', 'p', 'w')
       AND p.oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_proc'::regclass
                          AND (deptype = 'i' OR (:in_extension)))";

/// name, definition without its parts
const TABLES: &str = "WITH :namespaces, :relations
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
                                  WHEN c.relrowsecurity THEN 'enabled' END))::text
      FROM pg_class c JOIN relations r ON r.oid = c.oid WHERE r.relkind IN ('r', 'p', 'f')";

/// table, its plain name, column, its plain name, its definition; then, where it brings a sequence: plain name of the
/// sequence, qualified name. What a table has from a parent is the parent's.
const COLUMNS: &str = "WITH :namespaces, :relations, unvalidated AS MATERIALIZED (
    SELECT conrelid, conkey[1] AS attnum FROM pg_constraint WHERE contype = 'n' AND NOT convalidated), owned AS (
    SELECT o.refobjid, o.refobjsubid, o.deptype, c.relname::text AS plain, c.oid::regclass::text AS name,
           nullif((CASE WHEN o.deptype = 'a' AND s.seqtypid <> a.atttypid THEN 'AS ' || format_type(s.seqtypid, NULL) || ' '
             ELSE '' END) || CASE WHEN (s.seqstart, s.seqincrement, s.seqmin, s.seqcache, s.seqcycle) = (1, 1, 1, 1, false)
             AND s.seqmax = CASE s.seqtypid WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE 9223372036854775807 END THEN ''
             ELSE 'START WITH ' || s.seqstart || ' INCREMENT BY ' || s.seqincrement || ' MINVALUE ' || s.seqmin
             || ' MAXVALUE ' || s.seqmax || ' CACHE ' || s.seqcache
             || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END END, '') AS options
      FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
      JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.objsubid = 0
                      AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
      JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
      LEFT JOIN pg_attrdef d ON d.adrelid = o.refobjid AND d.adnum = o.refobjsubid
     WHERE o.deptype = 'i'
        OR pg_get_expr(d.adbin, d.adrelid) = format('nextval(%L::regclass)', c.oid::regclass))
    SELECT r.name, r.plain, quote_ident(a.attname), a.attname::text, json_strip_nulls(json_build_object(
             'position', a.attnum, 'type', format_type(a.atttypid, a.atttypmod),
             'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
             'not_null', a.attnotnull,
             'not_validated', u.attnum IS NOT NULL,
             'default', CASE WHEN a.attgenerated = '' AND o.name IS NULL THEN pg_get_expr(d.adbin, d.adrelid) END,
             'generated', CASE a.attgenerated WHEN 's' THEN json_build_object('stored', pg_get_expr(d.adbin, d.adrelid))
                                              WHEN 'v' THEN json_build_object('virtual', pg_get_expr(d.adbin, d.adrelid)) END,
             'sequence', CASE WHEN o.name IS NOT NULL THEN json_build_object(
               'kind', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by_default' ELSE 'serial' END,
               'options', o.options) END))::text,
           CASE WHEN o.deptype = 'a' THEN o.plain END, CASE WHEN o.deptype = 'a' THEN o.name END
      FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      LEFT JOIN owned o ON o.refobjid = a.attrelid AND o.refobjsubid = a.attnum
      LEFT JOIN unvalidated u ON u.conrelid = a.attrelid AND u.attnum = a.attnum
     WHERE r.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0";

/// name, definition without its parts
const VIEWS: &str = "WITH :namespaces, :relations
    SELECT r.name, json_strip_nulls(json_build_object(
             'materialized', r.relkind = 'm', 'query', rtrim(pg_get_viewdef(r.oid), ';'),
             'columns', (SELECT json_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                                         ORDER BY a.attnum)
                           FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),
             'options', CASE WHEN r.relkind = 'v' THEN (
               SELECT string_agg(o, ', ' ORDER BY o COLLATE \"C\") FROM unnest(c.reloptions) o) END))::text
      FROM relations r JOIN pg_class c ON c.oid = r.oid WHERE r.relkind IN ('v', 'm')";

/// table or domain, its plain name, constraint, its plain name, its kind, its columns, its definition
const CONSTRAINTS: &str = "WITH :namespaces, :relations
    SELECT coalesce(r.name, n.name || '.' || quote_ident(t.typname)), coalesce(r.plain, t.typname::text),
           quote_ident(k.conname), k.conname::text, k.contype::text,
           CASE WHEN k.contype IN ('p', 'u', 'x')
             THEN ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conindid ORDER BY a.attnum)
             ELSE ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS key(attnum, place)
                   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = key.attnum ORDER BY key.place) END,
           pg_get_constraintdef(k.oid)
      FROM pg_constraint k JOIN namespaces n ON n.oid = k.connamespace LEFT JOIN relations r ON r.oid = k.conrelid
      LEFT JOIN pg_type t ON t.oid = k.contypid
     WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND (r.oid IS NOT NULL OR t.oid IS NOT NULL)
       AND k.conparentid = 0 AND k.coninhcount = 0";

/// table, its plain name, index, its plain name, its columns, whether unique, whether valid, its definition
const INDEXES: &str = "WITH :namespaces, :relations
    SELECT r.name, r.plain, quote_ident(c.relname), c.relname::text,
           ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid ORDER BY a.attnum),
           i.indisunique, i.indisvalid, pg_get_indexdef(c.oid)
      FROM pg_index i JOIN relations r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
     WHERE NOT c.relispartition
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))";

/// table, trigger, when it fires, definition
const TRIGGERS: &str = "WITH :namespaces, :relations
    SELECT r.name, quote_ident(t.tgname), t.tgenabled::text, pg_get_triggerdef(t.oid)
      FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0";

/// table, kind, name, definition
const POLICIES_AND_RULES: &str = "WITH :namespaces, :relations
    SELECT r.name, 'policy', quote_ident(p.polname), CASE WHEN p.polpermissive THEN '' ELSE 'AS RESTRICTIVE ' END
           || CASE p.polcmd WHEN 'r' THEN 'FOR SELECT ' WHEN 'a' THEN 'FOR INSERT ' WHEN 'w' THEN 'FOR UPDATE '
                            WHEN 'd' THEN 'FOR DELETE ' ELSE '' END
           || 'TO ' || (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', '
                                          ORDER BY role::regrole::text COLLATE \"C\") FROM unnest(p.polroles) role)
           || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
           || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
      FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
    UNION ALL
    SELECT r.name, 'rule', quote_ident(w.rulename), pg_get_ruledef(w.oid)
      FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'";
