/* The coder for any processor. */
#include "levels.h"

#define LEVEL portable_coder
#define LEVEL_NAME "portable"
#if defined(__SSE2__)
#include <emmintrin.h>
#define BESIDE 2
#else
#define BESIDE 1
#endif
#include "level.h"
