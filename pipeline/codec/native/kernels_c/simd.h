/* Vectors of 32-bit lanes, as wide as the level has them, and operations that plain C lacks. */
#pragma once

#include "inline.h"
#include "kernels.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* vectors never leave a level */

enum {
#if defined(LEVEL_AVX512)
    VECTOR = 16,
#elif defined(LEVEL_AVX2)
    VECTOR = 8,
#else
    VECTOR = 4,
#endif
    LANES = 16, /* what is worked on at once: 16 pixels, or the 16 values of a nibble */
    PARTS = LANES / VECTOR,
};

typedef int32_t vec __attribute__((vector_size(4 * VECTOR)));
typedef uint32_t unsigned_vec __attribute__((vector_size(4 * VECTOR)));
typedef float reals __attribute__((vector_size(4 * VECTOR)));

INLINE vec load(const int32_t *from) {
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store(int32_t *to, vec v) { memcpy(to, &v, sizeof v); }

/* 2 VECTOR numbers, two in each lane. */
INLINE vec load_pairs(const int16_t *from) {
    vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* VECTOR numbers, each in a lane of its own. */
INLINE vec load_wide(const int16_t *from) {
#if defined(LEVEL_AVX512)
    return (vec)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)from));
#elif defined(LEVEL_AVX2)
    return (vec)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)from));
#else
    return (vec){from[0], from[1], from[2], from[3]};
#endif
}

/* Adds to each lane the products of the two pairs of numbers in it. */
INLINE vec add_pairs(vec sum, vec a, vec b) {
#if defined(LEVEL_AVX512)
    return (vec)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif defined(LEVEL_AVX2)
    return sum + (vec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif X86_LEVELS
    return sum + (vec)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    return sum + ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

/* Four lanes: the channels of a pixel, and one that does not matter. */
typedef int32_t quad __attribute__((vector_size(16)));

INLINE quad quad_of_bytes(const uint8_t *from) {
#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
    int32_t four;
    memcpy(&four, from, sizeof four);
    return (quad)_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
#else
    return (quad){from[0], from[1], from[2], from[3]};
#endif
}

INLINE quad quad_of_shorts(const int16_t *from) {
#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
    return (quad)_mm_cvtepi16_epi32(_mm_loadl_epi64((const __m128i *)from));
#else
    return (quad){from[0], from[1], from[2], from[3]};
#endif
}

/* The sums of the lanes of each of three vectors. */
INLINE quad sums_of(const vec v[3]) {
#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
    __m128i part[3];
    for (int c = 0; c < 3; c++) {
#if defined(LEVEL_AVX512)
        const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256((__m512i)v[c]),
                                              _mm512_extracti64x4_epi64((__m512i)v[c], 1));
#else
        const __m256i half = (__m256i)v[c];
#endif
        part[c] = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    }
    const __m128i last = _mm_hadd_epi32(part[2], part[2]);
    return (quad)_mm_hadd_epi32(_mm_hadd_epi32(part[0], part[1]), last);
#else
    quad sum = {0};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < VECTOR; i++) sum[c] += v[c][i];
    return sum;
#endif
}

INLINE void store_quad(int32_t *to, quad v) { memcpy(to, &v, sizeof v); }

/* The low 16 bits of each lane. */
INLINE void store_narrow_quad(int16_t *to, quad v) {
#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
    _mm_storel_epi64((__m128i *)to, _mm_packs_epi32((__m128i)v, (__m128i)v));
#else
    for (int i = 0; i < 4; i++) to[i] = (int16_t)v[i];
#endif
}

INLINE quad quad_choose(quad condition, quad yes, quad no) {
    return (yes & condition) | (no & ~condition);
}

#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
INLINE quad quad_lesser(quad a, quad b) { return (quad)_mm_min_epi32((__m128i)a, (__m128i)b); }
INLINE quad quad_greater(quad a, quad b) { return (quad)_mm_max_epi32((__m128i)a, (__m128i)b); }
#else
INLINE quad quad_lesser(quad a, quad b) { return quad_choose(a < b, a, b); }
INLINE quad quad_greater(quad a, quad b) { return quad_choose(a > b, a, b); }
#endif

