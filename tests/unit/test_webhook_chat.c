/* Events as messages of Discord and Slack: what they say, in both languages; that strangers' names do nothing; that no limit of the services is passed, whatever comes. */
#include "core/base/text.h"
#include "handlers/webhooks/chat.h"
#include "tests/unit/tap.h"

#include <stdlib.h>

#define ZWSP "\xe2\x80\x8b"

static const char *sentence(const char *type, const char *code, unsigned language)
{
	(void)type;
	(void)code;
	return language ? "Une phrase." : "A sentence.";
}

/* Parsed back; NULL: it is no message. */
static json_t *message_of(struct arena *arena, enum webhook_format format, enum language language, const char *body)
{
	struct chat_event event = {.id = "evt_1", .body = body, .language = language, .explain = sentence};
	struct buf out;
	json_t *parsed = NULL;
	buf_init(&out, 64 << 10);
	enum err err = chat_body(arena, format, &event, &out);
	if (!err)
		err = json_parse(arena, buf_text(&out), out.len, &parsed, NULL);
	if (err)
		printf("# %s: %s\n", err_name(err), buf_text(&out));
	buf_release(&out);
	return err ? NULL : parsed;
}

static const char *event_of(struct arena *arena, const char *type, const char *data)
{
	return arena_printf(arena, "{\"type\":\"%s\",\"timestamp\":\"2026-11-22T03:00:00.123456Z\",\"data\":%s}", type, data);
}

static const json_t *embed(const json_t *message)
{
	return json_array_get(json_object_get(message, "embeds"), 0);
}

static const json_t *attachment(const json_t *message)
{
	return json_array_get(json_object_get(message, "attachments"), 0);
}

static const char *slack_text(const json_t *message, size_t block)
{
	return json_text(json_object_get(json_array_get(json_object_get(attachment(message), "blocks"), block), "text"), "text");
}

#define FAILED                                                                                                                                              \
	"{\"id\":\"r\",\"state\":\"partial\",\"trigger\":\"scheduled\",\"total\":3,\"successful\":2,\"failed\":1,\"bytes\":1536,\"seconds\":4,"              \
	"\"failures\":[{\"database\":\"git_stats\",\"error\":\"source_locked\",\"inARow\":3}],\"escalation\":[{\"database\":\"git_stats\",\"inARow\":3}]}"

static void test_what_is_said(struct arena *arena)
{
	json_t *message = message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, event_of(arena, "backup.failed", FAILED));
	is_text(json_text(embed(message), "title"), "Backup failed", "a title");
	is_text(json_text(embed(message), "description"),
	        "A database could not be backed up, or a stored backup is not good any more.\n• git\\_stats has failed 3 times in a row.", "a sentence, and the third time in a row");
	const json_t *fields = json_object_get(embed(message), "fields");
	is_i64((int64_t)json_array_size(fields), 5, "five fields");
	is_text(json_text(json_array_get(fields, 0), "value"), "2/3", "how many are good");
	is_text(json_text(json_array_get(fields, 1), "value"), "1.5 KB", "a size for people");
	is_text(json_text(json_array_get(fields, 4), "value"), "• git\\_stats\\: A sentence.", "which failed, and why");
	is_text(json_text(json_array_get(fields, 3), "value"), "schedule", "a word of the API");
	ok(json_is_false(json_object_get(json_array_get(fields, 4), "inline")) && json_is_true(json_object_get(json_array_get(fields, 0), "inline")), "a list takes the width");
	is_i64(json_integer_value(json_object_get(embed(message), "color")), 0xef4444, "red");
	is_text(json_text(embed(message), "timestamp"), "2026-11-22T03:00:00.123456Z", "when");
	is_text(json_text(json_object_get(embed(message), "footer"), "text"), "Tidegate · evt_1", "which event");
	ok(json_array_size(json_object_get(json_object_get(message, "allowed_mentions"), "parse")) == 0 && json_object_get(message, "allowed_mentions"), "nobody is mentioned");

	message = message_of(arena, WEBHOOK_SLACK, LANGUAGE_FR, event_of(arena, "backup.failed", FAILED));
	is_text(slack_text(message, 0), "Échec de sauvegarde", "the same in French, for Slack");
	ok(slack_text(message, 1) && strstr(slack_text(message, 1), "git_stats a échoué 3 fois de suite."), "three in a row");
	is_text(slack_text(message, 3), "Bases de données en échec\n• git_stats : Une phrase.", "a list");
	is_text(json_text(attachment(message), "color"), "#ef4444", "red");
	const json_t *figures = json_object_get(json_array_get(json_object_get(attachment(message), "blocks"), 2), "fields");
	is_text(json_text(json_array_get(figures, 0), "text"), "Bases de données\n2/3", "a figure");
	ok(!json_object_get(message, "text"), "no text beside it that would be read as markup");

	message = message_of(arena, WEBHOOK_SLACK, LANGUAGE_EN, event_of(arena, "webhook.test", "{\"endpointId\":\"x\"}"));
	is_i64((int64_t)json_array_size(json_object_get(attachment(message), "blocks")), 3, "no block of fields where there are none");
	message = message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, event_of(arena, "backup.recovered", "{\"after\":\"failures\",\"database\":\"a\",\"failures\":4}"));
	is_text(json_text(embed(message), "description"), "a was backed up again, after 4 failures in a row.", "what it recovered from");
	message = message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, event_of(arena, "backup.clock_skew", "{\"clock\":\"storage\",\"host\":\"h\",\"seconds\":-40,\"limit\":5}"));
	is_text(json_text(embed(message), "description"), "The clock of the object store differs from that of h by \\-40 s.", "whose clock");
	message = message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, event_of(arena, "moon.rises", "{}"));
	is_text(json_text(embed(message), "title"), "Event", "a type without a sentence");
	message = message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, event_of(arena, "import.ready", "{\"id\":\"1\",\"truncated\":true}"));
	is_text(json_text(embed(message), "description"), "– was checked and waits for its commit.", "what was left out of the event");
	ok(json_array_size(json_object_get(embed(message), "fields")) == 0, "and no field of it");
	message = message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, "{\"type\":\"webhook.test\",\"timestamp\":\"yesterday\",\"data\":{}}");
	ok(embed(message) && !json_object_get(embed(message), "timestamp"), "a time that is none is left out");
	ok(message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, "nonsense") == NULL, "no event, no message");
}

