/*
 * A conversation with tools keeps what the provider needs to go on (T0.5): its answer goes to a
 * client of another dialect, the client sends it back with the results of the tools, and the
 * provider must see its own turn again: thinking with its signature, opaque thinking, texts, calls
 * with their ids and arguments, all in their order. Random answers, each provider with each client.
 *
 * And an answer that is streamed says what the same answer says whole, in each dialect.
 */
#include "base/limits.h"
#include "base/tap.h"
#include "translate/jw.h"
#include "translate/random_test.h"
#include "translate/stream.h"

#include <stdio.h>

static struct chance dice = {5};

struct talk {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    const char *failed; /* the step that did */
};

static void talk_open(struct talk *t, const char *provider)
{
    *t = (struct talk){0};
    arena_init(&t->arena, NULL, 0, 64 * MIB);
    canon_call_init(&t->c, &t->arena, &t->error);
    canon_request_init(&t->q);
    t->c.provider = str_of(provider);
    t->c.model = t->c.model_shown = STR("m");
    t->c.request_id = STR("req_1");
    t->c.now = 1700000000;
    t->c.usage_asked = true;
    t->c.request = &t->q;
}

/* --- answers --- */

struct provider {
    const struct wire *wire;
    const char *name;
    bool thinks, signs, signs_calls, opaque;
    const char *model;
};

static const struct provider providers[] = {
    {&wire_messages, "anthropic", true, true, false, true, "m"},
    {&wire_gemini, "gemini", true, false, true, false, "gemini-3-pro-preview"},
    {&wire_converse, "bedrock", true, true, false, true, "anthropic.claude-sonnet-4-20250514-v1:0"},
    {&wire_responses, "openai", true, true, false, false, "m"},
    {&wire_chat, "vllm", true, false, false, false, "m"},
};

static const char *const arguments[] = {"{}", "{\"x\":1}", "{\"city\":\"K\xc3\xb6ln\",\"n\":1.50}",
    "{\"a\":[1,{\"b\":null}],\"s\":\"q\\\"\\n\"}", "{\"deep\":{\"deeper\":{\"e\":1e5}}}"};

static struct str random_text(struct talk *t, const char *begin)
{
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, 4096);
    buf_addstr(&text, str_of(begin));
    chance_text(&dice, 1 + chance_below(&dice, 5), &text);
    buf_addstr(&text, STR("."));
    return arena_dup(&t->arena, buf_str(&text));
}

static struct str random_signature(struct talk *t)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *p = arena_alloc(&t->arena, 80);
    size_t n = 4 * (1 + chance_below(&dice, 19));
    for (size_t i = 0; i < n; i++)
        p[i] = set[chance_below(&dice, 64)];
    return str_at(p, n);
}

static void add_thinking(struct talk *t, const struct provider *p, struct canon_part ***tail)
{
    if (!p->thinks || chance_one_in(&dice, 3))
        return;
    struct canon_part *x = canon_add_part(&t->c, tail, PART_THINKING);
    x->text = random_text(t, "Hm");
    if (p->signs) {
        x->signature = random_signature(t);
        x->maker = p->wire->maker;
        if (chance_one_in(&dice, 4)) /* display: omitted */
            x->text = STR("");
    }
    if (p->opaque && chance_one_in(&dice, 3)) {
        x = canon_add_part(&t->c, tail, PART_REDACTED_THINKING);
        x->text = random_signature(t);
        x->maker = p->wire->maker;
    }
}

static void add_calls(
    struct talk *t, const struct provider *p, struct canon_part ***tail, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct canon_part *x = canon_add_part(&t->c, tail, PART_TOOL_CALL);
        x->id = arena_printf(&t->arena, "call_%u%u", i, chance_below(&dice, 10));
        x->name = arena_printf(&t->arena, "f%u", chance_below(&dice, 3));
        x->raw = str_of(arguments[chance_below(&dice, ARRAY_LEN(arguments))]);
        if (p->signs_calls && i == 0) {
            x->signature = random_signature(t);
            x->maker = p->wire->maker;
        }
    }
}

