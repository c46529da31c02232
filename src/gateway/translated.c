/*
 * Which attempt of a call is translated, and the body of one that is. The client's body is read
 * into the canonical form once; each target gets it written anew, as what is left out depends on
 * the model and the provider.
 *
 * Memory: an arena of the call's own, as a request with pictures is larger than what an exchange
 * may hold. It is bounded by the size of the body and freed with the exchange.
 */
#include "gateway/responses_kept.h"
#include "gateway/translated_int.h"

#include "base/log.h"
#include "llm/tokens.h"
#include "providers/face.h"
#include "runtime/offload.h"

#include <errno.h>
#include <stdlib.h>

#define ARENA_LEAST  (8 * MIB)
#define ARENA_A_BYTE 12          /* a JSON value of two bytes takes a node of sixteen */
#define BODY_OUT_MAX (256 * MIB) /* what was fetched is in it */
#define COUNT_HERE   (16 * KIB)  /* bytes of a body whose tokens are counted exactly */

/* --- what an attempt is --- */

bool gw_is_translated(const struct exchange *x)
{
    return x->translated && x->translated->on;
}

struct str translated_stream_type(const struct translated *t)
{
    return t->call.array_stream ? STR("application/json") : t->client->stream_type;
}

bool gw_is_remade(const struct exchange *x)
{
    return x->translated && x->translated->remade;
}

bool gw_nothing_sent(const struct exchange *x)
{
    return !http_reply_begun(x->rq) || x->head_only;
}

static int wrong_dialect(struct exchange *x)
{
    return exchange_fail_param(x, 400, STR("unsupported_dialect"), STR("model"),
        STR_FMT " has nothing that could serve this endpoint (" STR_FMT ").",
        STR_ARG(x->upstream->provider->title), STR_ARG(x->match.endpoint->example));
}

/* A call in OpenAI's chat dialect, whose provider may lack some of its words. */
static bool is_chat(const struct exchange *x)
{
    return x->match.endpoint->kind == KIND_CHAT && x->dialect == DIALECT_OPENAI && x->body.p &&
           x->spans && x->spans[BODY_MESSAGES].type == JSON_ARRAY;
}

static void fit_chat(const struct exchange *x, struct chat_fit *ret)
{
    const struct chat_call c = {.provider = x->upstream->provider->id,
        .facts = x->facts,
        .body = x->body,
        .messages = &x->spans[BODY_MESSAGES],
        .is_plain = !(x->body_names & NAMES_QUIRKS)};

    chat_fit(&c, ret);
}

/* The provider's own dialect has what is asked for, and its version of the client's has not. */
static bool is_better_native(const struct exchange *x)
{
    struct chat_fit fit;

    if (x->upstream->provider->faces[0].dialect == DIALECT_OPENAI || !is_chat(x))
        return false;
    fit_chat(x, &fit);
    return fit.native;
}

/* What an attempt that failed left behind. */
static void forget_attempt(struct exchange *x)
{
    meter_free(&x->meter);
    meter_init(&x->meter, x->match.endpoint->kind);
    x->error = (struct error){0};
    x->error_fields = x->held_reply = STR_NONE;
    x->dropped_params = STR_NONE;
    x->outcome = OUTCOME_PENDING;
    x->usage_injected = false;
    x->upstream_status = 0;
    x->upstream_first_at = 0;
}

int gw_attempt_begin(struct exchange *x)
{
    const struct face_asked asked = {.dialect = x->dialect,
        .kind = x->match.endpoint->kind,
        .stream = x->stream_asked,
        .native = is_better_native(x),
        .model = x->model,
        .facts = x->facts};
    const struct provider *p = x->upstream->provider;

    if (x->attempts)
        forget_attempt(x);
    x->stream = x->stream_asked;
    if (x->translated)
        x->translated->on = x->translated->remade = false;
    x->face = provider_face_for(p, &asked, &x->up_kind);
    return x->face ? 0 : wrong_dialect(x);
}

/* The wire of one side. Claude stands in other envelopes at Vertex and Bedrock. */
static const struct wire *wire_at(enum dialect d, enum endpoint_kind k, const struct provider *p)
{
    if (k == KIND_INVOKE || k == KIND_INVOKE_STREAM)
        return &wire_messages_bedrock;
    if (d == DIALECT_ANTHROPIC && p && str_eq(p->id, STR("vertex")))
        return &wire_messages_vertex;
    return wire_for(d, k);
}

