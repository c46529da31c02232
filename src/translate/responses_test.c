/*
 * The Responses wire where one case in a file does not say enough: that a stream says the same as
 * the whole reply, that signatures come back through a client, and what a failing stream looks
 * like. Everything else is in tests/golden/.
 */
#include "translate/responses_int.h"

#include "base/limits.h"
#include "base/tap.h"

#include <errno.h>

static struct arena arena;
static struct error error;
static struct canon_call call;
static struct canon_request request;

static void begin(void)
{
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 64 * MIB);
    error = (struct error){0};
    canon_call_init(&call, &arena, &error);
    canon_request_init(&request);
    call.request = &request;
    call.model_shown = STR("m");
    call.request_id = STR("0193a5b0-0000-7000-8000-00000000abcd");
    call.now = 1700000000;
}

static struct canon_part *add(
    struct canon_part ***tail, enum canon_part_kind kind, const char *text)
{
    struct canon_part *p = canon_add_part(&call, tail, kind);

    p->text = str_of(text);
    return p;
}

static void sign(struct canon_part *p, enum canon_maker maker, const char *signature)
{
    p->maker = maker;
    p->signature = str_of(signature);
}

static struct canon_part *add_call(struct canon_part ***tail, const char *id, const char *raw)
{
    struct canon_part *p = add(tail, PART_TOOL_CALL, NULL);

    p->id = str_of(id);
    p->name = STR("f");
    p->raw = str_of(raw);
    return p;
}

/* A reply with one of each. */
static struct canon_reply *mixed(void)
{
    struct canon_reply *r = arena_new(&arena, struct canon_reply);
    struct canon_choice *ch = arena_new(&arena, struct canon_choice);
    struct canon_part **tail = &ch->parts;

    r->choices = ch;
    r->created = 1700000001;
    r->usage = (struct usage){.input = 3, .output = 2, .source = USAGE_REPORTED};
    ch->finish = FINISH_TOOL_CALLS;
    sign(add(&tail, PART_THINKING, "hm \xc3\xa9"), MAKER_ANTHROPIC, "EqQB+/=");
    sign(add(&tail, PART_THINKING, ""), MAKER_ANTHROPIC, "empty");
    add(&tail, PART_REDACTED_THINKING, "EmwK")->maker = MAKER_ANTHROPIC;
    sign(add(&tail, PART_THINKING, "own"), MAKER_OPENAI, "gAAAA");
    add(&tail, PART_TEXT, "one");
    sign(add(&tail, PART_TEXT, "two\n\"\\"), MAKER_GEMINI, "Q2lR");
    add(&tail, PART_REFUSAL, "No.");
    sign(add_call(&tail, "call_1", "{\"a\":1.50}"), MAKER_GEMINI, "c2ln");
    add_call(&tail, "call_2", "{}");
    struct canon_part *custom = add(&tail, PART_TOOL_CALL, "*** Begin");
    custom->id = STR("call_3");
    custom->name = STR("g");
    custom->is_custom = true;
    return r;
}

/* --- looking at what was written --- */

/* The data of each event, in order; the number of them. */
static unsigned events_of(struct str stream, yyjson_val **ret, unsigned max)
{
    const char *why;
    unsigned n = 0;

    while (stream.n && n < max) {
        struct str line = str_split(&stream, '\n');
        if (str_starts(line, STR("data: ")))
            ret[n++] = jr_parse(&arena, str_from(line, 6), &why);
    }
    return n;
}

static struct str output_of(yyjson_val *response)
{
    return jr_raw(&arena, yyjson_obj_get(response, "output"));
}

static struct str whole(const struct canon_reply *r)
{
    _cleanup_(buf_free) struct buf out;
    const char *why;

    buf_init(&out, MIB);
    if (responses_write_reply(&call, r, &out) < 0)
        return STR("failed");
    return output_of(jr_parse(&arena, buf_str(&out), &why));
}

static struct str streamed(const struct canon_reply *r)
{
    _cleanup_(buf_free) struct buf out;
    yyjson_val *events[512];

    buf_init(&out, MIB);
    if (canon_replay(&call, r, &wire_responses, &out) < 0)
        return STR("failed");
    unsigned n = events_of(buf_str(&out), events, ARRAY_LEN(events));
    for (unsigned i = 0; i < n; i++)
        if (jr_get_u64(events[i], "sequence_number") != i)
            return STR("numbers are not in order");
    return n ? output_of(yyjson_obj_get(events[n - 1], "response")) : STR("nothing");
}

static void test_a_stream_says_what_the_reply_says(void)
{
    begin();
    struct canon_reply *r = mixed();
    struct str all = whole(r);
    CHECK(all.n > 1000);
    CHECK_STR(streamed(r), all);
}

