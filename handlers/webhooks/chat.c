/*
 * Makes messages for chat services out of events, after the table events.def. Called by message.c for every attempt.
 * Must never put into a message what its table does not name, nor pass a limit of the service: it would refuse the whole message.
 */
#include "handlers/webhooks/chat.h"

#include "handlers/webhooks/chat_text.h"

#include <string.h>

enum {
	/* Of the services: Discord's embed 256, 4096, 25 fields of 256 and 1024, 2048, 6000 in all; Slack's blocks 150, 3000, 10 fields of 2000. */
	TITLE_MAX = 140,
	SENTENCE_MAX = 1400,
	FIELD_MAX = 200,
	LIST_MAX = 1000,
	NAME_MAX_UNITS = 120, /* of a value from elsewhere, before escaping */
	FIELDS_MAX = 8,
	LISTS_MAX = 2,
	MORE_MAX = 40, /* kept free for "… and 12 more" */
	TEXT_BUF = 32 << 10,
	PATH_MAX_BYTES = 64,
};
_Static_assert(TITLE_MAX + SENTENCE_MAX + FIELDS_MAX * (FIELD_MAX + 40) + LISTS_MAX * (LIST_MAX + 40) + 100 < 6000, "an embed of Discord holds it all");

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARNING, TONE_BAD };

static const unsigned colours[] = {[TONE_PLAIN] = 0x64748b, [TONE_GOOD] = 0x22c55e, [TONE_WARNING] = 0xf59e0b, [TONE_BAD] = 0xef4444};

static const struct kind {
	const char *type;
	enum tone tone;
	const char *title[2], *sentence[2];
} kinds[] = {
#define EVENT(type, tone, title_en, title_fr, en, fr) {type, tone, {title_en, title_fr}, {en, fr}},
#define FIELD(...)
#define LINES(...)
#define LIST(...)
#include "handlers/webhooks/events.def"
#undef EVENT
#undef FIELD
};

static const struct field {
	const char *type, *name[2], *template;
} fields[] = {
#define EVENT(...)
#define FIELD(type, en, fr, template) {type, {en, fr}, template},
#include "handlers/webhooks/events.def"
#undef FIELD
#undef LINES
#undef LIST
};

static const struct list {
	const char *type, *member, *name[2], *line[2];
} lists[] = {
#define FIELD(...)
#define LINES(type, member, en, fr) {type, member, {NULL, NULL}, {en, fr}},
#define LIST(type, member, name_en, name_fr, en, fr) {type, member, {name_en, name_fr}, {en, fr}},
#include "handlers/webhooks/events.def"
#undef EVENT
#undef FIELD
#undef LINES
#undef LIST
};

struct message {
	struct arena *arena;
	const struct chat_event *event;
	enum webhook_format format;
	const char *type, *timestamp;
	const json_t *data;
	const struct kind *kind;
	struct buf text; /* the one that is being written */
	struct json_writer w;
};

enum webhook_format webhook_format_of(const char *name)
{
	return text_equal(name, "discord") ? WEBHOOK_DISCORD : text_equal(name, "slack") ? WEBHOOK_SLACK : WEBHOOK_STANDARD;
}

/* ---- templates ---- */

/* A word of the API in the language of the message; one that has none stays as it is. */
static const char *translated(const char *text, enum language language)
{
	static const struct {
		const char *word, *said[2];
	} words[] = {{"scheduled", {"schedule", "horaire"}}, {"manual", {"by hand", "à la main"}}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (text_equal(words[i].word, text))
			return words[i].said[language];
	return text;
}

/* The member a.b of an object as text; NULL: it is not there, or is none. how: "" or what stands behind the colon of a template. */
static const char *member_text(struct message *message, const json_t *object, const char *path, const char *how)
{
	const char *dot = strchr(path, '.');
	char name[PATH_MAX_BYTES];
	snprintf(name, sizeof(name), "%.*s", dot ? (int)(dot - path) : (int)strlen(path), path);
	const json_t *value = json_is_object(object) ? json_object_get(object, name) : object;
	if (dot)
		return json_is_object(value) ? member_text(message, value, dot + 1, how) : NULL;
	if (json_is_integer(value) && text_equal(how, "bytes"))
		return size_text(message->arena, json_integer_value(value));
	if (json_is_integer(value))
		return arena_printf(message->arena, "%lld", (long long)json_integer_value(value));
	if (!json_is_string(value))
		return NULL;
	const char *text = json_string_value(value);
	if (text_equal(how, "word"))
		return translated(text, message->event->language);
	return text_equal(how, "reason") && message->event->explain ? message->event->explain(message->type, text, message->event->language) : text;
}

/* False: something that it names is not there; then a dash stands in for it. */
static bool fill(struct message *message, struct chat_text *to, const char *template, const json_t *object)
{
	bool whole = true;
	while (*template) {
		size_t plain = strcspn(template, "{"), length = strcspn(template, "}");
		char name[PATH_MAX_BYTES];
		if (plain) {
			char *text = arena_copy(message->arena, template, plain);
			chat_text_put(to, text ? text : "", plain);
			template += plain;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)length - 1, template + 1);
		char *how = strchr(name, ':');
		if (how)
			*how++ = '\0';
		const char *value = member_text(message, object, name, how ? how : "");
		/* A sentence is ours, and whole. */
		chat_text_put(to, value ? value : "\xe2\x80\x93", text_equal(how, "reason") ? SENTENCE_MAX : NAME_MAX_UNITS);
		whole = whole && value;
		template += length + (template[length] == '}');
	}
	return whole;
}

