/*
 * The binary COPY stream of parsed rows. Called by job_parse.c once per row.
 * Must never write a length it did not count, nor text that PostgreSQL would refuse: one bad row would fail a batch.
 */
#include "handlers/import/copy_rows.h"

#include "core/base/ids.h"
#include "core/pg/copy_binary.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 8 };

static void put_bytes(char **p, const void *bytes, size_t n)
{
	memcpy(*p, bytes, n);
	*p += n;
}

enum err copy_rows_open(struct buf *out)
{
	return buf_append(out, COPY_BINARY_HEADER, COPY_BINARY_HEADER_SIZE);
}

enum err copy_rows_close(struct buf *out)
{
	return buf_append(out, COPY_BINARY_TRAILER, COPY_BINARY_TRAILER_SIZE);
}

/* Bytes of text[] with its own length word: 12 of header, 8 of the dimension, then length and bytes of each element. */
static size_t array_size(const struct str *items, size_t count)
{
	size_t size = 4 + 12 + (count ? 8 : 0);
	for (size_t i = 0; i < count; i++)
		size += 4 + items[i].n;
	return size;
}

static void put_array(char **p, const struct str *items, size_t count)
{
	bool has_null = false;
	copy_put_32(p, (uint32_t)(array_size(items, count) - 4));
	for (size_t i = 0; i < count; i++)
		has_null = has_null || !items[i].p;
	copy_put_32(p, count ? 1 : 0);
	copy_put_32(p, has_null);
	copy_put_32(p, COPY_BINARY_TEXT);
	if (count) {
		copy_put_32(p, (uint32_t)count);
		copy_put_32(p, 1);
	}
	for (size_t i = 0; i < count; i++) {
		copy_put_32(p, items[i].p ? (uint32_t)items[i].n : UINT32_MAX);
		put_bytes(p, items[i].p ? items[i].p : "", items[i].n);
	}
}

/* "field:code" in a scratch text per issue; the field of the whole row is empty. */
size_t row_issues(const struct schema_table *table, const struct import_checked *checked, char (*texts)[ROW_ISSUE_MAX], struct str *items)
{
	for (size_t i = 0; i < checked->issue_count; i++) {
		const struct import_issue *issue = &checked->issues[i];
		const char *field = issue->field >= 0 ? table->fields[issue->field].name : "";
		int n = snprintf(texts[i], sizeof(texts[i]), "%s:%s", field, row_code_name(issue->code));
		items[i] = (struct str){texts[i], n > 0 && (size_t)n < sizeof(texts[i]) ? (size_t)n : 0};
	}
	return checked->issue_count;
}

static char lower_ascii(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* What each dedupe key compares: the field's value, in lower case where the stored column is. Lower-case text goes into scratch. */
size_t row_keys(const struct schema_table *table, const struct import_checked *checked, char (*scratch)[ROW_KEY_MAX], struct str *keys)
{
	for (size_t k = 0; k < table->import->key_count; k++) {
		struct str value = checked->vals[table->import->keys[k].field->index];
		keys[k] = value;
		if (table->import->keys[k].column->generate != SCHEMA_GENERATE_LOWER || !value.p || value.n > ROW_KEY_MAX)
			continue;
		for (size_t i = 0; i < value.n; i++)
			scratch[k][i] = lower_ascii(value.p[i]);
		keys[k].p = scratch[k];
	}
	return table->import->key_count;
}

enum err copy_rows_put(struct buf *out, int64_t job_no, int32_t row_no, const struct schema_table *table, const struct str *cells,
                       size_t cell_count, const struct import_checked *checked)
{
	char texts[IMPORT_ISSUES_MAX][ROW_ISSUE_MAX];
	struct str issues[IMPORT_ISSUES_MAX];
	uint8_t id[16];
	char lower[SCHEMA_KEYS_MAX][ROW_KEY_MAX];
	struct str keys[SCHEMA_KEYS_MAX];
	size_t key_count = row_keys(table, checked, lower, keys);
	size_t issue_count = row_issues(table, checked, texts, issues);
	size_t need = 2 + (4 + 8) + (4 + 4) + (4 + 16) + (4 + 2) + array_size(keys, key_count) + array_size(cells, cell_count) + array_size(checked->vals, table->field_count) +
	              (issue_count ? array_size(issues, issue_count) : 4);
	char *start = buf_reserve(out, need), *p = start;
	if (!p)
		return ERR_TOO_LARGE;
	uuid_v7(id);
	copy_put_16(&p, COLUMNS);
	copy_put_32(&p, 8);
	copy_put_64(&p, (uint64_t)job_no);
	copy_put_32(&p, 4);
	copy_put_32(&p, (uint32_t)row_no);
	copy_put_32(&p, 16);
	put_bytes(&p, id, 16);
	copy_put_32(&p, 2);
	copy_put_16(&p, checked->valid ? 1 : 2);
	put_array(&p, keys, key_count);
	put_array(&p, cells, cell_count);
	put_array(&p, checked->vals, table->field_count);
	if (issue_count)
		put_array(&p, issues, issue_count);
	else
		copy_put_32(&p, UINT32_MAX);
	if ((size_t)(p - start) != need)
		return ERR_BUG;
	out->len += need;
	return OK;
}
