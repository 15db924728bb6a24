/*
 * sample ROWS [SEED]: writes a French leads sheet (CSV, semicolons, UTF-8, 13 columns, about 155 bytes a row) to standard
 * output: the same bytes for the same numbers on every machine. For tests, benches and demonstrations.
 * Run by `make` targets and by hand; samples/leads-5000.csv is `sample 5000 1`.
 * Never uses real people: names are drawn from lists, addresses from reserved or made-up domains, phones at random.
 *
 * About 1.5 % of the rows cannot be imported (no contact, broken e-mail, short phone) and about 1 % repeat the contact
 * of an earlier row.
 */
#include "core/base/text.h"

#include <stdio.h>

#define PICK(list) ((list)[below((unsigned)(sizeof(list) / sizeof((list)[0])))])
#define EARLIER 256

static const char *const first_names[] = {
	"Marie", "Jean", "Camille", "Élodie", "François", "Chloé", "Lucas", "Zoé", "Hélène", "Jérôme", "Inès", "Théo", "Léa", "Raphaël",
	"Anaïs", "Gaël", "Noémie", "Loïc", "Aurélie", "Benoît", "Cédric", "Océane", "Mathéo", "Françoise", "Jean-Pierre", "Anne-Sophie",
	"Karim", "Fatima", "Mehdi", "Nadia", "Thomas", "Julie", "Nicolas", "Sophie", "Pierre", "Claire", "Antoine", "Manon", "Hugo", "Emma",
	"Maëlle", "Clément", "Agnès", "Rémi", "Stéphane", "Céline", "Frédéric", "Valérie", "Amélie", "Sébastien"};
static const char *const last_names[] = {
	"Martin", "Bernard", "Dubois", "Thomas", "Robert", "Richard", "Petit", "Durand", "Leroy", "Moreau", "Simon", "Laurent", "Lefèvre",
	"Michel", "Garcia", "David", "Bertrand", "Roux", "Vincent", "Fournier", "Morel", "Girard", "André", "Mercier", "Dupont", "Lambert",
	"Bonnet", "François", "Martinez", "Legrand", "Garnier", "Faure", "Rousseau", "Blanc", "Guérin", "Müller", "Henry", "Roussel", "Nicolas",
	"Perrin", "Morin", "Mathieu", "Clément", "Gauthier", "Dumont", "López", "Fontaine", "Chevalier", "Robin", "Masson", "D'Almeida",
	"De La Tour", "Benali", "Le Goff", "McDonald"};
static const char *const companies[] = {
	"Boulangerie du Marché", "SNCF Voyages", "Ateliers Réunis", "Garage Central", "Menuiserie Lefèvre & Fils", "Clinique Saint-Roch",
	"Transports Delmas", "Société Générale de Plomberie", "Cabinet Duval", "Éditions du Phare", "Hôtel des Arcades", "Informatique Services",
	"Fromagerie des Alpes", "Pharmacie de la Gare", "Imprimerie Moderne", "BTP Horizon", "Agence Littoral", "Les Jardins d'Émile",
	"Électricité Générale Morel", "Optique Lumière", "Vignobles Castel-Roc", "Brasserie L'Étoile", "Groupe Armor", "Sud Logistique"};
static const char *const jobs[] = {"Directeur", "Directrice", "Gérant", "Gérante", "Responsable achats", "Chargée d'affaires", "Comptable",
				   "Assistant", "Ingénieure", "Chef de projet", "Commercial", "Présidente", "Technicien", "DRH"};
static const char *const streets[] = {"rue de la République", "avenue Jean Jaurès", "boulevard Victor Hugo", "place de l'Église", "rue des Écoles",
				      "chemin du Moulin", "impasse des Lilas", "allée des Tilleuls", "rue Pasteur", "route de Lyon"};