static void make_answer(struct talk *t, const struct provider *p, struct canon_reply *ret)
{
    struct canon_choice *choice = arena_new(&t->arena, struct canon_choice);
    struct canon_part **tail = &choice->parts;
    unsigned calls = chance_below(&dice, 4);
    add_thinking(t, p, &tail);
    if (!calls || chance_one_in(&dice, 2))
        canon_add_part(&t->c, &tail, PART_TEXT)->text = random_text(t, "So");
    add_calls(t, p, &tail, calls);
    choice->finish = calls ? FINISH_TOOL_CALLS : FINISH_STOP;
    *ret = (struct canon_reply){.id = STR("id_1"), .created = 5, .choices = choice};
    ret->usage = (struct usage){.input = 3, .output = 4, .source = USAGE_REPORTED};
}

/* --- showing parts --- */

/* Without the signature that Gemini's calls carry in their ids through other dialects. */
static struct str bare_id(struct str id)
{
    ptrdiff_t mark = str_find(id, STR("__thought__"));
    return mark < 0 ? id : str_to(id, (size_t)mark);
}

static void show_part(const struct canon_part *p, bool all, struct buf *out)
{
    static const char *const kinds[] = {[PART_TEXT] = "text",
        [PART_TOOL_CALL] = "call",
        [PART_TOOL_RESULT] = "result",
        [PART_THINKING] = "thinking",
        [PART_REDACTED_THINKING] = "redacted"};
    buf_printf(out, "%s(" STR_FMT,
        p->kind < ARRAY_LEN(kinds) && kinds[p->kind] ? kinds[p->kind] : "?", STR_ARG(p->text));
    if (p->kind == PART_TOOL_CALL)
        buf_printf(out, STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(all ? p->id : bare_id(p->id)),
            STR_ARG(p->name), STR_ARG(p->raw));
    if (all && p->signature.n)
        buf_printf(out, " sig %d:" STR_FMT, (int)p->maker, STR_ARG(p->signature));
    buf_addstr(out, STR(") "));
}

/* Parts of a turn as text. all: with signatures and opaque thinking, as its maker must see it. */
static struct str show(struct talk *t, const struct canon_part *parts, bool all)
{
    _cleanup_(buf_free) struct buf out;
    buf_init(&out, MIB);
    for (; parts; parts = parts->next) {
        if (parts->kind == PART_TOOL_RESULT)
            buf_printf(&out, "result(" STR_FMT ") ", STR_ARG(parts->id));
        else if (all || (parts->kind != PART_REDACTED_THINKING &&
                            (parts->kind != PART_THINKING || parts->text.n)))
            show_part(parts, all, &out);
    }
    struct str text = arena_dup(&t->arena, buf_str(&out));
    return text;
}

/* --- what a client sends back --- */

static struct str raw_at(struct talk *t, struct str json, const char *path)
{
    const char *why;
    return jr_raw(&t->arena, yyjson_ptr_get(jr_parse(&t->arena, json, &why), path));
}

static void put_results(struct talk *t, const struct canon_part *calls, const char *form,
    const char *between, struct buf *out)
{
    unsigned n = 0;
    for (const struct canon_part *p = calls; p; p = p->next) {
        if (p->kind != PART_TOOL_CALL)
            continue;
        buf_addstr(out, n++ ? str_of(between) : STR(""));
        for (const char *at = form; *at; at++)
            buf_addstr(out, *at == '$' ? p->id : *at == '@' ? p->name : str_at(at, 1));
    }
}

/* An id of a call as this client was given it; it is what the client's reader makes of its own
 * reply. */
static const struct canon_part *shown_parts(
    struct talk *t, const struct wire *client, struct str reply)
{
    struct canon_reply r = {0};
    if (client->read_reply(&t->c, reply, &r) < 0 || !r.choices)
        return NULL;
    return r.choices->parts;
}

