/* Prints the table of settings: name, default, meaning. For `smartflow config list`. */
#ifndef SF_CONFIG_LIST_H
#define SF_CONFIG_LIST_H

#include <stdio.h>

void config_list(FILE *out);

#endif
