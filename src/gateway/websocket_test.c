/*
 * The parts of WebSocket sessions that do no I/O: messages out of frames, usage out of events, the
 * handshakes, and what becomes of the client's messages.
 */
#include "base/tap.h"
#include "gateway/websocket_int.h"
#include "providers/provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- messages --- */

/* All messages in print, "opcode payload;", and how it ended. */
static int read_cut(struct str s, size_t step, size_t max, struct buf *print)
{
    struct ws_reader reader;
    struct ws_message m;
    int r = 0;

    ws_reader_init(&reader, false, max);
    for (size_t at = 0; at < s.n && r >= 0; at += step) {
        struct str piece = str_to(str_from(s, at), step);
        while ((r = ws_reader_next(&reader, &piece, &m)) > 0)
            buf_printf(print, "%d %.*s;", m.opcode, STR_ARG(m.payload));
    }
    if (r == 0 && !ws_reader_between_messages(&reader))
        r = -EAGAIN;
    ws_reader_free(&reader);
    return r;
}

#define S(t) STR_INIT(t)

static const struct {
    struct str bytes;
    const char *print;
    int end;
} cuts[] = {
    {S("\x81\x05Hello"), "1 Hello;", 0},
    {S("\x01\x03Hel\x80\x02lo\x82\x01x"), "1 Hello;2 x;", 0},
    {S("\x02\x01"
       "a\x89\x01p\x00\x01"
       "b\x80\x00\x81\x00"),
        "9 p;2 ab;1 ;", 0},
    {S("\x88\x02\x03\xe8"), "8 \x03\xe8;", 0},
    {S("\x01\x03Hel"), "", -EAGAIN},
    {S("\x81\x05Hel"), "", -EAGAIN},
    {S("\x01\x08"
       "12345678\x80\x09"
       "123456789"),
        "", -EMSGSIZE},
    {S("\x80\x00"), "", -EPROTO},
};

static void test_messages_however_cut(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        for (size_t step = 1; step <= cuts[i].bytes.n; step++) {
            _cleanup_(buf_free) struct buf print = {.max = 4096};
            CHECK_EQ(read_cut(cuts[i].bytes, step, 16, &print), cuts[i].end);
            CHECK_STR(buf_str(&print), str_of(cuts[i].print));
        }
    }
}

static void test_close_codes(void)
{
    CHECK_EQ(ws_close_code(STR("")), 0);
    CHECK_EQ(ws_close_code(STR("\x03\xe8")), 1000);
    CHECK_EQ(ws_close_code(STR("\x0f\xa1"
                               "bye")),
        4001);
}

/* --- usage --- */

static void test_realtime_usage(void)
{
    struct usage sum = {0};
    char id[80];
    struct str event = STR(
        "{\"type\":\"response.done\",\"response\":{\"id\":\"resp_1\",\"usage\":{"
        "\"input_tokens\":132,\"output_tokens\":121,\"input_token_details\":{\"text_tokens\":100,"
        "\"audio_tokens\":32,\"cached_tokens\":70,\"cached_tokens_details\":{\"text_tokens\":64,"
        "\"audio_tokens\":6}},\"output_token_details\":{\"text_tokens\":30,\"audio_tokens\":91}"
        "}}}");

    CHECK(ws_usage_take(KIND_REALTIME_WS, event, &sum, id));
    CHECK_STR(str_of(id), STR("resp_1"));
    CHECK_EQ(sum.cache_read, 70);
    CHECK_EQ(sum.audio_in, 26);
    CHECK_EQ(sum.input, 36);
    CHECK_EQ(sum.output, 30);
    CHECK_EQ(sum.audio_out, 91);
    CHECK_EQ(usage_input_total(&sum), 132);
    CHECK(ws_usage_take(KIND_REALTIME_WS, event, &sum, id));
    CHECK_EQ(usage_input_total(&sum), 264);
    CHECK_EQ(usage_output_total(&sum), 242);
    CHECK_EQ(sum.source, USAGE_REPORTED);
}

static void test_responses_usage(void)
{
    struct usage sum = {0};
    char id[80];
    struct str completed = STR("{\"type\":\"response.completed\",\"response\":{\"id\":\"resp_2\","
                               "\"service_tier\":\"flex\",\"usage\":{\"input_tokens\":10,"
                               "\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":5,"
                               "\"output_tokens_details\":{\"reasoning_tokens\":2}}}}");
    struct str incomplete =
        STR("{\"type\":\"response.incomplete\",\"response\":{\"id\":\"resp_3\",\"usage\":{"
            "\"input_tokens\":1,\"output_tokens\":2}}}");

    CHECK(ws_usage_take(KIND_RESPONSES_WS, completed, &sum, id));
    CHECK_STR(str_of(id), STR("resp_2"));
    CHECK_EQ(sum.tier, TIER_FLEX);
    CHECK(ws_usage_take(KIND_RESPONSES_WS, incomplete, &sum, id));
    CHECK_STR(str_of(id), STR("resp_3"));
    CHECK_EQ(sum.input, 7);
    CHECK_EQ(sum.cache_read, 4);
    CHECK_EQ(sum.output, 7);
    CHECK_EQ(sum.reasoning, 2);
}