static const char tools_chat[] =
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f0\"}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"f1\"}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"f2\"}}]";

static void back_chat(
    struct talk *t, struct str turn, const struct canon_part *calls, struct buf *out)
{
    buf_printf(out,
        "{\"model\":\"m\",%s,\"messages\":[{\"role\":\"user\",\"content\":\"go\"}," STR_FMT ",",
        tools_chat, STR_ARG(turn));
    put_results(t, calls, "{\"role\":\"tool\",\"tool_call_id\":\"$\",\"content\":\"r\"},", "", out);
    buf_addstr(out, STR("{\"role\":\"user\",\"content\":\"on\"}]}"));
}

static void back_responses(
    struct talk *t, struct str turn, const struct canon_part *calls, struct buf *out)
{
    buf_printf(out,
        "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"name\":\"f0\"},{\"type\":"
        "\"function\",\"name\":\"f1\"},{\"type\":\"function\",\"name\":\"f2\"}],"
        "\"input\":[{\"role\":\"user\",\"content\":\"go\"}," STR_FMT ",",
        STR_ARG(str_at(turn.p + 1, turn.n - 2)));
    put_results(t, calls, "{\"type\":\"function_call_output\",\"call_id\":\"$\",\"output\":\"r\"},",
        "", out);
    buf_addstr(out, STR("{\"role\":\"user\",\"content\":\"on\"}]}"));
}

static void back_messages(
    struct talk *t, struct str turn, const struct canon_part *calls, struct buf *out)
{
    buf_printf(out,
        "{\"model\":\"m\",\"max_tokens\":9000,\"tools\":[{\"name\":\"f0\",\"input_schema\":{"
        "\"type\":"
        "\"object\"}},{\"name\":\"f1\",\"input_schema\":{\"type\":\"object\"}},{\"name\":\"f2\","
        "\"input_schema\":{\"type\":\"object\"}}],\"messages\":[{\"role\":\"user\",\"content\":"
        "\"go\"},"
        "{\"role\":\"assistant\",\"content\":" STR_FMT "},{\"role\":\"user\",\"content\":[",
        STR_ARG(turn));
    put_results(
        t, calls, "{\"type\":\"tool_result\",\"tool_use_id\":\"$\",\"content\":\"r\"},", "", out);
    buf_addstr(out, STR("{\"type\":\"text\",\"text\":\"on\"}]}]}"));
}

static void back_gemini(
    struct talk *t, struct str turn, const struct canon_part *calls, struct buf *out)
{
    buf_printf(out,
        "{\"tools\":[{\"functionDeclarations\":[{\"name\":\"f0\"},{\"name\":\"f1\"},{\"name\":"
        "\"f2\"}]}],\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"go\"}]}," STR_FMT
        ",{\"role\":\"user\",\"parts\":[",
        STR_ARG(turn));
    put_results(t, calls,
        "{\"functionResponse\":{\"id\":\"$\",\"name\":\"@\",\"response\":{\"result\":\"r\"}}},", "",
        out);
    buf_addstr(out, STR("{\"text\":\"on\"}]}]}"));
}

static void back_converse(
    struct talk *t, struct str turn, const struct canon_part *calls, struct buf *out)
{
    const char *schema = "\"inputSchema\":{\"json\":{\"type\":\"object\"}}";
    buf_printf(out,
        "{\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f0\",%s}},{\"toolSpec\":{\"name\":"
        "\"f1\",%s}},{\"toolSpec\":{\"name\":\"f2\",%s}}]},\"messages\":[{\"role\":\"user\","
        "\"content\":[{\"text\":\"go\"}]}," STR_FMT ",{\"role\":\"user\",\"content\":[",
        schema, schema, schema, STR_ARG(turn));
    put_results(t, calls, "{\"toolResult\":{\"toolUseId\":\"$\",\"content\":[{\"text\":\"r\"}]}},",
        "", out);
    buf_addstr(out, STR("{\"text\":\"on\"}]}]}"));
}