static const struct wire *client_wire(const struct exchange *x)
{
    const struct endpoint *e = x->match.endpoint;

    if (e->kind == KIND_MESSAGES && e->flags & EP_MODEL_PATH)
        return &wire_messages_vertex;
    return wire_at(x->dialect, x->match.endpoint->kind, NULL);
}

static const struct wire *provider_wire(const struct exchange *x)
{
    return wire_at(x->face->dialect, x->up_kind, x->upstream->provider);
}

/* It goes on with a response that lies here, of which the provider knows nothing. */
static bool goes_on_with_kept(const struct exchange *x)
{
    const struct json_span *s;

    if (x->match.endpoint->kind != KIND_RESPONSES)
        return false;
    s = &x->spans[BODY_PREVIOUS_RESPONSE];
    return s->type == JSON_STRING &&
           gw_kept_is(str_at(x->body.p + s->value + 1, s->end - s->value - 2));
}

/* Another provider's signatures, which the conversation got from us, would be refused by the one
 * of the client's dialect. A server of an unknown kind may be what made them. */
static bool brings_foreign(const struct exchange *x)
{
    enum endpoint_kind k = x->match.endpoint->kind;
    bool has_history = kind_generates(k) || k == KIND_COUNT_TOKENS || k == KIND_GEMINI_COUNT;

    return has_history && !str_eq(x->upstream->provider->id, STR("openai_compatible")) &&
           x->body_names & NAMES_SIGNS && canon_sign_is_in(x->body);
}

bool gw_needs_translation(const struct exchange *x)
{
    return x->face->dialect != x->dialect || x->up_kind != x->match.endpoint->kind ||
           x->face->own_forms & KIND_BIT(x->up_kind) || goes_on_with_kept(x) || brings_foreign(x) ||
           translated_splits_embedding(x);
}

/* One dialect on both sides, in another envelope: the members pass byte for byte. */
static bool needs_reform(const struct exchange *x)
{
    const struct wire *client = client_wire(x), *provider = provider_wire(x);

    return client && provider && client != provider && messages_same_dialect(client, provider);
}

/* --- the call's state --- */

static struct translated *state_of(struct exchange *x)
{
    struct translated *t = x->translated;

    if (t)
        return t;
    if (!(t = calloc(1, sizeof *t)))
        return NULL;
    arena_init(&t->arena, NULL, 0, ARENA_LEAST + ARENA_A_BYTE * x->body.n);
    return x->translated = t;
}

void gw_translated_free(struct translated *t)
{
    if (!t)
        return;
    arena_free(&t->arena);
    free(t);
}

int translated_failed(struct exchange *x, int r)
{
    const struct error *e = &x->translated->error;

    if (!x->error.status && e->status)
        x->error = *e;
    if (!x->error.status)
        exchange_fail(x, 500, STR("internal_error"),
            r == -ENOMEM ? STR("Out of memory.") : STR("Translating the call failed."));
    return -EREMOTEIO;
}

/* A member's name is the client's, and any byte can stand in it. */
static struct str plain_names(struct arena *a, struct str names)
{
    struct str s = arena_dup(a, names);
    char *p = (char *)s.p;

    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)p[i] < ' ' || (unsigned char)p[i] > 126)
            p[i] = '?';
    return s.p ? str_to(s, 2 * KIB) : STR_NONE;
}

void translated_note_losses(struct exchange *x)
{
    struct translated *t = x->translated;

    if (t->call.lost_n)
        x->dropped_params = plain_names(&t->arena, canon_lost_names(&t->call));
}

int translated_declare(struct exchange *x, const struct chat_fit *fit)
{
    struct translated *t = state_of(x);
    int r = 0;

    if (!t)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    t->error = (struct error){0};
    canon_call_init(&t->call, &t->arena, &t->error);
    t->call.losses = translated_config(x)->losses;
    for (unsigned i = 0; i < fit->edits_n && r == 0; i++)
        if (fit->edits[i].lost.n)
            r = canon_drop(
                &t->call, fit->edits[i].lost, "the model or its provider does not take it");
    if (r < 0)
        return translated_failed(x, r);
    translated_note_losses(x);
    return 0;
}

/* --- reading and writing requests --- */

