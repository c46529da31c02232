/*
 * The command line: smartflow serve | config check | config list | endpoints | audit |
 * backup | restore | vault | version.
 */
#include "base/log.h"
#include "cmd/audit.h"
#include "cmd/backup.h"
#include "cmd/keys.h"
#include "cmd/logs.h"
#include "config/config.h"
#include "config/list.h"
#include "gateway/gateway.h"
#include "vault/refs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

static int usage(FILE *to)
{
    fputs("Usage: smartflow COMMAND\n"
          "\n"
          "  serve [--config FILE] [--roles LIST]   run the gateway\n"
          "  config check [--config FILE]           check settings and explain every error\n"
          "  config list                            every setting, its default and meaning\n"
          "  endpoints                              every path the proxy serves\n",
        to);
    audit_usage(to);
    backup_usage(to);
    keys_usage(to);
    logs_usage(to);
    fputs("  version\n"
          "\n"
          "Settings come from the environment and from FILE; see docs/configuration.md.\n",
        to);
    return to == stdout ? 0 : 2;
}

static void print_problem(void *ctx, const char *file, unsigned line, const char *text)
{
    (void)ctx;
    if (file && line)
        fprintf(stderr, "%s:%u: %s\n", file, line, text);
    else if (file)
        fprintf(stderr, "%s: %s\n", file, text);
    else
        fprintf(stderr, "environment: %s\n", text);
}

struct options {
    const char *config;
};

/* Takes --config FILE and --roles LIST; anything else is an error that names it. */
static int parse_options(int argc, char **argv, struct options *o)
{
    o->config = getenv("SMARTFLOW_CONFIG");
    for (int i = 0; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (!strcmp(argv[i], "--config") && has_value) {
            o->config = argv[++i];
        } else if (!strcmp(argv[i], "--roles") && has_value) {
            setenv("SMARTFLOW_ROLES", argv[++i], 1);
        } else {
            fprintf(stderr, "smartflow: unknown argument '%s'\n", argv[i]);
            return -1;
        }
    }
    return 0;
}

/* For the life of the process: a reload resolves with it, too. */
static struct secret_refs *refs;

static struct config *load(const char *path)
{
    struct config *c;

    if (!refs && refs_new(environ, &refs) == 0)
        config_set_refs(refs);
    unsigned n = config_load(path, environ, print_problem, NULL, &c);

    if (n)
        fprintf(stderr, "smartflow: %u problem%s in the configuration\n", n, n == 1 ? "" : "s");
    return c;
}

static int serve(int argc, char **argv)
{
    struct options o;

    if (parse_options(argc, argv, &o) < 0)
        return usage(stderr);
    struct config *c = load(o.config);
    if (!c)
        return 1;
    return gateway_serve(c, o.config);
}

static int config_command(int argc, char **argv)
{
    struct options o;

    if (argc < 1)
        return usage(stderr);
    if (!strcmp(argv[0], "list")) {
        config_list(stdout);
        return 0;
    }
    if (strcmp(argv[0], "check") || parse_options(argc - 1, argv + 1, &o) < 0)
        return usage(stderr);
    struct config *c = load(o.config);
    if (!c)
        return 1;
    puts("The configuration is sound.");
    config_unref(c);
    return 0;
}

/* Commands on the data folder: their options are their own, but for --config. */
static int on_folder(
    int (*command)(const struct config *c, int argc, char **argv), int argc, char **argv)
{
    struct options o = {getenv("SMARTFLOW_CONFIG")};
    int n = 0;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--config") && i + 1 < argc)
            o.config = argv[++i];
        else
            argv[n++] = argv[i];
    }
    struct config *c = load(o.config);
    if (!c)
        return 1;
    int r = command(c, n, argv);
    config_unref(c);
    return r;
}

static int endpoints(void)
{
    unsigned n;
    const struct endpoint *e = endpoint_table(&n);

    for (unsigned i = 0; i < n; i++) {
        struct buf methods;
        buf_init(&methods, 128);
        endpoint_allow_text(e[i].methods, &methods);
        printf("%-10s %-24.*s " STR_FMT "\n", dialect_name(e[i].dialect).p,
            STR_ARG(buf_str(&methods)), STR_ARG(e[i].example));
        buf_free(&methods);
    }
    return 0;
}

/* Behind any command, too. */
static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return argc == 2 && !strcmp(argv[1], "help");
}

static int run(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (asks_for_help(argc, argv))
        return usage(stdout);
    if (!strcmp(command, "serve"))
        return serve(argc - 2, argv + 2);
    if (!strcmp(command, "config"))
        return config_command(argc - 2, argv + 2);
    if (!strcmp(command, "endpoints"))
        return endpoints();
    if (!strcmp(command, "backup"))
        return on_folder(backup_command, argc - 2, argv + 2);
    if (!strcmp(command, "restore"))
        return on_folder(restore_command, argc - 2, argv + 2);
    if (!strcmp(command, "vault"))
        return on_folder(vault_command, argc - 2, argv + 2);
    if (!strcmp(command, "keys"))
        return keys_command(argc - 2, argv + 2);
    if (!strcmp(command, "logs"))
        return logs_command(argc - 2, argv + 2);
    if (!strcmp(command, "audit"))
        return audit_command(argc - 2, argv + 2);
    if (!strcmp(command, "version") || !strcmp(command, "--version"))
        return puts("smartflow " SF_VERSION) < 0;
    return usage(stderr);
}

int main(int argc, char **argv)
{
    int r = run(argc, argv);

    config_set_refs(NULL);
    refs_stop(refs);
    refs_free(refs);
    return r;
}
