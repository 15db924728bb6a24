/* Names in files and the people they are: spellings, namesakes, other scripts, ids. */
#include "handlers/import/assignees.h"
#include "tests/unit/tap.h"

static const struct person people[] = {
	{"u-1", "Marie Durand"}, {"u-2", "Éric  Lefèvre"}, {"u-3", "Marie Petit"}, {"u-4", "Jean-Paul O’Connor"}, {"u-5", "Ana Roux"}, {"u-6", "Ana Roux"},
	{"zoe", NULL},           {"u-7", "Zoe Martin"},    {"u-8", "山田 太郎"},   {"u-9", "  "},                 {"Éric", "Max Fort"},
};

static const struct {
	const char *name, *id;
} cases[] = {
	{"Marie Durand", "u-1"}, {"MARIE DURAND", "u-1"}, {"  marie   durand ", "u-1"}, {"Eric Lefevre", "u-2"}, {"eric lefèvre", "u-2"}, {"Éric", "u-2"},
	{"Marie", NULL},         {"Ana", NULL},           {"Ana Roux", NULL},          {"jean-paul oconnor", "u-4"}, {"Jean-Paul", "u-4"}, {"Jeanpaul", "u-4"},
	{"u-5", "u-5"},          {"u-6", "u-6"},          {"U-5", NULL},               {"zoe", "u-7"},           {"Max", "Éric"},      {"山田 太郎", "u-8"},
	{"山田", "u-8"},         {"田", NULL},            {"", NULL},                  {"Durand Marie", NULL},   {"u-9", "u-9"},       {"Durand", NULL},
};

int main(void)
{
	struct arena arena;
	arena_init(&arena, 1 << 20);
	const struct people_index *index = people_index_make(&arena, people, sizeof(people) / sizeof(people[0]));
	ok(index != NULL, "an index is made");
	for (size_t i = 0; index && i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *id = people_find(index, cases[i].name);
		ok(text_equal(id, cases[i].id), "\"%s\" is %s, got %s", cases[i].name, cases[i].id ? cases[i].id : "nobody", id ? id : "nobody");
	}
	const struct people_index *nobody = people_index_make(&arena, NULL, 0);
	ok(nobody && !people_find(nobody, "Marie"), "nobody is found where there is nobody");
	arena_release(&arena);
	return tap_done();
}
