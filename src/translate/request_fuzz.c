/*
 * Requests, replies and errors of any content, from any wire to any other: no crash, and what comes
 * out is valid JSON, or there is an error that says why: 400 or 413 for the client's fault, 502 for
 * the provider's. What was written for a provider that is a front door, too, can be read again.
 *
 * The first byte chooses the pair of wires, the second what the target can do.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "base/macros.h"
#include "translate/wire.h"

#include "json/scan.h"
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wire *const all[] = {&wire_chat, &wire_responses, &wire_messages, &wire_gemini,
    &wire_converse, &wire_cohere, &wire_ollama, &wire_replicate, &wire_messages_vertex,
    &wire_messages_bedrock};
enum { FRONTS = 5 }; /* the first of them are spoken by clients */

struct call {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    struct model_facts facts;
    struct buf out;
};

static void call_open(struct call *k, uint8_t how)
{
    static const struct str names[] = {STR_INIT("openai"), STR_INIT("anthropic"),
        STR_INIT("mistral"), STR_INIT("gemini"), STR_INIT("bedrock"), STR_INIT("deepseek"),
        STR_INIT("openrouter"), STR_INIT("perplexity")};
    *k = (struct call){0};
    arena_init(&k->arena, NULL, 0, 64 * MIB);
    canon_call_init(&k->c, &k->arena, &k->error);
    canon_request_init(&k->q);
    buf_init(&k->out, 64 * MIB);
    k->facts = (struct model_facts){.mode = MODEL_CHAT, .flags = how * 0x01010101u};
    k->facts.max_output = how & 64 ? 5000 : 0;
    k->c.provider = names[how % ARRAY_LEN(names)];
    k->c.model = how & 8 ? STR("us.anthropic.claude-sonnet-4-20250514-v1:0") : STR("m");
    k->c.model_shown = STR("m");
    k->c.request_id = STR("req_1");
    k->c.facts = how & 16 ? &k->facts : NULL;
    k->c.losses = how & 32 ? LOSSES_REFUSE : LOSSES_DECLARE;
    k->c.usage_asked = how & 128;
    k->c.now = 1700000000;
    k->c.request = &k->q;
}

static void call_close(struct call *k)
{
    buf_free(&k->out);
    arena_free(&k->arena);
}

static bool is_json(struct str text)
{
    struct json_error why;
    enum json_type top;
    return json_scan(text, NULL, NULL, 0, &top, &why) == 0 && top == JSON_OBJECT;
}

/* The header may hold it as it is. */
static void check_losses(struct canon_call *c)
{
    struct str names = canon_lost_names(c);
    for (size_t i = 0; i < names.n; i++)
        must(names.p[i] >= ' ' && names.p[i] < 0x7f);
}

/* Of messages that hold nothing but what is left out, nothing may be left. */
static bool is_emptied(struct str param)
{
    return str_eq(param, STR("messages")) || str_eq(param, STR("input")) ||
           str_eq(param, STR("contents"));
}

static void check_request(
    const struct wire *from, const struct wire *to, uint8_t how, struct str body)
{
    struct call k, again;
    call_open(&k, how);
    int r = from->read_request(&k.c, body, &k.q);
    if (r == 0)
        r = to->write_request(&k.c, &k.q, &k.out);
    must((r == 0) == (k.error.status == 0));
    must(r == 0 || k.error.status == 400 || k.error.status == 413);
    check_losses(&k.c);
    if (r == 0) {
        must(is_json(buf_str(&k.out)));
        call_open(&again, how);
        if (to->stream_type.n && to->read_request(&again.c, buf_str(&k.out), &again.q) < 0)
            must(is_emptied(again.error.param));
        call_close(&again);
    }
    call_close(&k);
}

static void check_reply(
    const struct wire *from, const struct wire *to, uint8_t how, struct str body)
{
    struct canon_reply reply = {0}, told = {0};
    struct call k;
    call_open(&k, how);
    int r = from->read_reply(&k.c, body, &reply);
    must(r == 0 || r == -EINPROGRESS || k.error.status >= 500);
    if (r == 0)
        r = to->write_reply(&k.c, &reply, &k.out);
    must(r == 0 || r == -EINPROGRESS || k.error.status); /* a prediction that still runs */
    if (r == 0) {
        must(is_json(buf_str(&k.out)));
        must(to->read_reply(&k.c, buf_str(&k.out), &told) == 0);
    }
    call_close(&k);
}

static void check_error(const struct wire *from, uint8_t how, struct str body)
{
    static const int statuses[] = {400, 401, 403, 404, 413, 429, 500, 503, 529};
    struct error e = {0};
    struct call k;
    call_open(&k, how);
    from->read_error(&k.c, statuses[how % ARRAY_LEN(statuses)], STR_NONE, body, &e);
    must(e.status >= 400 && e.retry_after_s >= 0);
    must(wire_fault_of(e.status, e.code, e.type, e.message) != FAULT_NONE);
    call_close(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 64 * KIB)
        return 0;
    const struct wire *client = all[data[0] % FRONTS];
    const struct wire *provider = all[data[0] / FRONTS % ARRAY_LEN(all)];
    struct str body = str_at((const char *)data + 2, size - 2);
    check_request(client, provider, data[1], body);
    check_reply(provider, client, data[1], body);
    check_error(provider, data[1], body);
    return 0;
}
