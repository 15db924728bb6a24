/*
 * The empty workbook of a target: six small parts of SpreadsheetML (ECMA-376) in a zip archive. Called by template.c.
 * Must never write a file, nor put text into a part unescaped. docs/decisions/0008 says why there is no library for it.
 */
#include "handlers/import/template.h"

#include "core/base/text.h"

#include <string.h>
#include <zip.h>

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"
#define MAIN "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
#define OFFICE "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define PACKAGE "http://schemas.openxmlformats.org/package/2006/"
#define TYPE "application/vnd.openxmlformats-officedocument.spreadsheetml."

enum { PART_MAX = 256 << 10, LIST_CHARACTERS_MAX = 255, SHEET_NAME_MAX = 31, WIDTH_USUAL = 12, WIDTH_MAX = 60, LAST_ROW = 1048576 };
enum style { STYLE_PLAIN, STYLE_TEXT, STYLE_HEADING }; /* places in cellXfs */

static const char content_types[] = HEAD "<Types xmlns=\"" PACKAGE "content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-"
	"package.relationships+xml\"/><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"" TYPE
	"sheet.main+xml\"/><Override PartName=\"/xl/worksheets/sheet1.xml\" ContentType=\"" TYPE "worksheet+xml\"/><Override PartName=\"/xl/styles.xml\" "
	"ContentType=\"" TYPE "styles+xml\"/></Types>";
static const char package_relations[] = HEAD "<Relationships xmlns=\"" PACKAGE "relationships\"><Relationship Id=\"rId1\" Type=\"" OFFICE
	"/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>";
static const char workbook_relations[] = HEAD "<Relationships xmlns=\"" PACKAGE "relationships\"><Relationship Id=\"rId1\" Type=\"" OFFICE
	"/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" Type=\"" OFFICE "/styles\" Target=\"styles.xml\"/></Relationships>";
/* Format 49 is text (@). The second fill is there because Excel takes the first two for itself. */
static const char styles[] = HEAD "<styleSheet xmlns=\"" MAIN "\"><fonts count=\"2\"><font><sz val=\"11\"/><name val=\"Calibri\"/></font><font><b/><sz val=\"11\"/>"
	"<name val=\"Calibri\"/></font></fonts><fills count=\"2\"><fill><patternFill patternType=\"none\"/></fill><fill><patternFill patternType=\"gray125\"/></fill>"
	"</fills><borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count=\"1\"><xf numFmtId=\"0\" fontId=\"0\" "
	"fillId=\"0\" borderId=\"0\"/></cellStyleXfs><cellXfs count=\"3\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\"/><xf numFmtId=\"49\" "
	"fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/><xf numFmtId=\"49\" fontId=\"1\" fillId=\"0\" borderId=\"0\" xfId=\"0\" "
	"applyNumberFormat=\"1\" applyFont=\"1\"/></cellXfs><cellStyles count=\"1\"><cellStyle name=\"Normal\" xfId=\"0\" builtinId=\"0\"/></cellStyles></styleSheet>";

static void put_escaped(struct buf *out, const char *text)
{
	static const struct {
		char c;
		const char *entity;
	} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}};
	for (; *text; text++) {
		const char *entity = NULL;
		for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
			if (entities[i].c == *text)
				entity = entities[i].entity;
		if (entity)
			buf_append_text(out, entity);
		else if ((unsigned char)*text >= 0x20)
			buf_append_char(out, *text);
	}
}

/* A, B, …, Z, AA, … : fields of a target are at most 64. */
static const char *column_name(size_t index, char name[3])
{
	size_t at = 0;
	if (index >= 26)
		name[at++] = (char)('A' + index / 26 - 1);
	name[at++] = (char)('A' + index % 26);
	name[at] = '\0';
	return name;
}

static const char *label_of(const struct schema_field *field, enum schema_language language)
{
	return schema_label(&field->column->labels, language);
}

/* How wide a column should be in characters: its heading, or what usually stands in it. */
static size_t width_of(const struct schema_field *field, const char *label)
{
	size_t wanted = utf8_length(label, strlen(label)) + 4;
	size_t usual = field->column->type != SCHEMA_TEXT ? WIDTH_USUAL : field->max > 120 ? 40 : field->max > 50 ? 24 : 16;
	if (wanted < usual)
		wanted = usual;
	return wanted > WIDTH_MAX ? WIDTH_MAX : wanted;
}

static void put_columns(struct buf *out, const struct schema_table *target, enum schema_language language)
{
	buf_append_text(out, "<cols>");
	for (size_t i = 0; i < target->field_count; i++) {
		const struct schema_field *field = &target->fields[i];
		buf_printf(out, "<col min=\"%zu\" max=\"%zu\" width=\"%zu\" style=\"%d\" customWidth=\"1\"/>", i + 1, i + 1, width_of(field, label_of(field, language)),
		           field->column->type == SCHEMA_TEXT ? STYLE_TEXT : STYLE_PLAIN);
	}
	buf_append_text(out, "</cols>");
}

static void put_headings(struct buf *out, const struct schema_table *target, enum schema_language language)
{
	char name[3];
	buf_append_text(out, "<sheetData><row r=\"1\">");
	for (size_t i = 0; i < target->field_count; i++) {
		buf_printf(out, "<c r=\"%s1\" s=\"%d\" t=\"inlineStr\"><is><t>", column_name(i, name), STYLE_HEADING);
		put_escaped(out, label_of(&target->fields[i], language));
		buf_append_text(out, "</t></is></c>");
	}
	buf_append_text(out, "</row></sheetData>");
}