INLINE quad quad_abs(quad v) { return quad_greater(v, -v); }

INLINE vec fill(int32_t x) { return x - (vec){0}; }

/* first, first + 1, ... */
INLINE vec count_from(int32_t first) {
    static const int32_t numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return load(numbers) + first;
}

INLINE vec lesser(vec a, vec b) {
#if defined(LEVEL_AVX512)
    return (vec)_mm512_min_epi32((__m512i)a, (__m512i)b);
#elif defined(LEVEL_AVX2)
    return (vec)_mm256_min_epi32((__m256i)a, (__m256i)b);
#else
    vec less = a < b;
    return (a & less) | (b & ~less);
#endif
}

INLINE vec greater(vec a, vec b) {
#if defined(LEVEL_AVX512)
    return (vec)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(LEVEL_AVX2)
    return (vec)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    vec more = a > b;
    return (a & more) | (b & ~more);
#endif
}

INLINE vec between(vec v, int32_t low, int32_t high) {
    return lesser(greater(v, fill(low)), fill(high));
}

INLINE vec choose(vec condition, vec yes, vec no) { return (yes & condition) | (no & ~condition); }

/* The number at table + 4 index of each lane; the table need not be aligned. */
INLINE vec look_up(const void *table, vec index) {
#if defined(LEVEL_AVX512)
    /* Gathers into zero: into an undefined register each one would wait for the last. */
    return (vec)_mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xffff, (__m512i)index, table,
                                            4);
#elif defined(LEVEL_AVX2)
    return (vec)_mm256_mask_i32gather_epi32(_mm256_setzero_si256(), table, (__m256i)index,
                                            _mm256_set1_epi32(-1), 4);
#else
    vec found;
    for (int i = 0; i < VECTOR; i++)
        memcpy((char *)&found + 4 * i, (const char *)table + 4 * (ptrdiff_t)index[i], 4);
    return found;
#endif
}

/* How many lanes are `limit` or less. */
INLINE int count_up_to(vec v, int32_t limit) {
#if defined(LEVEL_AVX512)
    return __builtin_popcount(_mm512_cmple_epi32_mask((__m512i)v, (__m512i)fill(limit)));
#elif defined(LEVEL_AVX2)
    return 8 - __builtin_popcount((unsigned)_mm256_movemask_ps((__m256)(v > limit)));
#else
    vec met = v <= limit;
    int count = 0;
    for (int i = 0; i < VECTOR; i++) count -= met[i];
    return count;
#endif
}

/* The low 16 bits of each lane. */
INLINE void store_narrow(int16_t *to, vec v) {
#if defined(LEVEL_AVX512)
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16((__m512i)v));
#elif defined(LEVEL_AVX2)
    __m256i y = (__m256i)v;
    __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
    _mm_storeu_si128((__m128i *)to, packed);
#else
    for (int i = 0; i < VECTOR; i++) to[i] = (int16_t)v[i];
#endif
}

/* VECTOR bytes, each in a lane of its own. */
INLINE vec load_bytes(const uint8_t *from) {
#if defined(LEVEL_AVX512)
    return (vec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
#elif defined(LEVEL_AVX2)
    return (vec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
#else
    return (vec){from[0], from[1], from[2], from[3]};
#endif
}

/* Numbers first, first + 1, ... of what repeats the first three lanes of v for ever. */
INLINE vec repeat(quad v, int first) {
    static const int32_t turns[LANES + 2] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
    const vec turn = load(turns + first % 3);
#if defined(LEVEL_AVX512)
    return (vec)_mm512_permutexvar_epi32((__m512i)turn, _mm512_castsi128_si512((__m128i)v));
#elif defined(LEVEL_AVX2)
    return (vec)_mm256_permutevar8x32_epi32(_mm256_castsi128_si256((__m128i)v), (__m256i)turn);
#else
    return (vec){v[turn[0]], v[turn[1]], v[turn[2]], v[turn[3]]};
#endif
}

/* Memory that vectors do not straddle; zeroed. NULL: there is none. */
static void *aligned_room(size_t size) {
    size = (size + 63) & ~(size_t)63;
    void *room = aligned_alloc(64, size ? size : 64);
    return room ? memset(room, 0, size) : NULL;
}
