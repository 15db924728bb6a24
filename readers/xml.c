/*
 * The XML scanner. Called by the readers of a workbook's parts. Must never hold more than its window, nor give out an event
 * of a document that is not well-formed up to there.
 */
#include "readers/xml.h"

#include <string.h>

#define UTF16_PIECE (64u << 10)
#define ENTITY_MAX 16u /* bytes kept together at the end of a piece of text */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* ---- window ---- */

enum err xml_init(struct xml *xml, struct arena *arena, struct refusal *refusal)
{
	*xml = (struct xml){.refusal = refusal};
	xml->window = arena_alloc(arena, XML_WINDOW + 1 + XML_SLACK);
	xml->raw = arena_alloc(arena, UTF16_PIECE);
	return xml->window && xml->raw ? OK : ERR_TOO_LARGE;
}

void xml_open(struct xml *xml, const struct xml_source *source)
{
	xml->source = *source;
	xml->error = OK;
	xml->at = xml->filled = 0;
	xml->passed = 0;
	xml->finished = xml->is_utf16 = xml->in_cdata = xml->has_root = xml->end_follows = false;
	xml->utf16 = (struct utf16){0};
	xml->depth = 0;
	xml->window[0] = '\0';
}

uint64_t xml_position(const struct xml *xml)
{
	return xml->passed + xml->at;
}

/* One piece of the source to the end of the window. */
static enum err read_piece(struct xml *xml)
{
	size_t room = XML_WINDOW - xml->filled, n = 0;
	char *to = xml->window + xml->filled;
	enum err err = OK;
	if (!xml->is_utf16) {
		err = xml->source.read(xml->source.context, to, room, &n);
		xml->finished = n == 0;
		xml->filled += n;
	} else {
		size_t units = room / 3 > 4 ? (room / 3 - 2) * 2 : 0;
		err = xml->source.read(xml->source.context, xml->raw, units < UTF16_PIECE ? units : UTF16_PIECE, &n);
		xml->finished = n == 0;
		if (!err)
			xml->filled += utf16_decode(&xml->utf16, xml->raw, n, n == 0, to);
	}
	return err;
}

/* At least that much room is needed to transcode anything. */
#define ROOM_MIN 64u

/* Fills the window behind what has not been looked at. False: there is no more, or no room, or an error. */
static bool more(struct xml *xml)
{
	size_t before = xml->filled - xml->at;
	memmove(xml->window, xml->window + xml->at, before);
	xml->passed += xml->at;
	xml->at = 0;
	xml->filled = before;
	while (!xml->finished && !xml->error && XML_WINDOW - xml->filled > ROOM_MIN)
		xml->error = read_piece(xml);
	xml->window[xml->filled] = '\0';
	return !xml->error && xml->filled > before;
}

/* Byte order mark. The first bytes stand in the window; those of UTF-16 are transcoded there. */
static void begin(struct xml *xml)
{
	size_t n = 0;
	while (!xml->finished && !xml->error && xml->filled < 4) {
		xml->error = xml->source.read(xml->source.context, xml->window + xml->filled, 4 - xml->filled, &n);
		xml->finished = n == 0;
		xml->filled += n;
	}
	size_t little = encoding_bom(ENCODING_UTF16LE, xml->window, xml->filled), big = encoding_bom(ENCODING_UTF16BE, xml->window, xml->filled);
	xml->at = encoding_bom(ENCODING_UTF8, xml->window, xml->filled);
	if (little || big) {
		char first[4];
		size_t count = xml->filled - 2;
		memcpy(first, xml->window + 2, count);
		xml->is_utf16 = true;
		xml->utf16.big_endian = big > 0;
		xml->filled = utf16_decode(&xml->utf16, first, count, false, xml->window);
	}
	more(xml);
}

/* ---- failing ---- */

static enum xml_event failed(struct xml *xml, const char *code)
{
	if (!xml->error)
		xml->error = refuse(xml->refusal, code);
	return XML_FAILED;
}

/* The window ends inside a token, and more() did not help. */
static enum xml_event cut_off(struct xml *xml)
{
	return failed(xml, xml->finished ? "xml_malformed" : "xml_too_complex");
}

/* ---- tags ---- */

static inline bool ends_name(char c)
{
	return c == '>' || c == '/' || c == '=' || is_space(c) || c == '\0' || c == '<' || c == '"' || c == '\'';
}

