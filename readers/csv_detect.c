/*
 * Detection of a CSV dialect: what is no text at all, the `sep=` line, delimiter and quote. Called by csv_read.c and tests.
 * Each candidate dialect reads the sample with the very machine that will read the file; no second parser guesses.
 * Must never fail because of what the sample holds: there is always a best candidate.
 */
#include "readers/csv_detect.h"

#include "readers/cell_types.h"
#include "readers/frame.h"
#include "readers/header.h"

#include <string.h>

#define RECORDS_SCORED 500u
#define CELLS_SCORED 64u
#define WIDTHS 65u /* wider rows count as one width */

static const struct {
	const char *magic;
	size_t length;
	const char *code;
} binaries[] = {
	{"PK\x03\x04", 4, "looks_like_xlsx"},    {"PK\x05\x06", 4, "looks_like_xlsx"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "looks_like_xls"},
	{"%PDF-", 5, "not_a_text_file"},         {"\x7f" "ELF", 4, "not_a_text_file"},
	{"\x89PNG\r\n", 6, "not_a_text_file"},   {"GIF8", 4, "not_a_text_file"},
	{"\xff\xd8\xff", 3, "not_a_text_file"},  {"\x1f\x8b", 2, "not_a_text_file"},
	{"SQLite format 3", 16, "not_a_text_file"}, {"7z\xbc\xaf\x27\x1c", 6, "not_a_text_file"},
	{"Rar!\x1a\x07", 6, "not_a_text_file"},
};

const char *csv_not_text(const char *bytes, size_t n)
{
	for (size_t i = 0; i < sizeof(binaries) / sizeof(binaries[0]); i++) {
		if (n >= binaries[i].length && memcmp(bytes, binaries[i].magic, binaries[i].length) == 0)
			return binaries[i].code;
	}
	return NULL;
}

bool csv_mostly_control(const char *bytes, size_t n)
{
	size_t controls = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];
		controls += c < 0x20 && c != '\t' && c != '\n' && c != '\r';
	}
	return controls * 10 > n;
}

size_t csv_directive(struct str sample, char *ret_delimiter)
{
	struct str rest = sample;
	bool quoted = rest.n && rest.p[0] == '"';
	if (quoted)
		rest = (struct str){rest.p + 1, rest.n - 1};
	if (rest.n < 5 || !str_equal_ignore_case((struct str){rest.p, 4}, "sep="))
		return 0;
	char delimiter = rest.p[4];
	size_t at = (size_t)(rest.p - sample.p) + 5 + quoted;
	if (delimiter == '\r' || delimiter == '\n' || delimiter == '\0' || delimiter == '"' || (unsigned char)delimiter >= 0x80)
		return 0;
	if (at > sample.n || (quoted && sample.p[at - 1] != '"') || (at < sample.n && sample.p[at] != '\r' && sample.p[at] != '\n'))
		return 0;
	*ret_delimiter = delimiter;
	if (at + 1 < sample.n && sample.p[at] == '\r' && sample.p[at + 1] == '\n')
		at++;
	return at < sample.n ? at + 1 : at;
}

enum err csv_open_sample(struct csv *csv, struct arena *scratch, struct str sample, const struct csv_dialect *dialect)
{
	arena_reset(scratch);
	enum err err = csv_init(csv, scratch, dialect, &CSV_LIMITS_DEFAULT, 0);
	if (err)
		return err;
	size_t room = 0;
	char *to = csv_room(csv, &room);
	if (sample.n > room)
		return ERR_TOO_LARGE;
	if (sample.n)
		memcpy(to, sample.p, sample.n);
	csv_fed(csv, sample.n);
	csv_finish(csv);
	return OK;
}

/* ---- delimiter and quote ---- */

struct tally {
	size_t widths[WIDTHS + 1]; /* how many records have so many cells */
	size_t cells, typed;
};

static void tally_record(struct tally *tally, const struct csv *csv, const struct csv_record *record)
{
	tally->widths[record->cell_count < WIDTHS ? record->cell_count : WIDTHS]++;
	for (uint32_t i = 0; i < record->cell_count && i < CELLS_SCORED; i++) {
		bool odd = (record->flags & (ROW_FLAG_UNCLOSED_QUOTE | ROW_FLAG_RECORD_TOO_LONG)) != 0;
		tally->cells++;
		tally->typed += !odd && (csv->fields[i].quoted || cell_type_of(record->cells[i]) != CELL_ODD);
	}
}

/*
 * Pattern times type, after G. van den Burg et al., "Wrangling messy CSV files" (2019): few different widths, many
 * cells per row, and cells that look like something.
 */
static double score_of(const struct tally *tally)
{
	double pattern = 0;
	size_t kinds = 0;
	for (size_t width = 1; width <= WIDTHS; width++) {
		kinds += tally->widths[width] > 0;
		pattern += (double)tally->widths[width] * (width > 1 ? (double)(width - 1) : 0.001) / (double)width;
	}
	return kinds && tally->cells ? pattern / (double)kinds * ((double)tally->typed + 0.001) / (double)tally->cells : 0;
}