/* What a field is chosen from; 0 when it has no list, or one that a rule cannot hold. */
static size_t choices(const struct schema_field *field, enum schema_language language, const char *ret[SCHEMA_LIST_MAX])
{
	const struct schema_column *column = field->column;
	size_t characters = 0;
	if (column->type == SCHEMA_BOOLEAN) {
		ret[0] = language == SCHEMA_FRENCH ? "Oui" : "Yes";
		ret[1] = language == SCHEMA_FRENCH ? "Non" : "No";
		return 2;
	}
	for (size_t i = 0; i < column->value_count; i++) {
		ret[i] = schema_label(&column->values[i].labels, language);
		if (strpbrk(ret[i], ",\""))
			return 0;
		characters += utf8_length(ret[i], strlen(ret[i])) + 1;
	}
	return characters <= LIST_CHARACTERS_MAX ? column->value_count : 0;
}

/* A warning, no bar: the import knows more spellings than the list has. */
static void put_rule(struct buf *out, size_t column, const char *const *list, size_t count)
{
	char name[3];
	column_name(column, name);
	buf_printf(out, "<dataValidation type=\"list\" errorStyle=\"warning\" allowBlank=\"1\" showErrorMessage=\"1\" sqref=\"%s2:%s%d\"><formula1>\"", name, name, LAST_ROW);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_append_char(out, ',');
		put_escaped(out, list[i]);
	}
	buf_append_text(out, "\"</formula1></dataValidation>");
}

static void put_rules(struct buf *out, const struct schema_table *target, enum schema_language language)
{
	const char *list[SCHEMA_LIST_MAX];
	struct buf rules;
	size_t count = 0;
	buf_init(&rules, PART_MAX);
	for (size_t i = 0; i < target->field_count; i++) {
		size_t n = choices(&target->fields[i], language, list);
		if (!n)
			continue;
		put_rule(&rules, i, list, n);
		count++;
	}
	if (count)
		buf_printf(out, "<dataValidations count=\"%zu\">%s</dataValidations>", count, buf_text(&rules));
	buf_release(&rules);
}

static void put_sheet(struct buf *out, const struct schema_table *target, enum schema_language language)
{
	buf_append_text(out, HEAD "<worksheet xmlns=\"" MAIN "\"><sheetViews><sheetView workbookViewId=\"0\"><pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" "
	                     "state=\"frozen\"/></sheetView></sheetViews>");
	put_columns(out, target, language);
	put_headings(out, target, language);
	put_rules(out, target, language);
	buf_append_text(out, "</worksheet>");
}

static void put_workbook(struct buf *out, const struct schema_table *target, enum schema_language language)
{
	const char *name = schema_label(&target->labels, language);
	if (utf8_length(name, strlen(name)) > SHEET_NAME_MAX || strpbrk(name, "[]:*?/\\'"))
		name = "Import";
	buf_append_text(out, HEAD "<workbook xmlns=\"" MAIN "\" xmlns:r=\"" OFFICE "\"><sheets><sheet name=\"");
	put_escaped(out, name);
	buf_append_text(out, "\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>");
}

static bool add(zip_t *archive, const char *name, const char *bytes, size_t n)
{
	zip_source_t *source = zip_source_buffer(archive, bytes, n, 0);
	if (source && zip_file_add(archive, name, source, ZIP_FL_ENC_UTF_8) >= 0)
		return true;
	zip_source_free(source);
	return false;
}

static enum err read_whole(zip_source_t *source, struct buf *out)
{
	zip_stat_t st;
	if (zip_source_stat(source, &st) || !(st.valid & ZIP_STAT_SIZE) || zip_source_open(source))
		return ERR_IO;
	char *to = buf_reserve(out, st.size);
	bool whole = to && zip_source_read(source, to, st.size) == (zip_int64_t)st.size;
	zip_source_close(source);
	if (whole)
		out->len += st.size;
	return whole ? OK : to ? ERR_IO : ERR_TOO_LARGE;
}

/* The archive lives in the source alone; parts must stay where they are until it is closed. */
static enum err pack(const struct buf *workbook, const struct buf *sheet, struct buf *out)
{
	zip_source_t *memory = zip_source_buffer_create(NULL, 0, 0, NULL);
	zip_t *archive = memory ? zip_open_from_source(memory, ZIP_CREATE | ZIP_TRUNCATE, NULL) : NULL;
	if (!archive) {
		zip_source_free(memory);
		return ERR_IO;
	}
	zip_source_keep(memory);
	bool added = add(archive, "[Content_Types].xml", content_types, sizeof(content_types) - 1) &&
	             add(archive, "_rels/.rels", package_relations, sizeof(package_relations) - 1) &&
	             add(archive, "xl/workbook.xml", workbook->data, workbook->len) &&
	             add(archive, "xl/_rels/workbook.xml.rels", workbook_relations, sizeof(workbook_relations) - 1) &&
	             add(archive, "xl/styles.xml", styles, sizeof(styles) - 1) && add(archive, "xl/worksheets/sheet1.xml", sheet->data, sheet->len);
	bool closed = added && zip_close(archive) == 0;
	if (!closed)
		zip_discard(archive);
	enum err err = closed ? read_whole(memory, out) : ERR_IO;
	zip_source_free(memory);
	return err;
}

enum err import_template_xlsx(const struct schema_table *target, enum schema_language language, struct buf *out)
{
	struct buf workbook, sheet;
	buf_init(&workbook, PART_MAX);
	buf_init(&sheet, PART_MAX);
	put_workbook(&workbook, target, language);
	put_sheet(&sheet, target, language);
	enum err err = workbook.overflowed || sheet.overflowed ? ERR_TOO_LARGE : pack(&workbook, &sheet, out);
	buf_release(&sheet);
	buf_release(&workbook);
	return err;
}
