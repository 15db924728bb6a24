-- Objects of backups beside the run that made them: copies in the second store, objects that take the place of others, objects that are made for one download.

-- Good, ended, and not at p_place: newest first. What failed waits for its time.
CREATE OR REPLACE FUNCTION tidegate.backup_to_replicate(p_space text, p_place text)
RETURNS SETOF tidegate.backup_object LANGUAGE sql STABLE SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT o.* FROM tidegate.backup_object o
	WHERE o.space = p_space AND o.state = 'stored' AND (o.verified_at IS NOT NULL OR o.content_hash IS NULL AND o.verify_error IS NULL)
	  AND (o.replicated_at IS NULL OR o.replica IS DISTINCT FROM p_place) AND (o.replica_retry_at IS NULL OR o.replica_retry_at <= now())
	  AND NOT EXISTS (SELECT FROM tidegate.backup_result r WHERE r.id = o.result_id AND r.state = 'running')
	ORDER BY o.day DESC, o.created_at DESC;
$$;

-- A copy that could not be made, or is no more. It is said once, and again only after no copy was failing.
CREATE OR REPLACE FUNCTION tidegate.backup_replica_failed(p_object uuid, p_error text)
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	this tidegate.backup_object;
	said boolean;
BEGIN
	SELECT * INTO this FROM tidegate.backup_object WHERE id = p_object AND state = 'stored' FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	said := EXISTS (SELECT FROM tidegate.backup_object o WHERE o.space = this.space AND o.state = 'stored' AND o.replica_error IS NOT NULL);
	UPDATE tidegate.backup_object
	SET replicated_at = NULL, replica_error = p_error, replica_attempts = replica_attempts + 1,
	    replica_retry_at = now() + least(interval '1 hour', interval '30 seconds' * 2 ^ least(replica_attempts, 10))
	WHERE id = p_object;
	IF NOT said THEN
		PERFORM tidegate.event_emit(this.space, 'backup.replica_failed', jsonb_build_object('id', this.run_id, 'database', this.database, 'objectKey', this.key, 'error', p_error));
	END IF;
	RETURN NOT said;
END $$;

REVOKE ALL ON FUNCTION tidegate.backup_to_replicate, tidegate.backup_replica_failed FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_to_replicate, tidegate.backup_replica_failed TO tidegate_worker;

-- A verified object of the same content takes the place of another: the new key was a row in state making, the old one becomes a row in state deleting. False: either has
-- changed meanwhile, and nothing was done.
CREATE OR REPLACE FUNCTION tidegate.backup_rewrapped(p_object uuid, p_key text, p_new uuid, p_recipients text[])
RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	was tidegate.backup_object;
	made tidegate.backup_object;
BEGIN
	SELECT * INTO was FROM tidegate.backup_object WHERE id = p_object AND key = p_key AND state = 'stored' FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	DELETE FROM tidegate.backup_object WHERE id = p_new AND state = 'making' RETURNING * INTO made;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	UPDATE tidegate.backup_object
	SET key = made.key, size = made.size, sha256 = made.sha256, recipients = p_recipients, manifest = was.manifest || (made.manifest - 'content'),
	    verified_at = CASE WHEN was.content_hash IS NULL THEN NULL ELSE now() END, verify_error = NULL,
	    replica = NULL, replicated_at = NULL, replica_error = NULL, replica_attempts = 0, replica_retry_at = NULL
	WHERE id = p_object;
	INSERT INTO tidegate.backup_object (space, kind, database, day, key, size, sha256, state, created_at)
	VALUES (was.space, was.kind, was.database, was.day, was.key, was.size, was.sha256, 'deleting', was.created_at);
	RETURN true;
END $$;
REVOKE ALL ON FUNCTION tidegate.backup_rewrapped FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_rewrapped TO tidegate_worker;

-- An object that is about to be made for a download: known before it is there, so that it goes whatever happens.
CREATE OR REPLACE FUNCTION tidegate.backup_made(p_key text, p_database text, p_day date)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	INSERT INTO tidegate.backup_object (space, kind, database, day, key, size, sha256, state)
	VALUES (current_setting('tidegate.space'), 'made', p_database, p_day, p_key, 0, repeat('0', 64), 'making');
$$;
REVOKE ALL ON FUNCTION tidegate.backup_made FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.backup_made TO tidegate_api;
