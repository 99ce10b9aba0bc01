/* The coders that a processor may have: the same bits from each. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
#define X86_LEVELS 1
#else
#define X86_LEVELS 0
#endif

enum { CODED, NO_MEMORY, CORRUPT };

struct Arithmetic;
struct DeepTables;

/* samples: [slices][bands][height][width], all from 0 to `top`, which is below 2^31. across: a
 * slice has the one before for a reference. repeats: whether samples repeat others. holes: whether 0
 * and `top` are no samples like the others, in bands without references. */
typedef struct {
    uint32_t *samples;
    int slices, bands, height, width;
    uint32_t top;
    int across, repeats, holes;
} Group;

/* Codes a group with `arithmetic`, or decodes into it. */
typedef struct {
    const char *name;
    int (*code_group)(const struct DeepTables *, struct Arithmetic *, const Group *);
} Level;

extern const Level portable_deep;
#if X86_LEVELS
extern const Level avx2_deep;
#endif
