-- Assignment by turns and by name, rows put right or decided by hand, previews of a commit, values that were not understood.

ALTER TABLE tidegate.import_lane ADD COLUMN cursor bigint NOT NULL DEFAULT 0; -- records inserted before this lane's next one: whose turn it is

-- Names that stand in the column a commit assigns by, and who they are: NULL, nobody. Made anew by every plan.
CREATE TABLE tidegate.import_assignee (
	job_no bigint NOT NULL REFERENCES tidegate.import_job (no) ON DELETE CASCADE,
	value text COLLATE "C" NOT NULL, -- as it stands in the file
	user_id text COLLATE "C",
	rows bigint NOT NULL,
	PRIMARY KEY (job_no, value)
);
ALTER TABLE tidegate.import_assignee ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON tidegate.import_assignee TO tidegate_api
	USING (EXISTS (SELECT FROM tidegate.import_job j WHERE j.no = job_no AND j.space = current_setting('tidegate.space', true)));
CREATE POLICY worker ON tidegate.import_assignee TO tidegate_worker USING (true);
GRANT SELECT ON tidegate.import_assignee TO tidegate_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate.import_assignee TO tidegate_worker;

ALTER TABLE tidegate.import_row ADD COLUMN decision smallint; -- by hand: 1 import, 2 update, 3 skip
CREATE OR REPLACE VIEW tidegate.import_row_of_space WITH (security_barrier) AS
	SELECT r.* FROM tidegate.import_row r
	WHERE EXISTS (SELECT FROM tidegate.import_job j WHERE j.no = r.job_no AND j.space = current_setting('tidegate.space', true));

ALTER TABLE tidegate.import_outcome ADD COLUMN first_row int; -- of a duplicate in the file: the row it repeats
CREATE OR REPLACE VIEW tidegate.import_outcome_of_space WITH (security_barrier) AS
	SELECT o.* FROM tidegate.import_outcome o
	WHERE EXISTS (SELECT FROM tidegate.import_job j WHERE j.no = o.job_no AND j.space = current_setting('tidegate.space', true));

ALTER TABLE tidegate.import_job
	ADD COLUMN edits int NOT NULL DEFAULT 0,          -- rows changed by hand since the parse
	ADD COLUMN marked_edits int NOT NULL DEFAULT 0,   -- as many of them are in the marks of duplicates; fewer than edits: marks are old
	ADD COLUMN value_map jsonb NOT NULL DEFAULT '{}', -- {"field": {"what the file says": "value"}}
	ADD COLUMN unknown_values jsonb NOT NULL DEFAULT '[]',
	ADD COLUMN preview_request jsonb,                 -- the options of the last dry run
	ADD COLUMN preview jsonb;                         -- what came out; NULL while it is being made
