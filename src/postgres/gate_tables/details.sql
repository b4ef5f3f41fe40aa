{memberships}, authors(relation, what, author) AS (
  SELECT c.oid, NULL, c.relowner FROM pg_class c WHERE c.oid IN ({oids})
   UNION ALL
  -- A trigger is the owner's of the function that it calls, a rule its table's owner's.
  SELECT t.tgrelid, 'trigger ' || quote_ident(t.tgname), p.proowner
    FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
   WHERE t.tgrelid IN ({oids}) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
   UNION ALL
  SELECT r.ev_class, 'rule ' || quote_ident(r.rulename), c.relowner
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE r.ev_class IN ({oids}))
SELECT a.relation::int8, a.what,
       -- Whether the schema is the owner's of its table too, or was opened to that owner by name, and not to the session's
       -- role. What PUBLIC may do says nothing: up to PostgreSQL 14 everyone may create in `public`.
       c.relowner = n.nspowner OR (NOT me.rolsuper AND me.oid <> n.nspowner
         AND EXISTS (SELECT FROM aclexplode(n.nspacl) g WHERE g.privilege_type = 'CREATE' AND g.grantee = c.relowner)
         AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) g WHERE g.privilege_type = 'CREATE' AND g.grantee = me.oid)
       ) AS owner_has_schema,
       o.rolname::text AS author, o.oid = me.oid AS is_current, o.oid IN (SELECT role FROM mine) AS is_granted,
       o.oid = d.datdba AS owns_database, o.rolsuper AS is_superuser
  FROM authors a
  JOIN pg_roles o ON o.oid = a.author
  JOIN pg_class c ON c.oid = a.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_roles me ON me.rolname = current_user
  JOIN pg_database d ON d.datname = current_database();
{memberships}
SELECT p.polrelid::int8 AS relation,
       bool_or(p.polpermissive AND pg_get_expr(p.polqual, p.polrelid) = 'true') AND NOT bool_or(NOT p.polpermissive)
         AS shows_all_rows
  FROM pg_policy p
 WHERE p.polrelid IN ({oids}) AND p.polcmd IN ('r', '*')
   AND (0 = ANY (p.polroles) OR EXISTS (SELECT FROM mine WHERE mine.role = ANY (p.polroles)))
 GROUP BY 1;
