/* See config/list.h. */
#include "config/list.h"

#include "config/settings_int.h"

static void list_providers(FILE *out)
{
    unsigned n;
    const struct provider *p = provider_table(&n);

    fprintf(out, "\nProviders (key, base URL, further variables):\n");
    for (unsigned i = 0; i < n; i++) {
        fprintf(out, "  %-18.*s %.*s %.*s", STR_ARG(p[i].id), STR_ARG(p[i].key_env),
            STR_ARG(p[i].base_env));
        for (const struct str *e = p[i].extra_env; e && e->n; e++)
            fprintf(out, " " STR_FMT, STR_ARG(*e));
        fputc('\n', out);
    }
}

void config_list(FILE *out)
{
    for (unsigned i = 0; i < settings_n; i++)
        fprintf(out, "%-32s %-10s %s\n", settings[i].name,
            settings[i].initial[0] ? settings[i].initial : "-", settings[i].doc);
    list_providers(out);
}
