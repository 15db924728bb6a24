/*
 * tidegate backup: run begins a run of the workers (backup_run.c); dump makes the dump of any SQLite file by hand, in the form that the backups have. Must never write over
 * a file that is there, nor leave half a dump behind.
 */
#include "commands/backup.h"

#include "core/base/ids.h"
#include "core/base/text.h"
#include "handlers/backups/dump.h"
#include "handlers/backups/pack.h"
#include "handlers/backups/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 30000, DATES_MAX = 4096, LEVEL = 3 };

const char *const *backup_dates(struct arena *arena, const char *directory)
{
	const char **dates = arena_array(arena, DATES_MAX + 1, sizeof(*dates));
	DIR *dir = directory && dates ? opendir(directory) : NULL;
	size_t count = 0;
	if (!dir)
		return NULL;
	for (struct dirent *entry; count < DATES_MAX && (entry = readdir(dir));) {
		const char *name = entry->d_name;
		if (strlen(name) == 10 && name[4] == '-' && name[7] == '-' && strspn(name, "0123456789-") == 10)
			dates[count] = arena_strdup(arena, name);
		count += dates[count] ? 1 : 0;
	}
	closedir(dir);
	return dates;
}

int complain_of_backup(const char *what, enum err err, const struct backup_failure *failure)
{
	if (!failure->code)
		return complain(EXIT_INTERNAL, "%s: %s", what, err_name(err));
	return complain(err == ERR_IO ? EXIT_CANNOT_CREATE : EXIT_REFUSED, "%s: %s (%s: %s)", what, backup_failure_sentence(failure->code, LANGUAGE_EN), failure->code,
	                failure->detail);
}

struct dump_options {
	const char *source, *to;
	int64_t level, value_bytes, wait_ms;
	struct age_recipient recipients[AGE_RECIPIENTS_MAX];
	size_t count;
};

static enum err write_dump(struct command *command, const struct dump_options *options, int fd, const struct snapshot *snapshot, struct dump_result *result,
                           struct backup_failure *failure)
{
	struct pack pack;
	uint8_t stored[SHA256_SIZE];
	const char *slash = strrchr(options->source, '/');
	enum err err = pack_start(&pack, command->arena, fd, (int)options->level, options->recipients, options->count);
	struct dump_request request = {
	    .name = slash ? slash + 1 : options->source,
	    .run = "",
	    .journal_mode = snapshot->journal_mode,
	    .value_bytes = options->value_bytes,
	    .to = pack_sink(&pack),
	    .boundary = pack_boundary,
	    .boundary_context = &pack,
	};
	if (!err)
		err = dump_write(snapshot->db, command->arena, &request, result, failure);
	if (!err)
		err = pack_finish(&pack, stored);
	if (err && pack.failed_disk)
		backup_refuse(failure, "disk_full", strerror(ENOSPC));
	pack_release(&pack);
	return err;
}

static void remove_file(int fd, const char *path)
{
	if (fd >= 0 && path && close(fd) == 0)
		unlink(path);
}

static int dump_file(struct command *command, const struct dump_options *options)
{
	struct backup_failure failure = {0};
	struct snapshot snapshot = {0};
	struct dump_result result = {0};
	char id[UUID_SIZE], hex[SHA256_HEX_SIZE];
	uuid_v4(id);
	const char *copy = arena_printf(command->arena, "%s.%.8s.copy", options->to, id), *part = arena_printf(command->arena, "%s.%.8s.part", options->to, id);
	int copy_fd = copy ? open(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	int fd = part ? open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	int status = !copy || !part || copy_fd < 0 || fd < 0 ? complain(EXIT_CANNOT_CREATE, "%s: %s", options->to, strerror(errno)) : 0;
	enum err err = status ? ERR_IO : snapshot_take(options->source, copy, options->wait_ms, &snapshot, &failure);
	if (!err)
		err = write_dump(command, options, fd, &snapshot, &result, &failure);
	snapshot_release(&snapshot);
	if (!status && err)
		status = complain_of_backup(options->source, err, &failure);
	if (!status && part && link(part, options->to))
		status = complain(EXIT_CANNOT_CREATE, "%s: %s", options->to, strerror(errno));
	remove_file(copy_fd, copy);
	remove_file(fd, part);
	if (status)
		return status;
	hex_encode(result.hash, sizeof(result.hash), hex);
	printf("%s: %lld tables, %lld rows, %lld bytes of SQL, content %s\n", options->to, (long long)result.tables, (long long)result.rows, (long long)result.bytes, hex);
	if (result.warning)
		fprintf(stderr, "tidegate: %s: %s (%s)\n", options->source, backup_failure_sentence(result.warning, LANGUAGE_EN), result.warning);
	return 0;
}

static bool number_option(struct command *command, const char *name, int64_t fallback, int64_t max, int64_t *ret)
{
	const char *text = option_value(command, name);
	*ret = fallback;
	return !text || parse_i64(text, 0, max, ret) == OK;
}

static int dump(struct command *command)
{
	struct dump_options options = {0};
	options.to = option_value(command, "--to");
	const char *recipients = option_value(command, "--recipients");
	bool good = number_option(command, "--zstd", LEVEL, 19, &options.level) && number_option(command, "--value-bytes", 0, INT32_MAX, &options.value_bytes) &&
	            number_option(command, "--wait-ms", WAIT_MS, INT32_MAX, &options.wait_ms);
	if (!good || !options.to || command->argc != 3)
		return complain(EXIT_USAGE, "backup dump DATABASE-FILE --to NEW-FILE [--zstd LEVEL, 0: none] [--recipients \"age1… age1…\"] [--wait-ms N] [--value-bytes N]");
	if (recipients && (age_recipients_parse(recipients, options.recipients, &options.count) || options.count == 0))
		return complain(EXIT_USAGE, "%s", backup_failure_sentence("bad_recipient", LANGUAGE_EN));
	options.source = command->argv[2];
	if (access(options.to, F_OK) == 0)
		return complain(EXIT_CANNOT_CREATE, "%s is there already.", options.to);
	return dump_file(command, &options);
}

int command_backup(struct command *command)
{
	const char *what = command->argc > 1 ? command->argv[1] : "";
	if (text_equal(what, "dump"))
		return dump(command);
	if (text_equal(what, "run"))
		return backup_run(command);
	if (text_equal(what, "retention"))
		return backup_retention(command);
	if (text_equal(what, "rewrap"))
		return backup_rewrap_command(command);
	if (text_equal(what, "reconcile"))
		return backup_reconcile_now(command);
	if (text_equal(what, "wake"))
		return backup_wake_now(command);
	return complain(EXIT_USAGE, "backup run [DATABASE]… [--reason TEXT] [--no-wait] | retention [--dry-run] | reconcile [--untracked report|adopt|delete] | wake | rewrap --identity KEY-FILE [--dry-run] [DATABASE]… | dump DATABASE-FILE --to NEW-FILE [OPTION]…");
}
