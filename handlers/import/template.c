/*
 * GET /api/import/targets/{name}/template.csv and template.xlsx. Reads the declarations only.
 * Must never put a row into a template.
 */
#include "handlers/import/template.h"

#include "handlers/import/error_file.h"
#include "handlers/import/handlers.h"

static const char utf8_mark[] = "\xEF\xBB\xBF";

struct kind {
	const char *extension, *content_type;
	enum err (*make)(const struct schema_table *target, enum schema_language language, struct buf *out);
};

enum err import_template_csv(const struct schema_table *target, enum schema_language language, struct buf *out)
{
	char delimiter = language == SCHEMA_FRENCH ? ';' : ',';
	buf_append_text(out, utf8_mark);
	for (size_t i = 0; i < target->field_count; i++) {
		if (i)
			buf_append_char(out, delimiter);
		error_cell_write(out, str_of(schema_label(&target->fields[i].column->labels, language)), delimiter);
	}
	buf_append_text(out, "\r\n");
	return out->overflowed ? ERR_TOO_LARGE : OK;
}

/* ?lang= goes before what the client prefers in general. False after a refusal. */
static bool read_language(const struct request *request, struct response *response, enum schema_language *ret)
{
	struct str given = request_query(request, "lang");
	if (given.p && !str_equal_text(given, "fr") && !str_equal_text(given, "en")) {
		refuse_field(response, PROBLEM_INVALID_FIELD, "lang", "fr or en");
		return false;
	}
	bool french = given.p ? str_equal_text(given, "fr") : request->language == LANGUAGE_FR;
	*ret = french ? SCHEMA_FRENCH : SCHEMA_ENGLISH;
	return true;
}

static enum err answer(struct request *request, struct response *response, const struct kind *kind)
{
	enum schema_language language;
	const char *name = arena_copy(request->arena, request->path_values[0].p, request->path_values[0].n);
	const struct schema_target *target = name ? catalog_target(&request->gate->catalog, name) : NULL;
	if (!target)
		return refuse(response, PROBLEM_NOT_FOUND);
	if (!read_language(request, response, &language))
		return OK;
	bool french = language == SCHEMA_FRENCH;
	enum err err = kind->make(target->table, language, &response->body);
	if (err)
		return err;
	response->status = 200;
	response->content_type = kind->content_type;
	respond_header(response, "Content-Disposition",
	               arena_printf(request->arena, "attachment; filename=\"%s-%s.%s\"", french ? "modele" : "template", target->table->name, kind->extension));
	respond_header(response, "Content-Language", french ? "fr" : "en");
	respond_header(response, "Vary", "Accept-Language");
	return OK;
}

enum err import_target_csv(struct request *request, struct response *response)
{
	static const struct kind kind = {"csv", "text/csv; charset=utf-8", import_template_csv};
	return answer(request, response, &kind);
}

enum err import_target_xlsx(struct request *request, struct response *response)
{
	static const struct kind kind = {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", import_template_xlsx};
	return answer(request, response, &kind);
}