/* The client's body, with the whole conversation in it where the gateway keeps that. */
static int client_body(struct exchange *x, struct translated *t, struct str *ret)
{
    _cleanup_(buf_free) struct buf items = {0}, body = {0};
    int r;

    *ret = x->body;
    if (x->match.endpoint->kind != KIND_RESPONSES || !gw_kept_concerns(x))
        return 0;
    buf_init(&items, LIMIT_BODY_BYTES);
    buf_init(&body, 2 * LIMIT_BODY_BYTES);
    if ((r = gw_kept_input(x, &items)) < 0 || (r = gw_kept_body(x, buf_str(&items), &body)) < 0)
        return r;
    t->arena.max += ARENA_A_BYTE * body.n;
    t->items = arena_dup(&t->arena, buf_str(&items));
    *ret = arena_dup(&t->arena, buf_str(&body));
    return ret->p && t->items.p ? 0 : -ENOMEM;
}

static void start_call(struct exchange *x, struct translated *t)
{
    canon_call_init(&t->as_read, &t->arena, &t->error);
    t->as_read.model_shown = arena_dup(&t->arena, x->model_asked); /* outlives the request */
    t->as_read.request_id = str_at(x->id, 36);
    t->as_read.now = x->started_wall / NS_PER_S;
    t->as_read.losses = translated_config(x)->losses;
}

static int read_once(struct exchange *x, struct translated *t)
{
    struct str body;
    int r;

    if (t->was_read)
        return 0;
    if ((r = client_body(x, t, &body)) < 0)
        return r;
    start_call(x, t);
    if ((r = t->client->read_request(&t->as_read, body, &t->request)) < 0)
        return r;
    t->request.stream = x->stream_asked; /* some dialects say so in the path */
    if (!t->request.model.n)
        t->request.model = t->as_read.model_shown;
    t->request.previous_response = STR_NONE; /* it is in the input now */
    t->was_read = true;
    return 0;
}

/* Anthropic's streams begin with the number of input tokens. */
static uint64_t input_estimate(const struct exchange *x)
{
    bool claude = x->dialect == DIALECT_ANTHROPIC || x->match.endpoint->kind == KIND_INVOKE_STREAM;

    if (!x->stream_asked || !claude || x->face->dialect == x->dialect)
        return 0;
    if (x->body.n <= COUNT_HERE && tokens_ready(x->model))
        return MAX(tokens_of_request(x->model, x->match.endpoint->kind, x->body), 1);
    return x->body.n / 4 + 1;
}

/* Without alt=sse a stream of Gemini's is one JSON array. */
static bool wants_array(const struct exchange *x)
{
    return x->match.endpoint->kind == KIND_STREAM_GENERATE &&
           !str_eq(http_query_get(x->rq->head.query, STR("alt")), STR("sse"));
}

/* Those of the body, which its reader found, and those of the fields. */
static struct str betas_of(struct exchange *x, struct translated *t)
{
    struct str field = http_get(&x->rq->head.fields, HTTP_ANTHROPIC_BETA), own = t->as_read.betas;

    if (!own.n || !field.n)
        return own.n ? own : arena_dup(&t->arena, field);
    return arena_printf(&t->arena, STR_FMT "," STR_FMT, STR_ARG(own), STR_ARG(field));
}

static void make_call(struct exchange *x, struct translated *t)
{
    struct canon_call *c = &t->call;

    *c = t->as_read;
    c->facts = x->facts;
    c->provider = x->upstream->provider->id;
    c->model = arena_dup(&t->arena, x->model);
    c->request = &t->request;
    c->betas = betas_of(x, t);
    c->usage_asked = x->usage_asked || !(x->match.endpoint->flags & EP_USAGE_OPT);
    c->input_estimate = input_estimate(x);
    c->array_stream = wants_array(x);
}

static int write_translated(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    int r = read_once(x, t);

    if (r < 0)
        return r;
    make_call(x, t);
    if ((r = translated_fetch_media(x)) < 0)
        return r;
    return t->provider->write_request(&t->call, &t->request, out);
}

/* One dialect on both sides, some of whose words the provider lacks: its reply passes as it comes,
 * unless it names what was renamed. */
static int write_reworded(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    int r = write_translated(x, out);

    t->on = r < 0 || chat_renames(&t->call);
    x->usage_injected =
        x->stream && !x->usage_asked && !t->on && json_find(buf_str(out), STR("stream_options")).p;
    return r;
}

/* Only Bedrock's streams differ, too: those are translated on their way back. */
static int write_reformed(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    int r = read_once(x, t);

    if (r < 0)
        return r;
    make_call(x, t);
    t->on = x->stream && t->provider->framing != t->client->framing;
    return messages_reform(&t->call, x->body,
        t->provider == &wire_messages_vertex    ? MESSAGES_VERTEX
        : t->provider == &wire_messages_bedrock ? MESSAGES_BEDROCK
                                                : MESSAGES_PLAIN,
        x->stream, out);
}

