-- Webhook endpoints whose messages people read in a chat; more that is told of backups; when they last recovered.

ALTER TABLE tidegate.webhook_endpoint
	ADD COLUMN format text COLLATE "C" NOT NULL DEFAULT 'standard' CHECK (format IN ('standard', 'discord', 'slack')),
	ADD COLUMN language text COLLATE "C" CHECK (language IN ('en', 'fr')); -- null: that of webhooks.language
GRANT SELECT (format, language), INSERT (format, language), UPDATE (format, language) ON tidegate.webhook_endpoint TO tidegate_api;

INSERT INTO tidegate.event_type VALUES ('backup.recovered'), ('backup.clock_skew'), ('backup.untracked');

-- Of clocks, `database` says whose, and seen from which host: database@HOST, storage@HOST.
ALTER TABLE tidegate.backup_alert DROP CONSTRAINT backup_alert_kind_check;
ALTER TABLE tidegate.backup_alert ADD CONSTRAINT backup_alert_kind_check CHECK (kind IN ('stale', 'size_anomaly', 'clock_skew'));
