-- Calls signed by an external queue. Such a call names an import and nobody's scope, so this runs with the owner's rights;
-- it is the only way of the request role to an import outside its scope, and every use of it spends a verified token.

-- Takes the token for this call and tells whose the import is. fresh: the token was not taken before (a concurrent call
-- with the same one waits here until the first has ended). No row: there is no such import. What the transaction does not
-- commit leaves the token as good as it was, so that a queue may send a refused call again.
CREATE OR REPLACE FUNCTION tidegate.signed_call_enter(p_jti text, p_expires bigint, p_import uuid)
RETURNS TABLE (fresh boolean, space text, created_by text) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
DECLARE
	is_fresh boolean;
BEGIN
	INSERT INTO tidegate.signed_call (jti, expires_at) VALUES (p_jti, to_timestamp(p_expires)) ON CONFLICT DO NOTHING;
	is_fresh := FOUND;
	RETURN QUERY SELECT is_fresh, j.space, j.created_by FROM tidegate.import_job j WHERE j.id = p_import;
END $$;

REVOKE ALL ON FUNCTION tidegate.signed_call_enter FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.signed_call_enter TO tidegate_api;

-- Takes a ticket of a stream of events; false: it was taken before.
CREATE OR REPLACE FUNCTION tidegate.events_ticket_spend(p_id text, p_expires bigint)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, tidegate, pg_temp AS $$
BEGIN
	INSERT INTO tidegate.signed_call (jti, expires_at) VALUES ('ticket:' || p_id, to_timestamp(p_expires)) ON CONFLICT DO NOTHING;
	RETURN FOUND;
END $$;

REVOKE ALL ON FUNCTION tidegate.events_ticket_spend FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidegate.events_ticket_spend TO tidegate_api;