static const struct {
    const struct wire *wire;
    const char *turn; /* where it stands in the reply */
    void (*back)(struct talk *t, struct str turn, const struct canon_part *calls, struct buf *out);
} clients[] = {
    {&wire_chat, "/choices/0/message", back_chat},
    {&wire_responses, "/output", back_responses},
    {&wire_messages, "/content", back_messages},
    {&wire_gemini, "/candidates/0/content", back_gemini},
    {&wire_converse, "/output/message", back_converse},
};

/* --- there and back --- */

#define STEP(t, call, what)                                                                        \
    do {                                                                                           \
        if (!(t)->failed && (call) < 0)                                                            \
            (t)->failed = what;                                                                    \
    } while (0)

/* The assistant's turn and the results behind it, of what the provider is sent. */
static struct str seen_by_provider(struct talk *t, const struct provider *p, struct str body)
{
    struct canon_request q;
    struct str turn = STR(""), results = STR("");
    canon_request_init(&q);
    STEP(t, p->wire->read_request(&t->c, body, &q), "the provider reads what it is sent");
    for (const struct canon_message *m = t->failed ? NULL : q.messages; m; m = m->next)
        if (m->role == ROLE_ASSISTANT)
            turn = arena_printf(
                &t->arena, STR_FMT STR_FMT, STR_ARG(turn), STR_ARG(show(t, m->parts, true)));
        else if (turn.n)
            for (const struct canon_part *r = m->parts; r; r = r->next)
                if (r->kind == PART_TOOL_RESULT)
                    results = arena_printf(&t->arena, STR_FMT "result(" STR_FMT ") ",
                        STR_ARG(results), STR_ARG(r->id));
    return arena_printf(&t->arena, STR_FMT "/ " STR_FMT, STR_ARG(turn), STR_ARG(results));
}

static struct str wanted_of(struct talk *t, const struct canon_part *parts)
{
    struct str results = STR("");
    for (const struct canon_part *p = parts; p; p = p->next)
        if (p->kind == PART_TOOL_CALL)
            results = arena_printf(
                &t->arena, STR_FMT "result(" STR_FMT ") ", STR_ARG(results), STR_ARG(p->id));
    return arena_printf(
        &t->arena, STR_FMT "/ " STR_FMT, STR_ARG(show(t, parts, true)), STR_ARG(results));
}

static bool there_and_back(const struct provider *p, unsigned client)
{
    const struct wire *to = clients[client].wire;
    _cleanup_(buf_free) struct buf native, shown, back, again;
    struct canon_reply answer, read = {0};
    struct talk t;
    buf_init(&native, MIB);
    buf_init(&shown, MIB);
    buf_init(&back, MIB);
    buf_init(&again, MIB);
    talk_open(&t, p->name);
    t.c.model = str_of(p->model);
    make_answer(&t, p, &answer);
    STEP(&t, p->wire->write_reply(&t.c, &answer, &native), "the provider answers");
    STEP(&t, p->wire->read_reply(&t.c, buf_str(&native), &read), "its answer is read");
    STEP(&t, to->write_reply(&t.c, &read, &shown), "the client is answered");
    struct str turn = raw_at(&t, buf_str(&shown), clients[client].turn);
    clients[client].back(
        &t, turn.p ? turn : STR("{}"), shown_parts(&t, to, buf_str(&shown)), &back);
    STEP(&t, to->read_request(&t.c, buf_str(&back), &t.q), "the client sends it back");
    STEP(&t, p->wire->write_request(&t.c, &t.q, &again), "the provider is sent it");
    struct str got = seen_by_provider(&t, p, buf_str(&again)),
               want = wanted_of(&t, answer.choices->parts);
    bool same = !t.failed && str_eq(got, want);
    if (!same) {
        tap_fail(__FILE__, __LINE__, STR_FMT " to " STR_FMT " and back: %s " STR_FMT,
            STR_ARG(p->wire->name), STR_ARG(to->name), t.failed ? t.failed : "differs",
            STR_ARG(t.error.message));
        tap_fail(__FILE__, __LINE__, "   got: " STR_FMT, STR_ARG(got));
        tap_fail(__FILE__, __LINE__, "wanted: " STR_FMT, STR_ARG(want));
        tap_fail(__FILE__, __LINE__, "client: " STR_FMT, STR_ARG(buf_str(&back)));
    }
    arena_free(&t.arena);
    return same;
}

