/* Column mapping: headings of real exports, ties, limits, fingerprint. */
#include "handlers/import/mapping.h"
#include "core/base/clock.h"
#include "tests/unit/tap.h"

static struct arena arena;
static const struct schema_table *lead;

static const char *field_name(int field)
{
	return field < 0 ? "-" : lead->fields[field].name;
}

/* Headings and the fields they must get, one sheet per row of the table. */
static const struct {
	const char *headings[16];
	const char *fields[16];
} sheets[] = {
	{{"ID externe", "Prénom", "Nom", "Email", "Téléphone", "Entreprise", "Fonction", "Adresse", "Ville", "Code postal", "Pays", "Statut", "Notes"},
	 {"externalId", "firstName", "lastName", "email", "phone", "company", "jobTitle", "address", "city", "postalCode", "country", "status", "notes"}},
	{{"First Name", "Last Name", "E-mail", "Phone Number", "Company", "Job Title", "Street", "City", "ZIP", "Country", "Lead Status", "Lead Source", "Lead Owner", "Create Date"},
	 {"firstName", "lastName", "email", "phone", "company", "jobTitle", "address", "city", "postalCode", "country", "status", "source", "assignedTo", "createdAt"}},
	{{"id", "created_time", "ad_name", "full_name", "phone_number", "email", "is_organic"},
	 {"externalId", "createdAt", "source", "lastName", "phone", "email", "-"}},
	{{"email_2", "email", "adresse_email"}, {"-", "email", "-"}},
	{{"telephonne", "nom_du_contact", "Dernière modification", "Date de naissance"}, {"phone", "lastName", "updatedAt", "-"}},
	{{"Adresse e-mail", "Adresse postale", "Commercial", "Commentaires"}, {"email", "address", "assignedTo", "notes"}},
	{{"Date", "Contact", "Rôle du client", "Quantity"}, {"createdAt", "lastName", "-", "-"}},
	{{"Quantité", "", "***", "Prix HT", "Couleur"}, {"-", "-", "-", "-", "-"}},
	{{"Votre prénom *", "lead_email", "Numéro de téléphone portable", "Nom de l'entreprise"}, {"firstName", "email", "phone", "company"}},
};

static void test_sheets(void)
{
	for (size_t s = 0; s < sizeof(sheets) / sizeof(sheets[0]); s++) {
		struct str headings[16];
		struct import_match match[16];
		size_t n = 0;
		for (; n < 16 && sheets[s].headings[n]; n++)
			headings[n] = str_of(sheets[s].headings[n]);
		ok(import_map(&arena, lead, headings, n, match) == OK, "sheet %zu", s);
		for (size_t c = 0; c < n; c++)
			is_text(field_name(match[c].field), sheets[s].fields[c], sheets[s].headings[c]);
	}
}

static void test_confidence(void)
{
	static const struct {
		const char *heading;
		double least, most;
	} rows[] = {{"Email", 1, 1}, {"email_7", 0.95, 0.95}, {"le meilleur email connu", 0.92, 0.92}, {"xxemailxx", 0.85, 0.95}, {"courriem", 0.7, 0.9}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str heading = str_of(rows[i].heading);
		struct import_match match;
		ok(import_map(&arena, lead, &heading, 1, &match) == OK && match.confidence >= rows[i].least - 1e-9 && match.confidence <= rows[i].most + 1e-9,
		   "%s scores %.3f", rows[i].heading, match.confidence);
		ok(match.alternative_count >= 1 && match.alternatives[0].field == match.field, "the choice is the first alternative");
	}
}

static void test_limits(void)
{
	enum { MANY = IMPORT_HEADINGS_MAX };
	struct str *headings = arena_array(&arena, MANY + 1, sizeof(*headings));
	struct import_match *match = arena_array(&arena, MANY + 1, sizeof(*match));
	int64_t begun = 0, took = 0;

	for (size_t i = 0; i <= MANY; i++)
		headings[i] = str_of(arena_printf(&arena, "adresse de telephonie numero %zu du contact commercial de l'entreprise", i));
	begun = clock_monotonic_us();
	ok(import_map(&arena, lead, headings, MANY, match) == OK, "4096 columns");
	took = clock_monotonic_us() - begun;
	printf("# %d headings in %lld ms\n", MANY, (long long)took / 1000);
	ok(import_map(&arena, lead, headings, MANY + 1, match) == ERR_TOO_LARGE, "one more is refused");
	ok(import_map(&arena, lead, headings, 0, match) == OK, "no column");
}

static void test_fingerprint(void)
{
	struct str a[] = {STR("Prénom"), STR("Nom")}, b[] = {STR(" prenom "), STR("NOM")}, c[] = {STR("Nom"), STR("Prénom")};
	char first[SHA256_HEX_SIZE], second[SHA256_HEX_SIZE], third[SHA256_HEX_SIZE];

	ok(import_fingerprint(a, 2, first) == OK && import_fingerprint(b, 2, second) == OK && import_fingerprint(c, 2, third) == OK, "made");
	is_text(first, second, "spelling does not matter");
	ok(!text_equal(first, third), "order does");
}

int main(void)
{
	const struct schema_app *app = NULL;
	const char *why = NULL;

	arena_init(&arena, 256 << 20);
	if (ok(schema_load_file(&arena, "schema/crm.json", &app, &why) == OK, "crm loads")) {
		lead = schema_table_of(app, "lead");
		test_sheets();
		test_confidence();
		test_limits();
		test_fingerprint();
	}
	arena_release(&arena);
	return tap_done();
}
