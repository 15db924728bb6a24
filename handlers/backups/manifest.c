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

static void put_place(struct json_writer *w, const char *name, const struct source_place *place)
{
	json_array_open(w, name);
	json_put_i64(w, NULL, place->offset);
	json_put_i64(w, NULL, place->length);
	json_array_close(w);
}

/* places: of a differential dump they would be of no use. */
static void put_tables(struct json_writer *w, const struct source *source, bool places)
{
	json_array_open(w, "tables");
	for (int i = 0; i < source->table_count; i++) {
		const struct source_table *table = &source->tables[i];
		if (table->kind == SOURCE_VIRTUAL)
			continue;
		json_object_open(w, NULL);
		json_put_text(w, "name", table->name);
		json_put_i64(w, "rows", table->rows);
		put_hash(w, "hash", table->hash);
		if (places) {
			json_put_i64(w, "offset", table->filled.offset);
			json_put_i64(w, "length", table->filled.length);
		}
		if (table->kind == SOURCE_SHADOW)
			json_put_bool(w, "shadow", true);
		else if (places)
			put_place(w, "created", &table->created);
		if (places && table->counted.length)
			put_place(w, "counted", &table->counted);
		json_object_close(w);
	}
	json_array_close(w);
}

/* In the order of the dump. */
static void put_virtual_tables(struct json_writer *w, const struct source *source)
{
	json_array_open(w, "virtualTables");
	for (int i = 0; i < source->table_count; i++) {
		const struct source_table *table = &source->tables[i];
		if (table->kind != SOURCE_VIRTUAL)
			continue;
		json_object_open(w, NULL);
		json_put_text(w, "name", table->name);
		json_put_text(w, "sql", table->sql);
		put_place(w, "created", &table->created);
		json_array_open(w, "columns");
		for (int column = 0; column < table->column_count; column++)
			json_put_text(w, NULL, table->columns[column].name);
		json_array_close(w);
		json_object_close(w);
	}
	json_array_close(w);
}

static void put_objects(struct json_writer *w, const struct source *source)
{
	json_array_open(w, "objects");
	for (int i = 0; i < source->object_count; i++) {
		const struct source_object *object = &source->objects[i];
		json_object_open(w, NULL);
		json_put_text(w, "type", object->type);
		json_put_text(w, "name", object->name);
		json_put_text(w, "table", object->table);
		put_place(w, "created", &object->created);
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
	json_put_text(w, "encoding", dump->source.utf16 ? dump->source.big_endian ? "UTF-16be" : "UTF-16le" : "UTF-8");
	put_tables(w, &dump->source, !manifest->base_key);
	if (!manifest->base_key) {
		put_virtual_tables(w, &dump->source);
		put_objects(w, &dump->source);
	}
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
	if (manifest->base_key)
		json_put_text(&w, "base", manifest->base_key);
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