/* A full name from p on: its local part, its hash, and where it ends. */
static inline const char *scan_name(const char *p, struct str *local, uint32_t *hash)
{
	const char *start = p;
	uint32_t h = 0;
	for (; !ends_name(*p); p++) {
		h = h * 31 + (unsigned char)*p;
		if (*p == ':')
			start = p + 1;
	}
	*local = (struct str){start, (size_t)(p - start)};
	*hash = h;
	return p;
}

enum tag { TAG_WHOLE, TAG_CUT, TAG_BAD, TAG_TOO_MANY };

/* name = "value" from p on; *ret is behind it. */
static inline enum tag scan_attribute(struct xml *xml, const char *p, const char *end, const char **ret)
{
	struct xml_attribute *attribute = &xml->attributes[xml->attribute_count];
	uint32_t hash = 0;
	p = scan_name(p, &attribute->name, &hash);
	while (is_space(*p))
		p++;
	if (p == end)
		return TAG_CUT;
	if (*p != '=' || attribute->name.n == 0)
		return TAG_BAD;
	p++;
	while (is_space(*p))
		p++;
	if (p == end)
		return TAG_CUT;
	char quote = *p;
	if (quote != '"' && quote != '\'')
		return TAG_BAD;
	const char *value = ++p;
	while (*p != quote && *p != '\0' && *p != '<')
		p++;
	if (*p != quote)
		return p == end ? TAG_CUT : TAG_BAD;
	attribute->value = (struct str){value, (size_t)(p - value)};
	*ret = p + 1;
	return ++xml->attribute_count < XML_ATTRIBUTES_MAX ? TAG_WHOLE : TAG_TOO_MANY;
}

/* From behind the '<' of a start tag; *ret is behind its '>'. The window ends with a NUL, so that no loop passes its end. */
static enum tag scan_start(struct xml *xml, const char *p, const char *end, const char **ret, uint32_t *hash)
{
	xml->attribute_count = 0;
	xml->end_follows = false;
	p = scan_name(p, &xml->name, hash);
	if (p != end && xml->name.n == 0)
		return TAG_BAD;
	for (;;) {
		const char *before = p;
		while (is_space(*p))
			p++;
		if (p == end)
			return TAG_CUT;
		if (*p == '>' || *p == '/')
			break;
		enum tag tag = p == before ? TAG_BAD : scan_attribute(xml, p, end, &p);
		if (tag != TAG_WHOLE)
			return tag;
	}
	xml->end_follows = *p == '/';
	p += xml->end_follows;
	if (p == end)
		return TAG_CUT;
	*ret = p + 1;
	return *p == '>' ? TAG_WHOLE : TAG_BAD;
}

static enum tag scan_end(struct xml *xml, const char *p, const char *end, const char **ret, uint32_t *hash)
{
	p = scan_name(p, &xml->name, hash);
	while (is_space(*p))
		p++;
	if (p == end)
		return TAG_CUT;
	*ret = p + 1;
	return *p == '>' ? TAG_WHOLE : TAG_BAD;
}

static enum xml_event tag_failed(struct xml *xml, enum tag tag)
{
	return tag == TAG_CUT ? cut_off(xml) : failed(xml, tag == TAG_BAD ? "xml_malformed" : "xml_too_complex");
}

static enum xml_event next_start(struct xml *xml)
{
	const char *behind = NULL;
	uint32_t hash = 0;
	enum tag tag = scan_start(xml, xml->window + xml->at + 1, xml->window + xml->filled, &behind, &hash);
	if (tag == TAG_CUT && more(xml))
		tag = scan_start(xml, xml->window + xml->at + 1, xml->window + xml->filled, &behind, &hash);
	if (tag != TAG_WHOLE)
		return tag_failed(xml, tag);
	if (xml->depth == 0 && xml->has_root)
		return failed(xml, "xml_malformed");
	if (xml->depth == XML_DEPTH_MAX)
		return failed(xml, "xml_too_complex");
	xml->has_root = true;
	xml->names[++xml->depth] = hash;
	xml->at = (size_t)(behind - xml->window);
	return XML_START;
}

static enum xml_event next_end(struct xml *xml)
{
	const char *behind = NULL;
	uint32_t hash = 0;
	enum tag tag = scan_end(xml, xml->window + xml->at + 2, xml->window + xml->filled, &behind, &hash);
	if (tag == TAG_CUT && more(xml))
		tag = scan_end(xml, xml->window + xml->at + 2, xml->window + xml->filled, &behind, &hash);
	if (tag != TAG_WHOLE)
		return tag_failed(xml, tag);
	if (xml->depth == 0 || xml->names[xml->depth] != hash)
		return failed(xml, "xml_malformed");
	xml->at = (size_t)(behind - xml->window);
	return XML_END;
}

