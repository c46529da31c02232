/* See config/list.h. */
#include "config/list.h"

#include "base/buf.h"
#include "base/clock.h"
#include "config/settings_int.h"

static void list_providers(FILE *out)
{
    unsigned n;
    const struct provider *p = provider_table(&n);

    fprintf(out, "\nProviders (key, base URL, further variables):\n");
    for (unsigned i = 0; i < n; i++) {
        fprintf(out, "  %-18.*s %.*s %.*s", STR_ARG(p[i].id), STR_ARG(p[i].key_env),
            STR_ARG(p[i].base_env));
        if (p[i].token_env.n)
            fprintf(out, " " STR_FMT, STR_ARG(p[i].token_env));
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

/* --- one row --- */

static void write_duration(int64_t ns, struct buf *out)
{
    static const struct {
        int64_t ns;
        const char *unit;
    } units[] = {{86400 * NS_PER_S, "d"}, {3600 * NS_PER_S, "h"}, {60 * NS_PER_S, "m"},
        {NS_PER_S, "s"}, {NS_PER_MS, "ms"}};
    unsigned i = 0;

    while (i < ARRAY_LEN(units) - 1 && (ns % units[i].ns || !ns))
        i++;
    buf_printf(out, "%lld%s", (long long)(ns / units[i].ns), units[i].unit);
}

static struct str word_at(const char *words, unsigned i)
{
    struct str rest = str_of(words), word = str_split(&rest, ' ');

    while (i-- && rest.n)
        word = str_split(&rest, ' ');
    return word;
}

static void write_value(const struct setting *s, const void *at, struct buf *out)
{
    switch (s->type) {
    case SET_TEXT:
        buf_addstr(out, *(const struct str *)at);
        break;
    case SET_PATH:
        buf_addstr(out, *(char *const *)at ? str_of(*(char *const *)at) : STR_NONE);
        break;
    case SET_SECRET:
        break;
    case SET_BOOL:
        buf_addstr(out, *(const bool *)at ? STR("true") : STR("false"));
        break;
    case SET_UINT:
        buf_addu64(out, *(const unsigned *)at);
        break;
    case SET_PORT:
        buf_addu64(out, *(const uint16_t *)at);
        break;
    case SET_BYTES:
        buf_addu64(out, *(const uint64_t *)at);
        break;
    case SET_DURATION:
        write_duration(*(const int64_t *)at, out);
        break;
    case SET_WORD:
        buf_addstr(out, word_at(s->words, *(const unsigned *)at));
        break;
    }
}

bool config_setting_at(
    const struct config *c, unsigned i, struct setting_shown *ret, struct buf *scratch)
{
    if (i >= settings_n)
        return false;
    const struct setting *s = &settings[i];
    buf_clear(scratch);
    write_value(s, (const char *)c + s->offset, scratch);
    *ret = (struct setting_shown){.name = s->name,
        .initial = s->initial,
        .doc = s->doc,
        .value = buf_str(scratch),
        .secret = s->type == SET_SECRET,
        .from_file = c->from_file && c->from_file[i]};
    return true;
}
