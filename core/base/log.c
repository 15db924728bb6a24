/*
 * JSON log lines on standard error, one write() each so that lines of several processes do not mix.
 * Called from everywhere; must never allocate, block on anything but the write, or print a secret.
 */
#include "core/base/log.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/json.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, VALUE_MAX_BYTES = 1024 };

static enum log_level minimum = LOG_LEVEL_INFO;
static char process_kind[32] = "tidegate";
static char context_name[32];
static char context_id[64];

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

void log_set_level(enum log_level min)
{
	minimum = min;
}

enum log_level log_level(void)
{
	return minimum;
}

enum err log_level_parse(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return OK;
		}
	return ERR_INVALID;
}

void log_set_process(const char *kind)
{
	snprintf(process_kind, sizeof(process_kind), "%s", kind);
}

void log_set_context(const char *name, const char *id)
{
	snprintf(context_name, sizeof(context_name), "%s", name ? name : "");
	snprintf(context_id, sizeof(context_id), "%s", name && id ? id : "");
}

static void put_field(struct json_writer *w, const struct log_field *field)
{
	switch (field->kind) {
	case LOG_KIND_TEXT: {
		struct str value = str_of(field->text);
		if (!field->text)
			json_put_null(w, field->name);
		else
			json_put_str(w, field->name, (struct str){value.p, value.n > VALUE_MAX_BYTES ? VALUE_MAX_BYTES : value.n});
		break;
	}
	case LOG_KIND_INT:
		json_put_i64(w, field->name, field->integer);
		break;
	case LOG_KIND_REAL:
		json_put_real(w, field->name, field->real);
		break;
	case LOG_KIND_END:
		break;
	}
}

void log_write_fields(enum log_level level, const struct log_field *fields)
{
	static struct buf line; /* kept between lines: no allocation per line */
	struct json_writer w;
	char now[CLOCK_ISO_SIZE];
	if (level < minimum)
		return;
	if (!line.max)
		buf_init(&line, LINE_MAX_BYTES);
	buf_clear(&line);
	clock_iso8601(clock_unix_us(), now);
	json_start(&w, &line);
	json_object_open(&w, NULL);
	json_put_text(&w, "time", now);
	json_put_text(&w, "level", level_names[level]);
	json_put_text(&w, "process", process_kind);
	json_put_i64(&w, "pid", getpid());
	if (context_name[0])
		json_put_text(&w, context_name, context_id);
	size_t whole = line.len;
	for (const struct log_field *field = fields; field->kind != LOG_KIND_END; field++) {
		put_field(&w, field);
		if (line.overflowed || line.len + 2 > LINE_MAX_BYTES) {
			/* A field that does not fit is left out; the line stays valid JSON. */
			line.len = whole;
			line.overflowed = false;
			break;
		}
		whole = line.len;
	}
	line.max += 2;
	json_object_close(&w);
	buf_append_char(&line, '\n');
	line.max -= 2;
	ssize_t ignored = write(STDERR_FILENO, buf_text(&line), line.len);
	(void)ignored;
}
