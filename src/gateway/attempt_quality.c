/*
 * Lowest-cost routing's second look: the whole answer of the efficient model is read before any of
 * it goes to the client, and where it falls short (route/quality.c) the call steps up to the next
 * target. What it used is part of the call's cost.
 *
 * The bytes stay in x->held_reply, and are relayed from there where the answer will do. An answer
 * that is long, or that cannot be read, is not judged.
 */
#include "gateway/attempt.h"
#include "gateway/translated_int.h"

#define JUDGED_BYTES MIB

static bool is_judged(const struct exchange *x, const struct attempt *a)
{
    const struct http_head *h = a->head;
    struct str type = http_get(&h->fields, HTTP_CONTENT_TYPE);
    bool sized = h->framing == HTTP_BODY_LENGTH;
    bool nothing = sized && !h->content_length;

    return x->plan->steps_up && a->t == &x->plan->at[0] && h->status < 300 &&
           !(sized && h->content_length > JUDGED_BYTES) &&
           (nothing || str_istarts(type, STR("application/json")));
}

static struct str judge(struct exchange *x, struct str body)
{
    static const struct canon_request nothing;
    const struct wire *w =
        gw_is_translated(x) ? x->translated->provider : wire_for(x->face->dialect, x->up_kind);
    struct canon_reply reply = {0};
    struct canon_call call;
    struct str why = STR_NONE;
    struct error e = {0};
    struct arena arena;

    if (!str_trim(body).n)
        return STR("empty");
    arena_init(&arena, NULL, 0, 32 * MIB);
    canon_call_init(&call, &arena, &e);
    call.provider = x->upstream->provider->id;
    call.request = gw_is_translated(x) ? x->translated->call.request : &nothing;
    if (w && w->read_reply(&call, body, &reply) == 0)
        why = route_falls_short(&reply);
    arena_free(&arena);
    return why;
}

/* The held reply's text; plain is room for it. Empty: its coding is unknown. */
static struct str text_of(const struct exchange *x, const struct attempt *a, struct buf *plain)
{
    struct str coding = http_get(&a->head->fields, HTTP_CONTENT_ENCODING);

    if (!coding.n)
        return x->held_reply;
    buf_init(plain, LIMIT_RESPONSE_BYTES);
    return gw_decode(coding, x->held_reply, plain) < 0 ? STR_NONE : buf_str(plain);
}

int attempt_falls_short(struct exchange *x, const struct attempt *a, struct str *ret_why)
{
    _cleanup_(buf_free) struct buf plain = {0};

    *ret_why = STR_NONE;
    if (!is_judged(x, a))
        return 0;
    int r = http_call_read_all(a->call, LIMIT_RESPONSE_BYTES, &x->held_reply);
    if (r < 0)
        return gw_upstream_broke(x, r);
    *ret_why = judge(x, text_of(x, a, &plain));
    return 0;
}

void attempt_meter_held(struct exchange *x, const struct attempt *a)
{
    _cleanup_(buf_free) struct buf plain = {0};

    meter_free(&x->meter);
    meter_init(&x->meter, x->up_kind);
    meter_reply(&x->meter, text_of(x, a, &plain));
}