static void put_more(struct message *message, struct chat_text *text, long long more)
{
	const char *said = arena_printf(message->arena, message->event->language == LANGUAGE_FR ? "… et %lld de plus" : "… and %lld more", more);
	chat_text_break(text);
	chat_text_put(text, said ? said : "", MORE_MAX);
}

/* A line per item, as many as fit, then how many there are more: of the array, or of what its event counts as `failed` or `count`. False: there are none. */
static bool put_lines(struct message *message, struct chat_text *to, const struct list *list)
{
	const json_t *array = json_object_get(message->data, list->member);
	size_t count = json_array_size(array), shown = 0;
	long long total = (long long)count;
	static const char *const totals[] = {"failed", "count"};
	for (size_t i = 0; list->name[0] && i < 2; i++) {
		const json_t *value = json_object_get(message->data, totals[i]);
		total = json_integer_value(value) > total ? (long long)json_integer_value(value) : total;
	}
	for (; shown < count; shown++) {
		struct chat_text line;
		struct buf text;
		buf_init(&text, TEXT_BUF);
		chat_text_start(&line, &text, message->format, LIST_MAX - MORE_MAX);
		chat_text_put(&line, "• ", 2);
		fill(message, &line, list->line[message->event->language], json_array_get(array, shown));
		bool fits = to->length + line.length + 2 + MORE_MAX <= to->max;
		if (fits) {
			if (to->length)
				chat_text_break(to);
			to->length += line.length;
			buf_append_text(to->out, buf_text(&text));
		}
		buf_release(&text);
		if (!fits)
			break;
	}
	if (total > (long long)shown)
		put_more(message, to, total - (long long)shown);
	return count > 0;
}

static void put_sentence(struct message *message, struct chat_text *text)
{
	fill(message, text, message->kind->sentence[message->event->language], message->data);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (!lists[i].name[0] && text_equal(lists[i].type, message->type) && json_array_size(json_object_get(message->data, lists[i].member)))
			put_lines(message, text, &lists[i]);
}

/* ---- the parts, in the order of both services ---- */

static const char *title_of(const struct message *message)
{
	return message->kind->title[message->event->language];
}

/* A field of the message: a figure, or a list, which takes the whole width. */
struct shown {
	const char *name, *value;
	bool wide;
};

/* What there is something for; at most FIELDS_MAX + LISTS_MAX. */
static size_t collect(struct message *message, struct shown *ret)
{
	struct chat_text text;
	enum language language = message->event->language;
	size_t count = 0;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!text_equal(fields[i].type, message->type) || count == FIELDS_MAX)
			continue;
		chat_text_start(&text, &message->text, message->format, FIELD_MAX);
		if (fill(message, &text, fields[i].template, message->data))
			ret[count++] = (struct shown){fields[i].name[language], arena_strdup(message->arena, buf_text(&message->text)), false};
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (!lists[i].name[0] || !text_equal(lists[i].type, message->type) || count == FIELDS_MAX + LISTS_MAX)
			continue;
		chat_text_start(&text, &message->text, message->format, LIST_MAX);
		if (put_lines(message, &text, &lists[i]))
			ret[count++] = (struct shown){lists[i].name[language], arena_strdup(message->arena, buf_text(&message->text)), true};
	}
	return count;
}

/* ---- Discord ---- */

static void put_discord_field(struct json_writer *w, const struct shown *field)
{
	json_object_open(w, NULL);
	json_put_text(w, "name", field->name);
	json_put_text(w, "value", field->value);
	json_put_bool(w, "inline", !field->wide);
	json_object_close(w);
}

static void write_discord(struct message *message)
{
	struct json_writer *w = &message->w;
	struct shown shown[FIELDS_MAX + LISTS_MAX];
	struct chat_text text;
	size_t count = collect(message, shown);
	json_object_open(w, NULL);
	json_array_open(w, "embeds");
	json_object_open(w, NULL);
	json_put_text(w, "title", title_of(message));
	chat_text_start(&text, &message->text, WEBHOOK_DISCORD, SENTENCE_MAX);
	put_sentence(message, &text);
	json_put_text(w, "description", buf_text(&message->text));
	json_put_i64(w, "color", colours[message->kind->tone]);
	json_array_open(w, "fields");
	for (size_t i = 0; i < count; i++)
		put_discord_field(w, &shown[i]);
	json_array_close(w);
	json_object_open(w, "footer");
	json_put_text(w, "text", arena_printf(message->arena, "Tidegate · %s", message->event->id));
	json_object_close(w);
	if (message->timestamp)
		json_put_text(w, "timestamp", message->timestamp);
	json_object_close(w);
	json_array_close(w);
	json_object_open(w, "allowed_mentions");
	json_array_open(w, "parse");
	json_array_close(w);
	json_object_close(w);
	json_object_close(w);
}

