/*
 * Relationships and the list of sheets. Called by xlsx_read.c. Must never follow a target out of the archive.
 */
#include "readers/xlsx_book.h"

#include <string.h>

#define RELATIONS_MAX 4096u

enum relation_kind { RELATION_OTHER, RELATION_BOOK, RELATION_SHEET, RELATION_STRINGS, RELATION_STYLES };

struct relation {
	struct str id;
	enum relation_kind kind;
	const char *target; /* name in the archive */
};

struct relations {
	size_t count;
	struct relation *list;
};

/* ---- parts ---- */

static enum err read_part(void *context, char *to, size_t n, size_t *ret)
{
	return part_read(context, to, n, ret);
}

enum err xlsx_book_part(struct xlsx_book *book, int64_t entry, int64_t cap)
{
	enum err err = part_open(&book->part, entry, cap);
	if (!err)
		xml_open(&book->xml, &(struct xml_source){read_part, &book->part});
	return err;
}

/* An attribute's value, decoded, in the arena. p == NULL: there is none. */
static enum err take_attribute(struct xlsx_book *book, const char *name, struct str *ret)
{
	struct str raw = xml_attribute(&book->xml, name);
	*ret = (struct str){NULL, 0};
	if (!raw.p)
		return OK;
	char *text = arena_alloc(book->arena, raw.n + 1);
	size_t n = text ? xml_decode(raw, false, text) : 0;
	if (!text)
		return ERR_TOO_LARGE;
	if (n == SIZE_MAX || !utf8_valid(text, n))
		return refuse(book->refusal, n == SIZE_MAX ? "xml_malformed" : "xml_encoding");
	*ret = (struct str){text, n};
	return OK;
}

/* ---- names ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Slashes one way, %20 and the like decoded. */
static size_t plain_path(char *to, size_t at, struct str path)
{
	for (size_t i = 0; i < path.n; i++) {
		bool escape = path.p[i] == '%' && i + 2 < path.n && hex_digit(path.p[i + 1]) >= 0 && hex_digit(path.p[i + 2]) >= 0;
		char c = escape ? (char)(hex_digit(path.p[i + 1]) * 16 + hex_digit(path.p[i + 2])) : path.p[i];
		i += escape ? 2 : 0;
		to[at++] = (char)(c == '\\' ? '/' : c ? c : '?');
	}
	return at;
}

/* Drops empty steps, "." and what ".." takes back; in place. */
static void squeeze(char *path)
{
	size_t to = 0;
	for (const char *from = path; *from;) {
		size_t n = strcspn(from, "/");
		if (n == 2 && memcmp(from, "..", 2) == 0) {
			while (to && path[to - 1] != '/')
				to--;
			to -= to > 0;
		} else if (n && !(n == 1 && *from == '.')) {
			if (to)
				path[to++] = '/';
			memmove(path + to, from, n);
			to += n;
		}
		from += n + (from[n] == '/');
	}
	path[to] = '\0';
}

const char *xlsx_resolve(struct arena *arena, struct str folder, struct str target)
{
	bool absolute = target.n && (target.p[0] == '/' || target.p[0] == '\\');
	char *path = arena_alloc(arena, folder.n + target.n + 2);
	if (!path)
		return NULL;
	size_t n = absolute ? 0 : plain_path(path, 0, folder);
	path[n++] = '/';
	n = plain_path(path, n, target);
	path[n] = '\0';
	squeeze(path);
	return path;
}

static struct str folder_of(const char *name)
{
	const char *slash = strrchr(name, '/');
	return slash ? (struct str){name, (size_t)(slash - name)} : STR("");
}

/* ---- relationships ---- */

static enum relation_kind kind_of(struct str type)
{
	static const struct {
		const char *word;
		enum relation_kind kind;
	} kinds[] = {
	    {"officeDocument", RELATION_BOOK}, {"worksheet", RELATION_SHEET}, {"sharedStrings", RELATION_STRINGS}, {"styles", RELATION_STYLES}};
	const char *slash = type.p ? memrchr(type.p, '/', type.n) : NULL;
	struct str word = slash ? (struct str){slash + 1, (size_t)(type.p + type.n - slash - 1)} : type;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (word.p && str_equal_text(word, kinds[i].word))
			return kinds[i].kind;
	}
	return RELATION_OTHER;
}

static enum err add_relation(struct xlsx_book *book, struct str folder, struct relations *relations)
{
	struct str id = {NULL, 0}, type = id, target = id, mode = id;
	enum err err = take_attribute(book, "Id", &id);
	if (!err)
		err = take_attribute(book, "Type", &type);
	if (!err)
		err = take_attribute(book, "Target", &target);
	if (!err)
		err = take_attribute(book, "TargetMode", &mode);
	if (err || !target.p || !id.p || str_equal_text(mode, "External") || relations->count == RELATIONS_MAX)
		return err;
	const char *name = xlsx_resolve(book->arena, folder, target);
	relations->list[relations->count++] = (struct relation){id, kind_of(type), name};
	return name ? OK : ERR_TOO_LARGE;
}

