/*
 * libFuzzer: the CSV machine, detection and decoding on any bytes. The first three choose the dialect, the limits and the block size. What
 * must hold: the same records in blocks as at once; cells inside the window and within the caps; rising numbers and offsets.
 *   clang -fsanitize=fuzzer,address,undefined … tests/fuzz/fuzz_csv.c; run on tests/fuzz/seeds/csv
 */
#include "readers/csv.h"
#include "readers/csv_detect.h"
#include "readers/encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

struct digest {
	uint64_t hash, records;
};

static void add(struct digest *digest, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	for (size_t i = 0; i < n; i++)
		digest->hash = (digest->hash ^ p[i]) * 1099511628211u;
	digest->hash = (digest->hash ^ n ^ 0x5bd1e995u) * 1099511628211u;
}

static void check_record(const struct csv *csv, const struct csv_record *record, struct digest *digest, uint64_t *offset)
{
	must(record->number == ++digest->records && record->cell_count >= 1 && record->cell_count <= csv->limits.columns);
	must(digest->records == 1 || record->offset > *offset);
	*offset = record->offset;
	add(digest, &record->offset, sizeof(record->offset));
	add(digest, &record->flags, sizeof(record->flags));
	for (uint32_t i = 0; i < record->cell_count; i++) {
		struct str cell = record->cells[i];
		must(cell.p >= csv->window && cell.p + cell.n <= csv->window + csv->room && cell.n <= csv->limits.field_bytes);
		must(!cell.n || !memchr(cell.p, 0, cell.n));
		add(digest, cell.p, cell.n);
	}
}

static struct digest read_all(struct arena *arena, struct str input, const struct csv_dialect *dialect, const struct csv_limits *limits, size_t block)
{
	struct digest digest = {14695981039346656037u, 0};
	struct csv csv;
	struct csv_record record;
	uint64_t offset = 0;
	size_t fed = 0;
	arena_reset(arena);
	if (csv_init(&csv, arena, dialect, limits, 0))
		return digest;
	csv_expect(&csv, 3);
	for (;;) {
		enum csv_step step = csv_next(&csv, &record);
		if (step == CSV_RECORD) {
			check_record(&csv, &record, &digest, &offset);
			continue;
		}
		if (step != CSV_MORE) {
			add(&digest, &step, sizeof(step));
			return digest;
		}
		size_t room = 0;
		char *to = csv_room(&csv, &room);
		size_t n = input.n - fed < block ? input.n - fed : block;
		must(room >= CSV_BLOCK);
		n = n < room ? n : room;
		if (n)
			memcpy(to, input.p + fed, n);
		csv_fed(&csv, n);
		fed += n;
		if (fed == input.n)
			csv_finish(&csv);
	}
}

static void detect(struct arena *arena, struct str input)
{
	struct csv_layout layout;
	struct csv_wish wish = {'\0', HEADER_AUTO};
	char *out = NULL;
	unsigned findings = 0;
	if (input.n > CSV_SAMPLE)
		input.n = CSV_SAMPLE;
	struct encoding_guess guess = encoding_detect(input.p, input.n);
	must(guess.bom <= input.n && guess.encoding < ENCODING_COUNT);
	(void)csv_not_text(input.p, input.n);
	(void)csv_mostly_control(input.p, input.n);
	must(csv_detect(arena, input, input.n % 2, &wish, &layout) == OK && layout.columns <= CSV_COLUMNS_MAX && layout.directive <= input.n);
	arena_reset(arena);
	out = arena_alloc(arena, UTF16_ROOM(input.n) + 3 * input.n);
	if (!out)
		return;
	struct utf16 utf16 = {.big_endian = guess.encoding == ENCODING_UTF16BE};
	must(utf8_valid(out, utf16_decode(&utf16, input.p, input.n, true, out)));
	if (guess.encoding != ENCODING_UTF16BE && guess.encoding != ENCODING_UTF16LE)
		must(utf8_valid(out, encoding_decode(guess.encoding, input.p, input.n, out, &findings)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena arena;
	if (arena.cap == 0)
		arena_init(&arena, 8 << 20);
	if (size < 3)
		return 0;
	struct csv_dialect dialect = {",;\t|"[data[0] & 3], "\"'\0\""[data[0] >> 2 & 3], data[0] >> 4 & 1};
	struct csv_limits limits = data[1] & 1 ? CSV_LIMITS_DEFAULT : (struct csv_limits){8 + data[1], 4 + data[1] / 8, data[1] / 16, 2 + data[1] / 32};
	struct str input = {(const char *)data + 3, size - 3};
	struct digest whole = read_all(&arena, input, &dialect, &limits, SIZE_MAX);
	struct digest pieces = read_all(&arena, input, &dialect, &limits, 1 + data[2] % 32);
	must(whole.hash == pieces.hash && whole.records == pieces.records);
	detect(&arena, input);
	return 0;
}
