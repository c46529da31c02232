/* smartflow keys …: virtual keys of a running gateway. */
#ifndef SF_CMD_KEYS_H
#define SF_CMD_KEYS_H

#include <stdio.h>

void keys_usage(FILE *to);
int keys_command(int argc, char **argv); /* the words behind "keys"; the exit code */

#endif
