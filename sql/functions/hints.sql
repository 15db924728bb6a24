-- Hints to those who listen (core/net/hints.h): the transaction says them, the process that commits it publishes them afterwards (pg_listen), and nobody
-- does when it is rolled back. They may get lost. INFO, because that reaches the client whatever client_min_messages says.

CREATE OR REPLACE FUNCTION tidegate.hint(p_scope text, p_hint jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE INFO USING ERRCODE = 'TGHNT', MESSAGE = p_hint::text || E'\n' || p_scope;
END $$;

-- A job of a user's has another status. p_kind: import or sqlite.
CREATE OR REPLACE FUNCTION tidegate.hint_job(p_space text, p_owner text, p_kind text, p_id uuid, p_status text) RETURNS void LANGUAGE sql AS $$
	SELECT tidegate.hint(format('/jobs/%s/%s/%s', octet_length(p_space), p_space, p_owner), jsonb_build_object('job', p_id, 'kind', p_kind, 'status', p_status))
$$;
