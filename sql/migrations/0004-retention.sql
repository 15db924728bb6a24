-- Imports that ended, by when: for removing the old ones (import_expired).

CREATE INDEX import_job_ended_idx ON tidegate.import_job (completed_at) WHERE status IN ('completed', 'failed', 'cancelled', 'undone');
