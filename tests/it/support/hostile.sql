-- Offers, in schema `public`, a rival of everything that a query could find in `pg_catalog`: functions, operators, types and
-- relations of the same names and arguments. With `public` before `pg_catalog` in the search path, whatever a query of the
-- program's own leaves to the path meets a rival. Each call is counted by a sequence, which no rollback takes back, and fails.
SET client_min_messages = warning;
CREATE SEQUENCE public.hijacks;
CREATE FUNCTION public.hijacked(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $hijacked$
BEGIN
  PERFORM pg_catalog.nextval('public.hijacks'::pg_catalog.regclass);
  RAISE EXCEPTION 'hijacked by %', what;
END $hijacked$;
GRANT USAGE ON SEQUENCE public.hijacks TO PUBLIC;
DO $make$
DECLARE
  one record;
BEGIN
  FOR one IN SELECT p.proname, p.oid::regprocedure::text AS name, p.proretset, p.prorettype::regtype AS returns,
      (SELECT string_agg(t.type::regtype::text, ', ' ORDER BY t.place)
         FROM unnest(p.proargtypes) WITH ORDINALITY AS t(type, place)) AS arguments
    FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS $body$ BEGIN PERFORM public.hijacked(%L); %s END $body$',
        one.proname, one.arguments, CASE WHEN one.proretset THEN 'SETOF ' ELSE '' END || one.returns, one.name,
        CASE WHEN one.proretset OR one.returns = 'void'::regtype THEN 'RETURN;' ELSE 'RETURN NULL;' END);
    EXCEPTION WHEN OTHERS THEN NULL; -- arguments that no such function can take
    END;
  END LOOP;
  FOR one IN SELECT o.oid, o.oprname AS name, o.oprleft, o.oprright, o.oprleft::regtype AS l, o.oprright::regtype AS r,
      o.oprresult::regtype AS returns FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace
  LOOP
    BEGIN
      EXECUTE format('CREATE FUNCTION public.rival_%s(%s) RETURNS %s LANGUAGE plpgsql AS $body$ BEGIN PERFORM public.hijacked(%L); RETURN NULL; END $body$',
        one.oid, concat_ws(', ', nullif(one.l::text, '-'), one.r), one.returns, 'operator ' || one.name);
      EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.rival_%s%s, RIGHTARG = %s)',
        one.name, one.oid, CASE WHEN one.oprleft = 0 THEN '' ELSE ', LEFTARG = ' || one.l END, one.r);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
  FOR one IN SELECT t.typname AS name FROM pg_type t
    WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typelem = 0
  LOOP
    EXECUTE format('CREATE DOMAIN public.%1$I AS pg_catalog.%1$I CHECK (public.hijacked(%2$L))', one.name, 'type ' || one.name);
  END LOOP;
  FOR one IN SELECT c.relname AS name FROM pg_class c
    WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
  LOOP
    BEGIN
      EXECUTE format('CREATE VIEW public.%1$I AS SELECT * FROM pg_catalog.%1$I WHERE public.hijacked(%2$L)', one.name, 'relation ' || one.name);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $make$;
