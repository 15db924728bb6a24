/*
 * One value of a change: JSON in, the text that PostgreSQL reads for the column out.
 * Called by changes.c.
 * Must never let a value through that PostgreSQL would refuse for its type: a refusal there costs the whole push a second run.
 */
#include "handlers/sync/sync.h"

#include "core/base/clock.h"

#include <math.h>
#include <string.h>

#define SAFE_INTEGER ((int64_t)1 << 53) /* JavaScript's numbers are exact below it */

#define DAY_US INT64_C(86400000000)

static enum rejection text_value(const struct schema_column *column, const struct json_node *value, const char **ret)
{
	const char *text = json_node_text(value);
	size_t n = value->n;
	if (!text)
		return REJECT_INVALID_VALUE;
	if (strlen(text) != n)
		return REJECT_INVALID_TEXT;
	if (column->max_length && n > (size_t)column->max_length && utf8_length(text, n) > (size_t)column->max_length)
		return REJECT_TOO_LONG;
	bool listed = column->value_count == 0;
	for (size_t i = 0; !listed && i < column->value_count; i++)
		listed = text_equal(column->values[i].value, text);
	*ret = text;
	return listed ? REJECT_NONE : REJECT_NOT_ALLOWED;
}

static enum rejection uuid_value(struct arena *arena, const struct json_node *value, const char **ret)
{
	if (!json_is_whole_text(value) || !is_uuid(value->text))
		return REJECT_INVALID_VALUE;
	char *lower = arena_strdup(arena, value->text);
	for (char *c = lower; c && *c; c++)
		if (*c >= 'A' && *c <= 'F')
			*c = (char)(*c - 'A' + 'a');
	*ret = lower;
	return REJECT_NONE;
}

static enum rejection check_range(const struct schema_column *column, int64_t number)
{
	int64_t limit = column->type == SCHEMA_INTEGER ? INT32_MAX : SAFE_INTEGER - 1;
	if (number > limit || number < -limit - (column->type == SCHEMA_INTEGER))
		return REJECT_OUT_OF_RANGE;
	if ((column->has_minimum && number < column->minimum) || (column->has_maximum && number > column->maximum))
		return REJECT_OUT_OF_RANGE;
	return REJECT_NONE;
}

static bool is_written(const struct json_node *value)
{
	return value->kind == JSON_KIND_NUMBER || value->kind == JSON_KIND_TEXT;
}

/* 3, 3.0 and "3" are the same number: SQLite keeps what it was given. */
static enum rejection integer_value(struct arena *arena, const struct schema_column *column, const struct json_node *value, const char **ret)
{
	int64_t number = 0;
	if (!is_written(value))
		return REJECT_INVALID_VALUE;
	if (parse_i64_n(value->text, value->n, INT64_MIN, INT64_MAX, &number)) {
		char *text = value->kind == JSON_KIND_NUMBER ? arena_copy(arena, value->text, value->n) : NULL;
		double real = text ? strtod(text, NULL) : 0;
		if (!(fabs(real) < (double)SAFE_INTEGER))
			return REJECT_OUT_OF_RANGE;
		number = (int64_t)real;
		if (!text || (double)number != real)
			return REJECT_INVALID_VALUE;
	}
	enum rejection why = check_range(column, number);
	if (why == REJECT_NONE)
		*ret = pg_number(arena, number);
	return why;
}

/* digits, a point, an exponent: what both PostgreSQL and SQLite read as a number. */
static bool is_decimal(const char *text)
{
	size_t whole, part = 0;
	text += *text == '-' || *text == '+';
	whole = strspn(text, "0123456789");
	text += whole;
	if (*text == '.') {
		part = strspn(++text, "0123456789");
		text += part;
	}
	if (whole + part == 0 || whole + part > 300)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		size_t digits = strspn(text, "0123456789");
		if (digits == 0 || digits > 3)
			return false;
		text += digits;
	}
	return *text == '\0';
}

static enum rejection number_value(struct arena *arena, const struct schema_column *column, const struct json_node *value, const char **ret)
{
	char *text = is_written(value) ? arena_copy(arena, value->text, value->n) : NULL;
	double real = text ? strtod(text, NULL) : 0;
	if (!text || strlen(text) != value->n)
		return REJECT_INVALID_VALUE;
	if (value->kind == JSON_KIND_NUMBER && !isfinite(real))
		return REJECT_OUT_OF_RANGE;
	if (!is_decimal(text))
		return REJECT_INVALID_VALUE;
	/* What is too small for a double is no error here: it is none in JSON either. */
	*ret = column->type == SCHEMA_DOUBLE && real == 0 ? "0" : text;
	if (!isfinite(real) || (column->has_minimum && real < (double)column->minimum) || (column->has_maximum && real > (double)column->maximum))
		return REJECT_OUT_OF_RANGE;
	return REJECT_NONE;
}

