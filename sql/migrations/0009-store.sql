-- Objects that live elsewhere than on our own disk, and uploads in parts: an upload may be stored before anybody has read it, so
-- its hash, and that of the import made of it, may become known only when the import is inspected.
ALTER TABLE tidegate.upload DROP CONSTRAINT upload_check,
	ADD CONSTRAINT upload_hash_check CHECK (state = 'stored' OR sha256 IS NULL),
	ADD COLUMN parts_id text COLLATE "C",            -- of an upload in parts: its name in the store
	ADD COLUMN part_bytes bigint CHECK (part_bytes > 0), -- and the size of all its parts but the last
	ADD CONSTRAINT upload_parts_check CHECK ((parts_id IS NULL) = (part_bytes IS NULL));
ALTER TABLE tidegate.import_job ALTER file_hash DROP NOT NULL,
	ADD COLUMN allow_duplicate boolean NOT NULL DEFAULT false; -- the same file may be imported twice
-- An upload in parts and one in one piece of the same file are two.
DROP INDEX tidegate.upload_live_idx;
CREATE UNIQUE INDEX upload_live_idx ON tidegate.upload (owner, md5(file_name), file_size, coalesce(checksum, ''), (parts_id IS NOT NULL)) WHERE state = 'issued';
