-- Undo of a completed import: completed → undoing → undone. import_undo holds only what is not the rule (a row that was
-- inserted or updated is reversed): records that were kept, because somebody has edited them since, and those that could
-- not be taken back.

ALTER TABLE tidegate.import_job
	DROP CONSTRAINT import_job_status_check,
	ADD CONSTRAINT import_job_status_check CHECK (status IN ('pending', 'inspecting', 'mapping', 'queued', 'parsing', 'ready',
		'importing', 'completed', 'failed', 'cancelled', 'undoing', 'undone')),
	ADD COLUMN undo_by text COLLATE "C",                     -- who asked for it: the actor of its history
	ADD COLUMN undo_planned boolean NOT NULL DEFAULT false,  -- the lanes are those of the undo now; a resumed one must not make them anew
	ADD COLUMN rows_reversed bigint NOT NULL DEFAULT 0,
	ADD COLUMN rows_kept bigint NOT NULL DEFAULT 0,
	ADD COLUMN rows_errored bigint NOT NULL DEFAULT 0;

INSERT INTO tidegate.import_move VALUES
	('completed', 'undoing'), ('undoing', 'undone'), ('undoing', 'failed'), ('undoing', 'cancelled'), ('failed', 'undoing'), ('cancelled', 'undoing');

CREATE TABLE tidegate.import_undo (
	job_no bigint NOT NULL,
	row_no int NOT NULL,
	result smallint NOT NULL, -- 1 kept, 2 errored
	reason text COLLATE "C" NOT NULL,
	PRIMARY KEY (job_no, row_no)
) PARTITION BY LIST (job_no);

-- The wall around it, as around import_row and import_outcome.
CREATE VIEW tidegate.import_undo_of_space WITH (security_barrier) AS
	SELECT u.* FROM tidegate.import_undo u
	WHERE EXISTS (SELECT FROM tidegate.import_job j WHERE j.no = u.job_no AND j.space = current_setting('tidegate.space', true));
GRANT SELECT ON tidegate.import_undo_of_space TO tidegate_api;
GRANT SELECT, INSERT ON tidegate.import_undo TO tidegate_worker;
