/* Values of synced rows: what JSON may say for each type, and as which text PostgreSQL gets it. */
#include "core/base/json.h"
#include "handlers/sync/sync.h"
#include "tests/unit/tap.h"

static const struct {
	enum schema_type type;
	const char *json;
	const char *text; /* NULL: nothing, or refused */
	enum rejection why;
} cases[] = {
	{SCHEMA_TEXT, "\"a\"", "a", REJECT_NONE},
	{SCHEMA_TEXT, "\"\"", "", REJECT_NONE},
	{SCHEMA_TEXT, "null", NULL, REJECT_NONE},
	{SCHEMA_TEXT, "1", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_TEXT, "\"a\\u0000\"", NULL, REJECT_INVALID_TEXT},
	{SCHEMA_TEXT, "\"12345678901\"", NULL, REJECT_TOO_LONG},
	{SCHEMA_TEXT, "\"éééééééééé\"", "éééééééééé", REJECT_NONE},
	{SCHEMA_UUID, "\"AAAAAAAA-0000-4000-8000-0000000000FF\"", "aaaaaaaa-0000-4000-8000-0000000000ff", REJECT_NONE},
	{SCHEMA_UUID, "\"\"", NULL, REJECT_NONE},
	{SCHEMA_UUID, "\"aaaaaaaa\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_INTEGER, "5", "5", REJECT_NONE},
	{SCHEMA_INTEGER, "5.0", "5", REJECT_NONE},
	{SCHEMA_INTEGER, "\"-5\"", "-5", REJECT_NONE},
	{SCHEMA_INTEGER, "5.5", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_INTEGER, "true", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_INTEGER, "2147483647", "2147483647", REJECT_NONE},
	{SCHEMA_INTEGER, "2147483648", NULL, REJECT_OUT_OF_RANGE},
	{SCHEMA_INTEGER, "-2147483648", "-2147483648", REJECT_NONE},
	{SCHEMA_BIGINT, "9007199254740991", "9007199254740991", REJECT_NONE},
	{SCHEMA_BIGINT, "9007199254740993", NULL, REJECT_OUT_OF_RANGE},
	{SCHEMA_BIGINT, "-9007199254740992", NULL, REJECT_OUT_OF_RANGE},
	{SCHEMA_BIGINT, "1e400", NULL, REJECT_OUT_OF_RANGE},
	{SCHEMA_BIGINT, "123456789012345678901234567890", NULL, REJECT_OUT_OF_RANGE},
	{SCHEMA_INTEGER, "[1]", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_DOUBLE, "{\"a\": 1}", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_DOUBLE, "1e999", NULL, REJECT_OUT_OF_RANGE},
	{SCHEMA_DOUBLE, "1e-999", "0", REJECT_NONE},
	{SCHEMA_NUMERIC, "0.1", "0.1", REJECT_NONE},
	{SCHEMA_DOUBLE, "0.1", "0.1", REJECT_NONE},
	{SCHEMA_DOUBLE, "7", "7", REJECT_NONE},
	{SCHEMA_DOUBLE, "\"1e5\"", "1e5", REJECT_NONE},
	{SCHEMA_DOUBLE, "\"1e999\"", NULL, REJECT_OUT_OF_RANGE},
	{SCHEMA_DOUBLE, "\"NaN\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_DOUBLE, "\".\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_DOUBLE, "\"0x10\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_NUMERIC, "\"12345678901234567890.5\"", "12345678901234567890.5", REJECT_NONE},
	{SCHEMA_NUMERIC, "\"1e9999\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_BOOLEAN, "1", "t", REJECT_NONE},
	{SCHEMA_BOOLEAN, "false", "f", REJECT_NONE},
	{SCHEMA_BOOLEAN, "2", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_BOOLEAN, "\"true\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_DATE, "\"2024-02-29\"", "2024-02-29", REJECT_NONE},
	{SCHEMA_DATE, "\"2026-02-29\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_DATE, "\"2026-2-29\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_TIMESTAMPTZ, "\"2026-01-01T01:00:00+02:00\"", "2025-12-31T23:00:00.000000Z", REJECT_NONE},
	{SCHEMA_TIMESTAMPTZ, "\"2026-01-01\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_TIMESTAMPTZ, "\"9999-12-31T23:59:59-01:00\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_JSONB, "\"{\\\"a\\\":1}\"", "{\"a\":1}", REJECT_NONE},
	{SCHEMA_JSONB, "{\"a\": [1]}", "{\"a\":[1]}", REJECT_NONE},
	{SCHEMA_JSONB, "{\"a\": \"\\u0000\"}", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_JSONB, "1.50", "1.50", REJECT_NONE},
	{SCHEMA_JSONB, "\"{\"", NULL, REJECT_INVALID_VALUE},
	{SCHEMA_JSONB, "\"[\\\"\\\\u0000\\\"]\"", NULL, REJECT_INVALID_VALUE},
};

int main(void)
{
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct schema_column column = {.name = "c", .type = cases[i].type, .max_length = cases[i].type == SCHEMA_TEXT ? 10 : 0};
		const struct json_node *value = NULL;
		const char *text = "untouched";
		char *copy = arena_strdup(&arena, cases[i].json);
		if (json_tree_parse(&arena, copy, strlen(copy), &value)) {
			ok(false, "%s is JSON", cases[i].json);
			continue;
		}
		is_i64(sync_value(&arena, &column, value, &text), cases[i].why, cases[i].json);
		if (cases[i].why == REJECT_NONE)
			is_text(text, cases[i].text, "as text");
	}
	arena_release(&arena);
	return tap_done();
}
