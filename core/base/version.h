/* The version that /api/health, `tidegate --version` and the packages show. */
#ifndef TIDEGATE_CORE_BASE_VERSION_H
#define TIDEGATE_CORE_BASE_VERSION_H

#define TIDEGATE_VERSION "0.1.0"

#endif
