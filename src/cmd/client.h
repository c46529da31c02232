/*
 * What the commands that talk to a running gateway share: options, one call of the management API,
 * and tables for a terminal. Everything runs in a coroutine of a loop of its own.
 */
#ifndef SF_CMD_CLIENT_H
#define SF_CMD_CLIENT_H

#include "base/buf.h"
#include "base/str.h"
#include <stdbool.h>

/* A word of the command line after the common options were taken: "--name" with a value, or, with
 * name NULL, a plain word. */
struct client_word {
    const char *name, *value;
};

struct client {
    const char *url; /* --url, SMARTFLOW_URL, http://127.0.0.1:7778 */
    const char *ca;  /* --ca: PEM to verify https with */
    const char *key; /* SMARTFLOW_ADMIN_KEY */
    bool json;       /* --json: the reply as it came */
    struct client_word words[64];
    unsigned words_n;
    struct buf reply; /* of the last call */
};

/* Runs command(client) with the options of argv. Its result is the exit code; 2 for wrong options.
 */
int client_main(int argc, char **argv, int (*command)(struct client *c));

/* The i-th plain word; NULL when there are fewer. */
const char *client_plain(const struct client *c, unsigned i);
const char *client_option(const struct client *c, const char *name);
/* False, with a message, when an option is not among the names, which NULL ends. */
bool client_knows(const struct client *c, const char *const *names);

/* 0 with the reply in c->reply when the status was 2xx; else -1, and the reason has been printed.
 * body.p NULL: none. */
int client_call(struct client *c, const char *method, const char *target, struct str body);
/* A path segment or query value, percent-encoded. */
void client_encode(struct buf *out, struct str s);

/* Prints a list's items, the columns given: {"id", "ID"}, …, ended by a NULL name. A name may be a
 * path ("usage.cost"). With heading false only the lines. */
struct client_column {
    const char *name, *title;
    unsigned width; /* at least; longer values are cut, but not in the last column */
};
void client_table(
    const struct client_column *columns, struct str items, bool heading, bool backwards);
/* Prints an object's members, one a line. */
void client_members(struct str object);
void client_print_json(const struct client *c);

#endif
