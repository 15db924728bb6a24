/*
 * The subset of XML 1.0 that workbooks are written in, as a stream of events over a window of fixed size: elements,
 * attributes, text, CDATA, comments, processing instructions, the five entities and numeric references. UTF-8, or UTF-16
 * with a byte order mark. Prefixes of names are dropped: the caller sees local names.
 *
 * Refused, with the code for the FAIL frame:
 *   xml_doctype      any document type declaration, so that there are no entities to expand and nothing external to fetch
 *   xml_malformed    tags that do not match, a document that is cut off, an unknown entity, a NUL, attributes without quotes …
 *   xml_encoding     a declared encoding other than UTF-8 and UTF-16
 *   xml_too_complex  more than XML_DEPTH_MAX levels, XML_ATTRIBUTES_MAX attributes, or a tag longer than the window
 * Not checked: which characters names consist of, that attributes differ, namespaces.
 *
 * Life cycle: xml_init once, then any number of (xml_open, xml_next until XML_DONE or XML_FAILED).
 */
#ifndef TIDEGATE_READERS_XML_H
#define TIDEGATE_READERS_XML_H

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/text.h"
#include "readers/encoding.h"
#include "readers/refusal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XML_WINDOW (256u << 10)
#define XML_SLACK 32u /* bytes behind the window that may be read, whatever they are */
#define XML_DEPTH_MAX 128u
#define XML_ATTRIBUTES_MAX 64u

enum xml_event {
	XML_START, /* name, attributes */
	XML_END,   /* name; also after an element without content */
	XML_TEXT,  /* text, not decoded; a long one comes in pieces, an entity is never cut */
	XML_DONE,
	XML_FAILED /* see error */
};

/* Where the bytes come from: up to n of them; *ret 0 at the end. */
struct xml_source {
	enum err (*read)(void *context, char *to, size_t n, size_t *ret);
	void *context;
};

struct xml_attribute {
	struct str name;  /* local */
	struct str value; /* as it stands in the file; see xml_decode */
};

struct xml {
	struct xml_source source;
	struct refusal *refusal;
	enum err error;

	char *window; /* XML_WINDOW bytes, a NUL and the slack */
	char *raw;    /* UTF-16 before it is transcoded */
	size_t at, filled;
	uint64_t passed; /* bytes that left the window at its front */
	bool finished;   /* nothing follows what is in the window */
	bool is_utf16;
	struct utf16 utf16;

	bool in_cdata, has_root;
	bool end_follows; /* the element just started has no content */
	unsigned depth;   /* of open elements; with XML_START that element is counted, with XML_END it no longer is */
	uint32_t names[XML_DEPTH_MAX + 1]; /* hashes of the open elements' full names */

	/* of the event; valid until the next one */
	struct str name;
	struct str text;
	bool literal; /* text from CDATA: nothing to decode */
	unsigned attribute_count;
	struct xml_attribute attributes[XML_ATTRIBUTES_MAX];
};

/* About 400 KiB of the arena. ERR_TOO_LARGE when it is exhausted. */
enum err xml_init(struct xml *xml, struct arena *arena, struct refusal *refusal) MUST_USE;

/* To the start of a document. Errors of the source come with the first event. */
void xml_open(struct xml *xml, const struct xml_source *source);

/* XML_FAILED: the document cannot be read on, error says why (ERR_INVALID: refused, see refusal). */
enum xml_event xml_next(struct xml *xml) MUST_USE;

/* Bytes of the document up to and with the last event. */
uint64_t xml_position(const struct xml *xml);

/* The value of an attribute of the event; p == NULL: it has none of this name. */
struct str xml_attribute(const struct xml *xml, const char *name);

/*
 * Entities and line ends of text as it stands in the file: into to, which has room for text.n bytes. Returns the length, or
 * SIZE_MAX for an entity that is not known. Text in CDATA (literal) has no entities.
 */
size_t xml_decode(struct str text, bool literal, char *to) MUST_USE;

#endif
