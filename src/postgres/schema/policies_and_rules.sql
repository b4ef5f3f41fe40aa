WITH :namespaces, :relations
SELECT r.name AS owner, 'policy' AS kind, quote_ident(p.polname) AS name,
       CASE WHEN p.polpermissive THEN '' ELSE 'AS RESTRICTIVE ' END
       || CASE p.polcmd WHEN 'r' THEN 'FOR SELECT ' WHEN 'a' THEN 'FOR INSERT ' WHEN 'w' THEN 'FOR UPDATE '
                        WHEN 'd' THEN 'FOR DELETE ' ELSE '' END
       || 'TO ' || (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', '
                                      ORDER BY role::regrole::text COLLATE "C") FROM unnest(p.polroles) role)
       || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
       || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') AS definition
  FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
UNION ALL
SELECT r.name, 'rule', quote_ident(w.rulename), pg_get_ruledef(w.oid)
  FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
