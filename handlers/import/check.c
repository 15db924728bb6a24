/*
 * Checks rows against an import target.
 * Called by the parse job for every row, by the preview, and when a row is repaired by hand.
 * Never allocates per cell, never touches the database, and never lets a value through that PostgreSQL would refuse:
 * what it calls valid fits the column's type and length and is UTF-8 without NUL, so one row cannot fail a COPY or slice.
 */
#include "handlers/import/check.h"

#include <string.h>

static bool lookup_names(const struct schema_field *field, struct import_pick *pick, const char **ret_why)
{
	pick->field = field;
	pick->normaliser = normaliser_of(field->normalise);
	pick->validator = field->validate ? validator_of(field->validate) : NULL;
	*ret_why = !pick->normaliser ? field->normalise : field->validate;
	return pick->normaliser && (pick->validator || !field->validate);
}

static bool is_counted(const struct schema_column *column)
{
	return column->type == SCHEMA_INTEGER || column->type == SCHEMA_BIGINT;
}

/* A typed column needs the normaliser that makes its type, and a closed list the one that knows it. */
static bool fits_type(const struct schema_field *field)
{
	const struct schema_column *column = field->column;

	if (column->value_count)
		return text_equal(field->normalise, "value");
	if (column->type == SCHEMA_TIMESTAMPTZ)
		return text_equal(field->normalise, "timestamp");
	if (column->type == SCHEMA_BOOLEAN)
		return text_equal(field->normalise, "boolean");
	if (is_counted(column))
		return text_equal(field->normalise, "integer") || text_equal(field->normalise, "money");
	return column->type == SCHEMA_TEXT;
}

/* A column that must not be null takes its value from the row, its default, or a group that keeps the row out without it. */
static bool is_supplied(const struct schema_table *target, const struct schema_field *field)
{
	const struct schema_column *column = field->column;

	if (column->nullable || column->default_value || column->generate != SCHEMA_GENERATE_NONE)
		return true;
	for (size_t i = 0; i < target->import->group_count; i++) {
		const struct schema_group *group = &target->import->groups[i];
		if (group->count == 1 && group->fields[0] == field && !field->warn && row_code_severity(row_code_of(group->code)) == ROW_SEVERITY_ERROR)
			return true;
	}
	return false;
}

enum err import_check_target(const struct schema_table *target, const char **ret_why)
{
	struct import_pick pick = {0};

	*ret_why = target->name;
	if (!target->import)
		return ERR_INVALID;
	for (size_t i = 0; i < target->field_count; i++) {
		if (!lookup_names(&target->fields[i], &pick, ret_why))
			return ERR_INVALID;
		*ret_why = target->fields[i].name;
		if (!fits_type(&target->fields[i]) || !is_supplied(target, &target->fields[i]))
			return ERR_INVALID;
	}
	for (size_t i = 0; i < target->import->group_count; i++) {
		*ret_why = target->import->groups[i].code;
		if (row_code_of(*ret_why) == ROW_FINE)
			return ERR_INVALID;
	}
	*ret_why = "";
	return OK;
}

static uint64_t field_bit(const struct schema_field *field)
{
	return (uint64_t)1 << field->index;
}

static void init_groups(struct import_check *check)
{
	const struct schema_import *import = check->target->import;

	check->group_count = import->group_count;
	for (size_t g = 0; g < import->group_count; g++) {
		check->groups[g].code = row_code_of(import->groups[g].code);
		check->groups[g].named = IMPORT_WHOLE_ROW;
		if (check->groups[g].code == ROW_REQUIRED_MISSING && import->groups[g].count == 1)
			check->groups[g].named = (int)import->groups[g].fields[0]->index;
		for (size_t i = 0; i < import->groups[g].count; i++)
			check->groups[g].fields |= field_bit(import->groups[g].fields[i]);
	}
}

