-- The roles that the session's role belongs to, without those that only ADMIN or nothing at all was granted of. They are
-- followed by hand: a superuser counts as a member of every role, and from PostgreSQL 16 on a role as a member of each role
-- that it made, without having that role's rights.
WITH RECURSIVE mine(role) AS (
  SELECT oid FROM pg_roles WHERE rolname = current_user
   UNION
  SELECT m.roleid FROM pg_auth_members m JOIN mine ON mine.role = m.member, to_jsonb(m) j
   WHERE coalesce((j->>'inherit_option')::bool OR (j->>'set_option')::bool, true))
