/*
 * Properties that hold for whatever comes: usage and cost are the provider's truth however a stream
 * is cut; any effort and length of the answer make a legal budget of thinking; any history makes
 * one message of tool results for each batch of calls. SMARTFLOW_PROPERTY_ROUNDS sets how often.
 */
#include "base/limits.h"
#include "base/tap.h"
#include "translate/jw.h"

#include <stdio.h>

#include "translate/provider_streams_test.h"

static struct chance dice = {20261121};

struct call {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    struct model_facts facts;
    struct buf out;
};

static void call_open(struct call *k, const char *provider)
{
    *k = (struct call){0};
    arena_init(&k->arena, NULL, 0, 64 * MIB);
    canon_call_init(&k->c, &k->arena, &k->error);
    canon_request_init(&k->q);
    buf_init(&k->out, 64 * MIB);
    k->c.provider = str_of(provider);
    k->c.model = k->c.model_shown = STR("m");
    k->c.request_id = STR("req_1");
    k->c.now = 1700000000;
    k->c.input_estimate = 3;
    k->c.usage_asked = true;
    k->c.request = &k->q;
}

static void call_close(struct call *k)
{
    buf_free(&k->out);
    arena_free(&k->arena);
}

/* --- usage and cost --- */

static const struct wire *const clients[] = {
    &wire_chat, &wire_responses, &wire_messages, &wire_gemini, &wire_converse};

/* Prices that make every kind of token count. */
static const struct rate_card rates = {.input = 3000001,
    .output = 15000007,
    .cache_read = 300011,
    .cache_write_5m = 3750013,
    .cache_write_1h = 6000017,
    .input_audio = PRICE_UNKNOWN,
    .output_audio = PRICE_UNKNOWN,
    .reasoning = PRICE_UNKNOWN};

static uint64_t true_cost(const struct usage *u)
{
    uint64_t pico = u->input * 3000001 + u->output * 15000007 + u->cache_read * 300011 +
                    u->cache_write_5m * 3750013;
    return (pico + 500) / 1000;
}

static bool same_usage(const struct usage *a, const struct usage *b)
{
    return a->input == b->input && a->output == b->output && a->cache_read == b->cache_read &&
           a->cache_write_5m == b->cache_write_5m && a->cache_write_1h == b->cache_write_1h &&
           a->reasoning == b->reasoning && a->source == b->source;
}

static int feed(struct canon_stream *s, struct canon_frames *f, struct str piece, struct buf *out)
{
    struct str event, data;
    int r;
    while ((r = canon_frames_next(f, &piece, &event, &data)) > 0)
        if ((r = canon_stream_event(s, event, data, out)) < 0)
            return r;
    return r;
}

/* Runs a body through, whole or in random pieces; 0 when it was a whole stream. */
static int pass(struct call *k, struct str body, const struct wire *from, const struct wire *to,
    bool cut, struct usage *ret)
{
    struct canon_stream s;
    struct canon_frames *f;
    int r = 0;
    must(canon_stream_open(&s, &k->c, from, to) == 0);
    must(canon_frames_new(from->framing, &f) == 0);
    unsigned most = 1 + chance_below(&dice, chance_one_in(&dice, 3) ? 3 : 200);
    while (body.n && r == 0) {
        size_t n = cut ? 1 + chance_below(&dice, most) : body.n;
        r = feed(&s, f, str_to(body, n), &k->out);
        body = str_from(body, n);
    }
    if (r == 0)
        r = canon_stream_end(&s, &k->out);
    *ret = s.usage;
    canon_frames_free(f);
    canon_stream_close(&s);
    return r;
}

static void explain(const char *what, const struct wire *from, const struct wire *to,
    const struct usage *got, const struct usage *want)
{
    tap_fail(__FILE__, __LINE__,
        STR_FMT " to " STR_FMT
                ", %s: in %d read %d write %d out %d reasoning %d; wanted %d %d %d %d %d",
        STR_ARG(from->name), STR_ARG(to->name), what, lld(got->input), lld(got->cache_read),
        lld(got->cache_write_5m), lld(got->output), lld(got->reasoning), lld(want->input),
        lld(want->cache_read), lld(want->cache_write_5m), lld(want->output), lld(want->reasoning));
}

/* What the client is told, read as its SDK does. */
static bool told_truth(
    struct str bytes, const struct wire *from, const struct wire *client, const struct usage *truth)
{
    struct call k;
    struct usage told;
    call_open(&k, "openai");
    int r = pass(&k, bytes, client, client, false, &told);
    bool same = r == 0 && usage_input_total(&told) == usage_input_total(truth) &&
                told.cache_read == truth->cache_read &&
                usage_output_total(&told) == usage_output_total(truth);
    if (!same)
        explain(r ? "the client cannot read it" : "told", from, client, &told, truth);
    call_close(&k);
    return same;
}

