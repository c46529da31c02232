/* Calls that were served, from the command line. See cmd/logs.h. */
#include "cmd/logs.h"

#include "base/limits.h"
#include "cmd/client.h"
#include "runtime/co.h"
#include "json/scan.h"

#include <stdlib.h>

#define BASE       "/api/vas/logs"
#define TAIL_EVERY NS_PER_S
#define TAIL_PAGE  200
#define ID_BYTES   64

void logs_usage(FILE *to)
{
    fputs("  logs list|tail [--limit N] [--provider P] [--model M] ...\n"
          "  logs get REQUEST_ID                    calls that a running gateway has served; an\n"
          "                                         option is a filter of GET /api/vas/logs\n"
          "                                         (--url URL, --ca FILE, --json)\n",
        to);
}

static int usage(void)
{
    logs_usage(stderr);
    return 2;
}

static const struct client_column columns[] = {{"timestamp", "TIME", 24},
    {"request_id", "REQUEST", 36}, {"provider", "PROVIDER", 12}, {"model", "MODEL", 28},
    {"status", "STATUS", 6}, {"tokens_used", "TOKENS", 8}, {"latency_ms", "MS", 7},
    {"cost_usd", "USD", 12}, {NULL, NULL, 0}};

/* Options are the API's parameters, '-' for '_'. What it does not know it says itself. */
static void list_target(const struct client *c, unsigned limit, struct buf *out)
{
    buf_addstr(out, STR(BASE "?"));
    for (unsigned i = 0; i < c->words_n; i++) {
        if (!c->words[i].name)
            continue;
        for (const char *p = c->words[i].name; *p; p++) {
            char ch = *p == '-' ? '_' : *p;
            client_encode(out, str_at(&ch, 1));
        }
        buf_addc(out, '=');
        client_encode(out, str_of(c->words[i].value));
        buf_addc(out, '&');
    }
    if (limit)
        buf_printf(out, "limit=%u", limit);
    else
        out->n--; /* the last '&' or '?' */
    buf_addc(out, '\0');
}

static struct str items_of(const struct client *c)
{
    return json_find(buf_str(&c->reply), STR("data"));
}

static int list(struct client *c)
{
    _cleanup_(buf_free) struct buf target = {0};

    if (client_plain(c, 1))
        return usage();
    buf_init(&target, LIMIT_TARGET_BYTES);
    list_target(c, 0, &target);
    if (target.err || client_call(c, "GET", target.p, STR_NONE) < 0)
        return 1;
    if (c->json)
        client_print_json(c);
    else
        client_table(columns, items_of(c), true, false);
    return 0;
}

static int get(struct client *c)
{
    const char *id = client_plain(c, 1);
    _cleanup_(buf_free) struct buf target = {0};

    if (!id || client_plain(c, 2))
        return usage();
    buf_init(&target, LIMIT_TARGET_BYTES);
    buf_addstr(&target, STR(BASE "/"));
    client_encode(&target, str_of(id));
    buf_addc(&target, '\0');
    if (target.err || client_call(c, "GET", target.p, STR_NONE) < 0)
        return 1;
    if (c->json)
        client_print_json(c);
    else
        client_members(items_of(c));
    return 0;
}

/* --- tail: the newest page each second, of which what stood before the newest known is new --- */

/* Those before the one that was newest last time; all of them when it is not there any more. */
static size_t fresh_part(struct str items, const char *newest)
{
    size_t at = json_inside(items), before = at;
    struct str key, item;

    while (json_next(items, &at, &key, &item)) {
        struct str id = json_find(item, STR("request_id"));
        if (*newest && id.n > 2 && str_eq(str_at(id.p + 1, id.n - 2), str_of(newest)))
            return before;
        before = at;
    }
    return items.n ? items.n - 1 : 0;
}

static void remember_newest(struct str items, char newest[static ID_BYTES])
{
    size_t at = json_inside(items);
    struct str key, item, id;

    if (!json_next(items, &at, &key, &item))
        return;
    id = json_find(item, STR("request_id"));
    if (id.n > 2)
        snprintf(newest, ID_BYTES, "%.*s", (int)MIN(id.n - 2, ID_BYTES - 1), id.p + 1);
}

static void show_fresh(const struct client *c, char newest[static ID_BYTES], bool heading)
{
    struct str items = items_of(c);
    size_t n = fresh_part(items, newest);
    _cleanup_(buf_free) struct buf fresh = {0};

    buf_init(&fresh, 64 * MIB);
    buf_addstr(&fresh, str_to(items, n));
    buf_addc(&fresh, ']');
    if (fresh.n > 2 && !c->json)
        client_table(columns, buf_str(&fresh), heading, true);
    else if (fresh.n > 2)
        printf(STR_FMT "\n", STR_ARG(buf_str(&fresh)));
    fflush(stdout);
    remember_newest(items, newest);
}

static int tail(struct client *c)
{
    _cleanup_(buf_free) struct buf target = {0};
    char newest[ID_BYTES] = "";

    if (client_plain(c, 1) || client_option(c, "limit") || client_option(c, "cursor"))
        return usage();
    buf_init(&target, LIMIT_TARGET_BYTES);
    list_target(c, TAIL_PAGE, &target);
    for (bool first = true;; first = false) {
        if (target.err || client_call(c, "GET", target.p, STR_NONE) < 0)
            return 1;
        show_fresh(c, newest, first);
        if (co_sleep_until(clock_now() + TAIL_EVERY) < 0)
            return 0;
    }
}

static int command(struct client *c)
{
    const char *verb = client_plain(c, 0);

    if (verb && !strcmp(verb, "list"))
        return list(c);
    if (verb && !strcmp(verb, "get"))
        return get(c);
    if (verb && !strcmp(verb, "tail"))
        return tail(c);
    return usage();
}

int logs_command(int argc, char **argv)
{
    return client_main(argc, argv, command);
}
