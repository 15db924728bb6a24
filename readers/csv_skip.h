/*
 * Skipping ordinary bytes: the only place of the CSV reader that looks at more than one byte at a time. It finds the
 * first of four bytes and decides nothing; what the byte means is up to the state machine in csv.c.
 * The bytes must be followed by CSV_SKIP_SLACK readable bytes (their values do not matter).
 */
#ifndef TIDEGATE_READERS_CSV_SKIP_H
#define TIDEGATE_READERS_CSV_SKIP_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define CSV_SKIP_SLACK 16

/* Index in [from, to] of the first a, b, c or d at or after from; to when there is none. */
static inline size_t csv_skip(const char *bytes, size_t from, size_t to, char a, char b, char c, char d)
{
#ifdef __SSE2__
	const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b), vc = _mm_set1_epi8(c), vd = _mm_set1_epi8(d);
	for (; from < to; from += 16) {
		__m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)(bytes + from));
		__m128i ab = _mm_or_si128(_mm_cmpeq_epi8(chunk, va), _mm_cmpeq_epi8(chunk, vb));
		__m128i cd = _mm_or_si128(_mm_cmpeq_epi8(chunk, vc), _mm_cmpeq_epi8(chunk, vd));
		unsigned hits = (unsigned)_mm_movemask_epi8(_mm_or_si128(ab, cd));
		if (hits) {
			size_t at = from + (size_t)__builtin_ctz(hits);
			return at < to ? at : to;
		}
	}
	return to;
#else
	while (from < to && bytes[from] != a && bytes[from] != b && bytes[from] != c && bytes[from] != d)
		from++;
	return from;
#endif
}

/* A byte of 0x80 or more among n. Reads up to CSV_SKIP_SLACK bytes further, and may count those in. */
static inline bool csv_maybe_not_ascii(const char *bytes, size_t n)
{
#ifdef __SSE2__
	__m128i all = _mm_setzero_si128();
	for (size_t i = 0; i < n; i += 16)
		all = _mm_or_si128(all, _mm_loadu_si128((const __m128i *)(const void *)(bytes + i)));
	return _mm_movemask_epi8(all) != 0;
#else
	unsigned char all = 0;
	for (size_t i = 0; i < n; i++)
		all |= (unsigned char)bytes[i];
	return all >= 0x80;
#endif
}

#endif
