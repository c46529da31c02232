/* Prints the table of settings: name, default, meaning. For `smartflow config list`. */
#ifndef SF_CONFIG_LIST_H
#define SF_CONFIG_LIST_H

#include "config/config.h"

#include <stdio.h>

void config_list(FILE *out);

/* A row of the table as a snapshot has it; for the management API. */
struct setting_shown {
    const char *name, *initial, *doc;
    struct str value; /* as it would be written; empty of secrets */
    bool secret, from_file;
};
/* The i-th row; false behind the last. scratch keeps values that are made. */
bool config_setting_at(
    const struct config *c, unsigned i, struct setting_shown *ret, struct buf *scratch);

#endif
