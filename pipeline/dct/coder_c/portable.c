/* The coder for any processor. */
#include "levels.h"

#define LEVEL portable_coder
#define LEVEL_NAME "portable"
#include "level.h"