static void test_names(struct arena *arena)
{
	static const struct {
		const char *name, *discord, *slack;
	} names[] = {
	    {"plain name.csv", "plain name.csv", "plain name.csv"},
	    {"@everyone", "\\@" ZWSP "everyone", "@" ZWSP "everyone"},
	    {"<@123><#4><!channel>", "\\<\\@" ZWSP "123\\>\\<\\#4\\>\\<!channel\\>", "&lt;@" ZWSP "123&gt;&lt;#4&gt;&lt;!channel&gt;"},
	    {"**b** __u__ ~s~ `c` ||x||", "\\*\\*b\\*\\* \\_\\_u\\_\\_ \\~s\\~ \\`c\\` \\|\\|x\\|\\|", "**b** __u__ ~s~ `c` ||x||"},
	    {"[a](https://evil.example)", "\\[a\\]\\(https\\://evil.example\\)", "[a](https://evil.example)"},
	    {"# h\\n> q", "\\# h \\> q", "# h &gt; q"},
	    {"a & b", "a & b", "a &amp; b"},
	    {"back\\\\slash", "back\\\\slash", "back\\slash"},
	    {"\\u202egpj.exe\\u200b", "\xef\xbf\xbdgpj.exe\xef\xbf\xbd", "\xef\xbf\xbdgpj.exe\xef\xbf\xbd"},
	    {"a\\u0007b\\tc\\r\\nd", "a b c  d", "a b c  d"},
	    {"\\u00e9\\ud83d\\ude00", "é😀", "é😀"},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *event = event_of(arena, "sqlite.completed", arena_printf(arena, "{\"fileName\":\"%s\"}", names[i].name));
		json_t *discord = message_of(arena, WEBHOOK_DISCORD, LANGUAGE_EN, event), *slack = message_of(arena, WEBHOOK_SLACK, LANGUAGE_EN, event);
		is_text(json_text(embed(discord), "description"), arena_printf(arena, "%s was imported.", names[i].discord), "a name on Discord");
		is_text(slack_text(slack, 1), arena_printf(arena, "%s was imported.", names[i].slack), "the same on Slack");
	}
}

static size_t units(const char *text)
{
	size_t count = 0;
	for (const char *c = text; *c; c++)
		count += ((unsigned char)*c & 0xc0) != 0x80 ? 1 + ((unsigned char)*c >= 0xf0) : 0;
	return count;
}

