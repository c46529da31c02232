/* smartflow logs …: calls that a running gateway has served. */
#ifndef SF_CMD_LOGS_H
#define SF_CMD_LOGS_H

#include <stdio.h>

void logs_usage(FILE *to);
int logs_command(int argc, char **argv); /* the words behind "logs"; the exit code */

#endif