static bool one_chunking(const struct provider_stream *p, const struct wire *client, bool deep)
{
    struct usage truth = made_usage(&dice, p->cache, p->writes), got;
    _cleanup_(buf_free) struct buf body, whole;
    struct call k;
    bool right = false;
    int64_t cost = 0;
    buf_init(&body, MIB);
    buf_init(&whole, MIB);
    truth.reasoning = p->reasoning ? truth.reasoning : 0;
    p->make(&dice, truth, &body);
    call_open(&k, "openai");
    k.facts.rates[TIER_DEFAULT][0] = rates;
    int r = pass(&k, buf_str(&body), p->wire, client, false, &got);
    buf_addstr(&whole, buf_str(&k.out));
    buf_clear(&k.out);
    if (r == 0)
        r = pass(&k, buf_str(&body), p->wire, client, true, &got);
    if (r < 0)
        explain("the stream is not whole", p->wire, client, &got, &truth);
    else if (!same_usage(&got, &truth))
        explain("usage", p->wire, client, &got, &truth);
    else if (!str_eq(buf_str(&whole), buf_str(&k.out)))
        explain("the client's bytes depend on the pieces", p->wire, client, &got, &truth);
    else if (cost_compute(&k.facts, &got, TIER_DEFAULT, &cost) < 0 ||
             (uint64_t)cost != true_cost(&truth))
        explain("cost", p->wire, client, &got, &truth);
    else
        right = !deep || told_truth(buf_str(&whole), p->wire, client, &truth);
    call_close(&k);
    return right;
}

static void test_usage_and_cost(void)
{
    unsigned rounds = chance_rounds(2000);
    for (unsigned i = 0; i < rounds; i++) {
        const struct provider_stream *p =
            &provider_streams[chance_below(&dice, ARRAY_LEN(provider_streams))];
        const struct wire *client = clients[chance_below(&dice, ARRAY_LEN(clients))];
        if (p->wire != client && !one_chunking(p, client, true))
            return;
    }
}

/* --- budgets --- */

static const int lengths[] = {-1, 1, 2, 1000, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 4096, 4097,
    8192, 16384, 16385, 32000, 64000, 200000};
static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};

static void put_effort(const struct wire *client, int length, unsigned effort, struct buf *out)
{
    const char *e = efforts[effort];
    if (client == &wire_chat) {
        buf_addstr(
            out, STR("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"));
        buf_printf(out, ",\"reasoning_effort\":\"%s\"", e);
        if (length >= 0)
            buf_printf(out, ",\"max_completion_tokens\":%d", length);
    } else if (client == &wire_responses) {
        buf_printf(out, "{\"model\":\"m\",\"input\":\"hi\",\"reasoning\":{\"effort\":\"%s\"}", e);
        if (length >= 0)
            buf_printf(out, ",\"max_output_tokens\":%d", length);
    } else { /* Gemini: a budget of any size */
        int budget = (int)chance_below(&dice, chance_one_in(&dice, 2) ? 3000 : 40000) - 1;
        buf_addstr(out, STR("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}],"));
        buf_printf(out, "\"generationConfig\":{\"thinkingConfig\":{\"thinkingBudget\":%d}", budget);
        if (length >= 0)
            buf_printf(out, ",\"maxOutputTokens\":%d", length);
        buf_addc(out, '}');
    }
    buf_addc(out, '}');
}

/* The first member of that name anywhere in the value; -1 = none. */
static int64_t number_in(yyjson_val *v, const char *name)
{
    yyjson_val *key, *child;
    size_t i, n;
    int64_t found;
    if (jr_get_int(v, name, &found))
        return found;
    yyjson_obj_foreach(v, i, n, key, child)
    {
        found = number_in(child, name);
        if (found >= 0)
            return found;
    }
    return -1;
}

static bool legal_budget(struct call *k, const struct wire *up, const char *request)
{
    const char *why;
    yyjson_val *v = jr_parse(&k->arena, buf_str(&k->out), &why);
    bool cohere = up == &wire_cohere;
    int64_t budget = number_in(v, cohere ? "token_budget" : "budget_tokens");
    int64_t most = number_in(v, up == &wire_converse ? "maxTokens" : "max_tokens");
    if (v && budget < 0)
        return true;
    if (v && budget >= (cohere ? 1 : 1024) && most > budget)
        return true;
    if (v && cohere && most < 0)
        return true;
    return tap_fail(__FILE__, __LINE__, "%s becomes " STR_FMT, request, STR_ARG(buf_str(&k->out)));
}

