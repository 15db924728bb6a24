/*
 * Unpacking of one zip entry. Called by xml.c through its source. libzip hands over the packed bytes only; what they unpack
 * to is counted and checked here. Must never believe a size that stands in a header.
 */
#include "readers/part.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <zip.h>

#define PART_BLOCK (64u << 10)

enum err part_init(struct part *part, struct archive *archive, struct arena *arena)
{
	*part = (struct part){.archive = archive};
	part->inflate = arena_alloc(arena, sizeof(*part->inflate));
	part->packed = arena_alloc(arena, PART_BLOCK);
	return part->inflate && part->packed ? OK : ERR_TOO_LARGE;
}

enum err part_open(struct part *part, int64_t entry, int64_t cap)
{
	struct archive *archive = part->archive;
	zip_stat_t stat;
	part_close(part);
	if (zip_stat_index(archive->zip, (zip_uint64_t)entry, 0, &stat))
		return refuse(archive->refusal, "zip_damaged");
	if (stat.encryption_method != ZIP_EM_NONE)
		return refuse(archive->refusal, "zip_encrypted_entry");
	if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
		return refuse(archive->refusal, "zip_method_unsupported");
	part->file = zip_fopen_index(archive->zip, (zip_uint64_t)entry, ZIP_FL_COMPRESSED);
	if (!part->file)
		return refuse(archive->refusal, "zip_damaged");
	part->deflated = stat.comp_method == ZIP_CM_DEFLATE;
	part->cap = cap < archive->limits.part_bytes ? cap : archive->limits.part_bytes;
	part->said = stat.size < INT64_MAX ? (int64_t)stat.size : INT64_MAX;
	part->wanted_crc = stat.crc;
	part->crc = 0;
	part->consumed = part->produced = 0;
	part->finished = false;
	isal_inflate_init(part->inflate);
	part->inflate->avail_in = 0;
	return OK;
}

/* libzip checks the sum of stored entries itself. */
static enum err refuse_part(struct part *part)
{
	int code = zip_error_code_zip(zip_file_get_error(part->file));
	return refuse(part->archive->refusal, code == ZIP_ER_READ ? "read_error" : code == ZIP_ER_CRC ? "zip_bad_checksum" : "zip_damaged");
}

static enum err read_packed(struct part *part, char *to, size_t n, size_t *ret)
{
	zip_int64_t got = zip_fread(part->file, to, n);
	if (got < 0)
		return refuse_part(part);
	part->consumed += got;
	*ret = (size_t)got;
	return OK;
}

/* Bytes are produced, or the stream ended, or this returns an error. */
static enum err unpack(struct part *part, char *to, size_t n, size_t *ret)
{
	struct inflate_state *inflate = part->inflate;
	inflate->next_out = (uint8_t *)to;
	inflate->avail_out = (uint32_t)n;
	while (inflate->avail_out == n && inflate->block_state != ISAL_BLOCK_FINISH) {
		size_t got = 0;
		enum err err = inflate->avail_in ? OK : read_packed(part, part->packed, PART_BLOCK, &got);
		if (err)
			return err;
		if (got) {
			inflate->next_in = (uint8_t *)part->packed;
			inflate->avail_in = (uint32_t)got;
		}
		bool starved = inflate->avail_in == 0;
		if (isal_inflate(inflate) != ISAL_DECOMP_OK)
			return refuse(part->archive->refusal, "zip_damaged");
		if (starved && inflate->avail_out == n && inflate->block_state != ISAL_BLOCK_FINISH)
			return refuse(part->archive->refusal, "zip_damaged"); /* cut off */
	}
	*ret = n - inflate->avail_out;
	return OK;
}

static enum err count(struct part *part, size_t n)
{
	struct archive *archive = part->archive;
	part->produced += (int64_t)n;
	archive->produced += (int64_t)n;
	if (part->produced > part->cap || archive->produced > archive->limits.total_bytes)
		return refuse(archive->refusal, "unpacks_too_large");
	if (part->produced > ARCHIVE_RATIO_GRACE && part->produced / archive->limits.ratio > part->consumed)
		return refuse(archive->refusal, "unpacks_too_dense");
	return OK;
}

enum err part_read(struct part *part, char *to, size_t n, size_t *ret)
{
	size_t got = 0;
	n = n < INT32_MAX ? n : INT32_MAX;
	enum err err = part->finished ? OK : part->deflated ? unpack(part, to, n, &got) : read_packed(part, to, n, &got);
	if (err)
		return err;
	if (got == 0 && !part->finished) {
		part->finished = true;
		if (part->crc != part->wanted_crc)
			return refuse(part->archive->refusal, "zip_bad_checksum");
	}
	part->crc = crc32_gzip_refl(part->crc, (const unsigned char *)to, got);
	err = count(part, got);
	if (!err)
		*ret = got;
	return err;
}

void part_close(struct part *part)
{
	if (part->file)
		zip_fclose(part->file);
	part->file = NULL;
}
