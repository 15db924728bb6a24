-- Jobs in sight: administrators see the jobs of their space, ended ones and events included; one row per kind and dedupe key,
-- so that a dead letter comes back as itself when its work is asked for again.

ALTER TABLE tidegate.job ADD COLUMN started_at timestamptz; -- of the attempt at hand, or of the last one
ALTER TABLE tidegate.job_history ADD COLUMN started_at timestamptz, ADD COLUMN max_attempts int, ADD COLUMN last_error text;
ALTER TABLE tidegate.job_event
	ADD COLUMN attempt int,
	ADD COLUMN actor text COLLATE "C"; -- who asked, where a person did

-- Dead letters that were left behind: by work that was asked for again, or by an import that is gone or went on since.
WITH superseded AS (
	DELETE FROM tidegate.job d
	WHERE d.state = 'failed' AND d.dedupe_key IS NOT NULL
	  AND (EXISTS (SELECT FROM tidegate.job n WHERE n.kind = d.kind AND n.dedupe_key = d.dedupe_key AND n.id <> d.id AND (n.state <> 'failed' OR n.id > d.id))
	       OR (d.kind IN ('import.inspect', 'import.parse', 'import.commit', 'import.undo') AND NOT EXISTS
	           (SELECT FROM tidegate.import_job i WHERE i.no::text = d.dedupe_key AND i.status = 'failed'
	            AND d.kind = CASE i.failed_in WHEN 'pending' THEN 'import.inspect' WHEN 'inspecting' THEN 'import.inspect' WHEN 'queued' THEN 'import.parse'
	                WHEN 'parsing' THEN 'import.parse' WHEN 'importing' THEN 'import.commit' WHEN 'undoing' THEN 'import.undo' END))
	       OR (d.kind = 'import.review' AND NOT EXISTS (SELECT FROM tidegate.import_job i WHERE i.no::text = d.dedupe_key)))
	RETURNING *
)
INSERT INTO tidegate.job_history (id, queue, kind, args, space, state, attempt, max_attempts, progress, last_error, created_at)
SELECT id, queue, kind, args, space, 'cancelled', attempt, max_attempts, progress, last_error, created_at FROM superseded;

DROP INDEX tidegate.job_dedupe_idx;
CREATE UNIQUE INDEX job_dedupe_idx ON tidegate.job (kind, dedupe_key) WHERE dedupe_key IS NOT NULL;

CREATE INDEX job_space_idx ON tidegate.job (space, id);
CREATE INDEX job_history_id_idx ON tidegate.job_history (id);
CREATE INDEX job_history_space_idx ON tidegate.job_history (space, id);

ALTER TABLE tidegate.job_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE tidegate.job_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.job_history TO tidegate_api USING (space = current_setting('tidegate.space', true));
CREATE POLICY api ON tidegate.job_event TO tidegate_api
	USING (EXISTS (SELECT FROM tidegate.job j WHERE j.id = job_id AND j.space = current_setting('tidegate.space', true))
	       OR EXISTS (SELECT FROM tidegate.job_history h WHERE h.id = job_id AND h.space = current_setting('tidegate.space', true)));
CREATE POLICY worker ON tidegate.job_history TO tidegate_worker USING (true);
CREATE POLICY worker ON tidegate.job_event TO tidegate_worker USING (true);
GRANT SELECT ON tidegate.job_event, tidegate.job_history TO tidegate_api;
