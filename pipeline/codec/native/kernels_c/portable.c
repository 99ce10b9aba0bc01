/* The kernels for any processor, in vectors of four lanes. */
#include "kernels.h"

#define LEVEL portable_level
#define LEVEL_NAME "portable"
#include "level.h"
