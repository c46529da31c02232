/* For the tests of the configuration: a file in memory, loaded, and what was complained about. */
#ifndef SF_CONFIG_CONFIG_TEST_H
#define SF_CONFIG_CONFIG_TEST_H

#include "base/macros.h"
#include "config/config.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct loaded {
    struct config *c;
    unsigned n;          /* problems */
    char problems[8192]; /* "line: text\n" each, or "-: text\n" from the environment */
    size_t problems_n;
};

static inline void loaded_problem(void *ctx, const char *file, unsigned line, const char *text)
{
    struct loaded *l = ctx;
    char where[16];

    must((file != NULL) == (line > 0));
    snprintf(where, sizeof where, line ? "%u" : "-", line);
    int n = snprintf(
        l->problems + l->problems_n, sizeof l->problems - l->problems_n, "%s: %s\n", where, text);
    l->problems_n = MIN(l->problems_n + (size_t)n, sizeof l->problems - 1);
}

/* yaml.p NULL: no file. env: NULL-terminated, or NULL. */
static inline struct loaded *load(struct str yaml, const char *const *env)
{
    static struct loaded l;
    static const char *const none[] = {NULL};
    char path[64];
    int fd = -1;

    config_unref(l.c);
    l = (struct loaded){.n = 0};
    if (yaml.p) {
        fd = memfd_create("config", MFD_CLOEXEC);
        must(fd >= 0 && write(fd, yaml.p, yaml.n) == (ssize_t)yaml.n);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    l.n = config_load(
        yaml.p ? path : NULL, (char *const *)(env ? env : none), loaded_problem, &l, &l.c);
    must((l.n == 0) == (l.c != NULL));
    if (fd >= 0)
        close(fd);
    return &l;
}

#endif
