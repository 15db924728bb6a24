-- Backups in two stores, and objects that take the place of others.

-- replica: where the verified copy stands (store_replica_name), so that another second store begins anew. The rest is of the last attempt that failed.
ALTER TABLE tidegate.backup_object
	ADD COLUMN replica text,
	ADD COLUMN replicated_at timestamptz, -- read back from there, and the bytes were those of sha256
	ADD COLUMN replica_error text COLLATE "C",
	ADD COLUMN replica_attempts int NOT NULL DEFAULT 0,
	ADD COLUMN replica_retry_at timestamptz;

-- making: an object that may be in the store and is nobody's yet. Its maker gives it a meaning in the transaction that ends the row; one that died leaves it to retention.
ALTER TABLE tidegate.backup_object DROP CONSTRAINT backup_object_state_check;
ALTER TABLE tidegate.backup_object ADD CONSTRAINT backup_object_state_check CHECK (state IN ('making', 'stored', 'deleting', 'deleted'));

INSERT INTO tidegate.event_type VALUES ('backup.replica_failed');

-- made: another form of a backup, for one download. Never more than making; goes after a day, row and all.
ALTER TABLE tidegate.backup_object DROP CONSTRAINT backup_object_kind_check;
ALTER TABLE tidegate.backup_object ADD CONSTRAINT backup_object_kind_check CHECK (kind IN ('daily', 'weekly', 'made'));

-- base_id: of a differential backup the full one that it stands on, never a differential one itself. based_at: of a full one when that was last done; a retention that began before
-- leaves it alone.
ALTER TABLE tidegate.backup_object
	ADD COLUMN base_id uuid REFERENCES tidegate.backup_object (id),
	ADD COLUMN based_at timestamptz;
CREATE INDEX backup_object_base_idx ON tidegate.backup_object (base_id) WHERE base_id IS NOT NULL;
