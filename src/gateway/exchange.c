/*
 * Making and freeing exchanges. Each lies in one 4 KiB block from a per-thread list; what the
 * struct does not need is the first block of its arena, so a small call needs no other allocation.
 */
#include "crypto/random.h"
#include "gateway/gateway_int.h"

#include <errno.h>
#include <stdlib.h>

#define BLOCK_BYTES 4096
#define KEEP_BLOCKS 256

struct block {
    struct block *next;
};

static _Thread_local struct block *free_blocks;
static _Thread_local unsigned free_n;

static void *block_take(void)
{
    struct block *b = free_blocks;

    if (!b)
        return aligned_alloc(64, BLOCK_BYTES);
    free_blocks = b->next;
    free_n--;
    return b;
}

static void block_give(void *p)
{
    struct block *b = p;

    if (free_n >= KEEP_BLOCKS) {
        free(p);
        return;
    }
    b->next = free_blocks;
    free_blocks = b;
    free_n++;
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

struct exchange *gw_exchange_new(struct http_request *rq, struct config *config)
{
    struct exchange *x = block_take();

    if (!x)
        return NULL;
    _Static_assert(sizeof *x <= BLOCK_BYTES - 512, "an exchange leaves room for its arena");
    memset(x, 0, sizeof *x);
    arena_init(&x->arena, x + 1, BLOCK_BYTES - sizeof *x, LIMIT_EXCHANGE_ARENA);
    x->rq = rq;
    x->started_wall = clock_wall();
    make_id(x->id, x->started_wall);
    x->keys_settings = &config->keys;
    x->route_settings = &config->route;
    x->client = rq->peer;
    x->cost_nano = -1;
    meter_init(&x->meter, KIND_MODELS);
    return x;
}

int gw_exchange_detach(struct exchange *x)
{
    struct str *kept[] = {&x->model_asked, &x->model, &x->end_user};

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
    http_request_forget_head(x->rq);
    return 0;
}

void gw_exchange_free(struct exchange *x)
{
    free(x->body_copy);
    meter_free(&x->meter);
    gw_upload_free(x->upload);
    gw_ws_free(x->ws);
    arena_free(&x->arena);
    block_give(x);
}
