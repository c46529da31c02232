/*
 * Lists of things, for a caller to whom not all of them belong. The provider's page is filtered
 * (own_filter.c). SDKs end their paging at an empty page, whatever it says of more: so where
 * nothing is left of a page, the next one is asked for here, until something is the caller's or the
 * list ends. Such further pages are larger than the one that was asked for, and cut to its size.
 *
 * All of it suspends.
 */
#include "gateway/own.h"

#include <errno.h>

#define PAGES_MAX    200
#define PATIENCE_NS  (60 * NS_PER_S)
#define PAGE_LIMIT   100
#define PAGE_SECONDS 20

bool gw_own_filters(const struct exchange *x)
{
    const uint64_t kinds = KIND_BIT(KIND_FILES) | KIND_BIT(KIND_UPLOADS) | KIND_BIT(KIND_BATCHES) |
                           KIND_BIT(KIND_MESSAGE_BATCHES) | KIND_BIT(KIND_GEMINI_BATCHES);
    const struct endpoint *e = x->match.endpoint;

    if (!x->key || !e || x->rq->head.method != HTTP_GET)
        return false;
    if (e->kind == KIND_GEMINI_OTHER)
        return str_eq(x->match.rest, STR("files")) || str_eq(x->match.rest, STR("cachedContents"));
    return (e->flags & EP_LIST) && (kinds & KIND_BIT(e->kind));
}

/* --- what is whose --- */

struct ids {
    struct str *at; /* in the arena */
    size_t n, room;
    struct arena *arena;
    bool failed;
};

static void gather(void *ctx, struct str id)
{
    struct ids *ids = ctx;

    if (ids->n == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 64;
        struct str *at = arena_alloc(ids->arena, room * sizeof *at);
        if (!at) {
            ids->failed = true;
            return;
        }
        if (ids->n)
            memcpy(at, ids->at, ids->n * sizeof *at);
        ids->at = at;
        ids->room = room;
    }
    ids->at[ids->n++] = id;
}

struct keeping {
    const struct exchange *x;
    bool unknown; /* keep what nobody knows */
};

static bool keep(void *ctx, struct str id)
{
    struct keeping *k = ctx;
    char room[1024];
    struct arena a;

    arena_init(&a, room, sizeof room, 16 * KIB);
    const struct owned *o = owned_get(id, &a);
    bool mine = o && owned_is_known(o) ? gw_own_is_mine(k->x, o) : k->unknown;
    arena_free(&a);
    return mine;
}

/* A page of the provider's, without what is not the caller's. -EBADMSG, -EHOSTDOWN, -ENOMEM. */
static int filter(
    struct exchange *x, struct str body, unsigned max, struct buf *out, struct own_page *ret)
{
    struct keeping k = {x, gw_own_allows_unknown(x)};
    struct arena a;
    struct ids ids = {.arena = &a};

    arena_init(&a, NULL, 0, 16 * MIB);
    int r = own_filter_ids(body, gather, &ids);
    if (r == 0 && ids.failed)
        r = -ENOMEM;
    if (r == 0)
        r = own_load_many(ids.at, ids.n);
    arena_free(&a);
    return r < 0 ? r : own_filter(body, keep, &k, max, out, ret);
}

/* --- the next page --- */

static bool is_paging(struct str name, bool limit)
{
    static const struct str names[] = {STR_INIT("after"), STR_INIT("before"), STR_INIT("after_id"),
        STR_INIT("before_id"), STR_INIT("pageToken"), STR_INIT("page_token")};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, names[i]))
            return true;
    return limit && str_eq(name, STR("limit"));
}

static void put_param(struct buf *out, struct str name, struct str value)
{
    static const char hex[] = "0123456789ABCDEF";

    buf_addstr(out, out->n ? STR("&") : STR(""));
    buf_addstr(out, name);
    buf_addc(out, '=');
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' ||
            c == '_') {
            buf_addc(out, (char)c);
            continue;
        }
        buf_addc(out, '%');
        buf_addc(out, hex[c >> 4]);
        buf_addc(out, hex[c & 15]);
    }
}

/* The query of the page behind this one; empty: there is none. */
static struct str next_query(struct exchange *x, struct str query, const struct own_page *p)
{
    bool gemini = x->dialect == DIALECT_GEMINI, claude = x->dialect == DIALECT_ANTHROPIC;
    bool back = claude && http_query_get(query, STR("before_id")).n > 0;
    struct str at = gemini ? p->token : back ? p->first : p->last, rest = query;
    bool limit = !gemini && http_query_get(query, STR("limit")).n > 0;
    _cleanup_(buf_free) struct buf out = {0};

