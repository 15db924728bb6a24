/*
 * The option table and its three sources. Called once at the start of every command.
 * Must never accept an option it does not know, nor print a secret.
 */
#include "core/base/config.h"

#include "core/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum kind { KIND_TEXT, KIND_SECRET, KIND_INT, KIND_BOOL, KIND_TIME, KIND_CHOICE };

struct option {
	const char *section, *name, *doc, *text;
	enum kind kind;
	size_t offset;
	int64_t value, min, max;
	const char *words; /* of a choice, divided by blanks */
};

static const struct option options[] = {
#define TEXT(member, section, name, value, doc) {section, name, doc, value, KIND_TEXT, offsetof(struct config, member), 0, 0, 0, NULL},
#define SECRET(member, section, name, value, doc) {section, name, doc, value, KIND_SECRET, offsetof(struct config, member), 0, 0, 0, NULL},
#define INT(member, section, name, value, min, max, doc) {section, name, doc, 0, KIND_INT, offsetof(struct config, member), value, min, max, NULL},
#define BOOL(member, section, name, value, doc) {section, name, doc, 0, KIND_BOOL, offsetof(struct config, member), value, 0, 1, NULL},
#define TIME(member, section, name, value, doc) {section, name, doc, value, KIND_TIME, offsetof(struct config, member), 0, 0, 0, NULL},
#define CHOICE(member, section, name, value, words, doc) {section, name, doc, value, KIND_CHOICE, offsetof(struct config, member), 0, 0, 0, words},
#include "core/base/config.def"
#undef TEXT
#undef SECRET
#undef INT
#undef BOOL
#undef TIME
#undef CHOICE
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]), SECRET_MAX = 64 << 10 };

struct loading {
	struct arena *arena;
	struct config *config;
	const char *path;
	const char *why;
};

static void *member(const struct config *config, const struct option *option)
{
	return (char *)(uintptr_t)config + option->offset;
}

/* HH:MM of a day. */
static bool is_time(const char *text)
{
	int64_t hour = 0, minute = 0;
	return strlen(text) == 5 && text[2] == ':' && !parse_i64_n(text, 2, 0, 23, &hour) && !parse_i64_n(text + 3, 2, 0, 59, &minute);
}

static bool is_word_of(const char *words, const char *text)
{
	size_t n = strlen(text);
	for (const char *found = n && !strchr(text, ' ') ? strstr(words, text) : NULL; found; found = strstr(found + 1, text))
		if ((found == words || found[-1] == ' ') && (found[n] == ' ' || !found[n]))
			return true;
	return false;
}

static enum err set(struct loading *loading, const struct option *option, const char *value, const char *source)
{
	void *to = member(loading->config, option);
	int64_t number;
	switch (option->kind) {
	case KIND_TIME:
		if (!is_time(value)) {
			loading->why = arena_printf(loading->arena, "%s: %s.%s must be a time of day such as 03:00, not \"%s\".", source, option->section, option->name, value);
			return ERR_INVALID;
		}
		break;
	case KIND_CHOICE:
		if (!is_word_of(option->words, value)) {
			loading->why = arena_printf(loading->arena, "%s: %s.%s must be one of: %s; not \"%s\".", source, option->section, option->name, option->words, value);
			return ERR_INVALID;
		}
		break;
	case KIND_TEXT:
	case KIND_SECRET:
		break;
	case KIND_INT:
		if (parse_i64(value, option->min, option->max, &number)) {
			loading->why = arena_printf(loading->arena, "%s: %s.%s must be a whole number from %lld to %lld, not \"%s\".", source, option->section,
			                            option->name, (long long)option->min, (long long)option->max, value);
			return ERR_INVALID;
		}
		*(int64_t *)to = number;
		return OK;
	case KIND_BOOL:
		if (!text_equal(value, "true") && !text_equal(value, "false")) {
			loading->why = arena_printf(loading->arena, "%s: %s.%s must be true or false.", source, option->section, option->name);
			return ERR_INVALID;
		}
		*(bool *)to = text_equal(value, "true");
		return OK;
	}
	*(const char **)to = arena_strdup(loading->arena, value);
	return *(const char **)to ? OK : ERR_TOO_LARGE;
}

static int on_ini_line(void *user, const char *section, const char *name, const char *value)
{
	struct loading *loading = user;
	for (size_t i = 0; i < OPTIONS; i++)
		if (text_equal(options[i].section, section) && text_equal(options[i].name, name))
			return set(loading, &options[i], value, loading->path) == OK;
	loading->why = arena_printf(loading->arena, "%s: there is no option %s.%s (docs/configuration.md lists them all).", loading->path, section, name);
	return 0;
}

static enum err read_file(struct loading *loading, bool may_be_missing)
{
	int line = ini_parse(loading->path, on_ini_line, loading);
	if (line == 0 || (line < 0 && may_be_missing && errno == ENOENT))
		return OK;
	if (!loading->why)
		loading->why = line < 0 ? arena_printf(loading->arena, "The configuration file %s cannot be read.", loading->path)
		                        : arena_printf(loading->arena, "%s: line %d is not `name = value`.", loading->path, line);
	return ERR_INVALID;
}

