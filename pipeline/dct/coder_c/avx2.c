/* The coder for x86-64 with AVX2. */
#include "levels.h"

#if X86_LEVELS
#define LEVEL_AVX2
#define LEVEL avx2_coder
#define LEVEL_NAME "avx2"
#define BESIDE 2
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2,lzcnt")
#endif
#include "level.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
