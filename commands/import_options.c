/*
 * The command line of `tidegate import`. Must never speak to the server: what only it can know (fields, headings, users)
 * is checked by import_request.c and by the server itself.
 */
#include "commands/import_options.h"

#include "commands/import_request.h"
#include "core/base/text.h"

#include <string.h>

enum { HEADER_ROW_MAX = 1000 };

static const char help[] =
    "usage: tidegate import FILE --url URL --token-file FILE [OPTION]…\n"
    "\n"
    "where and who\n"
    "  --url URL              address of the server, e.g. https://localhost:8443\n"
    "  --token-file FILE      file that holds an administrator's token\n"
    "  --cacert FILE          certificate to trust instead of the system's\n"
    "\n"
    "databases\n"
    "  --sqlite FILE          an SQLite database instead of a spreadsheet; with it, beside url, token and cacert:\n"
    "  --profile NAME         bowling (default; a PinPal backup), venue, or mirror for any database\n"
    "  --timezone-offset MIN  UTC minus local time of the device that wrote it, in minutes\n"
    "  --no-wait, --json      as below\n"
    "\n"
    "what stands in the file (otherwise found by looking at it)\n"
    "  --target NAME          what the rows become (lead)\n"
    "  --map FIELD=HEADING    this column is that field; HEADING is the text over the column or its number, from 1. May be\n"
    "                         repeated. FIELD= with nothing after it leaves the field without a column\n"
    "  --sheet NAME           worksheet of a workbook\n"
    "  --encoding NAME        utf-8, utf-16le, utf-16be, windows-1252 or macintosh\n"
    "  --delimiter C          , ; | or tab\n"
    "  --header-row N         row of the headings; 0 when there is none\n"
    "\n"
    "what becomes of the rows\n"
    "  --duplicates HOW       of records that are there: skip (default), update or create\n"
    "  --key FIELD            by which duplicates are known, e.g. email; may be repeated. All keys of the target by default\n"
    "  --assign TO            none, single:USER, round_robin:USER,USER,… (in turn) or by_column:HEADING (whom that column names)\n"
    "  --allow-duplicate      take a file that was imported before\n"
    "  --dry-run              say what would become of the rows, write nothing and leave nothing behind\n"
    "  --error-report FILE    write the rows that did not come in, with their reasons, to FILE (only when there are any)\n"
    "\n"
    "what is shown\n"
    "  --no-wait              end when the last step is queued (--wait, the default: when it is done)\n"
    "  --json                 JSON lines on standard output; the last one is the summary\n"
    "\n"
    "exit status\n"
    "  0   every row is in, or is a duplicate that was left out on purpose; with --no-wait: the last step is queued\n"
    "  3   completed, but rows were left out: invalid, or refused by the database; with --dry-run: they would be\n"
    "  4   the import failed or was cancelled\n"
    "  64  wrong usage: option, file, field or heading; nothing was imported\n"
    "  65  the server refused; the sentence says why\n"
    "  69  the server could not be reached, or did not answer for a minute\n"
    "  73  the error report could not be written; the rows are in, except with --no-wait and --dry-run, where nothing is\n";

void import_options_help(FILE *to)
{
	fputs(help, to);
}

/* The values of an option that may be repeated. False when there are more than max. */
static bool repeated(struct command *command, const char *name, const char **values, size_t max, size_t *ret_count)
{
	const char *value;
	for (*ret_count = 0; (value = option_value(command, name)) != NULL; (*ret_count)++) {
		if (*ret_count == max) {
			complain(EXIT_USAGE, "%s is given more than %zu times.", name, max);
			return false;
		}
		values[*ret_count] = value;
	}
	return true;
}

static bool read_maps(struct command *command, struct import_options *options)
{
	const char *values[IMPORT_MAPS_MAX];
	if (!repeated(command, "--map", values, IMPORT_MAPS_MAX, &options->map_count))
		return false;
	for (size_t i = 0; i < options->map_count; i++) {
		const char *equal = strchr(values[i], '=');
		if (!equal || equal == values[i]) {
			complain(EXIT_USAGE, "--map is FIELD=HEADING, not \"%s\".", values[i]);
			return false;
		}
		options->maps[i] = (struct import_map){arena_copy(command->arena, values[i], (size_t)(equal - values[i])), equal + 1};
		for (size_t other = 0; other < i; other++)
			if (text_equal(options->maps[other].field, options->maps[i].field)) {
				complain(EXIT_USAGE, "--map names the field %s twice.", options->maps[i].field);
				return false;
			}
	}
	return true;
}

static bool read_file_options(struct command *command, struct import_options *options)
{
	const char *header_row = option_value(command, "--header-row");
	options->sheet = option_value(command, "--sheet");
	options->encoding = option_value(command, "--encoding");
	options->delimiter = option_value(command, "--delimiter");
	if (text_equal(options->delimiter, "tab"))
		options->delimiter = "\t";
	options->header_row = -1;
	if (header_row && parse_i64(header_row, 0, HEADER_ROW_MAX, &options->header_row)) {
		complain(EXIT_USAGE, "--header-row is a number from 0 to %d.", HEADER_ROW_MAX);
		return false;
	}
	return read_maps(command, options);
}

static bool read_row_options(struct command *command, struct import_options *options)
{
	const char *strategy = option_value(command, "--duplicates"), *assign = option_value(command, "--assign");
	options->strategy = strategy ? strategy : "skip";
	if (!text_equal(options->strategy, "skip") && !text_equal(options->strategy, "update") && !text_equal(options->strategy, "create")) {
		complain(EXIT_USAGE, "--duplicates is skip, update or create.");
		return false;
	}
	if (assign && !import_assignment_parse(command->arena, assign, &options->assignment)) {
		complain(EXIT_USAGE, "--assign is none, single:USER, round_robin:USER,USER,… or by_column:HEADING.");
		return false;
	}
	options->error_report = option_value(command, "--error-report");
	options->allow_duplicate = option_flag(command, "--allow-duplicate");
	return repeated(command, "--key", options->keys, IMPORT_KEYS_MAX, &options->key_count);
}

bool import_options_read(struct command *command, struct import_options *ret)
{
	const char *target = option_value(command, "--target");
	*ret = (struct import_options){
	    .url = option_value(command, "--url"), .token_file = option_value(command, "--token-file"), .ca_file = option_value(command, "--cacert")};
	ret->target = target ? target : "lead";
	if (!read_file_options(command, ret) || !read_row_options(command, ret))
		return false;
	bool wait = option_flag(command, "--wait"), no_wait = option_flag(command, "--no-wait");
	ret->json = option_flag(command, "--json");
	ret->dry_run = option_flag(command, "--dry-run");
	ret->wait = !no_wait;
	if (no_wait && (wait || ret->dry_run)) {
		complain(EXIT_USAGE, "--no-wait excludes --wait and --dry-run.");
		return false;
	}
	for (int i = 1; i < command->argc; i++)
		if (command->argv[i][0] == '-') {
			complain(EXIT_USAGE, "import cannot use %s: no such option, given twice, or its value is missing; see tidegate import --help.", command->argv[i]);
			return false;
		}
	if (command->argc != 2 || !ret->url || !ret->token_file) {
		complain(EXIT_USAGE, "import takes FILE --url URL --token-file FILE; see tidegate import --help.");
		return false;
	}
	ret->file = command->argv[1];
	return true;
}
