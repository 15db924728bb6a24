/* Escapes and measures. Called by chat.c. Must never cut a character or an escape in two, nor let a character through that a service would read as markup. */
#include "handlers/webhooks/chat_text.h"

#include "core/base/text.h"

#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6"
#define REPLACEMENT "\xef\xbf\xbd"
#define ZERO_WIDTH_SPACE "\xe2\x80\x8b"

void chat_text_start(struct chat_text *text, struct buf *out, enum webhook_format format, size_t max)
{
	buf_clear(out);
	*text = (struct chat_text){.out = out, .format = format, .max = max};
}

/* Room for one more, the ellipsis, is always left. */
static void add(struct chat_text *text, const char *bytes, size_t n, size_t units)
{
	if (text->cut)
		return;
	if (text->length + units + 1 > text->max) {
		text->cut = true;
		bytes = ELLIPSIS;
		n = sizeof(ELLIPSIS) - 1;
		units = 1;
	}
	text->length += units;
	buf_append(text->out, bytes, n);
}

/* Those that say nothing by themselves and change how others look: zero width, direction, byte order mark, soft hyphen, separators of lines. */
static bool is_invisible(uint32_t c)
{
	return (c >= 0x7f && c <= 0x9f) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       c == 0xfeff || (c >= 0xe0000 && c <= 0xe007f);
}

/* Discord: a backslash before anything that is neither a letter, a digit nor a blank shows that character. "https\:" is no link. */
static void add_discord(struct chat_text *text, char c)
{
	char escaped[8] = {'\\', c, '\0'};
	size_t n = 2;
	if (!strchr("\\*_~`|>#[]()<@:-+", c)) {
		add(text, &c, 1, 1);
		return;
	}
	if (c == '@') {
		memcpy(escaped + 2, ZERO_WIDTH_SPACE, 3);
		n = 5;
	}
	add(text, escaped, n, c == '@' ? 3 : 2);
}

/* Slack: in plain_text these three are all there is; and nobody's name follows an at sign. */
static void add_slack(struct chat_text *text, char c)
{
	switch (c) {
	case '&':
		add(text, "&amp;", 5, 5);
		break;
	case '<':
		add(text, "&lt;", 4, 4);
		break;
	case '>':
		add(text, "&gt;", 4, 4);
		break;
	case '@':
		add(text, "@" ZERO_WIDTH_SPACE, 4, 2);
		break;
	default:
		add(text, &c, 1, 1);
	}
}

void chat_text_put(struct chat_text *text, const char *utf8, size_t max_units)
{
	size_t n = strlen(utf8), taken = 0;
	for (size_t i = 0; i < n && !text->cut;) {
		uint32_t c = 0;
		size_t length = utf8_decode(utf8 + i, n - i, &c), units = c >= 0x10000 ? 2 : 1;
		if (taken + units > max_units) {
			add(text, ELLIPSIS, sizeof(ELLIPSIS) - 1, 1);
			return;
		}
		if (!length || is_invisible(c))
			add(text, REPLACEMENT, sizeof(REPLACEMENT) - 1, 1);
		else if (c < 0x20)
			add(text, " ", 1, 1);
		else if (c >= 0x80)
			add(text, utf8 + i, length, units);
		else if (text->format == WEBHOOK_DISCORD)
			add_discord(text, (char)c);
		else
			add_slack(text, (char)c);
		taken += units;
		i += length ? length : 1;
	}
}

void chat_text_break(struct chat_text *text)
{
	add(text, "\n", 1, 1);
}
