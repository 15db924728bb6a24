/*
 * Old Office files: the header says where the directory begins ([MS-CFB] 2.2), names stand there in UTF-16. Called by
 * xlsx_read.c. Looks at one stretch of the directory only.
 */
#include "readers/ole.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define DIRECTORY_BYTES 8192u

static uint32_t little(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int holds_name(const char *bytes, size_t n, const char *name)
{
	char wide[64];
	size_t length = strlen(name);
	for (size_t i = 0; i < length; i++) {
		wide[2 * i] = name[i];
		wide[2 * i + 1] = '\0';
	}
	return memmem(bytes, n, wide, 2 * length) != NULL;
}

const char *ole_refusal(int fd)
{
	static const char magic[8] = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
	unsigned char header[64];
	char directory[DIRECTORY_BYTES];
	ssize_t n = pread(fd, header, sizeof(header), 0);
	if (n < (ssize_t)sizeof(magic) || memcmp(header, magic, sizeof(magic)) != 0)
		return NULL;
	if (n < (ssize_t)sizeof(header))
		return "looks_like_xls";
	n = pread(fd, directory, sizeof(directory), ((int64_t)little(header + 48) + 1) << (header[30] == 12 ? 12 : 9));
	if (n > 0 && holds_name(directory, (size_t)n, "EncryptedPackage"))
		return "password_protected";
	return n > 0 && (holds_name(directory, (size_t)n, "Workbook") || holds_name(directory, (size_t)n, "Book")) ? "old_excel" : "looks_like_xls";
}