static void test_a_stream_of_nothing(void)
{
    begin();
    struct canon_choice choice = {.finish = FINISH_STOP};
    struct canon_reply r = {.choices = &choice};
    CHECK_STR(whole(&r), STR("[]"));
    CHECK_STR(streamed(&r), STR("[]"));
}

/* --- what comes back --- */

static bool same_part(const struct canon_part *a, const struct canon_part *b)
{
    return a->kind == b->kind && str_eq(a->text, b->text) && str_eq(a->signature, b->signature) &&
           str_eq(a->raw, b->raw) && (a->kind == PART_TOOL_CALL ? str_eq(a->id, b->id) : true) &&
           str_eq(a->name, b->name) && a->is_custom == b->is_custom &&
           (!a->signature.n || a->maker == b->maker);
}

/* The items as the next request's input, read. */
static struct canon_message *read_back(struct str items)
{
    _cleanup_(buf_free) struct buf body;

    buf_init(&body, MIB);
    buf_addstr(&body, STR("{\"model\":\"m\",\"input\":"));
    buf_addstr(&body, items);
    buf_addc(&body, '}');
    if (responses_read_request(&call, buf_str(&body), &request) < 0)
        return NULL;
    return request.messages;
}

static void check_came_back(struct str items)
{
    const struct canon_part *want = mixed()->choices->parts;
    struct canon_message *m = read_back(items);

    CHECK(m && !m->next && m->role == ROLE_ASSISTANT);
    const struct canon_part *got = m->parts;
    for (unsigned i = 0; want; want = want->next, got = got->next, i++)
        if (!got || !same_part(got, want)) {
            tap_fail(__FILE__, __LINE__, "part %u of kind %d is another one", i, (int)want->kind);
            return;
        }
    CHECK(!got);
    CHECK_EQ(call.lost_n, 0);
}

static void test_signatures_come_back_from_a_reply(void)
{
    begin();
    check_came_back(whole(mixed()));
}

static void test_signatures_come_back_from_a_stream(void)
{
    begin();
    check_came_back(streamed(mixed()));
}

static void test_redacted_thinking_of_no_maker(void)
{
    static const enum canon_maker makers[] = {MAKER_NONE, MAKER_OPENAI, MAKER_OTHER};

    begin();
    for (unsigned i = 0; i < ARRAY_LEN(makers); i++) {
        struct str own, sealed = responses_seal_signature(
                            &call, PART_REDACTED_THINKING, makers[i], STR("opaque"));
        enum canon_maker maker;
        CHECK_EQ(responses_open_signature(&call, sealed, &maker, &own), PART_REDACTED_THINKING);
        CHECK_STR(own, STR("opaque"));
    }
}

/* --- free-form tools that were functions to the provider --- */

static void test_arguments_become_input(void)
{
    begin();
    struct canon_tool tool = {.name = STR("f"), .is_custom = true};
    struct canon_reply *r = arena_new(&arena, struct canon_reply);
    struct canon_choice *ch = arena_new(&arena, struct canon_choice);
    struct canon_part **tail = &ch->parts;

    r->choices = ch;
    request.tools = &tool;
    add_call(&tail, "call_1", "{\"input\":\"a\\nb\"}");
    add_call(&tail, "call_2", "{\"other\":1}");
    struct str want =
        STR("[{\"id\":\"ctc_sf0193a5b0000070008000"
            "00000000abcd0000\",\"type\":\"custom_tool_call\","
            "\"status\":\"completed\",\"input\":\"a\\nb\",\"call_id\":\"call_1\",\"name\":\"f\"},"
            "{\"id\":\"ctc_sf0193a5b0000070008000"
            "00000000abcd0001\",\"type\":\"custom_tool_call\","
            "\"status\":\"completed\",\"input\":\"{\\\"other\\\":1}\",\"call_id\":\"call_2\","
            "\"name\":\"f\"}]");
    CHECK_STR(whole(r), want);
    CHECK_STR(streamed(r), want);
}

/* --- failing streams --- */

static int feed(struct canon_stream *s, const char *data, struct buf *out)
{
    return canon_stream_event(s, STR(""), str_of(data), out);
}

#define ADDED(i)                                                                                   \
    "{\"type\":\"response.output_item.added\",\"output_index\":" #i                                \
    ",\"item\":{\"type\":\"function_call\",\"call_id\":\"c" #i "\",\"name\":\"f\"}}"

static void test_the_error_event_goes_on_counting(void)
{
    _cleanup_(buf_free) struct buf out;
    yyjson_val *events[16];
    struct canon_stream s;

    begin();
    buf_init(&out, MIB);
    CHECK_EQ(canon_stream_open(&s, &call, &wire_responses, &wire_responses), 0);
    CHECK_EQ(feed(&s, ADDED(0), &out), 0);
    CHECK_EQ(canon_stream_end(&s, &out), -ECONNRESET);
    const struct error e = {.status = 502, .code = STR("upstream_closed"), .message = STR("gone")};
    CHECK_EQ(canon_stream_fail(&s, &e, &out), 0);
    unsigned n = events_of(buf_str(&out), events, ARRAY_LEN(events));
    CHECK_EQ(n, 4);
    CHECK_STR(jr_get_str(events[3], "type"), STR("error"));
    CHECK_STR(jr_get_str(events[3], "code"), STR("upstream_closed"));
    CHECK_EQ(jr_get_u64(events[3], "sequence_number"), 3);
    canon_stream_close(&s);
}

