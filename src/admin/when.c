/* See admin/when.h. */
#include "admin/when.h"
#include "base/clock.h"

#define AGES_MAX (10 * 366 * 24 * 3600 * NS_PER_S)

static bool ago(struct str text, int64_t *ret_wall)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    uint64_t n;

    if (text.n < 2 || str_u64(str_to(text, text.n - 1), &n) < 0 || n > 1000000000)
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(units); i++)
        if (text.p[text.n - 1] == units[i].letter &&
            (int64_t)n <= AGES_MAX / NS_PER_S / units[i].seconds) {
            *ret_wall = clock_wall() - (int64_t)n * units[i].seconds * NS_PER_S;
            return true;
        }
    return false;
}

int admin_when(struct admin_call *c, const char *param, struct str text, int64_t *ret_wall)
{
    if (ago(text, ret_wall) || time_parse(text, ret_wall) == 0)
        return 0;
    return admin_bad(c, param,
        "%s must be a time like 2026-11-21T10:40:00Z, or how long ago: 90s, 15m, 1h, 7d, 4w.",
        param);
}
