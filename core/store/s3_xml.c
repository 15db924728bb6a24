/*
 * XML answers of object stores, by expat. Called by the S3 calls. Must never let a document declare anything: answers of a store
 * need no document type, so one with it is refused before an entity can exist.
 */
#include "core/store/s3_call.h"

#include <expat.h>
#include <string.h>

enum { DEPTH_MAX = 8, PATH_MAX_BYTES = 512, TEXT_MAX = 64 << 10 };

struct walk {
	XML_Parser parser;
	s3_element *element;
	void *context;
	char path[PATH_MAX_BYTES];
	size_t ends[DEPTH_MAX]; /* where the path of each open element ended before it */
	int depth;
	struct buf text;
	enum err err;
};

static void stop(struct walk *walk, enum err err)
{
	walk->err = err;
	XML_StopParser(walk->parser, XML_FALSE);
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct walk *walk = context;
	const char *colon = strrchr(name, ':');
	size_t at = strlen(walk->path), n = strlen(colon ? colon + 1 : name);
	(void)attributes;
	if (walk->depth == DEPTH_MAX || at + n + 2 > sizeof(walk->path)) {
		stop(walk, ERR_INVALID);
		return;
	}
	walk->ends[walk->depth++] = at;
	if (at)
		walk->path[at++] = '/';
	memcpy(walk->path + at, colon ? colon + 1 : name, n + 1);
	buf_clear(&walk->text);
}

static void XMLCALL on_end(void *context, const XML_Char *name)
{
	struct walk *walk = context;
	(void)name;
	if (walk->err)
		return;
	enum err err = walk->text.overflowed ? ERR_TOO_LARGE : walk->element(walk->context, walk->path, (struct str){buf_text(&walk->text), walk->text.len});
	walk->path[walk->ends[--walk->depth]] = '\0';
	buf_clear(&walk->text);
	if (err)
		stop(walk, err);
}

static void XMLCALL on_text(void *context, const XML_Char *text, int n)
{
	struct walk *walk = context;
	buf_append(&walk->text, text, (size_t)n);
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id, int internal)
{
	(void)name, (void)system_id, (void)public_id, (void)internal;
	stop(context, ERR_INVALID);
}

enum err s3_xml_each(struct str xml, s3_element *element, void *context)
{
	struct walk walk = {.parser = XML_ParserCreate("UTF-8"), .element = element, .context = context};
	if (!walk.parser)
		return ERR_UNAVAILABLE;
	if (xml.n > INT32_MAX) {
		XML_ParserFree(walk.parser);
		return ERR_TOO_LARGE;
	}
	buf_init(&walk.text, TEXT_MAX);
	XML_SetUserData(walk.parser, &walk);
	XML_SetElementHandler(walk.parser, on_start, on_end);
	XML_SetCharacterDataHandler(walk.parser, on_text);
	XML_SetStartDoctypeDeclHandler(walk.parser, on_doctype);
	bool fine = XML_Parse(walk.parser, xml.p, (int)xml.n, 1) == XML_STATUS_OK;
	if (!walk.err && !fine)
		walk.err = ERR_INVALID;
	buf_release(&walk.text);
	XML_ParserFree(walk.parser);
	return walk.err;
}
