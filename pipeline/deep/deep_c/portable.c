/* The coder for every processor. */
#include "levels.h"

#define LEVEL portable_deep
#define LEVEL_NAME "portable"
#include "level.h"
