/*
 * libFuzzer: the XLSX reader, whole, in this process. A first byte of 'Z' means that the rest is the file; of 'P' that the
 * rest are its parts, divided by 0xFF bytes, which no XML holds: sheet, strings, styles, workbook, its relationships, the
 * package's; an archive is made of them, with the usual ones for those that are not there. What must hold: META first,
 * frames that the parent accepts, END or FAIL at the end; the same cells when every cell takes the long way through the XML.
 *   clang -fsanitize=fuzzer,address,undefined … tests/fuzz/fuzz_xlsx.c; run on tests/fuzz/seeds/xlsx
 */
#include "core/base/buf.h"
#include "readers/archive.h"
#include "readers/csv.h"
#include "readers/read.h"

#include <isa-l/crc.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 6, FILE_MAX = 4 << 20 };

#define OFFICE "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"

static const struct {
	const char *name, *usual;
} parts[PARTS] = {
	{"xl/worksheets/sheet1.xml", "<worksheet/>"},
	{"xl/sharedStrings.xml", "<sst><si><t>a</t></si><si><t>b</t></si></sst>"},
	{"xl/styles.xml", "<styleSheet><cellXfs><xf/><xf numFmtId='14'/></cellXfs></styleSheet>"},
	{"xl/workbook.xml", "<workbook><sheets><sheet name='S' id='a'/></sheets></workbook>"},
	{"xl/_rels/workbook.xml.rels", "<Relationships><Relationship Id='a' Type='" OFFICE "worksheet' Target='worksheets/sheet1.xml'/><Relationship Id='b' Type='" OFFICE
				       "sharedStrings' Target='sharedStrings.xml'/><Relationship Id='c' Type='" OFFICE "styles' Target='styles.xml'/></Relationships>"},
	{"_rels/.rels", "<Relationships><Relationship Id='a' Type='" OFFICE "officeDocument' Target='xl/workbook.xml'/></Relationships>"},
};

static void must(bool holds)
{
	if (!holds)
		__builtin_trap();
}

/* ---- an archive of stored parts ---- */

static void put(struct buf *to, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_append_char(to, (char)(value >> 8 * i));
}

/* What local and central header have in common, from the version needed to the length of the extra field. */
static void put_common(struct buf *to, const char *name, struct str content)
{
	put(to, 20, 2);
	put(to, 0, 4); /* flags, method */
	put(to, 0x21 << 16, 4); /* 1980-01-01 */
	put(to, crc32_gzip_refl(0, (const unsigned char *)content.p, content.n), 4);
	put(to, (uint32_t)content.n, 4);
	put(to, (uint32_t)content.n, 4);
	put(to, (uint32_t)strlen(name), 2);
	put(to, 0, 2);
}

static void pack(struct buf *file, const struct str contents[PARTS])
{
	uint32_t offsets[PARTS], directory = 0;
	buf_clear(file);
	for (int i = 0; i < PARTS; i++) {
		offsets[i] = (uint32_t)file->len;
		buf_append(file, "PK\3\4", 4);
		put_common(file, parts[i].name, contents[i]);
		buf_append_text(file, parts[i].name);
		buf_append(file, contents[i].p, contents[i].n);
	}
	directory = (uint32_t)file->len;
	for (int i = 0; i < PARTS; i++) {
		buf_append(file, "PK\1\2\24\0", 6);
		put_common(file, parts[i].name, contents[i]);
		put(file, 0, 4);
		put(file, 0, 4);
		put(file, 0, 2);
		put(file, offsets[i], 4);
		buf_append_text(file, parts[i].name);
	}
	uint32_t length = (uint32_t)file->len - directory;
	buf_append(file, "PK\5\6\0\0\0\0", 8);
	put(file, PARTS | PARTS << 16, 4);
	put(file, length, 4);
	put(file, directory, 4);
	put(file, 0, 2);
}

/* ---- reading ---- */

static void set_file(int fd, struct str bytes)
{
	must(ftruncate(fd, 0) == 0);
	must(bytes.n == 0 || pwrite(fd, bytes.p, bytes.n, 0) == (ssize_t)bytes.n);
}

static void check_frames(const struct buf *frames)
{
	uint64_t last_row = 0;
	enum frame_type last = FRAME_ROWS;
	for (size_t at = 0; at < frames->len;) {
		struct frame frame = {FRAME_META, {NULL, 0}};
		must(frames->len - at >= FRAME_HEADER && frame_header_parse(frames->data + at, &frame.type, &frame.payload.n) == OK);
		frame.payload.p = frames->data + at + FRAME_HEADER;
		must((at == 0) == (frame.type == FRAME_META) || frame.type == FRAME_FAIL);
		must(frame.payload.n <= frames->len - at - FRAME_HEADER && frame_payload_check(&frame, &last_row) == OK);
		at += FRAME_HEADER + frame.payload.n;
		last = frame.type;
	}
	must(last == FRAME_END || last == FRAME_FAIL);
}