/* ---- Slack ---- */

static void put_slack_text(struct json_writer *w, const char *member, const char *text)
{
	json_object_open(w, member);
	json_put_text(w, "type", "plain_text");
	json_put_text(w, "text", text);
	json_put_bool(w, "emoji", false);
	json_object_close(w);
}

static const char *slack_field(struct message *message, const struct shown *field)
{
	return arena_printf(message->arena, "%s\n%s", field->name, field->value);
}

/* A block of fields must not be empty. */
static void put_slack_fields(struct message *message, const struct shown *shown, size_t count)
{
	struct json_writer *w = &message->w;
	if (count == 0 || shown[0].wide)
		return;
	json_object_open(w, NULL);
	json_put_text(w, "type", "section");
	json_array_open(w, "fields");
	for (size_t i = 0; i < count && !shown[i].wide; i++)
		put_slack_text(w, NULL, slack_field(message, &shown[i]));
	json_array_close(w);
	json_object_close(w);
}

static void put_slack_block(struct json_writer *w, const char *type, const char *text)
{
	json_object_open(w, NULL);
	json_put_text(w, "type", type);
	put_slack_text(w, "text", text);
	json_object_close(w);
}

static void write_slack(struct message *message)
{
	struct json_writer *w = &message->w;
	struct shown shown[FIELDS_MAX + LISTS_MAX];
	struct chat_text text;
	size_t count = collect(message, shown);
	chat_text_start(&text, &message->text, WEBHOOK_SLACK, SENTENCE_MAX);
	put_sentence(message, &text);
	json_object_open(w, NULL);
	json_array_open(w, "attachments");
	json_object_open(w, NULL);
	json_put_text(w, "color", arena_printf(message->arena, "#%06x", colours[message->kind->tone]));
	json_put_text(w, "fallback", arena_printf(message->arena, "%s: %s", title_of(message), buf_text(&message->text)));
	json_array_open(w, "blocks");
	put_slack_block(w, "header", title_of(message));
	put_slack_block(w, "section", buf_text(&message->text));
	put_slack_fields(message, shown, count);
	for (size_t i = 0; i < count; i++)
		if (shown[i].wide)
			put_slack_block(w, "section", slack_field(message, &shown[i]));
	json_object_open(w, NULL);
	json_put_text(w, "type", "context");
	json_array_open(w, "elements");
	put_slack_text(w, NULL, arena_printf(message->arena, "Tidegate · %s%s%s", message->event->id, message->timestamp ? " · " : "", message->timestamp ? message->timestamp : ""));
	json_array_close(w);
	json_object_close(w);
	json_array_close(w);
	json_object_close(w);
	json_array_close(w);
	json_object_close(w);
}

/* ---- */

static const struct kind *kind_of(struct arena *arena, const char *type, const json_t *data)
{
	const char *what = json_text(data, "after");
	const char *exact = arena_printf(arena, "%s:%s", type, what ? what : json_text(data, "clock") ? json_text(data, "clock") : "");
	const size_t count = sizeof(kinds) / sizeof(kinds[0]);
	for (size_t i = 0; i < count; i++)
		if (text_equal(kinds[i].type, type) || text_equal(kinds[i].type, exact))
			return &kinds[i];
	return &kinds[count - 1];
}

/* Of a service that knows dates; whatever is none would cost the whole message. */
static const char *time_of(const json_t *event)
{
	const char *text = json_text(event, "timestamp");
	size_t n = text ? strlen(text) : 0;
	return n >= 20 && n <= 32 && strspn(text, "0123456789-:.TZ") == n ? text : NULL;
}

enum err chat_body(struct arena *arena, enum webhook_format format, const struct chat_event *event, struct buf *out)
{
	json_t *parsed = NULL;
	enum err err = json_parse(arena, event->body, strlen(event->body), &parsed, NULL);
	if (err || !json_text(parsed, "type"))
		return err ? err : ERR_INVALID;
	struct message message = {
	    .arena = arena,
	    .event = event,
	    .format = format,
	    .type = json_text(parsed, "type"),
	    .timestamp = time_of(parsed),
	    .data = json_object_get(parsed, "data"),
	};
	message.kind = kind_of(arena, message.type, message.data);
	buf_init(&message.text, TEXT_BUF);
	json_start(&message.w, out);
	if (format == WEBHOOK_DISCORD)
		write_discord(&message);
	else
		write_slack(&message);
	bool full = out->overflowed || message.text.overflowed;
	buf_release(&message.text);
	return full ? ERR_TOO_LARGE : OK;
}
