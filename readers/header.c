/*
 * Detection of the header of a sample, of its number of columns, and the counts for an estimate. Called by csv_detect.c and
 * by the reader of workbooks. The header is the first record that is about as full as the data; whether it is one, the columns below it vote.
 * Must never take a first row of data for a header when it holds an e-mail, a phone or a date as the rows below it do.
 */
#include "readers/header.h"

#include "readers/cell_types.h"
#include "readers/frame.h"

#include <string.h>

#define ROWS_LOOKED_AT 100u
#define COLUMNS_LOOKED_AT 256u
#define HEADER_WITHIN 30u

struct column {
	struct str heading; /* a copy in the scratch arena */
	enum cell_type heading_type;
	unsigned types[CELL_TYPE_COUNT];
	bool repeats; /* the heading is a value further down */
};

struct survey {
	size_t widths[FRAME_CELLS_MAX + 1];
	size_t filled_max; /* last column that holds anything */
	uint64_t records, rows;
};

static size_t filled_width(const struct header_row *record)
{
	size_t width = record->cell_count;
	while (width && str_trim(record->cells[width - 1]).n == 0)
		width--;
	return width;
}

static size_t filled_cells(const struct header_row *record)
{
	size_t filled = 0;
	for (uint32_t i = 0; i < record->cell_count; i++)
		filled += str_trim(record->cells[i]).n > 0;
	return filled;
}

static size_t usual_width(const struct survey *survey)
{
	size_t best = 0;
	for (size_t width = 1; width <= FRAME_CELLS_MAX; width++) {
		if (survey->widths[width] && survey->widths[width] >= survey->widths[best])
			best = width;
	}
	return best;
}

static size_t data_width(const struct survey *survey)
{
	size_t usual = usual_width(survey);
	return usual < survey->filled_max ? usual : survey->filled_max;
}

/* Widths of all records of the sample. The last one does not count when it is cut. */
static enum err survey_sample(const struct header_sample *sample, struct survey *survey)
{
	struct header_row row;
	enum err err = sample->open(sample->context);
	while (!err && sample->next(sample->context, &row) && !(row.cut && survey->records)) {
		survey->records++;
		if (row.empty)
			continue;
		size_t filled = filled_width(&row);
		survey->rows++;
		survey->widths[row.cell_count]++;
		if (filled > survey->filled_max)
			survey->filled_max = filled;
	}
	return err;
}

static void remember_heading(struct arena *scratch, struct column *columns, const struct header_row *record)
{
	for (uint32_t i = 0; i < record->cell_count && i < COLUMNS_LOOKED_AT; i++) {
		struct str cell = str_trim(record->cells[i]);
		if (cell.n > 200)
			cell.n = 200;
		const char *copy = arena_copy(scratch, cell.p, cell.n);
		columns[i].heading = copy ? (struct str){copy, cell.n} : STR("");
		columns[i].heading_type = cell_type_of(cell);
	}
}

static void look_at_row(struct column *columns, const struct header_row *record)
{
	bool same[COLUMNS_LOOKED_AT] = {false};
	uint32_t count = record->cell_count < COLUMNS_LOOKED_AT ? record->cell_count : COLUMNS_LOOKED_AT, repeated = 0;
	for (uint32_t i = 0; i < count; i++) {
		columns[i].types[cell_type_of(record->cells[i])]++;
		same[i] = columns[i].heading.n && str_equal(str_trim(record->cells[i]), columns[i].heading);
		repeated += same[i];
	}
	bool header_again = count > 1 && repeated * 2 > count; /* files pasted one after the other */
	for (uint32_t i = 0; i < count && !header_again; i++)
		columns[i].repeats = columns[i].repeats || same[i];
}

/* The type of at least 7 in 10 of the filled cells; CELL_TEXT when there is none. */
static enum cell_type dominant_type(const struct column *column)
{
	unsigned filled = 0;
	for (int type = CELL_EMPTY + 1; type < CELL_TYPE_COUNT; type++)
		filled += column->types[type];
	for (int type = CELL_EMPTY + 1; type < CELL_TYPE_COUNT; type++) {
		if (filled && column->types[type] * 10 >= filled * 7)
			return (enum cell_type)type;
	}
	return CELL_TEXT;
}

static bool is_year(struct str cell)
{
	int64_t year = 0;
	return parse_i64_n(cell.p, cell.n, 1900, 2100, &year) == OK;
}

/* > 0: this column says header, < 0: data. */
static int vote_of(const struct column *column)
{
	enum cell_type heading = column->heading_type, below = dominant_type(column);
	bool is_word = heading == CELL_TEXT || heading == CELL_ODD;
	if (heading == CELL_EMAIL || heading == CELL_PHONE || heading == CELL_DATE || heading == CELL_URL)
		return -2;
	if (heading == CELL_NUMBER)
		return is_year(column->heading) ? 0 : -1;
	if (is_word && below != CELL_TEXT && below != CELL_ODD)
		return 1;
	return is_word && column->repeats ? -1 : 0;
}

/* Finds the first record about as full as usual, and lets the columns under it vote. */
static enum err find_header(const struct header_sample *sample, size_t usual, struct header *header)
{
	struct header_row row;
	enum err err = sample->open(sample->context);
	struct column *columns = err ? NULL : arena_array(sample->scratch, COLUMNS_LOOKED_AT, sizeof(columns[0]));
	if (!columns)
		return err ? err : ERR_TOO_LARGE;
	size_t enough = usual < 2 ? usual : (usual + 1) / 2 < 2 ? 2 : (usual + 1) / 2;
	uint64_t candidate = 0;
	for (unsigned seen = 0; seen < ROWS_LOOKED_AT && sample->next(sample->context, &row); seen++) {
		if (row.empty)
			continue;
		if (candidate)
			look_at_row(columns, &row);
		else if (row.number > HEADER_WITHIN)
			break;
		else if (filled_cells(&row) >= enough) {
			candidate = row.number;
			remember_heading(sample->scratch, columns, &row);
		}
	}
	int votes = 0;
	for (size_t i = 0; i < COLUMNS_LOOKED_AT; i++)
		votes += vote_of(&columns[i]);
	header->row = votes >= 0 ? candidate : 0;
	return OK;
}

/* Width of the header as far as it is filled, and of the data; rows up to the header do not count as data. */
static enum err count_rows(const struct header_sample *sample, const struct survey *survey, struct header *header)
{
	struct header_row row;
	enum err err = sample->open(sample->context);
	uint64_t before = 0;
	size_t widest = 0;
	while (!err && sample->next(sample->context, &row) && (sample->grid || row.number <= header->row)) {
		size_t filled = filled_width(&row);
		before += row.number <= header->row && !row.empty;
		if (row.number == header->row)
			header->columns = filled;
		if (row.number > header->row && filled > widest)
			widest = filled;
	}
	if (!sample->grid)
		widest = data_width(survey);
	if (header->columns < widest)
		header->columns = widest;
	header->data_rows = survey->rows - (before < survey->rows ? before : survey->rows);
	header->records = survey->records;
	return err;
}

enum err header_detect(const struct header_sample *sample, int64_t wished_row, struct header *ret)
{
	struct survey survey = {0};
	struct header header = {.row = wished_row > 0 ? (uint64_t)wished_row : 0};
	enum err err = survey_sample(sample, &survey);
	if (!err && wished_row == HEADER_AUTO) /* columns that are empty in every row do not make a row less full */
		err = find_header(sample, data_width(&survey), &header);
	if (!err)
		err = count_rows(sample, &survey, &header);
	if (!err)
		*ret = header;
	return err;
}