/* All frames that the reader sends for this file. */
static void read_all(struct str file, struct buf *frames)
{
	static int input = -1, output = -1;
	if (input < 0) {
		input = memfd_create("input", 0);
		output = memfd_create("output", 0);
		must(input >= 0 && output >= 0 && dup2(input, STDIN_FILENO) == STDIN_FILENO);
	}
	struct read_options options = {.mode = "rows", .header_row = HEADER_AUTO, .max_record = CSV_RECORD_MAX, .max_field = 1000, .max_columns = 100, .max_entries = 100,
				       .max_part = 1 << 22, .max_unpacked = 1 << 23, .max_ratio = ARCHIVE_RATIO_MAX, .strings_memory = 1 << 20, .file_size = (int64_t)file.n};
	struct frame_writer writer;
	set_file(input, file);
	must(ftruncate(output, 0) == 0 && lseek(output, 0, SEEK_SET) == 0);
	frame_writer_init(&writer, output);
	enum err err = xlsx_read(&options, &writer);
	must(err == OK || err == ERR_TOO_LARGE);
	frame_writer_release(&writer);
	off_t length = lseek(output, 0, SEEK_CUR);
	buf_clear(frames);
	char *to = length >= 0 ? buf_reserve(frames, (size_t)length) : NULL;
	must(to && pread(output, to, (size_t)length, 0) == length);
	frames->len = (size_t)length;
	if (err == OK)
		check_frames(frames);
}

/* The same sheet, with two blanks where a cell has one: the short cuts do not know that. False: there may be blanks that count. */
static bool lengthen(struct str sheet, struct buf *to)
{
	if (memmem(sheet.p, sheet.n, "<!", 2) || memmem(sheet.p, sheet.n, "<?", 2))
		return false;
	buf_clear(to);
	for (size_t i = 0; i < sheet.n; i++) {
		buf_append_char(to, sheet.p[i]);
		if (i >= 2 && memcmp(sheet.p + i - 2, "<c ", 3) == 0)
			buf_append_char(to, ' ');
	}
	return to->len > 0;
}

static void read_parts(struct str rest, struct buf *file, struct buf *frames)
{
	static struct buf slow_frames, slow_sheet;
	struct str contents[PARTS];
	if (slow_frames.max == 0) {
		buf_init(&slow_frames, 32 << 20);
		buf_init(&slow_sheet, FILE_MAX);
	}
	for (int i = 0; i < PARTS; i++) {
		const char *end = rest.n ? memchr(rest.p, 0xff, rest.n) : NULL;
		size_t n = end ? (size_t)(end - rest.p) : rest.n, step = n + (end != NULL);
		contents[i] = n ? (struct str){rest.p, n} : str_of(parts[i].usual);
		rest = (struct str){rest.p + step, rest.n - step};
	}
	pack(file, contents);
	read_all((struct str){file->data, file->len}, frames);
	if (!lengthen(contents[0], &slow_sheet))
		return;
	contents[0] = (struct str){slow_sheet.data, slow_sheet.len};
	pack(file, contents);
	read_all((struct str){file->data, file->len}, &slow_frames);
	/* META and END tell the size of the file; what is between must be the same. */
	const char *rows = memmem(frames->data, frames->len, "TGF1\2", 5), *slow_rows = memmem(slow_frames.data, slow_frames.len, "TGF1\2", 5);
	const char *end = memmem(frames->data, frames->len, "TGF1\4", 5), *slow_end = memmem(slow_frames.data, slow_frames.len, "TGF1\4", 5);
	must((rows == NULL) == (slow_rows == NULL) && (end == NULL) == (slow_end == NULL));
	if (rows && end && end > rows)
		must(end - rows == slow_end - slow_rows && memcmp(rows, slow_rows, (size_t)(end - rows)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buf file, frames;
	if (file.max == 0) {
		buf_init(&file, FILE_MAX);
		buf_init(&frames, 32 << 20);
	}
	if (size < 2 || size > FILE_MAX / 4)
		return 0;
	struct str rest = {(const char *)data + 1, size - 1};
	if (data[0] == 'P')
		read_parts(rest, &file, &frames);
	else if (data[0] == 'Z')
		read_all(rest, &frames);
	return 0;
}
