/*
 * The mapped counters. Called by the request loop, the workers and the /metrics handler.
 * Must never fail a request: when the file cannot be mapped, counting goes on privately.
 */
#include "core/base/metrics.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { METRICS_LAYOUT = 1 };

struct page {
	uint64_t layout; /* METRICS_LAYOUT << 32 | METRIC_COUNT */
	_Atomic int64_t values[METRIC_COUNT];
};

static struct page private_page;
static struct page *page = &private_page;

static const struct {
	const char *name, *help;
} names[METRIC_COUNT] = {
#define COUNTER(id, name, help) {name, help},
#include "core/base/metrics.def"
#undef COUNTER
};

static const uint64_t layout = (uint64_t)METRICS_LAYOUT << 32 | METRIC_COUNT;

enum err metrics_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	if (fd < 0)
		return ERR_IO;
	struct stat st;
	if (fstat(fd, &st) || (st.st_size < (off_t)sizeof(struct page) && ftruncate(fd, sizeof(struct page)))) {
		close(fd);
		return ERR_IO;
	}
	void *mapped = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped == MAP_FAILED)
		return ERR_IO;
	page = mapped;
	if (page->layout != layout) {
		for (int i = 0; i < METRIC_COUNT; i++)
			atomic_store(&page->values[i], 0);
		page->layout = layout;
	}
	return OK;
}

void metrics_add(enum metric metric, int64_t n)
{
	atomic_fetch_add_explicit(&page->values[metric], n, memory_order_relaxed);
}

int64_t metrics_get(enum metric metric)
{
	return atomic_load_explicit(&page->values[metric], memory_order_relaxed);
}

void metrics_write(struct buf *out)
{
	for (int i = 0; i < METRIC_COUNT; i++) {
		int base = (int)strcspn(names[i].name, "{");
		if (names[i].help[0])
			buf_printf(out, "# HELP %.*s %s\n# TYPE %.*s counter\n", base, names[i].name, names[i].help, base, names[i].name);
		buf_printf(out, "%s %lld\n", names[i].name, (long long)metrics_get((enum metric)i));
	}
}
