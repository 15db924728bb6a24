/* Normalisers, validators and keys, by table. */
#include "handlers/import/normalise.h"
#include "tests/unit/tap.h"

static struct arena arena;

static const struct {
	const char *name, *in, *out;
	enum row_code code;
	bool abroad;
} cases[] = {
	{"trim", "  Lyon \t", "Lyon", ROW_FINE, false},
	{"trim", "\xC2\xA0\xE2\x80\xAFLyon\xE2\x80\x8B\xEF\xBB\xBF", "Lyon", ROW_FINE, false},
	{"trim", " \xC2\xA0 ", "", ROW_FINE, false},
	{"trim", "Orée", "Orée", ROW_FINE, false},
	{"trim", "'0612", "0612", ROW_FINE, false},
	{"trim", "'=1+1", "=1+1", ROW_FINE, false},
	{"trim", "''=1+1", "=1+1", ROW_FINE, false},
	{"trim", "'\xEF\xBC\x9Dx", "\xEF\xBC\x9Dx", ROW_FINE, false},
	{"trim", "'t Hooft", "'t Hooft", ROW_FINE, false},
	{"trim", "=\"0123\"", "0123", ROW_FINE, false},
	{"trim", "=\"a\"&\"b\"", "=\"a\"&\"b\"", ROW_FINE, false},
	{"trim", "'", "'", ROW_FINE, false},
	{"email", "a@b.fr", "a@b.fr", ROW_FINE, false},
	{"email", " A.B@Example.FR ", "a.b@example.fr", ROW_FINE, false},
	{"email", "a\xE2\x80\x8B@b.fr", "a@b.fr", ROW_FINE, false},
	{"email", "mailto:a@b.fr", "a@b.fr", ROW_FINE, false},
	{"email", "jean@gmailcom", "jean@gmail.com", ROW_EMAIL_REPAIRED, false},
	{"email", "JEAN@LaposteNet", "jean@laposte.net", ROW_EMAIL_REPAIRED, false},
	{"email", "jean@sub.gmailcom", "jean@sub.gmailcom", ROW_FINE, false},
	{"email", "jean", "jean", ROW_EMAIL_INVALID, false},
	{"email", "@b.fr", "@b.fr", ROW_EMAIL_INVALID, false},
	{"email", "a@b", "a@b", ROW_EMAIL_INVALID, false},
	{"email", "a@.fr", "a@.fr", ROW_EMAIL_INVALID, false},
	{"email", "a@b.", "a@b.", ROW_EMAIL_INVALID, false},
	{"email", "a@b@c.fr", "a@b@c.fr", ROW_EMAIL_INVALID, false},
	{"email", "a b@c.fr", "a b@c.fr", ROW_EMAIL_INVALID, false},
	{"email", "a\xC2\xA0" "b@c.fr", "a\xC2\xA0" "b@c.fr", ROW_EMAIL_INVALID, false},
	{"email", "élo@c.fr", "élo@c.fr", ROW_FINE, false},
	{"phone", "06 12 34 56 78", "+33612345678", ROW_FINE, false},
	{"phone", "p:+33612345678", "+33612345678", ROW_FINE, false},
	{"phone", "t: 06.12.34.56.78", "+33612345678", ROW_FINE, false},
	{"phone", "33612345678", "+33612345678", ROW_FINE, false},
	{"phone", "612345678", "+33612345678", ROW_FINE, false},
	{"phone", "0033 6 12 34 56 78", "+33612345678", ROW_FINE, false},
	{"phone", "+33 (0)6 12 34 56 78", "+33612345678", ROW_FINE, false},
	{"phone", "+33 06 12 34 56 78", "+33612345678", ROW_FINE, false},
	{"phone", "+44 20 7946 0958", "+442079460958", ROW_FINE, false},
	{"phone", "06\xC2\xA0" "12\xE2\x80\xAF" "34 56 78", "+33612345678", ROW_FINE, false},
	{"phone", "0612345678 poste 12", "+33612345678", ROW_FINE, false},
	{"phone", "0470 12 34 56", "0470123456", ROW_FINE, true},
	{"phone", "12345678", "12345678", ROW_FINE, false},
	{"phone", "1234567", "1234567", ROW_PHONE_TOO_SHORT, false},
	{"phone", "n/a", "n/a", ROW_PHONE_TOO_SHORT, false},
	{"phone", "+1234567890123456", "+1234567890123456", ROW_PHONE_TOO_LONG, false},
	{"phone", "123456789012345", "123456789012345", ROW_FINE, false},
	{"integer", "0", "0", ROW_FINE, false},
	{"integer", "12", "12", ROW_FINE, false},
	{"integer", "-12", "-12", ROW_FINE, false},
	{"integer", "+12", "12", ROW_FINE, false},
	{"integer", "− 7", "-7", ROW_FINE, false},
	{"integer", "1 234", "1234", ROW_FINE, false},
	{"integer", "1 234 567", "1234567", ROW_FINE, false},
	{"integer", "1'234", "1234", ROW_FINE, false},
	{"integer", "1’234", "1234", ROW_FINE, false},
	{"integer", "1,234", "1234", ROW_FINE, false},
	{"integer", "1.234.567", "1234567", ROW_FINE, false},
	{"integer", "12.0", "12", ROW_FINE, false},
	{"integer", "12,00", "12", ROW_FINE, false},
	{"integer", "007", "7", ROW_FINE, false},
	{"integer", "99999999999999999", "99999999999999999", ROW_FINE, false},
	{"integer", "1.5", "1.5", ROW_NUMBER_INVALID, false},
	{"integer", "12,34", "12,34", ROW_NUMBER_INVALID, false},
	{"integer", "abc", "abc", ROW_NUMBER_INVALID, false},
	{"integer", "1 2", "1 2", ROW_NUMBER_INVALID, false},
	{"integer", "12 345 6", "12 345 6", ROW_NUMBER_INVALID, false},
	{"integer", "999999999999999999", "999999999999999999", ROW_NUMBER_INVALID, false},
	{"integer", "1e3", "1e3", ROW_NUMBER_INVALID, false},
	{"integer", "0x10", "0x10", ROW_NUMBER_INVALID, false},
	{"integer", "٣", "٣", ROW_NUMBER_INVALID, false},
	{"money", "12,50", "1250", ROW_FINE, false},
	{"money", "12.50", "1250", ROW_FINE, false},
	{"money", "12", "1200", ROW_FINE, false},
	{"money", "12,5", "1250", ROW_FINE, false},
	{"money", "1 234,50", "123450", ROW_FINE, false},
	{"money", "1 234,50 €", "123450", ROW_FINE, false},
	{"money", "1,234.50", "123450", ROW_FINE, false},
	{"money", "1.234,50", "123450", ROW_FINE, false},
	{"money", "1,500", "150000", ROW_FINE, false},
	{"money", "1.500", "150000", ROW_FINE, false},
	{"money", "1 234,500", "123450", ROW_FINE, false},
	{"money", "12.5000", "1250", ROW_FINE, false},
	{"money", "0,05", "5", ROW_FINE, false},
	{"money", "EGP 35", "3500", ROW_FINE, false},
	{"money", "35 LE", "3500", ROW_FINE, false},
	{"money", "35 L.E.", "3500", ROW_FINE, false},
	{"money", "$1.20", "120", ROW_FINE, false},
	{"money", "-5", "-500", ROW_FINE, false},
	{"money", "€ -5", "-500", ROW_FINE, false},
	{"money", "1,234,567", "123456700", ROW_FINE, false},
	{"money", ".5", ".5", ROW_AMOUNT_INVALID, false},
	{"money", "5,", "5,", ROW_AMOUNT_INVALID, false},
	{"money", "12,345678", "12,345678", ROW_AMOUNT_INVALID, false},
	{"money", "0,500", "50", ROW_FINE, false},
	{"money", "1 23,00", "1 23,00", ROW_AMOUNT_INVALID, false},
	{"money", "1,2,3", "1,2,3", ROW_AMOUNT_INVALID, false},
	{"money", "1.234.56", "1.234.56", ROW_AMOUNT_INVALID, false},
	{"money", "12 kg", "12 kg", ROW_AMOUNT_INVALID, false},
	{"money", "gratuit", "gratuit", ROW_AMOUNT_INVALID, false},
	{"money", "€", "€", ROW_AMOUNT_INVALID, false},
	{"money", "+-5", "+-5", ROW_AMOUNT_INVALID, false},
	{"money", "--5", "--5", ROW_AMOUNT_INVALID, false},
	{"boolean", "oui", "true", ROW_FINE, false},
	{"boolean", "Non", "false", ROW_FINE, false},
	{"boolean", "YES", "true", ROW_FINE, false},
	{"boolean", "n", "false", ROW_FINE, false},
	{"boolean", "Vrai", "true", ROW_FINE, false},
	{"boolean", "FAUX", "false", ROW_FINE, false},
	{"boolean", "1", "true", ROW_FINE, false},
	{"boolean", "0", "false", ROW_FINE, false},
	{"boolean", "x", "true", ROW_FINE, false},
	{"boolean", "✓", "true", ROW_FINE, false},
	{"boolean", "نعم", "true", ROW_FINE, false},
	{"boolean", "لا", "false", ROW_FINE, false},
	{"boolean", "peut-être", "peut-être", ROW_BOOLEAN_INVALID, false},
	{"boolean", "2", "2", ROW_BOOLEAN_INVALID, false},
	{"boolean", "ou", "ou", ROW_BOOLEAN_INVALID, false},
	{"postal_code", "75001", "75001", ROW_FINE, false},
	{"postal_code", "6000", "06000", ROW_FINE, false},
	{"postal_code", "1000", "1000", ROW_FINE, true},
	{"postal_code", "75 001", "75001", ROW_FINE, false},
	{"postal_code", "123", "123", ROW_POSTAL_CODE_INVALID, false},
	{"postal_code", "12345678901", "12345678901", ROW_POSTAL_CODE_INVALID, false},
	{"postal_code", "SW1A 1AA", "SW1A 1AA", ROW_POSTAL_CODE_UNUSUAL, true},
	{"postal_code", "inconnu", "inconnu", ROW_POSTAL_CODE_INVALID, false},
	{"name", "DUPONT", "Dupont", ROW_FINE, false},
	{"name", "jean-pierre", "Jean-Pierre", ROW_FINE, false},
	{"name", "McDonald", "McDonald", ROW_FINE, false},
	{"name", "D'ALMEIDA", "D'Almeida", ROW_FINE, false},
	{"name", "élodie", "Élodie", ROW_FINE, false},
	{"name", "LEFÈVRE", "Lefèvre", ROW_FINE, false},
	{"name", "ŒUVRARD ŽIŽEK", "Œuvrard Žižek", ROW_FINE, false},
	{"name", "ÿves", "Ÿves", ROW_FINE, false},
	{"name", "Иван", "Иван", ROW_FINE, false},
	{"name", "li 2eme", "Li 2eme", ROW_FINE, false},
	{"timestamp", "2026-03-05", "2026-03-05T00:00:00.000000Z", ROW_FINE, false},
	{"timestamp", "2026-03-05T14:30:15.5+01:00", "2026-03-05T13:30:15.500000Z", ROW_FINE, false},
	{"timestamp", "2026-03-05 14:30:15Z", "2026-03-05T14:30:15.000000Z", ROW_FINE, false},
	{"timestamp", "2024-03-05T10:11:12-0500", "2024-03-05T15:11:12.000000Z", ROW_FINE, false},
	{"timestamp", "05/03/2026", "2026-03-05T00:00:00.000000Z", ROW_FINE, false},
	{"timestamp", "5/3/2026 9:05", "2026-03-05T09:05:00.000000Z", ROW_FINE, false},
	{"timestamp", "05.03.2026 14h30", "2026-03-05T14:30:00.000000Z", ROW_FINE, false},
	{"timestamp", "29/02/2025", "29/02/2025", ROW_DATE_INVALID, false},
	{"timestamp", "03/25/2026", "03/25/2026", ROW_DATE_INVALID, false},
	{"timestamp", "2026-03-05T24:00", "2026-03-05T24:00", ROW_DATE_INVALID, false},
	{"timestamp", "2026-03-05 14:30 demain", "2026-03-05 14:30 demain", ROW_DATE_INVALID, false},
	{"timestamp", "hier", "hier", ROW_DATE_INVALID, false},
};