static void test_what_is_no_usage(void)
{
    static const struct str events[] = {
        S("{\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"usage\":null}}"),
        S("{\"type\":\"response.output_text.delta\",\"delta\":\"\\\"usage\\\"\"}"),
        S("{\"type\":\"response.done\",\"response\":{\"usage\":{\"input_tokens\":-1}}}"),
        S("{\"type\":\"response.done\",\"response\":{\"usage\":[]}}"),
        S("{\"type\":\"response.done\",\"response\":\"\",\"usage\":{\"input_tokens\":1}}"),
        S("{\"type\":\"error\",\"usage\":{\"input_tokens\":1}}"),
        S("\"usage\""),
        S("{\"type\":\"response.done\",\"response\":{\"usage\":{\"input_tok"),
        S(""),
    };

    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        struct usage sum = {0};
        char id[80];
        CHECK(!ws_usage_take(KIND_REALTIME_WS, events[i], &sum, id));
        CHECK(!ws_usage_take(KIND_RESPONSES_WS, events[i], &sum, id));
        CHECK_EQ(sum.input + sum.output + sum.source, 0);
    }
}

/* --- an exchange in the middle of its session --- */

struct fixture {
    struct exchange x;
    struct http_request rq;
    struct http_field room[LIMIT_HEADERS];
    struct endpoint endpoint;
    struct upstream *upstreams;
    struct route_settings route;
};

static struct upstream *upstream_of(struct fixture *f, const char *id)
{
    for (unsigned i = 0; i < f->route.upstreams_n; i++)
        if (str_eq(f->upstreams[i].provider->id, str_of(id)))
            return &f->upstreams[i];
    return NULL;
}

static const struct route_alias alias = {STR_INIT("fast"), STR_INIT("openai/gpt-4.1-mini")};
static struct virtual_key key = {.subject = {.refs_ = 1000, .is_active = true}};

static void begin(struct fixture *f, enum endpoint_kind kind, struct str head)
{
    unsigned n;
    const struct provider *table = provider_table(&n);
    const char *why;

    *f = (struct fixture){.endpoint = {.kind = kind, .flags = EP_WEBSOCKET | EP_METERED}};
    f->upstreams = calloc(n, sizeof *f->upstreams);
    must(f->upstreams);
    for (unsigned i = 0; i < n; i++)
        f->upstreams[i].provider = &table[i];
    f->route = (struct route_settings){f->upstreams, n, NULL, &alias, 1};
    upstream_of(f, "openai")->configured = upstream_of(f, "xai")->configured = true;
    must(http_parse_request(head, f->room, LIMIT_HEADERS, &f->rq.head, &why) == (ptrdiff_t)head.n);
    f->x.rq = &f->rq;
    f->x.match.endpoint = &f->endpoint;
    f->endpoint.example = STR("/v1/realtime");
    f->x.route_settings = &f->route;
    f->x.key = &key;
    f->x.upstream = upstream_of(f, "openai");
    arena_init(&f->x.arena, NULL, 0, MIB);
    must(ws_front_new(&f->x) == 0);
}

static void end(struct fixture *f)
{
    gw_exchange_end(&f->x);
    free(f->upstreams);
}

#define HANDSHAKE(target, more)                                                                    \
    STR("GET " target " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"      \
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" more "\r\n")
#define V13 "Sec-WebSocket-Version: 13\r\n"

/* The only frame in out, whether it is masked or not. */
static struct str frame_text(struct buf *out, bool masked, struct ws_reader *reader)
{
    struct str in = buf_str(out);
    struct ws_message m = {0};

    ws_reader_init(reader, masked, MIB);
    if (ws_reader_next(reader, &in, &m) != 1 || m.opcode != WS_TEXT || in.n)
        return STR("(not one text frame)");
    return m.payload;
}

static void forward(struct str text, struct buf *out, struct buf *refusal)
{
    struct fixture f;

    begin(&f, KIND_RESPONSES_WS, HANDSHAKE("/v1/responses", V13));
    must(ws_forward_text(&f.x, text, out, refusal) == 0);
    end(&f);
}

static void test_messages_that_pass(void)
{
    static const struct {
        struct str in, out;
    } cases[] = {
        {S("{\"type\":\"response.create\",\"model\":\"gpt-4.1\"}"),
            S("{\"type\":\"response.create\",\"model\":\"gpt-4.1\"}")},
        {S("{ \"model\" : \"fast\", \"input\":\"\\u00e9\" }"),
            S("{ \"model\" : \"gpt-4.1-mini\", \"input\":\"\\u00e9\" }")},
        {S("{\"model\":\"openai\\/gpt-5\"}"), S("{\"model\":\"gpt-5\"}")},
        {S("{\"type\":\"response.cancel\"}"), S("{\"type\":\"response.cancel\"}")},
        {S("{\"model\":null}"), S("{\"model\":null}")},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_free) struct buf out = {.max = MIB}, refusal = {.max = MIB};
        struct ws_reader reader;
        forward(cases[i].in, &out, &refusal);
        CHECK_EQ(refusal.n, 0);
        CHECK_STR(frame_text(&out, true, &reader), cases[i].out);
        ws_reader_free(&reader);
    }
}

