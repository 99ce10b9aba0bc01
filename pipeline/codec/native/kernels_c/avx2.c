/* The kernels for x86-64 with AVX2. */
#include "kernels.h"

#if X86_LEVELS
#define LEVEL_AVX2
#define LEVEL avx2_level
#define LEVEL_NAME "avx2"
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#include "level.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