/* All commas of a file whose first line has none stand between digits: they are decimal commas. */
static bool commas_are_decimal(struct str sample)
{
	bool first_line = true, any = false;
	for (size_t i = 0; i < sample.n; i++) {
		char c = sample.p[i];
		first_line = first_line && c != '\n' && c != '\r';
		if (c != ',')
			continue;
		bool between = i > 0 && i + 1 < sample.n && sample.p[i - 1] >= '0' && sample.p[i - 1] <= '9' && sample.p[i + 1] >= '0' &&
			       sample.p[i + 1] <= '9';
		if (first_line || !between)
			return false;
		any = true;
	}
	return any;
}

static enum err score_dialect(struct arena *scratch, struct str sample, const struct csv_dialect *dialect, double *ret)
{
	struct csv csv;
	struct csv_record record;
	struct tally tally = {0};
	enum err err = csv_open_sample(&csv, scratch, sample, dialect);
	if (err)
		return err;
	enum csv_step step = CSV_RECORD;
	for (unsigned seen = 0; seen < RECORDS_SCORED && (step = csv_next(&csv, &record)) == CSV_RECORD; seen++) {
		if (!record.empty)
			tally_record(&tally, &csv, &record);
	}
	if (step == CSV_TOO_MANY_COLUMNS) { /* one wide row, so that its delimiter is still found and the file refused for it */
		tally.widths[WIDTHS]++;
		tally.cells++;
		tally.typed++;
	}
	*ret = score_of(&tally);
	if (dialect->delimiter == ',' && commas_are_decimal(sample))
		*ret = 0;
	return OK;
}

static bool contains(struct str sample, const char *what)
{
	return sample.n && memmem(sample.p, sample.n, what, strlen(what)) != NULL;
}

enum err csv_detect_dialect(struct arena *scratch, struct str sample, char delimiter, struct csv_dialect *ret)
{
	static const char delimiters[] = {',', ';', '\t', '|'};
	/* A later kind has to be that much better than the best before it. */
	const struct {
		char quote;
		bool backslash;
		double handicap;
		bool wanted;
	} kinds[] = {{'"', false, 1.0, true}, {'"', true, 1.02, contains(sample, "\\\"")}, {'\'', false, 1.2, contains(sample, "'")}};
	struct csv_dialect best = {(char)(delimiter ? delimiter : ','), '"', false};
	double best_score = 0;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (size_t d = 0; kinds[k].wanted && d < (delimiter ? 1 : sizeof(delimiters)); d++) {
			struct csv_dialect dialect = {(char)(delimiter ? delimiter : delimiters[d]), kinds[k].quote, kinds[k].backslash};
			double score = 0;
			if (dialect.delimiter == dialect.quote)
				continue;
			enum err err = score_dialect(scratch, sample, &dialect, &score);
			if (err)
				return err;
			if (score > best_score * kinds[k].handicap) {
				best = dialect;
				best_score = score;
			}
		}
	}
	*ret = best;
	return OK;
}

/* ---- header ---- */

/* The sample as rows, for header.c. */
struct sample_rows {
	struct arena *scratch;
	struct str sample;
	bool whole, too_many;
	const struct csv_dialect *dialect;
	struct csv csv;
};

static enum err open_rows(void *context)
{
	struct sample_rows *rows = context;
	return csv_open_sample(&rows->csv, rows->scratch, rows->sample, rows->dialect);
}

static bool next_row(void *context, struct header_row *row)
{
	struct sample_rows *rows = context;
	struct csv_record record;
	enum csv_step step = csv_next(&rows->csv, &record);
	rows->too_many = rows->too_many || step == CSV_TOO_MANY_COLUMNS;
	if (step != CSV_RECORD)
		return false;
	bool cut = !rows->whole && rows->csv.start + rows->csv.consumed == rows->csv.filled;
	*row = (struct header_row){record.number, record.cells, record.cell_count, record.empty, cut};
	return true;
}

static enum err detect_header(struct arena *scratch, struct str sample, bool whole, int64_t wished_row, struct csv_layout *layout)
{
	struct sample_rows rows = {.scratch = scratch, .sample = sample, .whole = whole, .dialect = &layout->dialect};
	struct header_sample header_sample = {.open = open_rows, .next = next_row, .context = &rows, .scratch = scratch};
	struct header header;
	enum err err = header_detect(&header_sample, wished_row, &header);
	if (err)
		return err;
	layout->has_header = header.row > 0;
	layout->header_row = header.row;
	layout->columns = header.columns;
	layout->records = header.records;
	layout->data_rows = header.data_rows;
	layout->bytes = sample.n;
	layout->too_many = rows.too_many;
	return OK;
}

enum err csv_detect(struct arena *scratch, struct str sample, bool whole, const struct csv_wish *wish, struct csv_layout *ret)
{
	struct csv_layout layout = {0};
	char delimiter = wish->delimiter, said = '\0';
	layout.directive = csv_directive(sample, &said);
	if (!delimiter)
		delimiter = said;
	sample = (struct str){sample.p + layout.directive, sample.n - layout.directive};
	enum err err = csv_detect_dialect(scratch, sample, delimiter, &layout.dialect);
	if (!err)
		err = detect_header(scratch, sample, whole, wish->header_row, &layout);
	if (!err)
		*ret = layout;
	return err;
}
