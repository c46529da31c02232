/*
 * The endpoints of kept responses, and the input of a call that goes on with one. See
 * gateway/responses_kept.h.
 */
#include "gateway/responses_kept.h"

#include <errno.h>

/* --- GET, DELETE, cancel, input_items --- */

static int not_found(struct exchange *x, struct str id)
{
    x->error.type = STR("invalid_request_error");
    return exchange_failf(
        x, 404, STR("not_found"), "Response with id '%.*s' not found.", (int)MIN(id.n, 200), id.p);
}

static struct str decoded(struct exchange *x, struct str raw)
{
    char *out = raw.n ? arena_alloc(&x->arena, raw.n) : NULL;
    ptrdiff_t n = out ? http_percent_decode(raw, out) : -1;

    return n < 0 ? raw : str_at(out, (size_t)n);
}

static int serve_delete(struct exchange *x, struct str id)
{
    int r = gw_kept_delete(x, id);

    if (r <= 0)
        return r < 0 ? r : not_found(x, id);
    struct str body = arena_printf(&x->arena,
        "{\"id\":\"" STR_FMT "\",\"object\":\"response\",\"deleted\":true}", STR_ARG(id));
    gw_reply_json(x, 200, body);
    return 1;
}

static int bad_query(struct exchange *x, struct str param, const char *why)
{
    x->error.type = STR("invalid_request_error");
    return exchange_fail_param(x, 400, STR("invalid_request_error"), param, "%s", why);
}

static int serve_items(struct exchange *x, const struct kept_response *kept)
{
    struct str query = x->rq->head.query, limit = http_query_get(query, STR("limit"));
    struct str order = http_query_get(query, STR("order"));
    struct str after = decoded(x, http_query_get(query, STR("after")));
    _cleanup_(buf_free) struct buf page = {0};
    uint64_t n = 20;

    if (limit.n && (str_u64(limit, &n) < 0 || n < 1 || n > KEPT_LIST_MAX))
        return bad_query(x, STR("limit"), "limit has to be between 1 and 100.");
    if (order.n && !str_eq(order, STR("asc")) && !str_eq(order, STR("desc")))
        return bad_query(x, STR("order"), "order has to be 'asc' or 'desc'.");
    buf_init(&page, 2 * KEPT_MAX_BYTES);
    int r = kept_page(kept->items, after, (unsigned)n, str_eq(order, STR("asc")), &page);
    if (r == -ENOENT)
        return bad_query(x, STR("after"), "There is no item with this id.");
    if (r < 0)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    gw_reply_json(x, 200, buf_str(&page));
    return 1;
}

static int serve_get(struct exchange *x, struct str id)
{
    struct kept_response kept;
    int r = gw_kept_get(x, id, &kept);

    if (r <= 0)
        return r < 0 ? r : not_found(x, id);
    if (str_ends(x->match.rest, STR("/input_items")))
        return serve_items(x, &kept);
    if (x->rq->head.method == HTTP_POST)
        return bad_query(x, STR("response_id"), "Cannot cancel a synchronous response.");
    if (str_eq(http_query_get(x->rq->head.query, STR("stream")), STR("true")))
        return bad_query(x, STR("stream"),
            "Only a response that was made in the background can "
            "be streamed afterwards.");
    gw_reply_json(x, 200, kept.reply);
    return 1;
}

int gw_kept_serve(struct exchange *x)
{
    if (x->match.endpoint->kind != KIND_RESPONSES_SUB)
        return 0;
    struct str id = decoded(x, x->match.id);
    if (!gw_kept_is(id))
        return 0;
    int r = x->rq->head.method == HTTP_DELETE ? serve_delete(x, id) : serve_get(x, id);
    if (r > 0)
        x->outcome = OUTCOME_OK;
    return r;
}

/* --- a call that goes on --- */

struct finding {
    struct exchange *x;
    char last[KEPT_ID_BYTES]; /* the response that was looked at last */
    size_t last_n;
    struct kept_response kept;
    int err;
};

static struct str find_item(void *ctx, struct str id)
{
    struct finding *f = ctx;
    char room[KEPT_ID_BYTES];
    struct str owner = gw_kept_owner_of(id, room);

