/*
 * smartflow audit verify | prove | show: see audit.c.
 */
#ifndef SF_CMD_AUDIT_H
#define SF_CMD_AUDIT_H

#include <stdio.h>

/* The arguments behind `audit`. Returns the exit code; 64, and says how, when they make no sense.
 */
int audit_command(int argc, char **argv);
void audit_usage(FILE *to);

#endif
