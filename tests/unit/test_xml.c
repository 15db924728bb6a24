/*
 * The XML scanner: documents as the list of their events, the same whatever the size of the pieces they arrive in, and what
 * is refused. One line per event: <name a=v> start, </> end, text as it is, [text] for CDATA, ! and the code for a refusal.
 */
#include "readers/xml.h"
#include "tests/unit/tap.h"

struct input {
	struct str rest;
	size_t piece;
};

static enum err give(void *context, char *to, size_t n, size_t *ret)
{
	struct input *input = context;
	n = n < input->piece ? n : input->piece;
	n = n < input->rest.n ? n : input->rest.n;
	if (n)
		memcpy(to, input->rest.p, n);
	input->rest.p += n;
	input->rest.n -= n;
	*ret = n;
	return OK;
}

static void put_text(struct buf *out, const struct xml *xml)
{
	char decoded[4096];
	size_t n = xml->text.n <= sizeof(decoded) ? xml_decode(xml->text, xml->literal, decoded) : 0;
	if (n == SIZE_MAX)
		buf_append_text(out, "(bad entity)");
	else
		buf_append(out, decoded, n);
}

static void put_event(struct buf *out, const struct xml *xml, enum xml_event event)
{
	if (event == XML_START) {
		buf_printf(out, "<%.*s", (int)xml->name.n, xml->name.p);
		for (unsigned i = 0; i < xml->attribute_count; i++)
			buf_printf(out, " %.*s=%.*s", (int)xml->attributes[i].name.n, xml->attributes[i].name.p, (int)xml->attributes[i].value.n, xml->attributes[i].value.p);
		buf_append_char(out, '>');
	} else if (event == XML_END) {
		buf_append_text(out, "</>");
	} else {
		buf_append_text(out, xml->literal ? "[" : "");
		put_text(out, xml);
		buf_append_text(out, xml->literal ? "]" : "");
	}
}

static const char *events(struct arena *arena, struct buf *out, struct str document, size_t piece)
{
	struct refusal refusal = {NULL};
	struct input input = {document, piece};
	struct xml xml;
	enum xml_event event = XML_FAILED;
	arena_reset(arena);
	buf_clear(out);
	if (xml_init(&xml, arena, &refusal))
		return "no memory";
	xml_open(&xml, &(struct xml_source){give, &input});
	while ((event = xml_next(&xml)) != XML_DONE && event != XML_FAILED)
		put_event(out, &xml, event);
	if (event == XML_FAILED)
		buf_printf(out, "!%s", refusal.code);
	return buf_text(out);
}

#define BYTES(literal) {literal, sizeof(literal) - 1}

static const struct {
	const char *name;
	struct str document;
	const char *expected;
} documents[] = {
    {"an element", BYTES("<a/>"), "<a></>"},
    {"prolog, comment, instruction", BYTES("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!-- < & --><?x y?><a></a>\n"), "\n<a></>\n"},
    {"attributes", BYTES("<a b=\"1\" c='2' d = \"x>y/'\"/>"), "<a b=1 c=2 d=x>y/'></>"},
    {"any prefix", BYTES("<x:a xmlns:x='u' x:b='1'><x:c/></x:a>"), "<a x=u b=1><c></></>"},
    {"text and entities", BYTES("<a>1 &lt; 2 &amp;&amp; &quot;&apos;&gt; &#233;&#xE9;&#x1F600;</a>"), "<a>1 < 2 && \"'> éé\xf0\x9f\x98\x80</>"},
    {"line ends", BYTES("<a>1\r\n2\r3\n4</a>"), "<a>1\n2\n3\n4</>"},
    {"CDATA", BYTES("<a>x<![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>"), "<a>x[<b>&amp;]]][>]</>"},
    {"a comment inside text", BYTES("<a>x<!-- y -->z</a>"), "<a>xz</>"},
    {"UTF-8 with BOM", BYTES("\xef\xbb\xbf<a>\xc3\xa9</a>"), "<a>é</>"},
    {"UTF-16LE", BYTES("\xff\xfe<\0a\0>\0\xe9\0<\0/\0a\0>\0"), "<a>é</>"},
    {"UTF-16BE", BYTES("\xfe\xff\0<\0a\0>\0\xe9\0<\0/\0a\0>"), "<a>é</>"},
    {"UTF-16 that says so", BYTES("\xff\xfe<\0?\0x\0m\0l\0 \0e\0n\0c\0o\0d\0i\0n\0g\0=\0'\0U\0T\0F\0-\0" "1\0" "6\0'\0?\0>\0<\0a\0/\0>\0"), "<a></>"},
    {"UTF-8 that says UTF-16", BYTES("<?xml version='1.0' encoding='UTF-16'?><a/>"), "!xml_encoding"},
    {"Latin-1", BYTES("<?xml version='1.0' encoding='ISO-8859-1'?><a/>"), "!xml_encoding"},
    {"spaces in tags", BYTES("<a  b='1'  ><c\n/></a\t>"), "<a b=1><c></></>"},
    {"document type", BYTES("<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"), "!xml_doctype"},
    {"document type inside", BYTES("<a><!DOCTYPE a></a>"), "<a>!xml_doctype"},
    {"an unknown entity", BYTES("<a>&nbsp;</a>"), "<a>(bad entity)</>"},
    {"an entity that is not closed", BYTES("<a>&amp</a>"), "<a>(bad entity)</>"},
    {"references to no character", BYTES("<a>&#0;</a>"), "<a>(bad entity)</>"},
    {"a reference to a surrogate", BYTES("<a>&#xD800;</a>"), "<a>(bad entity)</>"},
    {"a reference past Unicode", BYTES("<a>&#x110000;</a>"), "<a>(bad entity)</>"},
    {"tags that do not match", BYTES("<a><b></a></b>"), "<a><b>!xml_malformed"},
    {"prefixes that do not match", BYTES("<x:a></y:a>"), "<a>!xml_malformed"},
    {"cut off in text", BYTES("<a>x"), "<a>x!xml_malformed"},
    {"cut off in a tag", BYTES("<a><b c='"), "<a>!xml_malformed"},
    {"cut off in a comment", BYTES("<a><!-- "), "<a>!xml_malformed"},
    {"cut off in CDATA", BYTES("<a><![CDATA[ "), "<a>!xml_malformed"},
    {"cut off after <", BYTES("<a><"), "<a>!xml_malformed"},
    {"nothing", BYTES(""), "!xml_malformed"},
    {"blanks alone", BYTES(" \n "), " \n !xml_malformed"},
    {"text before the root", BYTES("x<a/>"), "!xml_malformed"},
    {"text behind the root", BYTES("<a/>x"), "<a></>!xml_malformed"},
    {"two roots", BYTES("<a/><b/>"), "<a></>!xml_malformed"},
    {"an end too many", BYTES("<a/></a>"), "<a></>!xml_malformed"},
    {"no quotes", BYTES("<a b=1/>"), "!xml_malformed"},
    {"no value", BYTES("<a b/>"), "!xml_malformed"},
    {"no blank between attributes", BYTES("<a b='1'c='2'/>"), "!xml_malformed"},
    {"< in a value", BYTES("<a b='<'/>"), "!xml_malformed"},
    {"no name", BYTES("< a/>"), "!xml_malformed"},
    {"a slash inside", BYTES("<a / b='1'>"), "!xml_malformed"},
    {"NUL in text", BYTES("<a>x\0y</a>"), "<a>!xml_malformed"},
    {"NUL in a tag", BYTES("<a\0/>"), "!xml_malformed"},
    {"NUL in a value", BYTES("<a b='\0'/>"), "!xml_malformed"},
    {"CDATA outside", BYTES("<![CDATA[x]]><a/>"), "!xml_malformed"},
    {"half a declaration", BYTES("<a><!x></a>"), "<a>!xml_malformed"},
};