/* A copy that ends where its memory ends, so that the sanitizer sees a byte too far. */
static struct str exact(const char *text)
{
	size_t n = strlen(text);
	char *copy = malloc(n ? n : 1);

	if (copy)
		memcpy(copy, text, n);
	return (struct str){copy, copy ? n : 0};
}

static void test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct normaliser *normaliser = normaliser_of(cases[i].name);
		const struct validator *validator = validator_of(cases[i].name);
		struct normalise_context context;
		struct str owned = exact(cases[i].in), value = normalise_clean(owned);
		enum row_code code = ROW_FINE;

		normalise_start(&context, &arena);
		context.french = !cases[i].abroad;
		if (normaliser->run)
			code = normaliser->run(&context, &value);
		if (code == ROW_FINE && validator)
			code = validator->run(value);
		is_text(arena_copy(&arena, value.n ? value.p : "", value.n), cases[i].out, cases[i].in);
		is_text(row_code_name(code), row_code_name(cases[i].code), "code");
		free((char *)(uintptr_t)owned.p);
	}
	ok(normaliser_of("none") == NULL && validator_of("none") == NULL, "no such name");
}

static void test_keys(void)
{
	static const struct {
		const char *in, *out;
	} keys[] = {
		{"Prénom", "prenom"}, {"E-mail", "email"}, {"  Code  postal ", "code_postal"}, {"N° de téléphone", "n_de_telephone"},
		{"Ville / City", "ville_city"}, {"ŒUVRE", "oeuvre"}, {"Straße", "strasse"}, {"e\xCC\x81tat", "etat"}, {"Nom\xC2\xA0" "complet", "nom_complet"},
		{"***", ""}, {"Ž_ŁÓDŹ", "z_lodz"}, {"日本", ""},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char out[64];
		size_t n = normalise_key(str_of(keys[i].in), out, sizeof(out) - 1);
		out[n] = '\0';
		is_text(out, keys[i].out, keys[i].in);
	}
}

static void test_codes(void)
{
	for (int i = 1; i < ROW_CODE_COUNT; i++) {
		enum row_code code = (enum row_code)i;
		ok(row_code_of(row_code_name(code)) == code && *row_code_sentence(code, SCHEMA_FRENCH) && *row_code_sentence(code, SCHEMA_ENGLISH), "code %s",
		   row_code_name(code));
	}
	ok(row_code_of("none") == ROW_FINE && row_code_of("") == ROW_FINE, "no such code");
}

int main(void)
{
	arena_init(&arena, 64 << 20);
	test_cases();
	test_keys();
	test_codes();
	arena_release(&arena);
	return tap_done();
}
