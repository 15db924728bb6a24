/*
 * Fuzz target: headings of a sheet, one a line. What must hold: a column feeds one field and a field one column; scores
 * are between the threshold and 1, best first; the same headings have the same fingerprint; keys are [a-z0-9_].
 * Seeds: tests/fuzz/seeds/mapping/.
 */
#include "handlers/import/mapping.h"
#include "handlers/import/normalise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADINGS = 32 };

static struct arena lasting, scratch;
static const struct schema_table *lead;

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static void check_match(const struct import_match *match, bool *taken)
{
	must(match->alternative_count <= IMPORT_ALTERNATIVES_MAX && match->field < (int)lead->field_count);
	must((match->field < 0) == (match->confidence == 0));
	if (match->field >= 0) {
		must(!taken[match->field] && match->confidence >= IMPORT_SCORE_MIN && match->confidence <= 1);
		taken[match->field] = true;
	}
	for (size_t i = 0; i < match->alternative_count; i++) {
		must(match->alternatives[i].field >= 0 && match->alternatives[i].field < (int)lead->field_count);
		must(i == 0 || match->alternatives[i].confidence <= match->alternatives[i - 1].confidence);
	}
}

static void check_key(struct str heading)
{
	char key[64];
	size_t n = normalise_key(heading, key, sizeof(key));
	must(n <= sizeof(key));
	for (size_t i = 0; i < n; i++)
		must((key[i] >= 'a' && key[i] <= 'z') || (key[i] >= '0' && key[i] <= '9') || key[i] == '_');
}

static void load(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;
	arena_init(&lasting, 16 << 20);
	arena_init(&scratch, 64 << 20);
	must(schema_load_file(&lasting, "schema/crm.json", &app, &why) == OK);
	lead = schema_table_of(app, "lead");
	must(lead != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str headings[HEADINGS], rest = {(const char *)data, size};
	struct import_match matches[HEADINGS];
	bool taken[SCHEMA_FIELDS_MAX] = {false};
	char fingerprint[2][SHA256_HEX_SIZE];
	size_t n = 0;
	if (!lead)
		load();
	/* What the reader hands over is UTF-8 without NUL. */
	if (size > 4096 || !utf8_valid(rest.p, size) || (size && memchr(data, 0, size)))
		return 0;
	while (rest.n && n < HEADINGS) {
		const char *end = memchr(rest.p, '\n', rest.n);
		size_t length = end ? (size_t)(end - rest.p) : rest.n;
		headings[n++] = (struct str){rest.p, length};
		rest = end ? (struct str){end + 1, rest.n - length - 1} : STR("");
	}
	must(import_map(&scratch, lead, headings, n, matches) == OK);
	for (size_t i = 0; i < n; i++) {
		check_match(&matches[i], taken);
		check_key(headings[i]);
	}
	must(import_fingerprint(headings, n, fingerprint[0]) == OK && import_fingerprint(headings, n, fingerprint[1]) == OK);
	must(strcmp(fingerprint[0], fingerprint[1]) == 0);
	arena_reset(&scratch);
	return 0;
}
