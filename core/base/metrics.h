/*
 * Counters shared by all processes of a host: a small mapped file of 64-bit atomics, so that any process can answer
 * /metrics for all. Without the file (it cannot be made) counting goes to private memory and nothing else changes.
 */
#ifndef TIDEGATE_CORE_BASE_METRICS_H
#define TIDEGATE_CORE_BASE_METRICS_H

#include "core/base/buf.h"

#include <stdint.h>

enum metric {
#define COUNTER(id, name, help) METRIC_##id,
#include "core/base/metrics.def"
#undef COUNTER
	METRIC_COUNT
};

/* Maps path, made with mode 0660 when missing. A file of another layout is replaced. */
enum err metrics_open(const char *path);

void metrics_add(enum metric metric, int64_t n);
int64_t metrics_get(enum metric metric);

/* Prometheus text exposition format 0.0.4. */
void metrics_write(struct buf *out);

#endif
