/* Writes tar headers. Called by the weekly archive. Must never write a name or a size that the format cannot hold. */
#include "handlers/backups/tar.h"

#include <stdio.h>
#include <string.h>

struct tar_header {
	char name[100], mode[8], owner[8], group[8], size[12], modified[12], checksum[8], type, link[100], magic[8], owner_name[32], group_name[32], device[16], prefix[155], rest[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "a header fills a block");

enum err tar_begin(const struct sink *to, const char *name, int64_t size, int64_t modified)
{
	struct tar_header header;
	unsigned sum = 0;
	memset(&header, 0, sizeof(header));
	if (strlen(name) > TAR_NAME_MAX || size < 0 || modified < 0)
		return ERR_INVALID;
	memcpy(header.name, name, strlen(name));
	memcpy(header.mode, "0000600", 8);
	memcpy(header.owner, "0000000", 8);
	memcpy(header.group, "0000000", 8);
	if (size < 1LL << 33) {
		snprintf(header.size, sizeof(header.size), "%011llo", (unsigned long long)size);
	} else {
		header.size[0] = (char)0x80;
		for (int i = 0; i < 8; i++)
			header.size[11 - i] = (char)(size >> 8 * i);
	}
	snprintf(header.modified, sizeof(header.modified), "%011llo", (unsigned long long)modified & 077777777777);
	header.type = '0';
	memcpy(header.magic, "ustar\00000", 8);
	memset(header.checksum, ' ', sizeof(header.checksum));
	for (size_t i = 0; i < sizeof(header); i++)
		sum += ((const unsigned char *)&header)[i];
	snprintf(header.checksum, sizeof(header.checksum), "%06o", sum & 0777777);
	return sink_put(to, &header, sizeof(header));
}

enum err tar_end_member(const struct sink *to, int64_t size)
{
	static const char zeros[TAR_BLOCK];
	return sink_put(to, zeros, (size_t)(-size & (TAR_BLOCK - 1)));
}

enum err tar_finish(const struct sink *to)
{
	static const char zeros[2 * TAR_BLOCK];
	return sink_put(to, zeros, sizeof(zeros));
}
