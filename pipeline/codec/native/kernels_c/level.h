/* The kernels of one level, gathered for the Python module. */
#include "code.h"
#include "measure.h"

const Level LEVEL = {
    LEVEL_NAME,   make_network, free_network, encode_group,
    decode_group, measure_group, follow_group,
};