/* The documented limits of Discord's embeds. */
static bool fits_discord(const json_t *message)
{
	const json_t *fields = json_object_get(embed(message), "fields");
	size_t title = units(json_text(embed(message), "title")), description = units(json_text(embed(message), "description"));
	size_t total = title + description + units(json_text(json_object_get(embed(message), "footer"), "text"));
	bool good = title > 0 && title <= 256 && description > 0 && description <= 4096 && json_array_size(fields) <= 25;
	for (size_t i = 0; i < json_array_size(fields); i++) {
		size_t name = units(json_text(json_array_get(fields, i), "name")), value = units(json_text(json_array_get(fields, i), "value"));
		good = good && name > 0 && name <= 256 && value > 0 && value <= 1024;
		total += name + value;
	}
	return good && total <= 6000;
}

/* And of Slack's blocks. */
static bool fits_slack(const json_t *message)
{
	const json_t *blocks = json_object_get(attachment(message), "blocks");
	bool good = json_array_size(blocks) <= 50;
	for (size_t i = 0; i < json_array_size(blocks); i++) {
		const json_t *block = json_array_get(blocks, i), *fields = json_object_get(block, "fields");
		const char *text = json_text(json_object_get(block, "text"), "text");
		bool header = text_equal(json_text(block, "type"), "header");
		good = good && (!text || (*text && units(text) <= (header ? 150 : 3000))) && (!fields || (json_array_size(fields) > 0 && json_array_size(fields) <= 10));
		for (size_t f = 0; f < json_array_size(fields); f++)
			good = good && units(json_text(json_array_get(fields, f), "text")) <= 2000;
	}
	return good;
}

/* Every type with data in which every text is long and every character needs an escape. */
static void test_limits(struct arena *arena)
{
	static const char *const types[] = {"import.ready",  "import.completed", "import.failed",  "import.undone",       "sqlite.completed",  "sqlite.failed",     "backup.completed", "backup.failed",
	                                    "backup.stale",  "backup.size_anomaly", "backup.recovered", "backup.clock_skew", "backup.untracked", "offline.conflict", "webhook.test",     "webhook.disabled"};
	static const char *const fills[] = {"@", "<", "&", "_", "x", "\xf0\x9f\x98\x80"};
	for (size_t f = 0; f < sizeof(fills) / sizeof(fills[0]); f++) {
		struct buf name, items, data;
		buf_init(&name, 1 << 16);
		buf_init(&items, 1 << 20);
		buf_init(&data, 2 << 20);
		for (int i = 0; i < 900; i++)
			buf_append_text(&name, fills[f]);
		for (int i = 0; i < 20; i++)
			buf_printf(&items, "%s{\"database\":\"%s\",\"error\":\"%s\",\"inARow\":3,\"key\":\"%s\"}", i ? "," : "", buf_text(&name), buf_text(&name), buf_text(&name));
		buf_printf(&data, "{\"fileName\":\"%s\",\"database\":\"%s\",\"host\":\"%s\",\"trigger\":\"%s\",\"lastVerifiedAt\":\"%s\",\"failed\":57,\"count\":57,\"successful\":9223372036854775807,"
		                  "\"total\":-9223372036854775808,\"bytes\":9223372036854775807,\"seconds\":1,\"after\":\"failures\",\"clock\":\"database\",\"counts\":{\"total\":1},"
		                  "\"failures\":[%s],\"escalation\":[%s],\"keys\":[%s]}",
		           buf_text(&name), buf_text(&name), buf_text(&name), buf_text(&name), buf_text(&name), buf_text(&items), buf_text(&items), buf_text(&items));
		bool good = true;
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
			for (int language = 0; language < 2; language++) {
				const char *event = event_of(arena, types[i], buf_text(&data));
				json_t *discord = message_of(arena, WEBHOOK_DISCORD, (enum language)language, event), *slack = message_of(arena, WEBHOOK_SLACK, (enum language)language, event);
				good = good && discord && slack && fits_discord(discord) && fits_slack(slack);
			}
		ok(good, "nothing is too long, full of %s", fills[f]);
		json_t *slack = message_of(arena, WEBHOOK_SLACK, LANGUAGE_EN, event_of(arena, "backup.failed", buf_text(&data)));
		const char *list = slack_text(slack, 3), *more = list ? strstr(list, "… and ") : NULL;
		ok(more && strstr(more, " more") && utf8_valid(list, strlen(list)), "a list ends with how many are missing");
		buf_release(&name);
		buf_release(&items);
		buf_release(&data);
		arena_reset(arena);
	}
}

int main(void)
{
	struct arena arena;
	arena_init(&arena, 64 << 20);
	test_what_is_said(&arena);
	test_names(&arena);
	test_limits(&arena);
	arena_release(&arena);
	return tap_done();
}
