/*
 * The zip container: libzip on a descriptor that is already open, and look-up of names. Called by part.c and the reader of
 * workbooks. Must never let libzip open a file or unpack anything.
 */
#include "readers/archive.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#define JUNK_MAX (1u << 20) /* an archive whose offsets do not count what is before it begins within so many bytes */

/* ---- libzip's view of the file ---- */

static zip_int64_t source_read(struct archive *archive, char *to, uint64_t n)
{
	for (;;) {
		ssize_t got = pread(archive->fd, to, n < INT_MAX ? n : INT_MAX, archive->start + archive->position);
		if (got < 0 && errno == EINTR)
			continue;
		archive->position += got > 0 ? got : 0;
		return got;
	}
}

static zip_int64_t source_seek(struct archive *archive, void *data, uint64_t length)
{
	zip_error_t error;
	zip_error_init(&error);
	zip_int64_t to = zip_source_seek_compute_offset((zip_uint64_t)archive->position, (zip_uint64_t)(archive->size - archive->start), data, length, &error);
	if (to >= 0)
		archive->position = to;
	return to < 0 ? -1 : 0;
}

static zip_int64_t source_stat(const struct archive *archive, zip_stat_t *stat)
{
	zip_stat_init(stat);
	stat->size = (zip_uint64_t)(archive->size - archive->start);
	stat->valid = ZIP_STAT_SIZE;
	return sizeof(*stat);
}

static zip_int64_t source_error(void *data)
{
	static const int read_error[2] = {ZIP_ER_READ, 0};
	memcpy(data, read_error, sizeof(read_error));
	return sizeof(read_error);
}

static zip_int64_t source(void *context, void *data, zip_uint64_t length, zip_source_cmd_t command)
{
	struct archive *archive = context;
	if (command == ZIP_SOURCE_READ)
		return source_read(archive, data, length);
	if (command == ZIP_SOURCE_SEEK)
		return source_seek(archive, data, length);
	if (command == ZIP_SOURCE_TELL)
		return archive->position;
	if (command == ZIP_SOURCE_STAT)
		return source_stat(archive, data);
	if (command == ZIP_SOURCE_ERROR)
		return source_error(data);
	if (command == ZIP_SOURCE_SUPPORTS)
		return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
						      ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
	if (command == ZIP_SOURCE_OPEN)
		archive->position = 0;
	return command == ZIP_SOURCE_OPEN || command == ZIP_SOURCE_CLOSE || command == ZIP_SOURCE_FREE ? 0 : -1;
}

/* Opens the archive that begins at archive->start; libzip's error code. */
static int open_at_start(struct archive *archive)
{
	zip_error_t error;
	zip_error_init(&error);
	archive->position = 0;
	zip_source_t *zip_source = zip_source_function_create(source, archive, &error);
	if (!zip_source)
		return ZIP_ER_MEMORY;
	archive->zip = zip_open_from_source(zip_source, ZIP_RDONLY, &error);
	int code = zip_error_code_zip(&error);
	if (!archive->zip)
		zip_source_free(zip_source);
	zip_error_fini(&error);
	return archive->zip ? ZIP_ER_OK : code ? code : ZIP_ER_INTERNAL;
}

/* Where the first local header stands within the first bytes of the file; 0 when nowhere. */
static int64_t junk_before(int fd)
{
	char block[(16u << 10) + 4];
	for (int64_t at = 0; at < JUNK_MAX; at += (int64_t)sizeof(block) - 4) {
		ssize_t n = pread(fd, block, sizeof(block), at);
		const char *found = n > 0 ? memmem(block, (size_t)n, "PK\x03\x04", 4) : NULL;
		if (n <= 0 || found)
			return found ? at + (found - block) : 0;
	}
	return 0;
}

static enum err refuse_archive(const struct archive *archive, int code)
{
	static const struct {
		int code;
		const char *refusal;
	} meanings[] = {
	    {ZIP_ER_MEMORY, "zip_too_many_entries"}, /* nothing but the directory has been read */
	    {ZIP_ER_READ, "read_error"},
	    {ZIP_ER_NOZIP, "not_a_workbook"},
	};
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].code == code)
			return refuse(archive->refusal, meanings[i].refusal);
	}
	return refuse(archive->refusal, "zip_damaged");
}

enum err archive_open(struct archive *archive, int fd, int64_t size, const struct archive_limits *limits, struct refusal *refusal)
{
	char magic[4] = "";
	*archive = (struct archive){.fd = fd, .size = size, .limits = *limits, .refusal = refusal};
	ssize_t n = pread(fd, magic, sizeof(magic), 0);
	bool begins = n == sizeof(magic) && (memcmp(magic, "PK\x03\x04", 4) == 0 || memcmp(magic, "PK\x05\x06", 4) == 0);
	int code = open_at_start(archive);
	if (code != ZIP_ER_OK && code != ZIP_ER_MEMORY && !begins) {
		archive->start = junk_before(fd);
		code = archive->start ? open_at_start(archive) : code;
	}
	if (code == ZIP_ER_NOZIP && begins)
		code = ZIP_ER_INCONS; /* cut off: the directory is at the end */
	if (code != ZIP_ER_OK)
		return refuse_archive(archive, code);
	return zip_get_num_entries(archive->zip, 0) > limits->entries ? refuse(refusal, "zip_too_many_entries") : OK;
}

void archive_close(struct archive *archive)
{
	if (archive->zip)
		zip_discard(archive->zip);
	archive->zip = NULL;
}

static char folded(char c)
{
	return (char)(c == '\\' ? '/' : c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static bool same_name(const char *entry, struct str name)
{
	while (*entry == '/' || *entry == '\\')
		entry++;
	size_t i = 0;
	while (i < name.n && entry[i] && folded(entry[i]) == folded(name.p[i]))
		i++;
	return i == name.n && !entry[i];
}

enum err archive_find(struct archive *archive, struct str name, int64_t *ret)
{
	int64_t found = -1, count = zip_get_num_entries(archive->zip, 0);
	for (int64_t i = 0; i < count; i++) {
		const char *entry = zip_get_name(archive->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
		if (!entry || !same_name(entry, name))
			continue;
		if (found >= 0)
			return refuse(archive->refusal, "zip_duplicate_entry");
		found = i;
	}
	*ret = found;
	return OK;
}