static enum err read_environment(struct loading *loading)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		char *name = arena_printf(loading->arena, "TIDEGATE_%s_%s", options[i].section, options[i].name);
		if (!name)
			return ERR_TOO_LARGE;
		for (char *c = name; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		const char *value = getenv(name);
		if (value && set(loading, &options[i], value, name))
			return ERR_INVALID;
	}
	return OK;
}

/* A credential is the whole file without one trailing newline. */
static enum err read_credential(struct loading *loading, const char *directory, const struct option *option)
{
	char *path = arena_printf(loading->arena, "%s/%s.%s", directory, option->section, option->name);
	char *value = arena_alloc(loading->arena, SECRET_MAX);
	if (!path || !value)
		return ERR_TOO_LARGE;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return OK;
	ssize_t n = fd < 0 ? -1 : read(fd, value, SECRET_MAX - 1);
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		loading->why = arena_printf(loading->arena, "The credential %s cannot be read.", path);
		return ERR_INVALID;
	}
	if (n > 0 && value[n - 1] == '\n')
		value[n - 1] = '\0';
	return set(loading, option, value, path);
}

static enum err read_credentials(struct loading *loading)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	if (!directory)
		return OK;
	for (size_t i = 0; i < OPTIONS; i++)
		if (options[i].kind == KIND_SECRET && read_credential(loading, directory, &options[i]))
			return ERR_INVALID;
	return OK;
}

enum err config_load(struct arena *arena, const char *path, struct config *ret, const char **ret_why)
{
	struct config config = {0};
	struct loading loading = {arena, &config, path, NULL};
	bool may_be_missing = false;
	for (size_t i = 0; i < OPTIONS; i++) {
		if (options[i].kind == KIND_INT)
			*(int64_t *)member(&config, &options[i]) = options[i].value;
		else if (options[i].kind == KIND_BOOL)
			*(bool *)member(&config, &options[i]) = options[i].value != 0;
		else
			*(const char **)member(&config, &options[i]) = options[i].text;
	}
	if (!loading.path)
		loading.path = getenv("TIDEGATE_CONFIG");
	if (!loading.path) {
		loading.path = "/etc/tidegate/tidegate.ini";
		may_be_missing = true;
	}
	enum err err = read_file(&loading, may_be_missing);
	if (!err)
		err = read_environment(&loading);
	if (!err)
		err = read_credentials(&loading);
	if (err) {
		*ret_why = loading.why ? loading.why : "The configuration does not fit into memory.";
		return err;
	}
	*ret = config;
	return OK;
}

static void describe(const struct option *option, struct buf *out)
{
	const char *text = option->text && *option->text ? option->text : NULL;
	if (option->kind == KIND_INT)
		buf_printf(out, "| `%s` | %lld | %lld to %lld | %s |\n", option->name, (long long)option->value, (long long)option->min, (long long)option->max, option->doc);
	else if (option->kind == KIND_BOOL)
		buf_printf(out, "| `%s` | %s | true or false | %s |\n", option->name, option->value ? "true" : "false", option->doc);
	else
		buf_printf(out, "| `%s` | %s%s%s | %s | %s |\n", option->name, text ? "`" : "", text ? text : "(empty)", text ? "`" : "",
		           option->kind == KIND_CHOICE ? option->words : option->kind == KIND_TIME ? "time of day" : option->kind == KIND_SECRET ? "secret" : "text", option->doc);
}

enum err config_docs(struct buf *out)
{
	const char *section = "";
	buf_append_text(out, "# Configuration\n\n"
	                     "Made from `core/base/config.def` by `tidegate config --docs`; `make lint` fails when the two differ.\n\n"
	                     "Options stand in `/etc/tidegate/tidegate.ini` (or the file named by `--config` or `TIDEGATE_CONFIG`), in the environment as\n"
	                     "`TIDEGATE_<SECTION>_<NAME>`, and secrets also in systemd credentials named `<section>.<name>`. Later sources win in that order.\n"
	                     "An unknown option or a value out of range stops the program with one sentence.\n");
	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option *option = &options[i];
		if (!text_equal(section, option->section)) {
			section = option->section;
			buf_printf(out, "\n## [%s]\n\n| option | default | range | what it is |\n|---|---|---|---|\n", section);
		}
		describe(option, out);
	}
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

enum err config_print(const struct config *config, struct buf *out)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		const struct option *option = &options[i];
		const void *from = member(config, option);
		buf_printf(out, "%s.%s = ", option->section, option->name);
		if (option->kind == KIND_INT)
			buf_printf(out, "%lld\n", (long long)*(const int64_t *)from);
		else if (option->kind == KIND_BOOL)
			buf_printf(out, "%s\n", *(const bool *)from ? "true" : "false");
		else if (option->kind == KIND_SECRET)
			buf_printf(out, "%s\n", **(const char *const *)from ? "(set)" : "(not set)");
		else
			buf_printf(out, "%s\n", *(const char *const *)from);
	}
	return out->overflowed ? ERR_TOO_LARGE : OK;
}
