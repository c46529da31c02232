/*
 * smartflow backup | restore | vault rotate-master: see backup.c.
 */
#ifndef SF_CMD_BACKUP_H
#define SF_CMD_BACKUP_H

#include "config/config.h"

#include <stdio.h>

/* The arguments behind the command. Return the exit code; usage() is for wrong ones. c: the
 * configuration, which says where the data folder and the gateway are. */
int backup_command(const struct config *c, int argc, char **argv);
int restore_command(const struct config *c, int argc, char **argv);
int vault_command(const struct config *c, int argc, char **argv);
void backup_usage(FILE *to);

#endif
