/*
 * json_scan() takes a text exactly when yyjson does, with the same spans; walks agree with it; a
 * walk over anything else ends and stays inside its view.
 */
#include "json/oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = str_at((const char *)data, n), key, value;
    if (oracle_check(text))
        return 0;
    size_t at = json_inside(text), steps = 0;
    while (json_next(text, &at, &key, &value))
        must(at <= n && ++steps <= n);
    struct str found = json_find(text, STR("a.b"));
    must(!found.p || (found.p >= text.p && found.p + found.n <= text.p + n));
    char *out = malloc(n ? n : 1);
    must(out);
    must(json_unescape(text, out) <= (ptrdiff_t)n);
    free(out);
    uint64_t number;
    if (json_u64(text, &number) == 0)
        must(json_type_of(text) == JSON_NUMBER);
    return 0;
}