static void check_bad_stream(const char *data)
{
    _cleanup_(buf_free) struct buf out;
    struct canon_stream s;

    begin();
    buf_init(&out, MIB);
    CHECK_EQ(canon_stream_open(&s, &call, &wire_responses, &wire_responses), 0);
    CHECK_EQ(feed(&s, data, &out), -EREMOTEIO);
    CHECK_EQ(error.status, 502);
    canon_stream_close(&s);
}

static void test_streams_that_cannot_be_read(void)
{
    check_bad_stream("{\"type\":");
    check_bad_stream("[]");
    check_bad_stream("{\"type\":\"response.output_item.added\",\"output_index\":4096,\"item\":{"
                     "\"type\":\"message\"}}");
}

/* What a provider may add one day, and what it leaves out, does no harm. */
static void test_streams_are_read_leniently(void)
{
    static const char *const data[] = {"", "[DONE]", "{}", "{\"type\":7}",
        "{\"type\":\"keepalive\"}", "{\"type\":\"response.of_the_future\",\"response\":7}",
        "{\"type\":\"response.output_item.added\"}",
        "{\"type\":\"response.output_item.done\",\"output_index\":1}",
        "{\"type\":\"response.output_text.annotation.added\",\"annotation\":null}",
        "{\"type\":\"response.reasoning_summary_part.added\",\"output_index\":2}",
        "{\"type\":\"response.function_call_arguments.delta\",\"output_index\":3}",
        "{\"type\":\"response.created\",\"response\":{\"id\":7,\"created_at\":\"x\"}}"};
    _cleanup_(buf_free) struct buf out;
    struct canon_stream s;

    begin();
    buf_init(&out, MIB);
    CHECK_EQ(canon_stream_open(&s, &call, &wire_responses, &wire_responses), 0);
    for (unsigned i = 0; i < ARRAY_LEN(data); i++)
        CHECK_EQ(feed(&s, data[i], &out), 0);
    canon_stream_close(&s);
}

/* --- replies that are errors --- */

static void check_reply(const char *body, int status, const char *code)
{
    struct canon_reply r;

    begin();
    CHECK_EQ(responses_read_reply(&call, str_of(body), &r), -EREMOTEIO);
    CHECK_EQ(error.status, status);
    CHECK_STR(error.code, str_of(code));
}

static void test_replies_that_are_errors(void)
{
    check_reply("{\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":"
                "\"slow\"},\"output\":[]}",
        429, "rate_limit_exceeded");
    check_reply("{\"status\":\"failed\",\"error\":null,\"output\":[]}", 502, "");
    check_reply("{\"status\":\"queued\",\"output\":[]}", 502, "upstream_bad_response");
    check_reply("{\"status\":\"completed\"}", 502, "upstream_bad_response");
    check_reply("[]", 502, "upstream_bad_response");
    check_reply("<html>", 502, "upstream_bad_response");
    check_reply("", 502, "upstream_bad_response");
}

/* --- ids --- */

static void test_ids_are_bounded(void)
{
    char room[RESPONSES_ID_BYTES], long_id[200];

    begin();
    CHECK_STR(responses_id(&call, room), STR("resp_sf0193a5b0000070008000"
                                             "00000000abcd"));
    CHECK_STR(responses_item_id(&call, "msg", 258, room), STR("msg_sf0193a5b0000070008000"
                                                              "00000000abcd0102"));
    memset(long_id, 'x', sizeof long_id);
    call.request_id = str_at(long_id, sizeof long_id);
    CHECK(responses_item_id(&call, "msg", 1, room).n < RESPONSES_ID_BYTES);
}

int main(void)
{
    TAP_RUN(test_a_stream_says_what_the_reply_says);
    TAP_RUN(test_a_stream_of_nothing);
    TAP_RUN(test_signatures_come_back_from_a_reply);
    TAP_RUN(test_signatures_come_back_from_a_stream);
    TAP_RUN(test_redacted_thinking_of_no_maker);
    TAP_RUN(test_arguments_become_input);
    TAP_RUN(test_the_error_event_goes_on_counting);
    TAP_RUN(test_streams_that_cannot_be_read);
    TAP_RUN(test_streams_are_read_leniently);
    TAP_RUN(test_replies_that_are_errors);
    TAP_RUN(test_ids_are_bounded);
    arena_free(&arena);
    return tap_done();
}
