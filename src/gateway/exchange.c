/*
 * Making and freeing exchanges. The struct lies on its coroutine's stack, whose page is there
 * anyway; the first block of its arena and the spans of its body come from per-thread lists, so
 * that a call in steady state allocates next to nothing.
 */
#include "crypto/random.h"
#include "gateway/gateway_int.h"
#include "keys/vkey.h"

#include <errno.h>
#include <stdlib.h>

#define ARENA_BYTES 2560 /* a chat with limits, journal and spans takes 2.3 KiB of it */
#define KEEP_CELLS  256

/* A list of free cells of one size. */
struct cells {
    struct cell {
        struct cell *next;
    } * free;
    unsigned n;
};

static _Thread_local struct cells arenas, spans;

static void *cell_take(struct cells *c, size_t size)
{
    struct cell *p = c->free;

    if (!p)
        return malloc(size);
    c->free = p->next;
    c->n--;
    return p;
}

static void cell_give(struct cells *c, void *p)
{
    struct cell *cell = p;

    if (!p)
        return;
    if (c->n >= KEEP_CELLS) {
        free(p);
        return;
    }
    cell->next = c->free;
    c->free = cell;
    c->n++;
}

static void cells_free(struct cells *c)
{
    while (c->free)
        free(cell_take(c, 0));
}

void gw_exchange_thread_end(void)
{
    cells_free(&arenas);
    cells_free(&spans);
}

struct json_span *gw_spans_new(void)
{
    struct json_span *s = cell_take(&spans, BODY_MEMBERS * sizeof *s);

    must(s);
    return s;
}

/* A UUID of version 7: the time first, so that ids sort by when calls began. */
static void make_id(char out[static 37], int64_t wall_ns)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t ms = (uint64_t)(wall_ns / NS_PER_MS);
    char digits[33];

    for (int i = 0; i < 12; i++)
        digits[i] = hex[(ms >> (44 - 4 * i)) & 15];
    random_hex(digits + 12, 10);
    digits[12] = '7';
    digits[16] = hex[8 | (digits[16] & 3)];
    for (int i = 0, o = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[o++] = '-';
        out[o++] = digits[i];
    }
    out[36] = 0;
}

/* The caller's own id, or the trace id of a W3C traceparent: 00-<32 digits>-<16 digits>-<2 digits>.
 */
static struct str trace_id(const struct http_fields *f)
{
    struct str own = http_get(f, HTTP_X_SMARTFLOW_TRACE_ID);
    struct str parent = http_get(f, HTTP_TRACEPARENT);

    if (own.n)
        return own;
    if (parent.n < 55 || parent.p[2] != '-' || parent.p[35] != '-')
        return STR_NONE;
    return str_at(parent.p + 3, 32);
}

int gw_exchange_init(struct exchange *x, struct http_request *rq, struct config *config)
{
    void *first = cell_take(&arenas, ARENA_BYTES);

    if (!first)
        return -ENOMEM;
    memset(x, 0, sizeof *x);
    x->arena_first = first;
    arena_init(&x->arena, first, ARENA_BYTES, LIMIT_EXCHANGE_ARENA);
    x->rq = rq;
    x->started_wall = clock_wall();
    make_id(x->id, x->started_wall);
    x->keys_settings = &config->keys;
    x->route_settings = &config->route;
    x->client = gw_client_address(config, rq);
    x->end_user = http_get(&rq->head.fields, HTTP_X_SMARTFLOW_USER);
    x->trace_id = trace_id(&rq->head.fields);
    x->wants_trailers = http_list_has(http_get(&rq->head.fields, HTTP_TE), STR("trailers"));
    x->cost_nano = -1;
    meter_init(&x->meter, KIND_MODELS);
    return 0;
}

int gw_exchange_detach(struct exchange *x)
{
    struct str *kept[] = {&x->model_asked, &x->model, &x->end_user, &x->trace_id};
    struct str method = arena_dup(&x->arena, x->rq->head.method_text); /* for the log */

    for (unsigned i = 0; i < ARRAY_LEN(kept); i++)
        if (kept[i]->n && !(*kept[i] = arena_dup(&x->arena, *kept[i])).p)
            return -ENOMEM;
    if (x->body.n) { /* its text is counted at the end, if the provider reports no usage */
        if (!(x->body_copy = malloc(x->body.n)))
            return -ENOMEM;
        memcpy(x->body_copy, x->body.p, x->body.n);
        x->body.p = x->body_copy;
    }
    x->match.door = x->match.version = x->match.rest = x->match.id = x->match.model = STR_NONE;
    x->caller_credential = STR_NONE;
    cell_give(&spans, x->spans);
    x->spans = NULL;
    http_request_forget_head(x->rq);
    x->rq->head.method_text = method;
    return 0;
}

void gw_exchange_end(struct exchange *x)
{
    subject_unref(x->customer);
    vkey_unref(x->key);
    free(x->body_copy);
    meter_free(&x->meter);
    gw_upload_free(x->upload);
    gw_translated_free(x->translated);
    gw_ws_free(x->ws);
    arena_free(&x->arena);
    cell_give(&spans, x->spans);
    cell_give(&arenas, x->arena_first);
}