/* What the type holds, narrowed by what the declaration allows. */
static void set_range(struct import_pick *pick)
{
	const struct schema_column *column = pick->field->column;

	pick->counted = is_counted(column);
	pick->minimum = column->type == SCHEMA_INTEGER ? INT32_MIN : INT64_MIN;
	pick->maximum = column->type == SCHEMA_INTEGER ? INT32_MAX : INT64_MAX;
	if (column->has_minimum && column->minimum > pick->minimum)
		pick->minimum = column->minimum;
	if (column->has_maximum && column->maximum < pick->maximum)
		pick->maximum = column->maximum;
}

static enum err add_pick(struct import_check *check, struct arena *arena, size_t column, const struct schema_field *field)
{
	struct import_pick *pick = &check->picks[check->pick_count];
	const char *why = NULL;

	for (size_t i = 0; i < check->pick_count; i++)
		if (check->picks[i].field == field)
			return ERR_INVALID;
	if (!lookup_names(field, pick, &why))
		return ERR_INVALID;
	pick->column = column;
	if (field->column->value_count) {
		pick->values = normalise_values(arena, field->column, NULL);
		if (!pick->values)
			return ERR_TOO_LARGE;
	}
	set_range(pick);
	if (text_equal(field->name, "country"))
		check->country = column;
	check->pick_count++;
	return OK;
}

enum err import_check_init(struct import_check *check, struct arena *arena, const struct schema_table *target, const int *fields, size_t columns,
                           bool short_rows_fine)
{
	const char *why = NULL;
	enum err err = import_check_target(target, &why);

	if (err)
		return err;
	if (columns > IMPORT_COLUMNS_MAX)
		return ERR_TOO_LARGE;
	*check = (struct import_check){.target = target, .columns = columns, .short_rows_fine = short_rows_fine, .country = SIZE_MAX};
	init_groups(check);
	for (size_t c = 0; c < columns && !err; c++) {
		if (fields[c] < 0)
			continue;
		err = (size_t)fields[c] < target->field_count ? add_pick(check, arena, c, &target->fields[fields[c]]) : ERR_INVALID;
	}
	return err;
}

enum err import_check_map(struct import_check *check, struct arena *arena, const char *value_map)
{
	json_t *map = NULL;
	enum err err = json_parse(arena, value_map, strlen(value_map), &map, NULL);
	for (size_t i = 0; !err && i < check->pick_count; i++) {
		struct import_pick *pick = &check->picks[i];
		const json_t *said = json_object_get(map, pick->field->name);
		if (!said || !pick->values)
			continue;
		pick->values = normalise_values(arena, pick->field->column, said);
		if (!pick->values)
			err = ERR_TOO_LARGE;
	}
	return err;
}

void import_check_start(struct import_check *check, struct arena *batch)
{
	normalise_start(&check->context, batch);
}

void import_checked_add(struct import_checked *checked, int field, enum row_code code, enum row_severity severity)
{
	if (severity == ROW_SEVERITY_ERROR)
		checked->valid = false;
	if (checked->issue_count < IMPORT_ISSUES_MAX)
		checked->issues[checked->issue_count++] = (struct import_issue){field, code, severity};
}

/* How many bytes at the start are plain ASCII without NUL; eight at a step, so it may stop up to seven bytes early. */
static size_t plain_start(struct str s)
{
	uint64_t word = 0;
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		memcpy(&word, s.p + i, 8);
		if ((word | ((word - 0x0101010101010101u) & ~word)) & 0x8080808080808080u)
			return i;
	}
	while (i < s.n && (unsigned char)(s.p[i] - 1) < 0x7F)
		i++;
	return i;
}

static bool is_storable(struct str s)
{
	size_t plain = plain_start(s);

	return plain == s.n || (!memchr(s.p + plain, '\0', s.n - plain) && utf8_valid(s.p + plain, s.n - plain));
}

static bool is_french(struct str country)
{
	static const char *const names[] = {"france", "fr", "fra", "france_metropolitaine", "republique_francaise"};
	char key[32];
	size_t n = 0;

	country = normalise_clean(country);
	if (country.n == 0 || (country.n == 6 && memcmp(country.p, "France", 6) == 0))
		return true;
	if (!is_storable(country))
		return true;
	n = normalise_key(country, key, sizeof(key));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_equal_text((struct str){key, n}, names[i]))
			return true;
	return false;
}