static int read_other_once(struct exchange *x, struct translated *t)
{
    int r = 0;

    if (!t->was_read) {
        start_call(x, t);
        r = translated_read_other(x);
    }
    t->was_read = r == 0;
    return r;
}

/* Counts, embeddings and what else is no answer to messages. */
static int write_other(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    int r = read_other_once(x, t);

    if (r == 0) {
        make_call(x, t);
        t->on = true;
        r = translated_write_other(x, out);
    }
    return r == -ENOTSUP ? wrong_dialect(x) : r;
}

static int write_answer(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;

    t->client = client_wire(x);
    t->provider = provider_wire(x);
    if (!t->client || !t->provider || !t->provider->write_request || !t->client->write_reply)
        return wrong_dialect(x);
    t->on = !needs_reform(x) || brings_foreign(x);
    if (!t->on)
        return write_reformed(x, out);
    return gw_needs_translation(x) ? write_translated(x, out) : write_reworded(x, out);
}

static int write_anew(struct exchange *x, struct gw_body *ret)
{
    struct translated *t = state_of(x);
    int r;

    if (!t)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    t->error = (struct error){0};
    t->made = (struct translated_made){0};
    x->made_query = STR_NONE;
    buf_init(&ret->own, BODY_OUT_MAX);
    r = kind_generates(x->match.endpoint->kind) ? write_answer(x, &ret->own)
                                                : write_other(x, &ret->own);
    if (r == 0)
        r = ret->own.err;
    if (r < 0)
        return translated_failed(x, r);
    translated_note_losses(x);
    t->remade = true;
    if (t->made.file_n) {
        ret->of_upload = GW_FILE;
        ret->file_at = t->made.file_at;
        ret->length = t->made.file_n;
        return 0;
    }
    ret->iov[0] = (struct iovec){ret->own.p, ret->own.n};
    ret->n = 1;
    ret->length = ret->own.n;
    return 0;
}

int gw_body_for_target(struct exchange *x, struct gw_body *ret)
{
    struct chat_fit fit = {.way = CHAT_AS_IT_CAME};

    memset(ret, 0, sizeof *ret);
    if (gw_needs_translation(x) || needs_reform(x))
        return write_anew(x, ret);
    if (x->upload) {
        gw_upload_body(x, ret);
        return 0;
    }
    if (is_chat(x))
        fit_chat(x, &fit);
    return fit.way == CHAT_ANEW ? write_anew(x, ret) : gw_edit_body(x, &fit, ret);
}

void gw_body_free(struct gw_body *b)
{
    buf_free(&b->own);
}

/* --- stored responses --- */

static void say_not_kept(const struct exchange *x)
{
    struct logline l;

    if (log_begin(&l, LOG_WARN, "response not kept")) {
        log_str(&l, "request_id", str_of(x->id));
        log_end(&l);
    }
}

void translated_keep(struct exchange *x, struct str reply)
{
    struct str id = json_find(reply, STR("id"));

    if (!x->translated->items.p || id.n < 3)
        return;
    co_mask_cancel();
    if (gw_kept_put(x, str_at(id.p + 1, id.n - 2), x->translated->items, reply) < 0)
        say_not_kept(x);
    co_unmask_cancel();
}

struct str translated_last_response(struct str stream)
{
    struct str line = STR_NONE, rest = stream;

    while (rest.n) {
        struct str one = str_split(&rest, '\n');
        if (str_starts(one, STR("data: {")))
            line = str_from(one, 6);
    }
    return line.n ? json_find(line, STR("response")) : STR_NONE;
}

/* --- usage --- */

void translated_usage(struct exchange *x, const struct usage *u)
{
    enum service_tier tier = x->meter.usage.tier;

    if (u->source == USAGE_UNKNOWN)
        return;
    x->meter.usage = *u;
    x->meter.usage.source = USAGE_REPORTED;
    if (u->tier == TIER_DEFAULT)
        x->meter.usage.tier = tier;
    if (x->meter.text.cap) /* nothing will be counted */
        buf_free(&x->meter.text);
}

void translated_parts_text(struct exchange *x, const struct canon_part *parts)
{
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (p->kind == PART_TOOL_CALL) {
            meter_text_add(&x->meter, p->name);
            meter_text_add(&x->meter, p->raw.p ? p->raw : p->text);
        } else if (p->kind == PART_TEXT || p->kind == PART_REFUSAL || p->kind == PART_THINKING) {
            meter_text_add(&x->meter, p->text);
        }
    }
}
