/* Text in HTML. What is written by html_put shows as it is, in content and in quoted attributes, whatever it holds. */
#ifndef TIDEGATE_CORE_BASE_HTML_H
#define TIDEGATE_CORE_BASE_HTML_H

#include "core/base/buf.h"

/* Appends the text; NULL is none. What is no UTF-8, and controls, become U+FFFD. */
void html_put(struct buf *out, const char *text);

#endif