    if (!p->more || !at.n)
        return STR_NONE;
    buf_init(&out, LIMIT_TARGET_BYTES);
    while (rest.p && rest.n) {
        struct str param = str_split(&rest, '&'), value = param;
        if (is_paging(str_split(&value, '='), limit) || !param.n)
            continue;
        buf_addstr(&out, out.n ? STR("&") : STR(""));
        buf_addstr(&out, param);
    }
    put_param(&out,
        gemini   ? STR("pageToken")
        : back   ? STR("before_id")
        : claude ? STR("after_id")
                 : STR("after"),
        at);
    if (limit)
        buf_printf(&out, "&limit=%d", PAGE_LIMIT);
    return out.err ? STR_NONE : arena_dup(&x->arena, buf_str(&out));
}

static int read_page(struct http_call *c, struct buf *out)
{
    const struct http_head *head;
    struct error e = {0};
    struct str body;
    int r = http_call_head(c, &head, &e);

    if (r == 0)
        r = http_call_read_all(c, LIMIT_RESPONSE_BYTES, &body);
    if (r < 0)
        return r;
    if (head->status != 200)
        return -EBADMSG;
    return gw_decode(http_get(&head->fields, HTTP_CONTENT_ENCODING), body, out);
}

/* With the credential of the first page. Not a call of its own: it is part of one that counts. */
static int fetch(struct exchange *x, struct str query, struct buf *out)
{
    const struct upstream *u = x->upstream;
    const struct provider_face *face =
        provider_face(u->provider, x->dialect, x->match.endpoint->kind);
    const struct str first = x->rq->head.query;
    struct http_timeouts t = u->timeouts;
    struct http_call *c = NULL;
    struct error e = {0};
    char *errbuf = arena_alloc(&x->arena, 512);
    struct str target, fields;

    if (!errbuf)
        return -ENOMEM;
    struct buf *b = gw_scratch();
    x->rq->head.query = query;
    int r = provider_target(u, face, x, b);
    x->rq->head.query = first;
    target = arena_dup(&x->arena, buf_str(b));
    if (r == 0)
        r = gw_upstream_fields(x, face, STR("GET"), target, NULL, 0, &fields);
    if (r < 0 || !target.p)
        return -ENOMEM;
    struct http_client_request rq = {.method = STR("GET"), .target = target, .fields = fields};
    t.total = PAGE_SECONDS * NS_PER_S;
    r = http_call_start(&u->origin, &rq, &t, &c, &e, errbuf);
    if (r == 0)
        r = read_page(c, out);
    http_call_end(c);
    return r;
}

/* --- the list --- */

static int failed(struct exchange *x, int r)
{
    if (r == -ECANCELED || co_cancelled()) {
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
    }
    if (r == -EHOSTDOWN) {
        x->error.retry_after_s = 1;
        return exchange_fail(x, 503, STR("ownership_unavailable"),
            STR("It cannot be looked up at the moment whose these are; try again shortly."));
    }
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    return exchange_fail(x, 502, STR("upstream_bad_response"),
        STR("The provider's list cannot be read, so that it cannot be shown without what belongs "
            "to others."));
}

static unsigned limit_of(const struct exchange *x)
{
    uint64_t n;

    if (x->dialect == DIALECT_GEMINI ||
        str_u64(http_query_get(x->rq->head.query, STR("limit")), &n) < 0)
        return 0;
    return (unsigned)MIN(n, (uint64_t)100000);
}

int gw_own_list(struct exchange *x, struct str body, struct buf *out)
{
    _cleanup_(buf_free) struct buf page = {0};
    int64_t until = clock_now() + PATIENCE_NS;
    struct str query = x->rq->head.query;
    struct own_page p;
    unsigned pages = 1;
    int r = filter(x, body, limit_of(x), out, &p);

    buf_init(&page, LIMIT_RESPONSE_BYTES);
    if (r == 0 && p.kept == p.seen) { /* it may pass as it came */
        buf_clear(out);
        return 0;
    }
    while (r == 0 && p.kept == 0 && pages++ < PAGES_MAX && clock_now() < until) {
        query = next_query(x, query, &p); /* p's texts are views of the page before */
        if (!query.n)
            break;
        buf_clear(&page);
        if ((r = fetch(x, query, &page)) < 0)
            break;
        buf_clear(out);
        r = filter(x, buf_str(&page), limit_of(x), out, &p);
    }
    return r < 0 ? failed(x, r) : 0;
}
