/*
 * The main of a reader child: options, sandbox, then the reader of the format. Called by `tidegate read` with descriptors
 * prepared by reader.c. Must never look at a byte of the file before the sandbox is up, nor print anything but frames.
 */
#include "readers/read.h"

#include "core/base/text.h"
#include "readers/archive.h"
#include "readers/csv.h"
#include "readers/sandbox.h"

#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	enum err (*run)(const struct read_options *options, struct frame_writer *writer);
} formats[] = {
	{"csv", csv_read},
	{"xlsx", xlsx_read},
	{"sqlite", sqlite_read},
};

#define TEXT_OPTION(name, field) {name, offsetof(struct read_options, field), true, 0, 0}
#define NUMBER_OPTION(name, field, min, max) {name, offsetof(struct read_options, field), false, min, max}

static const struct {
	const char *name;
	size_t offset;
	bool is_text;
	int64_t min, max;
} option_table[] = {
	TEXT_OPTION("--mode", mode),
	TEXT_OPTION("--encoding", encoding),
	TEXT_OPTION("--delimiter", delimiter),
	NUMBER_OPTION("--header-row", header_row, 0, INT64_MAX),
	NUMBER_OPTION("--skip-rows", skip_rows, 0, INT64_MAX),
	NUMBER_OPTION("--max-record", max_record, 1, CSV_RECORD_MAX),
	NUMBER_OPTION("--max-field", max_field, 1, CSV_RECORD_MAX),
	NUMBER_OPTION("--max-quoted-lines", max_quoted_lines, 0, INT32_MAX),
	NUMBER_OPTION("--max-columns", max_columns, 1, CSV_COLUMNS_MAX),
	NUMBER_OPTION("--max-memory", max_memory, 1 << 20, INT64_MAX / 2),
	NUMBER_OPTION("--max-cpu", max_cpu, 1, 86400),
	TEXT_OPTION("--sheet", sheet),
	TEXT_OPTION("--table", table),
	NUMBER_OPTION("--from-table", from_table, 0, INT32_MAX),
	NUMBER_OPTION("--max-entries", max_entries, 1, INT64_MAX),
	NUMBER_OPTION("--max-part", max_part, 1, INT64_MAX),
	NUMBER_OPTION("--max-unpacked", max_unpacked, 1, INT64_MAX),
	NUMBER_OPTION("--max-ratio", max_ratio, 1, INT64_MAX),
	NUMBER_OPTION("--strings-memory", strings_memory, 1 << 10, INT32_MAX),
	NUMBER_OPTION("--scratch", scratch, 1, INT64_MAX),
};

static enum err parse_option(struct read_options *options, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof(option_table) / sizeof(option_table[0]); i++) {
		if (strcmp(option_table[i].name, name) != 0)
			continue;
		void *field = (char *)options + option_table[i].offset;
		if (!option_table[i].is_text)
			return parse_i64(value, option_table[i].min, option_table[i].max, field);
		memcpy(field, &value, sizeof(value));
		return OK;
	}
	return ERR_INVALID;
}

static enum err parse_options(int argc, char **argv, struct read_options *options)
{
	if (argc < 2 || argc % 2)
		return ERR_INVALID;
	for (int i = 2; i < argc; i += 2) {
		enum err err = parse_option(options, argv[i], argv[i + 1]);
		if (err)
			return err;
	}
	return text_equal(options->mode, "inspect") || text_equal(options->mode, "rows") ? OK : ERR_INVALID;
}

static enum err run_format(const char *name, const struct read_options *options, struct frame_writer *writer)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i].name, name) == 0)
			return formats[i].run(options, writer);
	}
	return frame_put_fail(writer, "unknown_format", "There is no reader for this format.");
}

#define STRINGS_MEMORY (24ll << 20)

static const struct read_options defaults = {
	.mode = "rows",
	.header_row = HEADER_AUTO,
	.max_record = CSV_RECORD_MAX,
	.max_field = CSV_FIELD_MAX,
	.max_quoted_lines = CSV_QUOTED_LINES_MAX,
	.max_columns = CSV_COLUMNS_MAX,
	.max_memory = 64 << 20,
	.max_cpu = 300,
	.max_entries = ARCHIVE_ENTRIES_MAX,
	.max_part = ARCHIVE_PART_MAX,
	.max_unpacked = ARCHIVE_TOTAL_MAX,
	.max_ratio = ARCHIVE_RATIO_MAX,
	.strings_memory = STRINGS_MEMORY,
};

int read_main(int argc, char **argv)
{
	struct read_options options = defaults;
	struct stat file;
	struct frame_writer writer;
	if (parse_options(argc, argv, &options))
		return READ_EXIT_USAGE;
	frame_writer_init(&writer, STDOUT_FILENO);
	bool is_file = fstat(STDIN_FILENO, &file) == 0 && S_ISREG(file.st_mode);
	struct sandbox_limits limits = {options.max_memory, options.max_cpu, options.scratch};
	enum err err = OK;
	/* libzip asks for local time when it reads a directory. With a fixed zone, looked up now, that opens no file later. */
	bool has_zone = setenv("TZ", "UTC0", 1) == 0;
	tzset();
	if (!has_zone || sandbox_enter(&limits))
		err = frame_put_fail(&writer, "sandbox_unavailable", "This system cannot isolate the reading of files.");
	else if (!is_file)
		err = frame_put_fail(&writer, "input_not_a_file", "The input is not a regular file.");
	else {
		options.file_size = file.st_size;
		err = run_format(argv[1], &options, &writer);
	}
	frame_writer_release(&writer);
	return err == OK ? READ_EXIT_OK : err == ERR_IO ? READ_EXIT_PIPE : READ_EXIT_MEMORY;
}
