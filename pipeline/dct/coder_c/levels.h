/* The coders that a processor may have: the same bits from each. */
#pragma once

#include <stddef.h>

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
#define X86_LEVELS 1
#else
#define X86_LEVELS 0
#endif

enum { CODED, NO_MEMORY, CORRUPT };

struct Model;
struct State;
struct Arithmetic;
struct Component;
struct Samples;

/* Codes a group's components with `arithmetic`, or decodes into them; a status of group.h. */
typedef struct {
    const char *name;
    int beside; /* inputs of networks that are multiplied at once: see network.h */
    int (*code_group)(const struct Model *, struct State *, struct Arithmetic *,
                      const struct Component *, int count, struct Samples *);
} Level;

extern const Level portable_coder;
#if X86_LEVELS
extern const Level avx2_coder, avx512_coder;
#endif
