/* The integer tables of a model; see tables.py. */
#pragma once

#include "kernels.h"

typedef struct {
    int32_t reciprocal[RECIPROCALS], log_activity[ACTIVITIES], exp[EXPONENTIALS];
    int32_t inverse_scale[SCALES], reach[SCALES];
    int32_t log_error[ERRORS]; /* networks with predictors */
    /* Each linear piece of the logistic: where it starts, and above 16 bits how far it rises. */
    int32_t logistic[LOGISTIC_PIECES];
} Tables;

/* tables: reciprocal, log_activity, exp, logistic, inverse_scale, reach, log_error, as the model
 * has them; all zeros for those that it does not have. */
static void read_tables(Tables *t, const void *const tables[TABLE_BUFFERS]) {
    memcpy(t->reciprocal, tables[0], sizeof t->reciprocal);
    memcpy(t->log_activity, tables[1], sizeof t->log_activity);
    memcpy(t->exp, tables[2], sizeof t->exp);
    memcpy(t->inverse_scale, tables[4], sizeof t->inverse_scale);
    memcpy(t->reach, tables[5], sizeof t->reach);
    memcpy(t->log_error, tables[6], sizeof t->log_error);
    const int32_t *nodes = tables[3];
    for (int i = 0; i < LOGISTIC_PIECES; i++) /* neither part needs more than 16 bits */
        t->logistic[i] = (int32_t)((uint32_t)nodes[i] | (uint32_t)(nodes[i + 1] - nodes[i]) << 16);
}