static void test_documents(struct arena *arena, struct buf *out)
{
	static const size_t pieces[] = {1, 3, 1 << 20};
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++)
			is_text(events(arena, out, documents[i].document, pieces[p]), documents[i].expected, documents[i].name);
	}
}

/* before + n times middle + after */
static struct str repeated(struct buf *to, const char *before, const char *middle, size_t n, const char *after)
{
	buf_clear(to);
	buf_append_text(to, before);
	for (size_t i = 0; i < n; i++)
		buf_append_text(to, middle);
	buf_append_text(to, after);
	return (struct str){to->data, to->len};
}

static void test_sizes(struct arena *arena, struct buf *out, struct buf *document)
{
	struct refusal refusal = {NULL};
	struct xml xml;
	size_t total = 0;
	is_text(events(arena, out, repeated(document, "<a b='", "x", XML_WINDOW, "'/>"), 4096), "!xml_too_complex", "a tag larger than the window");
	ok(strlen(events(arena, out, repeated(document, "<a b='", "x", XML_WINDOW - 1000, "'/>"), 4096)) > XML_WINDOW - 1000, "a tag that just fits");
	is_text(strrchr(events(arena, out, repeated(document, "", "<a>", XML_DEPTH_MAX + 1, ""), 4096), '!'), "!xml_too_complex", "too deep");
	is_text(events(arena, out, repeated(document, "<a", " b='1'", XML_ATTRIBUTES_MAX + 1, "/>"), 4096), "!xml_too_complex", "too many attributes");
	is_text(events(arena, out, repeated(document, "<a><!--", "x", (size_t)3 * XML_WINDOW, "--></a>"), 4096), "<a></>", "a comment longer than the window");
	struct input input = {repeated(document, "<a>", "x&amp;\xc3\xa9\r\n", 100000, "<![CDATA[x&amp;]]></a>"), 1000};
	arena_reset(arena);
	if (xml_init(&xml, arena, &refusal))
		return;
	xml_open(&xml, &(struct xml_source){give, &input});
	static char decoded[XML_WINDOW];
	for (enum xml_event event = xml_next(&xml); event != XML_DONE && event != XML_FAILED; event = xml_next(&xml)) {
		size_t n = event == XML_TEXT ? xml_decode(xml.text, xml.literal, decoded) : 0;
		ok(n != SIZE_MAX && utf8_valid(decoded, n), "no piece cuts an entity or a character");
		total += n;
	}
	is_i64((int64_t)total, 100000 * 5 + 6, "long text comes in pieces, all of it");
	is_i64((int64_t)xml_position(&xml), (int64_t)document->len, "the position at the end");
}

int main(void)
{
	struct arena arena;
	struct buf out, document;
	arena_init(&arena, 2 << 20);
	buf_init(&out, 8 << 20);
	buf_init(&document, 8 << 20);
	test_documents(&arena, &out);
	test_sizes(&arena, &out, &document);
	buf_release(&document);
	buf_release(&out);
	arena_release(&arena);
	return tap_done();
}
