-- The tables of imported databases (apps bowling and venue) are synced from now on. What was made before becomes what schema/*.json declares: the space is
-- the scope, the key begins with it, and the rows get a number of their scope's clock. Rows of imports that were replaced are out of sight.

CREATE TEMP TABLE adopted ON COMMIT DROP AS
SELECT n.nspname AS app, c.oid::regclass AS rel, c.relname AS name, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'dataset_id') AS of_dataset
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('bowling', 'venue') AND c.relkind = 'r' AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'space' AND NOT a.attisdropped)
  AND (n.nspname = 'bowling' AND c.relname IN ('house', 'pattern')
       OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'dataset_id' AND NOT a.attisdropped));

DO $$
DECLARE
	t record;
	c record;
	v_required text;
BEGIN
	FOR t IN SELECT * FROM adopted LOOP
		SELECT string_agg(format('%I IS NOT NULL', a.attname), ' AND ' ORDER BY a.attnum) INTO v_required FROM pg_attribute a
			WHERE a.attrelid = t.rel AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND a.attname NOT IN ('id', 'space', 'dataset_id', 'source_id', 'created_at');
		-- Indexes and policies are made again from the declaration.
		FOR c IN SELECT i.indexrelid::regclass AS name FROM pg_index i WHERE i.indrelid = t.rel AND NOT i.indisprimary LOOP
			EXECUTE format('DROP INDEX %s', c.name);
		END LOOP;
		FOR c IN SELECT k.conname FROM pg_constraint k WHERE k.conrelid = t.rel AND k.contype = 'p' LOOP
			EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', t.rel, c.conname);
		END LOOP;
		FOR c IN SELECT a.attname, a.atthasdef, a.attnotnull, a.atttypid = 'text'::regtype AND a.attcollation <> '"C"'::regcollation AS recollate
				FROM pg_attribute a WHERE a.attrelid = t.rel AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'space' LOOP
			IF c.attname <> 'id' AND c.attnotnull THEN
				EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', t.rel, c.attname);
			END IF;
			IF c.attname IN ('id', 'created_at') AND c.atthasdef THEN
				EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', t.rel, c.attname);
			END IF;
			IF c.recollate THEN
				EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE text COLLATE "C"', t.rel, c.attname);
			END IF;
		END LOOP;
		EXECUTE format('ALTER TABLE %s RENAME COLUMN space TO sync_scope', t.rel);
		EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (sync_scope, id), ADD COLUMN last_modified_at bigint NOT NULL DEFAULT ''0'',
			ADD COLUMN device_id text COLLATE "C" NOT NULL DEFAULT '''', ADD COLUMN deleted boolean NOT NULL DEFAULT ''false'',
			ADD COLUMN server_seq bigint NOT NULL DEFAULT ''0''', t.rel);
		EXECUTE format('ALTER TABLE %s SET (fillfactor = 90)', t.rel);
		IF v_required IS NOT NULL THEN
			EXECUTE format('ALTER TABLE %s ADD CHECK (deleted OR (%s))', t.rel, v_required);
		END IF;
	END LOOP;
END $$;

DO $$
DECLARE
	t record;
	v_now bigint := extract(epoch FROM clock_timestamp()) * 1000000;
BEGIN
	FOR t IN SELECT * FROM adopted LOOP
		EXECUTE format('INSERT INTO tidegate.sync_scope (app, scope, version, floor) SELECT DISTINCT %L, sync_scope, $1, $1 FROM %s ON CONFLICT DO NOTHING', t.app, t.rel) USING v_now;
		EXECUTE format('UPDATE %1$s AS t SET server_seq = s.version, last_modified_at = s.version, deleted = %2$s, device_id = CASE WHEN %2$s THEN ''~replaced'' ELSE ''server'' END
			FROM tidegate.sync_scope s WHERE s.app = %3$L AND s.scope = t.sync_scope', t.rel,
			CASE WHEN t.of_dataset THEN 'NOT EXISTS (SELECT FROM tidegate.dataset d WHERE d.batch_id = t.dataset_id)' ELSE 'false' END, t.app);
	END LOOP;
END $$;
