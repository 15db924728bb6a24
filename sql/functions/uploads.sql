-- Uploads. The signature of the URL is the authorisation of the PUT, so these run without a token's scope and with
-- the owner's rights; they look a row up by its unguessable key only.

-- Before the body is read: may this object be received? Takes the row lock. No row: 403.
CREATE OR REPLACE FUNCTION tidegate.upload_receive(p_key text)
RETURNS TABLE (state text, file_size bigint, checksum text) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	UPDATE tidegate.upload u SET state = 'receiving'
	WHERE u.object_key = p_key AND u.state IN ('issued', 'receiving') AND u.expires_at > now()
	RETURNING u.state, u.file_size, u.checksum;
$$;

-- The body is there: what was promised of it? The URL may have run out meanwhile; it was good when the transfer began.
CREATE OR REPLACE FUNCTION tidegate.upload_promised(p_key text)
RETURNS TABLE (file_size bigint, checksum text) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT u.file_size, u.checksum FROM tidegate.upload u WHERE u.object_key = p_key AND u.state = 'receiving';
$$;

-- A part of an upload that is not finished: what are its sizes? No row: 403.
CREATE OR REPLACE FUNCTION tidegate.upload_part(p_key text, p_parts_id text)
RETURNS TABLE (file_size bigint, part_bytes bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	SELECT u.file_size, u.part_bytes FROM tidegate.upload u
	WHERE u.object_key = p_key AND u.parts_id = p_parts_id AND u.state = 'issued' AND u.expires_at > now();
$$;

-- With its import an upload goes too: its file is about to be removed, nobody may start another import with it.
CREATE OR REPLACE FUNCTION tidegate.upload_forget(p_import bigint)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	DELETE FROM tidegate.upload u USING tidegate.import_job j
	WHERE j.no = p_import AND j.space = current_setting('tidegate.space', true) AND u.object_key = j.object_key;
$$;

-- After the file stands under its final name: exactly one caller gets a row.
CREATE OR REPLACE FUNCTION tidegate.upload_store(p_key text, p_sha256 text)
RETURNS TABLE (id uuid) LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
	UPDATE tidegate.upload u SET state = 'stored', sha256 = p_sha256, stored_at = now(), url = NULL
	WHERE u.object_key = p_key AND u.state = 'receiving' RETURNING u.id;
$$;

REVOKE ALL ON FUNCTION tidegate.upload_receive, tidegate.upload_promised, tidegate.upload_store, tidegate.upload_part, tidegate.upload_forget FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.upload_receive, tidegate.upload_promised, tidegate.upload_store, tidegate.upload_part, tidegate.upload_forget TO tidegate_api;
GRANT EXECUTE ON FUNCTION tidegate.upload_forget TO tidegate_worker;
