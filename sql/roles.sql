-- Roles of Tidegate. Run once by a superuser on the server (`tidegate migrate --roles` prints it; `make run` applies it):
--   tidegate_owner   owns schemas and tables, runs migrations, never serves requests
--   tidegate_api     the request processes; row-level security confines it to the scope of the verified token
--   tidegate_worker  the job processes
-- Passwords, if any, are set apart (ALTER ROLE … PASSWORD), so that this file holds no secret.
DO $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['tidegate_owner', 'tidegate_api', 'tidegate_worker'] LOOP
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
			EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', name);
		END IF;
	END LOOP;
END $$;