/* What to say about one cell after its value is made: an error of a field that only warns leaves the value out. */
static void report(struct import_checked *checked, const struct schema_field *field, enum row_code code, struct str *value)
{
	enum row_severity severity = row_code_severity(code);

	if (code == ROW_FINE)
		return;
	if (severity == ROW_SEVERITY_ERROR && field->warn) {
		severity = ROW_SEVERITY_WARNING;
		*value = (struct str){NULL, 0};
	}
	import_checked_add(checked, (int)field->index, code, severity);
}

static void check_cell(struct import_check *check, const struct import_pick *pick, struct str cell, struct import_checked *ret)
{
	const struct schema_field *field = pick->field;
	struct str value = cell;
	enum row_code code = ROW_FINE;
	int64_t number = 0;

	if (!is_storable(value)) {
		import_checked_add(ret, (int)field->index, ROW_INVALID_BYTES, ROW_SEVERITY_ERROR);
		return;
	}
	if (pick->normaliser->run) {
		check->context.values = pick->values;
		code = pick->normaliser->run(&check->context, &value);
		if (code == ROW_VALUE_UNKNOWN && field == check->target->import->status)
			code = ROW_STATUS_UNKNOWN; /* for which a default applies */
		report(ret, field, code, &value);
	}
	if (value.n && pick->validator && (code == ROW_FINE || row_code_severity(code) == ROW_SEVERITY_WARNING))
		report(ret, field, pick->validator->run(value), &value);
	if (pick->counted && value.n && code == ROW_FINE && parse_i64_n(value.p, value.n, pick->minimum, pick->maximum, &number))
		report(ret, field, ROW_NUMBER_OUT_OF_RANGE, &value);
	/* A character has at least one byte: counting them is for the few cells whose bytes pass the limit. */
	if (field->max && value.n > (size_t)field->max && utf8_length(value.p, value.n) > (size_t)field->max)
		report(ret, field, ROW_TOO_LONG, &value);
	ret->vals[field->index] = value.n ? value : (struct str){NULL, 0};
}

static void check_shape(const struct import_check *check, const struct str *cells, size_t n, struct import_checked *ret)
{
	if (n < check->columns && !check->short_rows_fine)
		import_checked_add(ret, IMPORT_WHOLE_ROW, ROW_ROW_TOO_SHORT, ROW_SEVERITY_WARNING);
	for (size_t i = check->columns; i < n; i++) {
		if (normalise_clean(cells[i]).n) {
			import_checked_add(ret, IMPORT_WHOLE_ROW, ROW_ROW_TOO_LONG, ROW_SEVERITY_ERROR);
			return;
		}
	}
}

enum err import_check_row(struct import_check *check, const struct str *cells, size_t n, struct import_checked *ret)
{
	uint64_t filled = 0;

	memset(ret->vals, 0, check->target->field_count * sizeof(ret->vals[0]));
	ret->issue_count = 0;
	ret->valid = true;
	check_shape(check, cells, n, ret);
	check->context.french = check->country >= n || is_french(cells[check->country]);
	for (size_t i = 0; i < check->pick_count; i++) {
		const struct import_pick *pick = &check->picks[i];
		struct str cell = pick->column < n ? cells[pick->column] : (struct str){NULL, 0};
		if (cell.n == 0)
			continue;
		cell = normalise_clean(cell);
		if (cell.n == 0)
			continue;
		filled |= field_bit(pick->field);
		check_cell(check, pick, cell, ret);
	}
	/* A cell that is there but wrong has been reported as such; "missing" is for rows where nothing was written. */
	for (size_t g = 0; g < check->group_count; g++)
		if (!(filled & check->groups[g].fields))
			import_checked_add(ret, check->groups[g].named, check->groups[g].code, row_code_severity(check->groups[g].code));
	return check->context.exhausted ? ERR_TOO_LARGE : OK;
}