    if (!owner.n)
        return STR_NONE;
    if (!str_eq(owner, str_at(f->last, f->last_n))) {
        int r = gw_kept_get(f->x, owner, &f->kept);
        f->err = r < 0 ? r : f->err;
        if (r <= 0)
            return STR_NONE;
        memcpy(f->last, owner.p, owner.n);
        f->last_n = owner.n;
    }
    struct str item = kept_item(json_find(f->kept.reply, STR("output")), id);
    return item.p ? item : kept_item(f->kept.items, id);
}

static struct str top_text(struct exchange *x, const char *name)
{
    struct str v = json_find(x->body, str_of(name));
    char *out;

    if (json_type_of(v) != JSON_STRING || !(out = arena_alloc(&x->arena, v.n)))
        return STR_NONE;
    ptrdiff_t n = json_unescape(v, out);
    return n < 0 ? STR_NONE : str_at(out, (size_t)n);
}

static void add_raw(struct str array, bool *any, struct buf *out)
{
    struct str key, item;

    for (size_t at = json_inside(array); at && json_next(array, &at, &key, &item); *any = true) {
        if (*any)
            buf_addc(out, ',');
        buf_addstr(out, item);
    }
}

/* The conversation before, with the answer that ended it. */
static int add_previous(struct exchange *x, bool *any, struct buf *out)
{
    struct str id = top_text(x, "previous_response_id");
    struct kept_response kept;

    if (!id.n)
        return 0;
    int r = gw_kept_get(x, id, &kept);
    if (r == 0) {
        x->error.type = STR("invalid_request_error");
        return exchange_fail_param(x, 400, STR("previous_response_not_found"),
            STR("previous_response_id"), "Previous response with id '%.*s' not found.",
            (int)MIN(id.n, 200), id.p);
    }
    if (r < 0)
        return r;
    add_raw(kept.items, any, out);
    add_raw(json_find(kept.reply, STR("output")), any, out);
    return 0;
}

static int input_failed(struct exchange *x, const struct finding *f, int r, struct str id)
{
    if (x->error.status || f->err)
        return -EREMOTEIO;
    x->error.type = STR("invalid_request_error");
    if (r == -ENOENT)
        return exchange_fail_param(x, 404, STR("not_found"), STR("input"),
            "Item with id '%.*s' not found.", (int)MIN(id.n, 200), id.p);
    if (r == -EINVAL)
        return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("input"),
            "Invalid type for 'input': expected a string or an array.");
    return exchange_fail(
        x, 413, STR("request_too_large"), STR("The conversation is too long to be gone on with."));
}

bool gw_kept_concerns(const struct exchange *x)
{
    static const struct str names[] = {
        STR_INIT("\"previous_response_id\""), STR_INIT("\"item_reference\"")};

    return gw_kept_wanted(x) || json_mentions(x->body, names, ARRAY_LEN(names));
}

int gw_kept_input(struct exchange *x, struct buf *out)
{
    struct str input = json_find(x->body, STR("input")), id;
    struct finding f = {.x = x};
    bool any = false;

    buf_addc(out, '[');
    int r = add_previous(x, &any, out);
    if (r < 0)
        return r;
    if (input.p && json_type_of(input) != JSON_NULL)
        r = kept_add_items(input, str_at(x->id, 36), find_item, &f, &any, out, &id);
    else
        id = STR_NONE;
    buf_addc(out, ']');
    r = r < 0 ? r : out->err;
    return r < 0 ? input_failed(x, &f, r, id) : 0;
}

int gw_kept_body(struct exchange *x, struct str items, struct buf *out)
{
    struct str input = json_find(x->body, STR("input"));
    size_t inside = json_inside(x->body);

    if (input.p) {
        buf_add(out, x->body.p, (size_t)(input.p - x->body.p));
        buf_addstr(out, items);
        buf_addstr(out, str_from(x->body, (size_t)(input.p - x->body.p) + input.n));
        return out->err;
    }
    if (!inside)
        return -EINVAL;
    struct str rest = str_from(x->body, inside);
    buf_addstr(out, str_to(x->body, inside));
    buf_addstr(out, STR("\"input\":"));
    buf_addstr(out, items);
    if (!str_starts(str_trim(rest), STR("}")))
        buf_addc(out, ',');
    buf_addstr(out, rest);
    return out->err;
}
