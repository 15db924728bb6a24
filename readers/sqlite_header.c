/*
 * Container and header of an SQLite database. Called by sqlite_read.c before the library is given anything. Must never look
 * past the bytes it was given, nor accept a field for which the file format knows no meaning.
 */
#include "readers/sqlite_header.h"

#include <math.h>
#include <string.h>

#define ENTROPY_SAMPLE 4096u
#define ENTROPY_LEAST 7.5 /* bits per byte; 4096 random bytes have 7.95, texts and databases below 6 */

static const char magic[16] = "SQLite format 3";

static bool has_magic(struct str bytes, size_t at)
{
	return bytes.n >= at + sizeof(magic) && memcmp(bytes.p + at, magic, sizeof(magic)) == 0;
}

static bool starts_with(struct str bytes, const char *text)
{
	size_t n = strlen(text);
	return bytes.n >= n && memcmp(bytes.p, text, n) == 0;
}

static double entropy(const char *bytes, size_t n)
{
	unsigned counts[256] = {0};
	double bits = 0;
	for (size_t i = 0; i < n; i++)
		counts[(unsigned char)bytes[i]]++;
	for (int i = 0; i < 256; i++) {
		if (counts[i])
			bits -= (double)counts[i] / (double)n * log2((double)counts[i] / (double)n);
	}
	return bits;
}

/* Encrypted pages have no beginning to know them by. What is compressed looks like them but has one. */
static bool looks_encrypted(struct str start, int64_t file_size)
{
	static const char *const compressed[] = {"PK", "\x1f\x8b", "\xff\xd8\xff", "\x89PNG", "%PDF", "BZh", "\xfd\x37zXZ", "7z\xbc\xaf", "\x28\xb5\x2f\xfd", "Rar!"};
	for (size_t i = 0; i < sizeof(compressed) / sizeof(compressed[0]); i++) {
		if (starts_with(start, compressed[i]))
			return false;
	}
	return start.n >= ENTROPY_SAMPLE && file_size % 512 == 0 && entropy(start.p, ENTROPY_SAMPLE) >= ENTROPY_LEAST;
}

enum err sqlite_container_find(struct str start, int64_t file_size, enum sqlite_container *ret, struct refusal *refusal)
{
	if (file_size == 0)
		return refuse(refusal, "empty_file");
	if (has_magic(start, 0)) {
		*ret = SQLITE_PLAIN;
		return OK;
	}
	if (starts_with(start, "<?xml")) {
		if (file_size <= SQLITE_PLIST_OFFSET && memmem(start.p, start.n, "<plist", 6))
			return refuse(refusal, "sqlite_truncated");
		if (!has_magic(start, SQLITE_PLIST_OFFSET))
			return refuse(refusal, "not_a_sqlite_file");
		*ret = SQLITE_PLIST;
		return OK;
	}
	if (file_size < (int64_t)sizeof(magic) && start.n && memcmp(start.p, magic, start.n) == 0)
		return refuse(refusal, "sqlite_truncated");
	return refuse(refusal, looks_encrypted(start, file_size) ? "sqlite_encrypted" : "not_a_sqlite_file");
}

/* Numbers of the file format are big-endian. */
static uint32_t big(struct str bytes, size_t at, int n)
{
	uint32_t value = 0;
	for (int i = 0; i < n; i++)
		value = value << 8 | (unsigned char)bytes.p[at + (size_t)i];
	return value;
}

/* Page size, room that is left of a page, and the fractions of it that payloads may take: fixed by the format. */
static bool has_good_pages(struct str bytes, uint32_t page_size)
{
	bool power = page_size >= 512 && page_size <= 65536 && (page_size & (page_size - 1)) == 0;
	return power && page_size - big(bytes, 20, 1) >= 480 && big(bytes, 21, 1) == 64 && big(bytes, 22, 1) == 32 && big(bytes, 23, 1) == 32;
}

/* The number of pages in the header counts when its writer knew of it: the two change counters agree. */
static const char *count_pages(struct str bytes, int64_t size, struct sqlite_header *header)
{
	uint32_t said = big(bytes, 28, 4);
	bool counts = said != 0 && big(bytes, 24, 4) == big(bytes, 92, 4);
	int64_t there = size / header->page_size;
	if (there == 0 || (counts && there < said))
		return "sqlite_truncated";
	if (size % header->page_size || (counts && there > said) || there > UINT32_MAX - 1)
		return "sqlite_damaged";
	header->pages = (uint32_t)there;
	return NULL;
}

enum err sqlite_header_read(struct str bytes, int64_t size, struct sqlite_header *ret, struct refusal *refusal)
{
	struct sqlite_header header = {0};
	if (bytes.n < SQLITE_HEADER || size < SQLITE_HEADER)
		return refuse(refusal, "sqlite_truncated");
	if (!has_magic(bytes, 0))
		return refuse(refusal, "not_a_sqlite_file");
	uint32_t stored = big(bytes, 16, 2), write_version = big(bytes, 18, 1), read_version = big(bytes, 19, 1), encoding = big(bytes, 56, 4);
	header.page_size = stored == 1 ? 65536 : stored;
	header.schema_format = big(bytes, 44, 4);
	if (read_version > 2 || write_version > 2 || header.schema_format > 4)
		return refuse(refusal, "sqlite_too_new");
	bool never_used = header.schema_format == 0 && encoding == 0;
	if (!has_good_pages(bytes, header.page_size) || read_version < 1 || write_version < 1 || encoding > 3 || (!never_used && (encoding == 0 || header.schema_format == 0)))
		return refuse(refusal, "sqlite_damaged");
	const char *wrong = count_pages(bytes, size, &header);
	if (wrong)
		return refuse(refusal, wrong);
	header.wal = read_version == 2;
	header.auto_vacuum = big(bytes, 52, 4) != 0;
	header.encoding = never_used ? SQLITE_TEXT_UTF8 : (enum sqlite_encoding)encoding;
	header.user_version = big(bytes, 60, 4);
	header.application_id = big(bytes, 68, 4);
	header.library = big(bytes, 96, 4);
	*ret = header;
	return OK;
}
