/* Any list filtered is valid JSON and has no foreign thing left: filtering it again changes nothing
 * and sees what was kept. */
#include "gateway/own.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Ids whose first byte is even are mine. */
static bool keep(void *ctx, struct str id)
{
    unsigned *foreign = ctx;
    bool mine = id.n && !((unsigned char)id.p[0] & 1);

    *foreign += !mine;
    return mine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf once, twice;
    struct own_page a, b;
    struct json_error e;
    enum json_type top;
    unsigned foreign = 0, max = n ? data[0] % 4 : 0;

    if (n < 1 || n > 65536)
        return 0;
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    struct str body = str_at((const char *)data + 1, n - 1);
    bool valid = json_scan(body, NULL, NULL, 0, &top, &e) == 0;
    int r = own_filter(body, keep, &foreign, max, &once, &a);
    must(r == 0 || !valid || (top != JSON_OBJECT && top != JSON_ARRAY));
    if (r == 0) {
        must(json_scan(buf_str(&once), NULL, NULL, 0, &top, &e) == 0);
        must(a.kept <= a.seen);
        foreign = 0;
        must(own_filter(buf_str(&once), keep, &foreign, 0, &twice, &b) == 0);
        must(foreign == 0 && b.kept == a.kept && b.seen == a.kept);
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