/* ---- text ---- */

/* How much of a piece of text that goes on can be given out without cutting an entity, a CRLF or a character. */
static size_t uncut(const char *text, size_t n)
{
	size_t cut = n, from = n > ENTITY_MAX ? n - ENTITY_MAX : 0;
	const char *entity = memrchr(text + from, '&', n - from);
	if (entity && entity > text)
		cut = (size_t)(entity - text);
	while (cut > 1 && (text[cut - 1] == '\r' || ((unsigned char)text[cut - 1] & 0xc0) == 0x80))
		cut--;
	if (cut > 1 && (unsigned char)text[cut - 1] >= 0xc0)
		cut--;
	return cut;
}

static enum xml_event give_text(struct xml *xml, size_t n, size_t behind, bool literal)
{
	xml->text = (struct str){xml->window + xml->at, n};
	xml->literal = literal;
	for (size_t i = 0; xml->depth == 0 && i < n; i++) {
		if (!is_space(xml->text.p[i]))
			return failed(xml, "xml_malformed");
	}
	if (memchr(xml->text.p, '\0', n))
		return failed(xml, "xml_malformed");
	xml->at += n + behind;
	return XML_TEXT;
}

static enum xml_event next_text(struct xml *xml)
{
	const char *text = xml->window + xml->at;
	const char *less = memchr(text, '<', xml->filled - xml->at);
	if (!less && more(xml)) {
		text = xml->window + xml->at;
		less = memchr(text, '<', xml->filled - xml->at);
	}
	if (xml->error)
		return XML_FAILED;
	size_t left = xml->filled - xml->at;
	return give_text(xml, less ? (size_t)(less - text) : xml->finished ? left : uncut(text, left), 0, false);
}

static enum xml_event next_cdata(struct xml *xml)
{
	static const char mark[] = "]]>";
	const char *close = memmem(xml->window + xml->at, xml->filled - xml->at, mark, 3);
	if (!close && more(xml))
		close = memmem(xml->window + xml->at, xml->filled - xml->at, mark, 3);
	size_t left = xml->filled - xml->at;
	if (!close && (xml->error || xml->finished || left <= ENTITY_MAX))
		return cut_off(xml);
	if (close) {
		xml->in_cdata = false;
		return give_text(xml, (size_t)(close - (xml->window + xml->at)), 3, true);
	}
	return give_text(xml, uncut(xml->window + xml->at, left - 2), 0, true);
}

/* ---- what is neither element nor text ---- */

/* Passes over everything up to and with the mark. */
static bool skip_past(struct xml *xml, const char *mark, size_t n)
{
	for (;;) {
		const char *found = memmem(xml->window + xml->at, xml->filled - xml->at, mark, n);
		if (found) {
			xml->at = (size_t)(found + n - xml->window);
			return true;
		}
		if (xml->filled - xml->at >= n)
			xml->at = xml->filled - n + 1;
		if (!more(xml))
			return false;
	}
}

/* encoding="…" of an XML declaration. */
static bool encoding_is_ours(const struct xml *xml, struct str declaration)
{
	const char *found = memmem(declaration.p, declaration.n, "encoding", 8);
	const char *end = declaration.p + declaration.n, *p = found ? found + 8 : end;
	while (p < end && (is_space(*p) || *p == '='))
		p++;
	if (p >= end || (*p != '"' && *p != '\''))
		return true;
	const char *close = memchr(p + 1, *p, (size_t)(end - (p + 1)));
	struct str name = {p + 1, close ? (size_t)(close - (p + 1)) : 0};
	bool utf16 = name.n >= 6 && str_equal_ignore_case((struct str){name.p, 6}, "utf-16");
	return str_equal_ignore_case(name, "utf-8") || str_equal_ignore_case(name, "us-ascii") || (xml->is_utf16 && utf16);
}

static bool skip_instruction(struct xml *xml)
{
	const char *p = xml->window + xml->at;
	size_t n = xml->filled - xml->at;
	const char *close = n > 6 && memcmp(p, "<?xml", 5) == 0 && is_space(p[5]) ? memmem(p, n, "?>", 2) : NULL;
	if (close && !encoding_is_ours(xml, (struct str){p, (size_t)(close - p)})) {
		failed(xml, "xml_encoding");
		return false;
	}
	return skip_past(xml, "?>", 2);
}

static bool starts(const struct xml *xml, const char *text)
{
	size_t n = strlen(text);
	return xml->filled - xml->at >= n && memcmp(xml->window + xml->at, text, n) == 0;
}