static void test_there_and_back(void)
{
    unsigned rounds = chance_rounds(40);
    for (unsigned p = 0; p < ARRAY_LEN(providers); p++)
        for (unsigned c = 0; c < ARRAY_LEN(clients); c++)
            for (unsigned i = 0; i < rounds && providers[p].wire != clients[c].wire; i++)
                if (!there_and_back(&providers[p], c))
                    break;
}

/* --- whole and streamed --- */

static int pass(struct talk *t, struct str body, const struct wire *from, const struct wire *to,
    struct buf *out, struct canon_reply *ret)
{
    struct canon_stream s;
    struct canon_frames *f;
    struct str event, data;
    int r;
    must(canon_stream_open(&s, &t->c, from, to) == 0);
    must(canon_frames_new(from->framing, &f) == 0);
    s.collect = ret != NULL;
    while ((r = canon_frames_next(f, &body, &event, &data)) > 0)
        if ((r = canon_stream_event(&s, event, data, out)) < 0)
            break;
    if (r == 0)
        r = canon_stream_end(&s, out);
    if (r == 0 && ret)
        r = canon_stream_reply(&s, ret);
    canon_frames_free(f);
    canon_stream_close(&s);
    return r;
}

/* The provider streams; the client puts together what it gets. */
static bool streamed(const struct provider *p, const struct wire *client)
{
    _cleanup_(buf_free) struct buf native, shown;
    struct canon_reply answer, read = {0};
    struct talk t;
    buf_init(&native, MIB);
    buf_init(&shown, MIB);
    talk_open(&t, p->name);
    make_answer(&t, p, &answer);
    STEP(&t, canon_replay(&t.c, &answer, p->wire, &native), "the provider streams");
    STEP(&t, pass(&t, buf_str(&native), p->wire, client, &shown, NULL), "it is passed on");
    STEP(&t, pass(&t, buf_str(&shown), client, NULL, NULL, &read), "the client reads it");
    struct str want = show(&t, answer.choices->parts, false);
    struct str got = read.choices ? show(&t, read.choices->parts, false) : STR("nothing");
    bool finish = read.choices && read.choices->finish == answer.choices->finish;
    bool same = !t.failed && finish && str_eq(got, want) && read.usage.output == 4;
    if (!same) {
        tap_fail(__FILE__, __LINE__, STR_FMT " streamed to " STR_FMT ": %s " STR_FMT,
            STR_ARG(p->wire->name), STR_ARG(client->name),
            t.failed ? t.failed
            : finish ? "differs"
                     : "ends otherwise",
            STR_ARG(t.error.message));
        tap_fail(__FILE__, __LINE__, "   got: " STR_FMT, STR_ARG(got));
        tap_fail(__FILE__, __LINE__, "wanted: " STR_FMT, STR_ARG(want));
        tap_fail(__FILE__, __LINE__, "client: " STR_FMT, STR_ARG(buf_str(&shown)));
    }
    arena_free(&t.arena);
    return same;
}

static void test_streamed(void)
{
    unsigned rounds = chance_rounds(40);
    for (unsigned p = 0; p < ARRAY_LEN(providers); p++)
        for (unsigned c = 0; c < ARRAY_LEN(clients); c++)
            for (unsigned i = 0; i < rounds; i++)
                if (!streamed(&providers[p], clients[c].wire))
                    break;
}

int main(void)
{
    TAP_RUN(test_there_and_back);
    TAP_RUN(test_streamed);
    return tap_done();
}
