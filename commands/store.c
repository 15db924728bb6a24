/*
 * tidegate store: the object store by hand. check and setup for operators; list, get, put and delete for whoever has to look
 * into a bucket without another tool. Must never print a signed URL or a credential.
 */
#include "commands/store.h"

#include "core/base/text.h"
#include "core/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE_ARENA = 32 << 20 };

const char *store_reason(struct command *command, const struct s3 *s3, enum err err)
{
	const struct s3_failure *failure = &s3->failure;
	const char *reason = arena_printf(command->arena, "%s%s%s", failure->code, *failure->code && *failure->message ? ": " : "", failure->message);
	return reason && *reason ? reason : err_name(err);
}

static int outcome(struct command *command, const struct s3 *s3, const char *what, enum err err)
{
	if (!err)
		return 0;
	int status = err == ERR_UNAVAILABLE || err == ERR_TIMEOUT ? EXIT_UNAVAILABLE : err == ERR_IO ? EXIT_CANNOT_CREATE : EXIT_REFUSED;
	return complain(status, "%s: %s", what, store_reason(command, s3, err));
}

static int list(struct command *command, struct s3 *s3)
{
	const char *prefix = command->argc > 2 ? command->argv[2] : "", *next = NULL;
	struct arena arena;
	enum err err = OK;
	arena_init(&arena, PAGE_ARENA);
	do {
		struct s3_page page;
		char token[2048] = "";
		if (next)
			snprintf(token, sizeof(token), "%s", next);
		arena_reset(&arena);
		err = s3_list(s3, &arena, prefix, next ? token : NULL, &page);
		for (size_t i = 0; !err && i < page.count; i++)
			printf("%12lld  %s  %s\n", (long long)page.entries[i].size, page.entries[i].modified ? page.entries[i].modified : "-", page.entries[i].key);
		next = err ? NULL : page.next;
	} while (next);
	arena_release(&arena);
	return outcome(command, s3, "list", err);
}

static int get(struct command *command, struct s3 *s3)
{
	struct s3_object object;
	int fd = open(command->argv[3], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain(EXIT_CANNOT_CREATE, "%s: %s", command->argv[3], strerror(errno));
	enum err err = s3_get(s3, command->arena, command->argv[2], fd, INT64_MAX, &object);
	close(fd);
	if (err)
		unlink(command->argv[3]);
	return outcome(command, s3, command->argv[2], err);
}

static int put(struct command *command, struct s3 *s3, bool only_new)
{
	const struct s3_put how = {.only_new = only_new};
	struct stat st;
	int fd = open(command->argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return complain(EXIT_USAGE, "%s: %s", command->argv[2], fd < 0 ? strerror(errno) : "not a file");
	enum err err = s3_put(s3, command->arena, command->argv[3], fd, st.st_size, &how);
	close(fd);
	return outcome(command, s3, command->argv[3], err);
}

/* A single one by a call of its own, which stores allow in places where they refuse a list of them (radosgw under a bucket policy). */
static int delete(struct command *command, struct s3 *s3)
{
	const char *const *keys = (const char *const *)&command->argv[2];
	size_t left = (size_t)command->argc - 2, refused = 0;
	enum err err = OK;
	while (!err && left) {
		size_t n = left < S3_PAGE_MAX ? left : S3_PAGE_MAX, here = 0;
		err = n == 1 ? s3_delete(s3, command->arena, *keys) : s3_delete_many(s3, command->arena, keys, n, &here);
		refused += here;
		keys += n;
		left -= n;
	}
	if (!err && refused)
		return complain(EXIT_REFUSED, "%zu objects were not deleted: %s", refused, store_reason(command, s3, OK));
	return outcome(command, s3, "delete", err);
}

int command_store(struct command *command)
{
	const char *what = command->argc > 1 ? command->argv[1] : "", *why = NULL;
	bool only_new = option_flag(command, "--only-new");
	struct s3 s3;
	const char *name = NULL;
	if (option_flag(command, "--replica")) {
		struct config *replica = arena_alloc(command->arena, sizeof(*replica));
		if (!replica || !store_replica(command->arena, command->config, replica, &name))
			return complain(EXIT_CONFIGURATION, "There is no second store (replica.driver).");
		command->config = replica;
	}
	if (!store_is_remote(command->config))
		return complain(EXIT_CONFIGURATION, "storage.driver is local: objects are files below %s/blobs; `tidegate doctor` looks at them.", command->config->storage_root);
	if (s3_open(command->arena, command->config, &s3, &why))
		return complain(EXIT_CONFIGURATION, "%s", why);
	if (text_equal(what, "check") && command->argc == 2)
		return store_check(command, &s3);
	if (text_equal(what, "setup") && command->argc == 2)
		return store_setup(command, &s3);
	if (text_equal(what, "list") && command->argc <= 3)
		return list(command, &s3);
	if (text_equal(what, "get") && command->argc == 4)
		return get(command, &s3);
	if (text_equal(what, "put") && command->argc == 4)
		return put(command, &s3, only_new);
	if (text_equal(what, "delete") && command->argc > 2)
		return delete(command, &s3);
	return complain(EXIT_USAGE, "store check | setup | list [PREFIX] | get KEY FILE | put FILE KEY [--only-new] | delete KEY…   (--replica: in the second store)");
}
