/* Windows of the calendar, and names of counters in them. See keys/windows.h. */
#include "keys/windows.h"

#include "base/macros.h"

#define MINUTE (60 * NS_PER_S)
#define DAY    (86400 * NS_PER_S)
#define LATE   (3600 * NS_PER_S)

static int64_t floor_to(int64_t wall, int64_t unit)
{
    int64_t rest = wall % unit;

    return wall - rest - (rest < 0 ? unit : 0);
}

/* The date of an instant: year, month and day, from its text. */
static void date_of(int64_t wall, char out[static 11])
{
    char text[25];

    clock_rfc3339(wall, text);
    memcpy(out, text, 10);
    out[10] = 0;
}

static void put_text(struct window *w, char letter, const char *text, size_t n)
{
    w->text[0] = letter;
    memcpy(w->text + 1, text, n);
    w->text_n = (uint8_t)(n + 1);
    w->text[n + 1] = 0;
}

static void day_window(struct window *w, int64_t wall)
{
    char date[11];

    w->from = floor_to(wall, DAY);
    w->end = w->from + DAY;
    date_of(w->from, date);
    put_text(w, 'd', date, 10);
}

/* 1970-01-01 was a Thursday. */
static void week_window(struct window *w, int64_t wall)
{
    char date[11];

    w->from = floor_to(wall + 3 * DAY, 7 * DAY) - 3 * DAY;
    w->end = w->from + 7 * DAY;
    date_of(w->from, date);
    put_text(w, 'w', date, 10);
}

static void month_window(struct window *w, int64_t wall)
{
    char date[11];

    date_of(wall, date);
    int day = (date[8] - '0') * 10 + date[9] - '0';
    w->from = floor_to(wall, DAY) - (day - 1) * DAY;
    put_text(w, 'm', date, 7);
    date_of(w->from + 31 * DAY, date); /* in the month after, on its 1st to 4th */
    day = (date[8] - '0') * 10 + date[9] - '0';
    w->end = w->from + 31 * DAY - (day - 1) * DAY;
}

static size_t decimal(uint64_t n, char *out, size_t room)
{
    char digits[20];
    size_t k = 0;

    do
        digits[k++] = (char)('0' + n % 10);
    while ((n /= 10) && k < room);
    for (size_t i = 0; i < k; i++)
        out[i] = digits[k - 1 - i];
    return k;
}

static void minute_window(struct window *w, int64_t wall)
{
    w->from = floor_to(wall, MINUTE);
    w->end = w->from + MINUTE;
    w->text_n = (uint8_t)decimal((uint64_t)(w->from / MINUTE), w->text, sizeof w->text);
}

static void make(enum window_kind k, int64_t wall, struct window *w)
{
    switch (k) {
    case WINDOW_DAY:
        day_window(w, wall);
        return;
    case WINDOW_WEEK:
        week_window(w, wall);
        return;
    case WINDOW_MONTH:
        month_window(w, wall);
        return;
    case WINDOW_MINUTE:
        minute_window(w, wall);
        return;
    default:
        *w = (struct window){.from = INT64_MIN, .end = INT64_MAX, .text = "e", .text_n = 1};
    }
}

void window_at(enum window_kind k, int64_t wall, struct window *ret)
{
    static _Thread_local struct window last[WINDOW_KINDS];
    struct window *w = &last[k];

    if (unlikely(!w->text_n || wall < w->from || wall >= w->end))
        make(k, wall, w);
    *ret = *w;
}

struct str counter_name_of(const struct subject *s, char letter, const struct window *w,
    struct str scope, char out[static COUNTER_NAME_BYTES])
{
    char *p = out + s->counters_.n;

    memcpy(out, s->counters_.p, s->counters_.n);
    if (letter)
        *p++ = letter;
    if (w) {
        memcpy(p, w->text, sizeof w->text); /* always all of it: no loop */
        p += w->text_n;
    }
    if (scope.n) {
        *p++ = '/';
        memcpy(p, scope.p, scope.n);
        p += scope.n;
    }
    return str_at(out, (size_t)(p - out));
}

int64_t window_expiry(const struct window *w)
{
    return w->end == INT64_MAX ? 0 : w->end + LATE;
}
