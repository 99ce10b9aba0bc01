/* The coder of one instruction set. */
#include "group.h"

const Level LEVEL = {LEVEL_NAME, BESIDE, code_group};