static bool one_budget(
    const struct wire *client, const struct wire *up, int length, unsigned effort, unsigned model)
{
    static const uint32_t flags[] = {MODEL_REASONING | MODEL_TOOLS,
        MODEL_REASONING | MODEL_ADAPTIVE_THINKING | MODEL_BUDGET_THINKING,
        MODEL_REASONING | MODEL_THINKING_ALWAYS | MODEL_BUDGET_THINKING};
    _cleanup_(buf_free) struct buf body;
    struct call k;
    buf_init(&body, 4096);
    put_effort(client, length, effort, &body);
    buf_addc(&body, '\0');
    call_open(&k, up == &wire_converse ? "bedrock" : up == &wire_cohere ? "cohere" : "anthropic");
    k.facts.flags = flags[model % ARRAY_LEN(flags)];
    k.facts.max_output = model > 2 ? 8192 : 0;
    k.c.facts = &k.facts;
    if (up == &wire_converse)
        k.c.model = STR("us.anthropic.claude-sonnet-4-20250514-v1:0");
    int r = client->read_request(&k.c, str_of(body.p), &k.q);
    if (r == 0)
        r = up->write_request(&k.c, &k.q, &k.out);
    bool right = r == 0 ? legal_budget(&k, up, body.p)
                        : k.error.status == 400 ||
                              tap_fail(__FILE__, __LINE__, "%s fails with %d", body.p, r);
    call_close(&k);
    return right;
}

static void test_budgets(void)
{
    static const struct wire *const ups[] = {
        &wire_messages, &wire_messages_vertex, &wire_converse, &wire_cohere};
    static const struct wire *const from[] = {&wire_chat, &wire_responses, &wire_gemini};
    for (unsigned u = 0; u < ARRAY_LEN(ups); u++)
        for (unsigned f = 0; f < ARRAY_LEN(from); f++)
            for (unsigned l = 0; l < ARRAY_LEN(lengths); l++)
                for (unsigned e = 0; e < ARRAY_LEN(efforts); e++)
                    for (unsigned m = 0; m < 6; m++)
                        if (!one_budget(from[f], ups[u], lengths[l], e, m))
                            return;
}

/* --- histories --- */

enum { CALLS_MAX = 4 };

static unsigned history_calls; /* made so far, for their ids */

static void put_result(struct buf *out, unsigned id)
{
    buf_printf(
        out, ",{\"role\":\"tool\",\"tool_call_id\":\"call_%u\",\"content\":\"r%u\"}", id, id);
}

static void put_between(struct buf *out)
{
    if (chance_one_in(&dice, 5))
        buf_addstr(out, STR(",{\"role\":\"user\",\"content\":\"by the way\"}"));
    if (chance_one_in(&dice, 7))
        buf_addstr(out, STR(",{\"role\":\"system\",\"content\":\"be nice\"}"));
    if (chance_one_in(&dice, 9))
        buf_addstr(out, STR(",{\"role\":\"user\",\"content\":\"\"}"));
}

static void put_assistant(struct buf *out, unsigned calls)
{
    buf_printf(out, ",{\"role\":\"assistant\",\"content\":%s",
        chance_one_in(&dice, 2) ? "null" : "\"ok\"");
    for (unsigned i = 0; i < calls; i++)
        buf_printf(out,
            "%s{\"id\":\"call_%u\",\"type\":\"function\",\"function\":{\"name\":\"f%u\","
            "\"arguments\":\"{\\\"x\\\":%u}\"}}",
            i ? "," : ",\"tool_calls\":[", history_calls++, i, i);
    buf_addstr(out, calls ? STR("]}") : STR("}"));
}

/* A turn: one or two messages of the assistant's, then all results in any order. */
static void put_turn(struct buf *out)
{
    unsigned first = history_calls, ids[2 * CALLS_MAX];
    put_assistant(out, chance_below(&dice, CALLS_MAX + 1));
    if (chance_one_in(&dice, 4))
        put_assistant(out, chance_below(&dice, CALLS_MAX));
    unsigned n = history_calls - first;
    for (unsigned i = 0; i < n; i++) {
        unsigned at = chance_below(&dice, i + 1);
        ids[i] = ids[at];
        ids[at] = first + i;
    }
    for (unsigned i = 0; i < n; i++) {
        put_result(out, ids[i]);
        put_between(out);
    }
    buf_addstr(out, STR(",{\"role\":\"user\",\"content\":\"go on\"}"));
}

static void put_history(struct buf *out)
{
    history_calls = 0;
    buf_addstr(out, STR("{\"model\":\"m\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\","
                        "\"content\":\"hi\"}"));
    for (unsigned i = 0, n = 1 + chance_below(&dice, 5); i < n; i++)
        put_turn(out);
    buf_addstr(out, STR("],\"tools\":["));
    for (unsigned i = 0; i < CALLS_MAX; i++)
        buf_printf(out,
            "%s{\"type\":\"function\",\"function\":{\"name\":\"f%u\",\"parameters\":"
            "{\"type\":\"object\",\"properties\":{}}}}",
            i ? "," : "", i);
    buf_addstr(out, STR("]}"));
}