static void test_messages_that_do_not_pass(void)
{
    static const struct {
        struct str in, begins, code;
    } cases[] = {
        {S("{\"model\":\"grok-4\"}"), S("{\"type\":\"error\",\"status\":400,\"error\":{"),
            S("\"model_of_another_provider\"")},
        {S("{\"model\":\"zzz\"}"), S("{\"type\":\"error\",\"status\":404,"),
            S("\"model_not_found\"")},
        {S("{\"model\":\"gpt-5\",\"model\":\"grok-4\"}"), S("{\"type\":\"error\",\"status\":400,"),
            S("\"duplicate_member\"")},
        {S("{\"model\":1}"), S("{\"type\":\"error\",\"status\":400,"),
            S("\"invalid_request_error\"")},
        {S("{\"model\":\"gpt-5\""), S("{\"type\":\"error\",\"status\":400,"),
            S("\"invalid_json\"")},
        {S("7"), S("{\"type\":\"error\",\"status\":400,"), S("\"invalid_request_error\"")},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(buf_free) struct buf out = {.max = MIB}, refusal = {.max = MIB};
        struct ws_reader reader;
        forward(cases[i].in, &out, &refusal);
        CHECK_EQ(out.n, 0);
        struct str event = frame_text(&refusal, false, &reader);
        CHECK(str_starts(event, cases[i].begins));
        CHECK_STR(json_find(event, STR("error.code")), cases[i].code);
        ws_reader_free(&reader);
    }
}

/* A key that is limited to certain models cannot run one that a later message does not name. */
static void test_a_limited_key(void)
{
    static const struct str models[] = {STR_INIT("gpt-*")};
    struct virtual_key limited = {.subject.refs_ = 1000, .models = {models, 1}};
    _cleanup_(buf_free) struct buf out = {.max = MIB}, refusal = {.max = MIB};
    struct ws_reader reader;
    struct fixture f;

    begin(&f, KIND_RESPONSES_WS, HANDSHAKE("/v1/responses", V13));
    f.x.key = &limited;
    must(ws_forward_text(&f.x, STR("{\"model\":\"gpt-5\"}"), &out, &refusal) == 0);
    CHECK(out.n > 0 && refusal.n == 0);
    buf_clear(&out);
    must(ws_forward_text(&f.x, STR("{\"type\":\"response.create\",\"prompt\":{\"id\":\"pmpt_1\"}}"),
             &out, &refusal) == 0);
    CHECK_EQ(out.n, 0);
    CHECK_STR(
        json_find(frame_text(&refusal, false, &reader), STR("error.code")), STR("\"not_allowed\""));
    ws_reader_free(&reader);
    end(&f);
}

/* --- handshakes --- */

