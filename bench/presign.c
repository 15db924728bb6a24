/* Presigned PUT URLs per second of one core (processor time), as upload-url makes them: a key, a length, a checksum. Called by bench.sh. */
#include "core/store/store.h"

#include <stdio.h>
#include <time.h>

enum { WARM = 1000, URLS = 400000, KEYS = 1000 };

static char keys[KEYS][80];

static const char *one(struct arena *arena, const struct config *config, int n)
{
	const char *url, *headers, *key = keys[n % KEYS];
	const char *checksum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	return !store_presign_put(arena, config, key, 1000 + n, checksum, 900, &url, &headers) ? url : NULL;
}

int main(void)
{
	static struct config config = {
	    .public_url = "https://imports.example.com",
	    .storage_driver = "local",
	    .storage_access_key = "tidegate",
	    .storage_secret_key = "0123456789abcdef0123456789abcdef",
	    .storage_region = "local",
	};
	struct arena arena;
	clock_t start = 0;
	arena_init(&arena, 1 << 20);
	for (int n = 0; n < KEYS; n++)
		snprintf(keys[n], sizeof(keys[n]), "imports/admin%%40example.com/0b1c6f0e-1f2a-4000-8000-%012d.csv", n);
	for (int n = 0; n < WARM + URLS; n++) {
		if (n == WARM)
			start = clock();
		if (!one(&arena, &config, n))
			return 1;
		arena_reset(&arena);
	}
	printf("%.0f\n", URLS / ((double)(clock() - start) / CLOCKS_PER_SEC));
	arena_release(&arena);
	return 0;
}
