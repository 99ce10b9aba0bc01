/* The coder for x86-64 with AVX-512 and its dot products of bytes. */
#include "levels.h"

#if X86_LEVELS
#define LEVEL_AVX512
#define LEVEL avx512_coder
#define LEVEL_NAME "avx512"
#define BESIDE 4
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,bmi,bmi2,lzcnt,tune=icelake-server"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,bmi,bmi2,lzcnt,tune=icelake-server")
#endif
#include "level.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
