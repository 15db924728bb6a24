/* Writes manifests. Called by the job that backs up. Must never put a hash of plain content beside an encrypted object. */
#include "handlers/backups/manifest.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/base/version.h"

static void put_hash(struct json_writer *w, const char *name, const uint8_t hash[32])
{
	char hex[65];
	hex_encode(hash, 32, hex);
	json_put_text(w, name, hex);
}

static void put_tables(struct json_writer *w, const struct source *source)
{
	json_array_open(w, "tables");
	for (int i = 0; i < source->table_count; i++) {
		const struct source_table *table = &source->tables[i];
		if (table->kind == SOURCE_VIRTUAL)
			continue;
		json_object_open(w, NULL);
		json_put_text(w, "name", table->name);
		json_put_i64(w, "rows", table->rows);
		json_put_i64(w, "offset", table->offset);
		json_put_i64(w, "length", table->length);
		put_hash(w, "hash", table->hash);
		json_object_close(w);
	}
	json_array_close(w);
}

static void put_content(struct json_writer *w, const struct manifest *manifest)
{
	const struct dump_result *dump = manifest->dump;
	json_object_open(w, "content");
	put_hash(w, "hash", dump->hash);
	put_hash(w, "schemaHash", dump->source.schema_hash);
	json_put_i64(w, "rows", dump->rows);
	json_put_i64(w, "bytes", dump->bytes);
	json_put_i64(w, "userVersion", dump->source.user_version);
	json_put_i64(w, "applicationId", dump->source.application_id);
	put_tables(w, &dump->source);
	json_array_open(w, "frames");
	for (int i = 0; i < manifest->pack->frame_count; i++) {
		json_array_open(w, NULL);
		json_put_i64(w, NULL, manifest->pack->frames[i].plain);
		json_put_i64(w, NULL, manifest->pack->frames[i].stored);
		json_array_close(w);
	}
	json_array_close(w);
	json_object_close(w);
}

enum err manifest_write(const struct manifest *manifest, bool whole, struct buf *out)
{
	struct json_writer w;
	char at[CLOCK_ISO_SIZE];
	json_start(&w, out);
	json_object_open(&w, NULL);
	json_put_i64(&w, "version", 1);
	json_put_text(&w, "generator", "Tidegate " TIDEGATE_VERSION);
	json_put_text(&w, "sqlite", manifest->dump ? sqlite3_libversion() : NULL);
	json_put_text(&w, "database", manifest->database);
	json_put_text(&w, "date", manifest->day);
	json_put_text(&w, "key", manifest->key);
	json_put_text(&w, "run", manifest->run);
	json_put_i64(&w, "size", manifest->size);
	json_put_text(&w, "sha256", manifest->sha256);
	json_array_open(&w, "recipients");
	for (size_t i = 0; i < manifest->recipient_count; i++)
		json_put_text(&w, NULL, manifest->recipients[i]);
	json_array_close(&w);
	if (manifest->verified_at_us)
		clock_iso8601(manifest->verified_at_us, at);
	json_put_text(&w, "verifiedAt", manifest->verified_at_us ? at : NULL);
	if (manifest->dump) {
		json_put_text(&w, "journalMode", manifest->journal_mode);
		json_put_i64(&w, "walBytes", manifest->wal_bytes);
		json_put_i64(&w, "foreignKeyViolations", manifest->foreign_key_violations);
	}
	if (whole && manifest->dump)
		put_content(&w, manifest);
	json_object_close(&w);
	return out->overflowed ? ERR_TOO_LARGE : OK;
}