static enum rejection boolean_value(const struct json_node *value, const char **ret)
{
	bool digit = value->kind == JSON_KIND_NUMBER && value->n == 1;
	bool yes = value->kind == JSON_KIND_TRUE || (digit && *value->text == '1'), no = value->kind == JSON_KIND_FALSE || (digit && *value->text == '0');
	if (!yes && !no)
		return REJECT_INVALID_VALUE;
	*ret = yes ? "t" : "f";
	return REJECT_NONE;
}

static enum rejection date_value(const struct json_node *value, const char **ret)
{
	const char *text = json_node_text(value);
	int64_t year = 0, month = 0, day = 0;
	if (!json_is_whole_text(value) || value->n != 10 || text[4] != '-' || text[7] != '-')
		return REJECT_INVALID_VALUE;
	if (parse_i64_n(text, 4, 1, 9999, &year) || parse_i64_n(text + 5, 2, 1, 12, &month) || parse_i64_n(text + 8, 2, 1, 31, &day) ||
	    !clock_date_exists(year, month, day))
		return REJECT_INVALID_VALUE;
	*ret = text;
	return REJECT_NONE;
}

static enum rejection time_value(struct arena *arena, const struct json_node *value, const char **ret)
{
	int64_t us = 0;
	if (!json_is_whole_text(value) || clock_parse_iso8601(value->text, &us))
		return REJECT_INVALID_VALUE;
	/* An offset can lead out of the years that ISO 8601 has. */
	if (us < clock_days(1, 1, 1) * DAY_US || us >= clock_days(10000, 1, 1) * DAY_US)
		return REJECT_INVALID_VALUE;
	*ret = sync_time(arena, us);
	return REJECT_NONE;
}

/* A text is JSON already, as SQLite keeps it; anything else becomes it. */
static enum rejection json_value(struct arena *arena, const struct json_node *value, const char **ret)
{
	if (value->kind == JSON_KIND_TEXT) {
		const struct json_node *parsed = NULL;
		char *copy = json_is_whole_text(value) ? arena_copy(arena, value->text, value->n) : NULL;
		*ret = value->text;
		return copy && !json_tree_parse(arena, copy, value->n, &parsed) && !json_holds_nul(parsed) ? REJECT_NONE : REJECT_INVALID_VALUE;
	}
	struct buf out;
	buf_init(&out, SYNC_ROW_MAX + 1);
	json_tree_write(&out, value);
	*ret = arena_copy(arena, buf_text(&out), out.len);
	enum rejection why = json_holds_nul(value) ? REJECT_INVALID_VALUE : out.overflowed ? REJECT_ROW_TOO_LARGE : REJECT_NONE;
	buf_release(&out);
	return *ret ? why : REJECT_INVALID_VALUE;
}

enum rejection sync_value(struct arena *arena, const struct schema_column *column, const struct json_node *value, const char **ret)
{
	*ret = NULL;
	if (!value || value->kind == JSON_KIND_NULL || (value->kind == JSON_KIND_TEXT && value->n == 0 && column->type != SCHEMA_TEXT))
		return REJECT_NONE;
	switch (column->type) {
	case SCHEMA_TEXT:
		return text_value(column, value, ret);
	case SCHEMA_UUID:
		return uuid_value(arena, value, ret);
	case SCHEMA_INTEGER:
	case SCHEMA_BIGINT:
		return integer_value(arena, column, value, ret);
	case SCHEMA_DOUBLE:
	case SCHEMA_NUMERIC:
		return number_value(arena, column, value, ret);
	case SCHEMA_BOOLEAN:
		return boolean_value(value, ret);
	case SCHEMA_DATE:
		return date_value(value, ret);
	case SCHEMA_TIMESTAMPTZ:
		return time_value(arena, value, ret);
	case SCHEMA_JSONB:
		return json_value(arena, value, ret);
	case SCHEMA_TYPE_COUNT:
		break;
	}
	return REJECT_INVALID_VALUE;
}