static const struct {
	const char *name;
	unsigned department;
} cities[] = {{"Paris", 75}, {"Lyon", 69}, {"Marseille", 13}, {"Toulouse", 31}, {"Nice", 6}, {"Nantes", 44}, {"Strasbourg", 67}, {"Montpellier", 34},
	      {"Bordeaux", 33}, {"Lille", 59}, {"Rennes", 35}, {"Reims", 51}, {"Saint-Étienne", 42}, {"Le Havre", 76}, {"Grenoble", 38}, {"Dijon", 21},
	      {"Angers", 49}, {"Nîmes", 30}, {"Bourg-en-Bresse", 1}, {"Orléans", 45}};
static const char *const domains[] = {"example.fr", "example.com", "example.org", "exemple.example", "societe.example", "courriel.example"};
static const char *const statuses[] = {"Nouveau", "Nouveau", "Nouveau", "Nouveau", "Contacté", "Qualifié", "Proposition", "En négociation", "Gagné",
				       "Perdu", "Pas de réponse", "NRP1", "RDV", "A rappeler", "Relance", "pas intéressé", "Faux numéro", ""};
static const char *const notes[] = {"", "", "", "", "", "", "", "", "", "", "Rappeler en fin de journée", "Vu au salon de Lyon", "Demande un devis", "Client depuis 2019",
				    "\"Préfère être joint par mail; pas avant 10 h\"", "\"A dit \"\"oui\"\" au téléphone\"",
				    "\"Première ligne\nseconde ligne\"", "Budget à confirmer", "Intéressé par la formule annuelle"};

static uint64_t state;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned below(unsigned limit)
{
	return (unsigned)((next() >> 32) * limit >> 32);
}

struct contact {
	char email[96];
	char phone[32];
};

/* Letters of a name as an address has them: lower case, accents and blanks gone. */
static void address_part(const char *name, char *out, size_t room)
{
	size_t at = 0;

	for (; *name && at + 1 < room; name++) {
		unsigned char c = (unsigned char)*name;
		if (c == 0xC3 && name[1]) {
			unsigned char accent = (unsigned char)*++name & 0x1F;
			static const char base[] = "aaaaaaaceeeeiiiidnooooo-ouuuuyts";
			out[at++] = base[accent];
		} else if (c >= 'A' && c <= 'Z') {
			out[at++] = (char)(c + 32);
		} else if (c >= 'a' && c <= 'z') {
			out[at++] = (char)c;
		}
	}
	out[at] = '\0';
}

static void make_phone(char *out, size_t room)
{
	static const char *const forms[] = {"0%u%02u%02u%02u%02u", "0%u %02u %02u %02u %02u", "0%u.%02u.%02u.%02u.%02u", "+33 %u %02u %02u %02u %02u",
					    "+33%u%02u%02u%02u%02u", "0033%u%02u%02u%02u%02u", "p:+33%u%02u%02u%02u%02u", "%u%02u%02u%02u%02u",
					    "0%u-%02u-%02u-%02u-%02u", "+33 (0)%u %02u %02u %02u %02u"};
	unsigned a = 1 + below(9), b = below(100), c = below(100), d = below(100), e = below(100);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(out, room, PICK(forms), a, b, c, d, e);
#pragma GCC diagnostic pop
}

static void make_contact(struct contact *contact, const char *first, const char *last, unsigned long row)
{
	char a[40], b[40];

	address_part(first, a, sizeof(a));
	address_part(last, b, sizeof(b));
	(void)snprintf(contact->email, sizeof(contact->email), "%s.%s%lu@%s", a, b, row, PICK(domains));
	if (below(20) == 0 && contact->email[0] >= 'a')
		contact->email[0] = (char)(contact->email[0] - 32);
	make_phone(contact->phone, sizeof(contact->phone));
	if (below(12) == 0)
		contact->phone[0] = '\0';
	else if (below(12) == 0)
		contact->email[0] = '\0';
}

enum fault { FAULT_NONE, FAULT_NO_CONTACT, FAULT_EMAIL, FAULT_PHONE };

static enum fault draw_fault(void)
{
	return below(1000) < 15 ? (enum fault)(1 + below(3)) : FAULT_NONE;
}