static void test_client_handshake(void)
{
    static const struct {
        struct str head;
        int status;
    } cases[] = {
        {HANDSHAKE("/v1/realtime", V13), 0},
        {HANDSHAKE("/v1/realtime", ""), 426},
        {HANDSHAKE("/v1/realtime", "Sec-WebSocket-Version: 8\r\n"), 426},
        {HANDSHAKE("/v1/realtime", V13 V13), 426},
        {HANDSHAKE("/v1/realtime", V13 "Content-Length: 3\r\n"), 400},
        {HANDSHAKE("/v1/realtime", V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400},
        {STR("GET /v1/realtime HTTP/1.1\r\nHost: a\r\n\r\n"), 426},
        {STR("GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" V13
             "\r\n"),
            426},
        {STR("GET /v1/realtime HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
             "Upgrade: websocket\r\n" V13 "Sec-WebSocket-Key: abc\r\n\r\n"),
            400},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        begin(&f, KIND_REALTIME_WS, cases[i].head);
        ws_check_client(&f.x);
        int status = f.x.error.status;
        end(&f);
        CHECK_EQ(status, cases[i].status);
    }
}

static void test_subprotocols(void)
{
    CHECK_STR(ws_own_choice(STR_NONE), STR(""));
    CHECK_STR(ws_own_choice(STR("openai-insecure-api-key.sk-x, realtime")), STR("realtime"));
    CHECK_STR(ws_own_choice(STR("openai-beta.realtime-v1,openai-insecure-api-key.k")), STR(""));
}

/* Our handshake, answered by the upstream with accept and more fields. */
static int upstream_says(const char *accept, const char *more)
{
    struct fixture f;
    struct http_field room[LIMIT_HEADERS];
    struct http_head head;
    char right[29], text[512];
    const char *why;

    begin(&f, KIND_REALTIME_WS,
        HANDSHAKE("/v1/realtime", V13 "Sec-WebSocket-Protocol: openai-insecure-api-key.k, a\r\n"));
    must(ws_accept_value(gw_ws_key(&f.x), right));
    int n = snprintf(text, sizeof text,
        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n%s\r\n",
        accept ? accept : right, more);
    must(http_parse_response(str_at(text, (size_t)n), false, room, LIMIT_HEADERS, &head, &why) > 0);
    ws_check_upstream(&f.x, &head);
    int status = f.x.error.status;
    end(&f);
    return status;
}

static void test_upstream_handshake(void)
{
    CHECK_EQ(upstream_says(NULL, ""), 0);
    CHECK_EQ(upstream_says(NULL, "Sec-WebSocket-Protocol: a\r\n"), 0);
    CHECK_EQ(upstream_says("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", ""), 502);
    CHECK_EQ(upstream_says("", ""), 502);
    CHECK_EQ(upstream_says(NULL, "Sec-WebSocket-Protocol: b\r\n"), 502);
    CHECK_EQ(upstream_says(NULL, "Sec-WebSocket-Protocol: openai-insecure-api-key.k\r\n"), 502);
    CHECK_EQ(upstream_says(NULL, "Sec-WebSocket-Extensions: permessage-deflate\r\n"), 502);
}

static void test_model_in_the_query(void)
{
    static const struct {
        struct str head;
        const char *model, *query;
    } cases[] = {
        {HANDSHAKE("/v1/realtime?model=fast", ""), "gpt-4.1-mini", "model=gpt-4.1-mini"},
        {HANDSHAKE("/v1/realtime?a=b%20c&model=x&d", ""), "m/1 2", "model=m%2F1%202&a=b%20c&d"},
        {HANDSHAKE("/v1/realtime?model=x&mod%65l=y&model=z", ""), "x", "model=x"},
        {HANDSHAKE("/v1/realtime?intent=transcription&%6dodel=y", ""), "", "intent=transcription"},
        {HANDSHAKE("/v1/realtime", ""), "", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        begin(&f, KIND_REALTIME_WS, cases[i].head);
        f.x.model = str_of(cases[i].model);
        int r = ws_query_model(&f.x);
        bool same = str_eq(f.rq.head.query, str_of(cases[i].query));
        end(&f);
        CHECK_EQ(r, 0);
        CHECK(same);
    }
}

static void test_deployment_in_the_query(void)
{
    static const struct str head = HANDSHAKE(
        "/azure/openai/realtime?api-version=1&deployment=mine&%64eployment=y&model=z", "");
    static const struct {
        const char *door, *provider, *query;
    } cases[] = {
        {"azure", "azure", "deployment=m&api-version=1"},
        {"azure", "openai", "model=m&api-version=1"},
        {"", "azure", "deployment=m&api-version=1"},
        {"", "openai", "model=m&api-version=1&deployment=mine&%64eployment=y"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct upstream up = {.provider = provider_by_id(str_of(cases[i].provider))};
        struct fixture f;
        begin(&f, KIND_REALTIME_WS, head);
        f.x.match.door = str_of(cases[i].door);
        f.x.upstream = &up;
        f.x.model = STR("m");
        int r = ws_query_model(&f.x);
        bool same = str_eq(f.rq.head.query, str_of(cases[i].query));
        end(&f);
        CHECK_EQ(r, 0);
        CHECK(same);
    }
}

int main(void)
{
    TAP_RUN(test_messages_however_cut);
    TAP_RUN(test_close_codes);
    TAP_RUN(test_realtime_usage);
    TAP_RUN(test_responses_usage);
    TAP_RUN(test_what_is_no_usage);
    TAP_RUN(test_messages_that_pass);
    TAP_RUN(test_messages_that_do_not_pass);
    TAP_RUN(test_a_limited_key);
    TAP_RUN(test_client_handshake);
    TAP_RUN(test_subprotocols);
    TAP_RUN(test_upstream_handshake);
    TAP_RUN(test_model_in_the_query);
    TAP_RUN(test_deployment_in_the_query);
    return tap_done();
}
