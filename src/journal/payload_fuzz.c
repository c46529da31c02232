/*
 * The canonical form of any JSON: it is JSON, it is its own canonical form, and refused text leaves
 * the buffer as it was.
 */
#include "base/macros.h"
#include "journal/payload.h"
#include "json/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = str_at((const char *)data, n);
    struct json_error why;
    enum json_type top;
    struct buf once, twice;

    buf_init(&once, (size_t)1 << 20);
    buf_init(&twice, (size_t)1 << 20);
    int valid = json_scan(text, NULL, NULL, 0, &top, &why);
    int r = payload_canonical(text, &once);
    must(valid == 0 || r < 0);
    if (r == 0) {
        must(json_scan(buf_str(&once), NULL, NULL, 0, &top, &why) == 0);
        must(payload_canonical(buf_str(&once), &twice) == 0);
        must(str_eq(buf_str(&once), buf_str(&twice)));
        must(!memchr(once.p, '\n', once.n));
    } else {
        must(once.n == 0);
    }
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