/* The relationships of a part, NULL for those of the package itself; none when there is no such entry. */
static enum err read_relations(struct xlsx_book *book, const char *source, struct relations *ret)
{
	struct str folder = source ? folder_of(source) : STR("");
	const char *base = source ? source + folder.n + (folder.n > 0) : "";
	const char *name = arena_printf(book->arena, "%.*s%s_rels/%s.rels", (int)folder.n, folder.p, folder.n ? "/" : "", base);
	int64_t entry = -1;
	*ret = (struct relations){.list = arena_array(book->arena, RELATIONS_MAX, sizeof(ret->list[0]))};
	enum err err = name && ret->list ? archive_find(book->archive, str_of(name), &entry) : ERR_TOO_LARGE;
	if (err || entry < 0)
		return err;
	err = xlsx_book_part(book, entry, XLSX_SMALL_PART);
	enum xml_event event = XML_TEXT;
	while (!err && (event = xml_next(&book->xml)) != XML_DONE && event != XML_FAILED) {
		if (event == XML_START && str_equal_text(book->xml.name, "Relationship"))
			err = add_relation(book, folder, ret);
	}
	return err ? err : event == XML_FAILED ? book->xml.error : OK;
}

static const char *target_of_kind(const struct relations *relations, enum relation_kind kind)
{
	for (size_t i = 0; i < relations->count; i++) {
		if (relations->list[i].kind == kind)
			return relations->list[i].target;
	}
	return NULL;
}

/* ---- the workbook ---- */

static bool is_true(struct str value)
{
	return value.p && (str_equal_text(value, "1") || str_equal_text(value, "true") || str_equal_text(value, "on"));
}

/* The relationship's id stands under r:id; sheetId is something else, so local names do. */
static enum err add_sheet(struct xlsx_book *book, const struct relations *relations)
{
	struct str name = {NULL, 0}, state = name, id = name;
	enum err err = take_attribute(book, "name", &name);
	if (!err)
		err = take_attribute(book, "state", &state);
	if (!err)
		err = take_attribute(book, "id", &id);
	if (err || !id.p || book->sheet_count == XLSX_SHEETS_MAX)
		return err;
	if (name.n > XLSX_SHEET_NAME_MAX)
		name.n = utf8_valid_prefix(name.p, XLSX_SHEET_NAME_MAX);
	for (size_t i = 0; i < relations->count; i++) {
		const struct relation *relation = &relations->list[i];
		if (relation->kind != RELATION_SHEET || !str_equal(relation->id, id))
			continue;
		struct xlsx_sheet_entry *sheet = &book->sheets[book->sheet_count++];
		*sheet = (struct xlsx_sheet_entry){name.p ? name : STR(""), str_equal_text(state, "hidden") || str_equal_text(state, "veryHidden"), -1};
		return archive_find(book->archive, str_of(relation->target), &sheet->part);
	}
	return OK;
}

static enum err read_book(struct xlsx_book *book, int64_t entry, const struct relations *relations)
{
	enum err err = xlsx_book_part(book, entry, XLSX_SMALL_PART);
	enum xml_event event = XML_TEXT;
	book->sheets = arena_array(book->arena, XLSX_SHEETS_MAX, sizeof(book->sheets[0]));
	if (!book->sheets)
		return ERR_TOO_LARGE;
	while (!err && (event = xml_next(&book->xml)) != XML_DONE && event != XML_FAILED) {
		if (event != XML_START)
			continue;
		if (book->xml.depth == 1 && !str_equal_text(book->xml.name, "workbook"))
			return refuse(book->refusal, "not_a_workbook");
		if (str_equal_text(book->xml.name, "workbookPr") && book->xml.depth == 2)
			book->is_1904 = is_true(xml_attribute(&book->xml, "date1904"));
		else if (str_equal_text(book->xml.name, "sheet") && book->xml.depth == 3)
			err = add_sheet(book, relations);
	}
	err = err ? err : event == XML_FAILED ? book->xml.error : OK;
	return err || book->sheet_count ? err : refuse(book->refusal, "no_worksheet");
}

/* A zip archive without a workbook: what is it then? */
static enum err refuse_other(const struct xlsx_book *book)
{
	int64_t mimetype = -1, content = -1;
	enum err err = archive_find(book->archive, STR("mimetype"), &mimetype);
	if (!err)
		err = archive_find(book->archive, STR("content.xml"), &content);
	return err ? err : refuse(book->refusal, mimetype >= 0 && content >= 0 ? "looks_like_ods" : "not_a_workbook");
}

static enum err find_kind(struct xlsx_book *book, const struct relations *relations, enum relation_kind kind, int64_t *ret)
{
	const char *name = target_of_kind(relations, kind);
	*ret = -1;
	return name ? archive_find(book->archive, str_of(name), ret) : OK;
}

static enum err open_book(struct xlsx_book *book)
{
	struct relations package, own;
	int64_t entry = -1;
	enum err err = read_relations(book, NULL, &package);
	const char *name = err ? NULL : target_of_kind(&package, RELATION_BOOK);
	if (err)
		return err;
	if (!name)
		return refuse_other(book);
	if (str_equal_ignore_case(str_of(strrchr(name, '.')), ".bin"))
		return refuse(book->refusal, "looks_like_xlsb");
	err = archive_find(book->archive, str_of(name), &entry);
	if (!err && entry < 0)
		err = refuse(book->refusal, "part_missing");
	if (!err)
		err = read_relations(book, name, &own);
	if (!err)
		err = find_kind(book, &own, RELATION_STRINGS, &book->strings);
	if (!err)
		err = find_kind(book, &own, RELATION_STYLES, &book->styles);
	return err ? err : read_book(book, entry, &own);
}

enum err xlsx_book_open(struct xlsx_book *book, struct archive *archive, struct arena *arena, struct refusal *refusal)
{
	*book = (struct xlsx_book){.arena = arena, .archive = archive, .refusal = refusal, .styles = -1, .strings = -1};
	enum err err = part_init(&book->part, archive, arena);
	if (!err)
		err = xml_init(&book->xml, arena, refusal);
	return err ? err : open_book(book);
}

void xlsx_book_close(struct xlsx_book *book)
{
	part_close(&book->part);
}
