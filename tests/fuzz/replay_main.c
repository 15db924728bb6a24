/*
 * Runs a fuzz target over the files given and the files in the directories given, and prints the name of each before it
 * is tried, so that the last line names the one that breaks it. For builds without libFuzzer; called by scripts/fuzz.sh.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 16 << 20 };

/* A block of exactly the input's size, so that AddressSanitizer sees the first byte read past it. */
static int try_file(const char *path)
{
	static uint8_t whole[INPUT_MAX];
	FILE *file = fopen(path, "rbe");
	size_t n = file ? fread(whole, 1, sizeof(whole), file) : 0;
	uint8_t *exact = malloc(n ? n : 1);
	bool good = file && exact && !ferror(file);
	if (file && fclose(file))
		good = false;
	puts(path);
	fflush(stdout);
	if (good) {
		memcpy(exact, whole, n);
		LLVMFuzzerTestOneInput(exact, n);
	}
	free(exact);
	return good ? 0 : 1;
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int try_directory(const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, is_visible, alphasort), failed = count < 0;
	for (int i = 0; i < count; i++) {
		char file[4096];
		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		failed += try_file(file);
		free(entries[i]);
	}
	free(entries);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;
	for (int i = 1; i < argc; i++) {
		struct stat st;
		bool directory = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
		failed += directory ? try_directory(argv[i]) : try_file(argv[i]);
	}
	return failed ? 1 : 0;
}
