/* What every header needs that knows nothing of levels. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