/* Passes over a comment or an instruction, opens CDATA. False: it failed. */
static bool next_other(struct xml *xml)
{
	if (xml->filled - xml->at < sizeof("<![CDATA[") && !xml->finished)
		more(xml);
	if (starts(xml, "<?")) {
		if (!skip_instruction(xml))
			cut_off(xml);
	} else if (starts(xml, "<!--")) {
		xml->at += 4;
		if (!skip_past(xml, "-->", 3))
			cut_off(xml);
	} else if (starts(xml, "<![CDATA[") && xml->depth) {
		xml->at += 9;
		xml->in_cdata = true;
	} else {
		failed(xml, starts(xml, "<!DOCTYPE") || starts(xml, "<!ENTITY") ? "xml_doctype" : "xml_malformed");
	}
	return !xml->error;
}

/* ---- events ---- */

static enum xml_event next_done(struct xml *xml)
{
	return xml->depth || !xml->has_root ? failed(xml, "xml_malformed") : XML_DONE;
}

/* The depth of an element counts until the event after its end. */
static enum xml_event markup(struct xml *xml, char second)
{
	return second == '/' ? next_end(xml) : next_start(xml);
}

enum xml_event xml_next(struct xml *xml)
{
	if (xml->end_follows) {
		xml->end_follows = false;
		xml->attribute_count = 0;
		xml->depth--;
		return XML_END;
	}
	if (xml->passed == 0 && xml->filled == 0 && !xml->finished)
		begin(xml);
	while (!xml->error) {
		if (xml->in_cdata)
			return next_cdata(xml);
		if (xml->filled - xml->at < 2 && !more(xml) && !xml->error && xml->filled == xml->at)
			return next_done(xml);
		if (xml->error)
			break;
		const char *p = xml->window + xml->at;
		if (*p != '<')
			return next_text(xml);
		if (p[1] == '?' || p[1] == '!') {
			if (!next_other(xml))
				break;
			continue;
		}
		enum xml_event event = markup(xml, p[1]);
		xml->depth -= event == XML_END;
		return event;
	}
	return XML_FAILED;
}

struct str xml_attribute(const struct xml *xml, const char *name)
{
	size_t n = strlen(name);
	for (unsigned i = 0; i < xml->attribute_count; i++) {
		const struct xml_attribute *attribute = &xml->attributes[i];
		if (attribute->name.n == n && memcmp(attribute->name.p, name, n) == 0)
			return attribute->value;
	}
	return (struct str){NULL, 0};
}

/* ---- entities ---- */

/* 99 for what is no hexadecimal digit. */
static uint32_t digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (uint32_t)(c - 'a' + 10);
	return c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10) : 99;
}

/* &#…; or &#x…; without the ends. 0 when it is no character of XML. */
static uint32_t numeric(struct str digits)
{
	bool hex = digits.n && digits.p[0] == 'x';
	uint32_t value = 0;
	if (digits.n == hex || digits.n > 10)
		return 0;
	for (size_t i = hex; i < digits.n; i++) {
		uint32_t digit = digit_value(digits.p[i]);
		if (digit >= (hex ? 16 : 10) || value > 0x10ffff)
			return 0;
		value = value * (hex ? 16 : 10) + digit;
	}
	return value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? 0 : value;
}

static uint32_t entity(struct str name)
{
	static const struct {
		const char *name;
		char c;
	} entities[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
	if (name.n > 1 && name.p[0] == '#')
		return numeric((struct str){name.p + 1, name.n - 1});
	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
		if (str_equal_text(name, entities[i].name))
			return (uint32_t)entities[i].c;
	}
	return 0;
}

static size_t decode(struct str text, bool literal, char *to)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (c == '\r') {
			to[n++] = '\n';
			i += i + 1 < text.n && text.p[i + 1] == '\n';
		} else if (c != '&' || literal) {
			to[n++] = c;
		} else {
			const char *name = text.p + i + 1, *close = memchr(name, ';', text.n - i - 1);
			uint32_t code_point = close ? entity((struct str){name, (size_t)(close - name)}) : 0;
			if (!code_point)
				return SIZE_MAX;
			n += utf8_encode(code_point, to + n);
			i = (size_t)(close - text.p);
		}
	}
	return n;
}

size_t xml_decode(struct str text, bool literal, char *to)
{
	if (memchr(text.p, '&', text.n) || memchr(text.p, '\r', text.n))
		return decode(text, literal, to);
	memcpy(to, text.p, text.n);
	return text.n;
}