/* How a dialect writes turns down. */
struct turns {
    const struct wire *wire;
    const char *list, *blocks;
    const char *call, *result;       /* member of a block, or its type */
    const char *call_id, *result_id; /* NULL: order alone */
};

static const struct turns turns[] = {
    {&wire_messages, "messages", "content", "tool_use", "tool_result", "id", "tool_use_id"},
    {&wire_converse, "messages", "content", "toolUse", "toolResult", "toolUseId", "toolUseId"},
    {&wire_gemini, "contents", "parts", "functionCall", "functionResponse", "name", "name"},
};

/* The block's own object if it is of that kind. */
static yyjson_val *block_of(yyjson_val *block, const char *kind)
{
    if (str_eq(jr_get_str(block, "type"), str_of(kind)))
        return block;
    return yyjson_obj_get(block, kind);
}

static unsigned count_blocks(yyjson_val *message, const struct turns *t, const char *kind)
{
    yyjson_val *blocks = yyjson_obj_get(message, t->blocks), *one;
    size_t i, n;
    unsigned found = 0;
    yyjson_arr_foreach(blocks, i, n, one) found += block_of(one, kind) != NULL;
    return found;
}

/* The first blocks of next are results, one for each call of message, and there are no others. */
static const char *batch_is_wrong(yyjson_val *message, yyjson_val *next, const struct turns *t)
{
    yyjson_val *calls = yyjson_obj_get(message, t->blocks), *call, *result;
    yyjson_val *blocks = yyjson_obj_get(next, t->blocks);
    unsigned wanted = count_blocks(message, t, t->call);
    size_t i, n;
    if (count_blocks(next, t, t->result) != wanted)
        return "results are not as many as calls";
    for (unsigned k = 0; k < wanted; k++)
        if (!block_of(yyjson_arr_get(blocks, k), t->result))
            return "results do not come first";
    yyjson_arr_foreach(calls, i, n, call)
    {
        unsigned answers = 0;
        for (unsigned k = 0; block_of(call, t->call) && k < wanted; k++) {
            result = block_of(yyjson_arr_get(blocks, k), t->result);
            answers += str_eq(
                jr_get_str(result, t->result_id), jr_get_str(block_of(call, t->call), t->call_id));
        }
        if (block_of(call, t->call) && !answers)
            return "a call has no result";
    }
    return NULL;
}

static const char *history_is_wrong(yyjson_val *body, const struct turns *t)
{
    yyjson_val *list = yyjson_obj_get(body, t->list), *message, *next;
    size_t n = yyjson_arr_size(list);
    for (size_t i = 0; i < n; i++) {
        message = yyjson_arr_get(list, i);
        next = yyjson_arr_get(list, i + 1);
        bool user = str_eq(jr_get_str(message, "role"), STR("user"));
        if (next && str_eq(jr_get_str(message, "role"), jr_get_str(next, "role")))
            return "two turns of one role follow each other";
        if (user ? count_blocks(message, t, t->call) : count_blocks(message, t, t->result))
            return "a call or a result stands in the wrong role";
        if (i == 0 && (!user || count_blocks(message, t, t->result)))
            return "it does not begin with the user";
        const char *wrong = user ? NULL : batch_is_wrong(message, next, t);
        if (wrong)
            return wrong;
    }
    return n ? NULL : "there are no messages";
}

static bool one_history(const struct turns *t)
{
    _cleanup_(buf_free) struct buf body;
    struct call k;
    const char *why, *wrong = "it is refused";
    buf_init(&body, MIB);
    put_history(&body);
    call_open(&k, "anthropic");
    int r = wire_chat.read_request(&k.c, buf_str(&body), &k.q);
    if (r == 0)
        r = t->wire->write_request(&k.c, &k.q, &k.out);
    if (r == 0)
        wrong = history_is_wrong(jr_parse(&k.arena, buf_str(&k.out), &why), t);
    if (wrong)
        tap_fail(__FILE__, __LINE__, STR_FMT ": %s " STR_FMT "; " STR_FMT " becomes " STR_FMT,
            STR_ARG(t->wire->name), wrong, STR_ARG(k.error.message),
            STR_ARG(str_to(buf_str(&body), 400)), STR_ARG(str_to(buf_str(&k.out), 400)));
    call_close(&k);
    return !wrong;
}

static void test_histories(void)
{
    unsigned rounds = chance_rounds(2000);
    for (unsigned i = 0; i < rounds; i++)
        if (!one_history(&turns[i % ARRAY_LEN(turns)]))
            return;
}

int main(void)
{
    TAP_RUN(test_usage_and_cost);
    TAP_RUN(test_budgets);
    TAP_RUN(test_histories);
    return tap_done();
}
