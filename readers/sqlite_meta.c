/* The META frame of a database. Called by sqlite_read.c. Must never shorten a name: what does not fit is refused. */
#include "readers/sqlite_meta.h"

#include "core/base/json.h"

const char *sqlite_encoding_name(enum sqlite_encoding encoding)
{
	return encoding == SQLITE_TEXT_UTF16LE ? "UTF-16le" : encoding == SQLITE_TEXT_UTF16BE ? "UTF-16be" : "UTF-8";
}

static void put_column(struct json_writer *w, const struct sqlite_column *column)
{
	json_object_open(w, NULL);
	json_put_str(w, "name", column->name);
	json_put_str(w, "type", column->type);
	json_put_i64(w, "primaryKey", column->key);
	json_put_bool(w, "notNull", column->not_null);
	json_put_i64(w, "hidden", column->hidden);
	if (column->fallback.p)
		json_put_str(w, "default", column->fallback);
	json_object_close(w);
}

static void put_table(struct json_writer *w, const struct sqlite_table *table)
{
	json_object_open(w, NULL);
	json_put_str(w, "name", table->name);
	json_put_text(w, "key", table->without_rowid ? "primary_key" : table->rowid ? "rowid" : "hidden_rowid");
	json_put_i64(w, "cells", table->cells);
	json_put_bool(w, "checked", table->checked);
	json_put_i64(w, "estimatedRows", table->estimated_rows);
	json_put_bool(w, "exact", table->exact);
	json_array_open(w, "columns");
	for (size_t i = 0; i < table->column_count; i++)
		put_column(w, &table->columns[i]);
	json_array_close(w);
	json_object_close(w);
}

static void put_schema(struct json_writer *w, const struct sqlite_schema *schema)
{
	json_array_open(w, "tables");
	for (size_t i = 0; i < schema->table_count; i++)
		put_table(w, &schema->tables[i]);
	json_array_close(w);
	json_array_open(w, "leftOut");
	for (size_t i = 0; i < schema->left_out_count; i++) {
		json_object_open(w, NULL);
		json_put_str(w, "name", schema->left_out[i].name);
		json_put_text(w, "type", schema->left_out[i].type);
		json_put_text(w, "reason", schema->left_out[i].reason);
		json_object_close(w);
	}
	json_array_close(w);
}

enum err sqlite_meta(const struct sqlite_source *source, struct buf *json)
{
	const struct sqlite_header *header = source->header;
	bool plist = source->container == SQLITE_PLIST;
	struct json_writer w;
	json_start(&w, json);
	json_object_open(&w, NULL);
	json_put_text(&w, "format", "sqlite");
	json_put_text(&w, "container", plist ? "plist" : "plain");
	json_put_i64(&w, "offset", plist ? SQLITE_PLIST_OFFSET : 0);
	if (source->plist.n)
		json_put_str(&w, "plist", source->plist);
	json_put_text(&w, "encoding", sqlite_encoding_name(header->encoding));
	json_put_i64(&w, "pageSize", header->page_size);
	json_put_i64(&w, "pages", header->pages);
	json_put_bool(&w, "wal", header->wal);
	json_put_bool(&w, "autoVacuum", header->auto_vacuum);
	json_put_i64(&w, "schemaFormat", header->schema_format);
	json_put_i64(&w, "userVersion", (int32_t)header->user_version);
	json_put_i64(&w, "applicationId", (int32_t)header->application_id);
	json_put_i64(&w, "library", header->library);
	put_schema(&w, source->schema);
	json_put_i64(&w, "fileSize", source->file_size);
	json_object_close(&w);
	return json->overflowed ? ERR_TOO_LARGE : OK;
}