static void apply_fault(struct contact *contact, enum fault fault)
{
	static const char *const broken_emails[] = {"jean.dupont", "marie@", "@example.fr", "paul@exemple", "a b@example.fr"};
	static const char *const short_phones[] = {"0612", "12345", "06 12 3", "n/a"};

	if (fault == FAULT_NO_CONTACT)
		contact->email[0] = contact->phone[0] = '\0';
	else if (fault == FAULT_EMAIL)
		(void)snprintf(contact->email, sizeof(contact->email), "%s", PICK(broken_emails));
	else if (fault == FAULT_PHONE)
		(void)snprintf(contact->phone, sizeof(contact->phone), "%s", PICK(short_phones));
}

/* A text in other cases now and then, as people type; only plain ASCII names, so that no letter is lost. */
static void print_name(FILE *out, const char *name)
{
	unsigned way = below(10);
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++) {
		if (way > 1 || (unsigned char)name[i] >= 0x80)
			fputc(name[i], out);
		else if (way == 0)
			fputc(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i], out);
		else
			fputc(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i], out);
	}
}

/* One draw per statement, here and below: the order in which arguments are evaluated is the compiler's choice. */
static void print_address(FILE *out)
{
	unsigned city = below((unsigned)(sizeof(cities) / sizeof(cities[0])));
	unsigned code = cities[city].department * 1000 + below(10) * 100;
	unsigned number = 1 + below(180);
	const char *street = PICK(streets);
	bool quoted = below(10) == 0, stripped = below(3) == 0, has_country = below(20) != 0;

	fprintf(out, quoted ? "\"%u bis; %s\"" : "%u %s", number, street);
	/* A spreadsheet that took codes for numbers lost their zero. */
	fprintf(out, code < 10000 && stripped ? ";%s;%u;%s;" : ";%s;%05u;%s;", cities[city].name, code, has_country ? "France" : "");
}

static void write_row(FILE *out, unsigned long row, struct contact earlier[EARLIER])
{
	const char *first = PICK(first_names), *last = PICK(last_names);
	enum fault fault = draw_fault();
	struct contact contact = {{0}, {0}};

	if (row > EARLIER && fault == FAULT_NONE && below(100) == 0) {
		contact = earlier[below(EARLIER)];
	} else {
		make_contact(&contact, first, last, row);
		if (fault == FAULT_NONE)
			earlier[row % EARLIER] = contact;
		apply_fault(&contact, fault);
	}
	if (fault == FAULT_NONE && below(4) != 0)
		fprintf(out, "CRM-%06lu", row);
	fputc(';', out);
	print_name(out, first);
	fputc(';', out);
	print_name(out, last);
	fprintf(out, ";%s;%s;", contact.email, contact.phone);
	fprintf(out, "%s;", below(6) ? PICK(companies) : "");
	fprintf(out, "%s;", below(5) ? PICK(jobs) : "");
	print_address(out);
	fprintf(out, "%s;", PICK(statuses));
	fprintf(out, "%s\n", PICK(notes));
}

static void write_sheet(FILE *out, unsigned long rows, uint64_t seed)
{
	struct contact earlier[EARLIER] = {0};

	state = seed;
	fputs("ID externe;Prénom;Nom;Email;Téléphone;Entreprise;Fonction;Adresse;Ville;Code postal;Pays;Statut;Notes\n", out);
	for (unsigned long row = 1; row <= rows; row++)
		write_row(out, row, earlier);
}

int main(int argc, char **argv)
{
	int64_t rows = 0, seed = 1;

	if (argc < 2 || argc > 3 || parse_i64(argv[1], 0, 100000000, &rows) || (argc == 3 && parse_i64(argv[2], 0, INT64_MAX, &seed))) {
		fputs("usage: sample ROWS [SEED]\n", stderr);
		return 2;
	}
	write_sheet(stdout, (unsigned long)rows, (uint64_t)seed);
	return fflush(stdout) || ferror(stdout) ? 1 : 0;
}
