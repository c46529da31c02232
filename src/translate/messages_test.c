/*
 * Anthropic's dialect: what it refuses to read, what must survive a round trip, its envelopes, and
 * its errors. Whole requests, replies and streams between the dialects are in tests/golden.
 */
#include "translate/messages_fixture_test.h"

#include "crypto/encode.h"
#include "http/eventstream.h"

/* --- reading --- */

static const struct {
    const char *body, *param;
} faults[] = {
    {"[]", ""},
    {"{", ""},
    {"{\"messages\":{}}", "messages"},
    {"{}", "messages"},
    {"{\"messages\":[1]}", "messages[0]"},
    {"{\"messages\":[{\"role\":\"tool\",\"content\":\"a\"}]}", "messages[0].role"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":1}]}", "messages[0].content"},
    {"{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}]}",
        "messages[0].content[0].type"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]}",
        "messages[0].content[0].text"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
     "\"cache_control\":{\"type\":\"x\"}}]}]}",
        "messages[0].content[0].cache_control.type"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
     "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"2h\"}}]}]}",
        "messages[0].content[0].cache_control.ttl"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":1}]}]}",
        "messages[0].content[0].source"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":"
     "{\"type\":\"base64\",\"media_type\":\"image/png\"}}]}]}",
        "messages[0].content[0].source.data"},
    {"{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
     "\"name\":\"b\",\"input\":\"{}\"}]}]}",
        "messages[0].content[0].input"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
     "\"tool_use_id\":\"a\",\"is_error\":1}]}]}",
        "messages[0].content[0].is_error"},
    {"{\"messages\":[],\"system\":5}", "system"},
    {"{\"messages\":[],\"model\":5}", "model"},
    {"{\"messages\":[],\"max_tokens\":\"5\"}", "max_tokens"},
    {"{\"messages\":[],\"max_tokens\":-5}", "max_tokens"},
    {"{\"messages\":[],\"temperature\":\"1\"}", "temperature"},
    {"{\"messages\":[],\"stop_sequences\":\"a\"}", "stop_sequences"},
    {"{\"messages\":[],\"stop_sequences\":[\"a\",1]}", "stop_sequences[1]"},
    {"{\"messages\":[],\"stream\":\"yes\"}", "stream"},
    {"{\"messages\":[],\"metadata\":{\"user_id\":1}}", "metadata.user_id"},
    {"{\"messages\":[],\"thinking\":{\"type\":\"enabled\"}}", "thinking.budget_tokens"},
    {"{\"messages\":[],\"output_config\":{\"effort\":\"huge\"}}", "output_config.effort"},
    {"{\"messages\":[],\"output_config\":{\"format\":{\"type\":\"json_schema\"}}}",
        "output_config.format.schema"},
    {"{\"messages\":[],\"tools\":{}}", "tools"},
    {"{\"messages\":[],\"tools\":[{}]}", "tools[0].name"},
    {"{\"messages\":[],\"tools\":[{\"name\":\"a\",\"input_schema\":[]}]}", "tools[0].input_schema"},
    {"{\"messages\":[],\"tool_choice\":\"auto\"}", "tool_choice"},
    {"{\"messages\":[],\"tool_choice\":{\"type\":\"tool\"}}", "tool_choice.name"},
    {"{\"messages\":[],\"tool_choice\":{\"type\":\"x\"}}", "tool_choice.type"},
};

static void test_faults_name_their_place(void)
{
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        FIXTURE f;
        fixture_init(&f);
        CHECK_EQ(read_into(&f, faults[i].body), -EREMOTEIO);
        CHECK_EQ(f.error.status, 400);
        CHECK_STR(f.error.param, str_of(faults[i].param));
    }
}

static void test_unknown_members_become_extras_under_their_path(void)
{
    FIXTURE f;
    fixture_init(&f);
    CHECK_EQ(read_into(&f,
                 "{\"model\":\"m\",\"container\":\"c1\",\"mcp_servers\":[],\"messages\":[{\"role\":"
                 "\"user\",\"content\":[{\"type\":\"container_upload\",\"file_id\":\"f\"},"
                 "{\"type\":\"text\",\"text\":\"a\",\"odd\":1}]}],"
                 "\"tools\":[{\"name\":\"t\",\"input_schema\":{},\"defer_loading\":true}]}"),
        0);
    static const char *const names[] = {"messages[0].content[0]", "messages[0].content[1].odd",
        "container", "mcp_servers", "tools[0].defer_loading"};
    const struct canon_extra *x = f.q.extras;
    for (size_t i = 0; i < ARRAY_LEN(names); i++, x = x->next) {
        CHECK(x);
        CHECK_STR(x->name, str_of(names[i]));
    }
    CHECK(!x);
    CHECK_STR(f.q.extras->raw, STR("{\"type\":\"container_upload\",\"file_id\":\"f\"}"));
}

static void test_document_of_blocks_becomes_text_with_pictures_behind_it(void)
{
    FIXTURE f;
    fixture_init(&f);
    CHECK_EQ(
        read_into(&f,
            "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"title\":"
            "\"T\",\"context\":\"C\",\"citations\":{\"enabled\":true},\"source\":{\"type\":"
            "\"content\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"image\","
            "\"source\":{\"type\":\"url\",\"url\":\"https://x/y.png\"}},{\"type\":\"text\","
            "\"text\":\"two\"}]}},{\"type\":\"text\",\"text\":\"z\"}]}]}"),
        0);
    const struct canon_part *p = f.q.messages->parts;
    CHECK(p && p->kind == PART_DOCUMENT && p->media.source == MEDIA_TEXT && p->media.citations);
    CHECK_STR(p->media.data, STR("one\ntwo"));
    CHECK_STR(p->media.name, STR("T"));
    CHECK_STR(p->media.context, STR("C"));
    CHECK(p->next && p->next->kind == PART_IMAGE && p->next->media.source == MEDIA_URL);
    CHECK(p->next->next && p->next->next->kind == PART_TEXT && !p->next->next->next);
}

/* --- round trips --- */

/* What goes in comes out: thinking, signatures, order, ids, arguments, marks. */
static const char *const kept[] = {
    "{\"model\":\"claude-x\",\"max_tokens\":4096,\"system\":[{\"type\":\"text\",\"text\":\"s\","
    "\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}],\"messages\":[{\"role\":\"user\","
    "\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
    "\"data\":\"aGk=\"}},{\"type\":\"text\",\"text\":\"what\"}]},{\"role\":\"assistant\","
    "\"content\":[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"sig+/=\"},"
    "{\"type\":\"redacted_thinking\",\"data\":\"zzz\"},{\"type\":\"text\",\"text\":\"let me\"},"
    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{\"b\":1.50,\"a\":[1e3]}},"
    "{\"type\":\"tool_use\",\"id\":\"toolu_2\",\"name\":\"g\",\"input\":{}}]},{\"role\":\"user\","
    "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\",\"content\":\"42\"},"
    "{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_2\",\"content\":[{\"type\":\"text\","
    "\"text\":\"x\"},{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://a/b\"}}],"
    "\"is_error\":true,\"cache_control\":{\"type\":\"ephemeral\"}}]}],\"tools\":[{\"name\":\"f\","
    "\"input_schema\":{\"type\":\"object\"}},{\"name\":\"g\",\"description\":\"d\","
    "\"input_schema\":{\"type\":\"object\",\"properties\":{\"q\":{\"type\":\"string\"}},"
    "\"additionalProperties\":false},"
    "\"strict\":true,\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"web_search_20250305\","
    "\"name\":\"web_search\",\"max_uses\":3}],\"tool_choice\":{\"type\":\"auto\","
    "\"disable_parallel_tool_use\":true},\"thinking\":{\"type\":\"enabled\","
    "\"budget_tokens\":2048},\"stop_sequences\":[\"END\"],\"metadata\":{\"user_id\":\"u\"},"
    "\"service_tier\":\"standard_only\",\"stream\":true,\"cache_control\":{\"type\":\"ephemeral\"},"
    "\"container\":\"c\",\"context_management\":{\"edits\":[]}}",
    "{\"model\":\"claude-x\",\"max_tokens\":10,\"system\":\"s\",\"messages\":[{\"role\":\"user\","
    "\"content\":[{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
    "\"application/pdf\",\"data\":\"aGk=\"},\"title\":\"t\",\"context\":\"c\",\"citations\":"
    "{\"enabled\":true}},{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}},"
    "{\"type\":\"text\",\"text\":\"q\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\","
    "\"text\":\"a\",\"citations\":[{\"type\":\"page_location\",\"cited_text\":\"x\","
    "\"document_index\":0,\"document_title\":null,\"start_page_number\":1,\"end_page_number\":2}]}]"
    "},"
    "{\"role\":\"user\",\"content\":\"go\"}],\"temperature\":0.70,\"top_p\":1.0,\"top_k\":40}",
};

static void test_round_trip_keeps_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        FIXTURE f;
        fixture_init(&f);
        CHECK_EQ(read_into(&f, kept[i]), 0);
        CHECK_STR(written(&f, &wire_messages), str_of(kept[i]));
        CHECK_EQ(f.c.lost_n, 0);
    }
}

static void test_ids_carry_geminis_signature(void)
{
    FIXTURE f;
    fixture_init(&f);
    struct canon_part p = {.kind = PART_TOOL_CALL,
        .id = STR("call_1"),
        .maker = MAKER_GEMINI,
        .signature = STR("CiQB+/x==")};
    struct str shown = messages_id_out(&f.c, &p);
    CHECK_STR(shown, STR("call_1__thought__CiQB+/x=="));
    struct canon_part back = {.kind = PART_TOOL_CALL};
    CHECK_EQ(messages_id_in(&f.c, shown, &back), 0);
    CHECK_STR(back.id, p.id);
    CHECK_STR(back.signature, p.signature);
    CHECK_EQ(back.maker, MAKER_GEMINI);
}

static void test_a_texts_signature_comes_back_to_it(void)
{
    FIXTURE f;
    fixture_init(&f);
    struct canon_part p = {
        .kind = PART_TEXT, .text = STR("hi"), .maker = MAKER_GEMINI, .signature = STR("CiQB")};
    struct canon_choice ch = {.parts = &p, .finish = FINISH_STOP};
    const struct canon_reply r = {.choices = &ch};
    CHECK_EQ(wire_messages.write_reply(&f.c, &r, &f.out), 0);
    struct str content = member(buf_str(&f.out), "content");
    CHECK(content.n);
    struct str body = arena_printf(&f.arena,
        "{\"messages\":[{\"role\":\"assistant\",\"content\":" STR_FMT "}]}", STR_ARG(content));
    CHECK_EQ(wire_messages.read_request(&f.c, body, &f.q), 0);
    const struct canon_part *back = f.q.messages->parts;
    CHECK(back && back->kind == PART_TEXT && !back->next);
    CHECK_STR(back->text, p.text);
    CHECK_STR(back->signature, p.signature);
    CHECK_EQ(back->maker, MAKER_GEMINI);
}

static void test_names_are_made_fit_and_found_again(void)
{
    FIXTURE f;
    fixture_init(&f);
    struct canon_tool b = {.name = STR("a_b")}, a = {.name = STR("a.b"), .next = &b};
    f.q.tools = &a;
    struct str out_a = messages_name_out(&f.c, a.name), out_b = messages_name_out(&f.c, b.name);
    CHECK_STR(out_b, STR("a_b"));
    CHECK(!str_eq(out_a, out_b));
    CHECK(str_starts(out_a, STR("a_b_")));
    CHECK_STR(messages_name_in(&f.c, out_a), a.name);
    CHECK_STR(messages_name_in(&f.c, out_b), b.name);
    CHECK_STR(messages_name_in(&f.c, STR("unknown")), STR("unknown"));
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    CHECK_EQ(messages_name_out(&f.c, str_at(longest, sizeof(longest))).n, 128);
}

/* --- envelopes --- */

static void test_envelopes(void)
{
    FIXTURE f;
    fixture_init(&f);
    f.c.betas = STR("a-1, b-2");
    CHECK_EQ(read_into(&f, "{" ASK ",\"stream\":true}"), 0);
    CHECK_STR(written(&f, &wire_messages_vertex),
        STR("{\"anthropic_version\":\"vertex-2023-10-16\",\"max_tokens\":4096,\"messages\":"
            "[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true}"));
    CHECK_STR(written(&f, &wire_messages_bedrock),
        STR("{\"anthropic_version\":\"bedrock-2023-05-31\",\"anthropic_beta\":[\"a-1\",\"b-2\"],"
            "\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"));
}

static void test_reform_keeps_every_byte_of_the_rest(void)
{
    FIXTURE f;
    fixture_init(&f);
    struct str body = STR("{ \"stream\" : true, \"m\\u0061x\" : 1.0e3,\n \"model\":\"m\", "
                          "\"messages\":[ {\"signature\":\"a\\/b\"} ] }");
    CHECK_EQ(messages_reform(&f.c, body, MESSAGES_BEDROCK, true, &f.out), 0);
    CHECK_STR(buf_str(&f.out), STR("{\"anthropic_version\":\"bedrock-2023-05-31\","
                                   "\"m\\u0061x\":1.0e3,\"messages\":[ {\"signature\":"
                                   "\"a\\/b\"} ]}"));
    buf_clear(&f.out);
    CHECK_EQ(
        messages_reform(&f.c, STR("{\"anthropic_version\":\"v\",\"anthropic_beta\":[],\"x\":0}"),
            MESSAGES_PLAIN, true, &f.out),
        0);
    CHECK_STR(buf_str(&f.out), STR("{\"model\":\"claude-x\",\"stream\":true,\"x\":0}"));
}

/* --- streams --- */

static struct str chunk_of(struct fixture *f, const char *event)
{
    struct buf b;
    buf_init(&b, MIB);
    buf_addstr(&b, STR("{\"bytes\":\""));
    base64_add(&b, str_of(event));
    buf_addstr(&b, STR("\"}"));
    struct str s = arena_dup(&f->arena, buf_str(&b));
    buf_free(&b);
    return s;
}

#define START_EVENT                                                                                \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-x\",\"usage\":"  \
    "{\"input_tokens\":7,\"output_tokens\":1}}}"

static const char *const odd_stream[] = {START_EVENT,
    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"server_tool_use\","
    "\"id\":\"s\",\"name\":\"web_search\",\"input\":{}}}",
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"new_delta\",\"x\":1}}",
    "{\"type\":\"content_block_stop\",\"index\":0}",
    "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":"
    "\"\"}}",
    "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":"
    "\"hi\"}}",
    "{\"type\":\"content_block_stop\",\"index\":1}",
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":"
    "{\"output_tokens\":3}}",
    "{\"type\":\"message_stop\"}"};

/* From Bedrock's frames to a client of the plain envelope: kinds that we do not know pass, too. */
static void test_unknown_events_pass_between_envelopes(void)
{
    FIXTURE f;
    struct canon_stream s;
    fixture_init(&f);
    CHECK_EQ(canon_stream_open(&s, &f.c, &wire_messages_bedrock, &wire_messages), 0);
    for (size_t i = 0; i < ARRAY_LEN(odd_stream); i++) {
        struct str data = chunk_of(&f, odd_stream[i]);
        CHECK_EQ(canon_stream_event(&s, STR("chunk"), data, &f.out), 0);
        if (i < 2)
            CHECK_EQ(f.out.n, 0); /* another target may still be asked */
    }
    CHECK(s.finished && s.content);
    CHECK_EQ(s.usage.output, 3);
    canon_stream_close(&s);
    struct str out = buf_str(&f.out);
    CHECK(str_find(out, STR("event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                            "\"index\":0,\"delta\":{\"type\":\"new_delta\",\"x\":1}}\n\n")) > 0);
    CHECK(str_find(out, STR("\"model\":\"shown\"")) > 0);
    CHECK(str_find(out, STR("claude-x")) < 0);
    CHECK(str_ends(out, STR("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")));
}

/* A client of InvokeModel: each event is a frame that holds what the plain client would see. */
static void test_front_door_of_invoke_model(void)
{
    FIXTURE f;
    struct canon_stream s;
    struct eventstream frames;
    struct eventstream_message m;
    size_t n = 0;
    fixture_init(&f);
    CHECK_EQ(canon_stream_open(&s, &f.c, &wire_messages, &wire_messages_bedrock), 0);
    for (size_t i = 0; i < ARRAY_LEN(odd_stream); i++)
        CHECK_EQ(canon_stream_event(&s, STR_NONE, str_of(odd_stream[i]), &f.out), 0);
    canon_stream_close(&s);
    eventstream_init(&frames);
    CHECK_EQ(eventstream_feed(&frames, buf_str(&f.out)), 0);
    for (; eventstream_next(&frames, &m) > 0; n++) {
        char text[1024];
        struct str bytes = member(m.payload, "bytes");
        CHECK_STR(eventstream_string(&m, STR(":event-type")), STR("chunk"));
        CHECK(bytes.n > 2 && bytes.n < sizeof(text));
        ssize_t len = base64_decode(str_at(bytes.p + 1, bytes.n - 2), text);
        CHECK(len > 0);
        if (n)
            CHECK_STR(str_at(text, (size_t)len), str_of(odd_stream[n]));
    }
    eventstream_free(&frames);
    CHECK_EQ(n, ARRAY_LEN(odd_stream));
}

static void test_exception_frame_is_an_error(void)
{
    FIXTURE f;
    struct canon_stream s;
    fixture_init(&f);
    CHECK_EQ(canon_stream_open(&s, &f.c, &wire_messages_bedrock, &wire_messages), 0);
    CHECK_EQ(canon_stream_event(
                 &s, STR("!throttlingException"), STR("{\"message\":\"slow down\"}"), &f.out),
        0);
    CHECK(s.failed);
    CHECK_EQ(
        wire_fault_of(s.error.status, s.error.code, s.error.type, s.error.message), FAULT_RATE);
    canon_stream_close(&s);
}

/* --- errors --- */

static void test_errors(void)
{
    static const struct {
        int status;
        const char *body;
        int want;
        const char *code;
        enum wire_fault fault;
    } cases[] = {
        {400,
            "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
            "\"prompt is too long: 201000 tokens > 200000 maximum\"}}",
            400, "context_length_exceeded", FAULT_CONTEXT},
        {400,
            "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
            "\"max_tokens: Field required\"}}",
            400, "invalid_request_error", FAULT_BAD_REQUEST},
        {429, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\"}}",
            429, "rate_limit_exceeded", FAULT_RATE},
        {0, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}", 529,
            "overloaded_error", FAULT_OVERLOAD},
        {402, "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":\"x\"}}", 402,
            "insufficient_quota", FAULT_BILLING},
        {404,
            "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":"
            "\"model: claude-y\"}}",
            404, "model_not_found", FAULT_NOT_FOUND},
        {502, "<html>bad gateway</html>", 502, "", FAULT_SERVER},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FIXTURE f;
        struct error e;
        fixture_init(&f);
        wire_messages.read_error(&f.c, cases[i].status, STR_NONE, str_of(cases[i].body), &e);
        CHECK_EQ(e.status, cases[i].want);
        CHECK_STR(e.code, str_of(cases[i].code));
        CHECK(e.message.n);
        CHECK_EQ(wire_fault_of(e.status, e.code, e.type, e.message), cases[i].fault);
    }
}

static void test_clients_read_that_the_prompt_is_too_long(void)
{
    FIXTURE f;
    fixture_init(&f);
    struct error e = {.status = 400,
        .code = STR("context_length_exceeded"),
        .message = STR("This model's maximum context length is 8192 tokens.")};
    wire_messages.word_error(&f.c, &e);
    CHECK_STR(
        e.message, STR("prompt is too long: This model's maximum context length is 8192 tokens."));
    struct str once = e.message;
    wire_messages.word_error(&f.c, &e);
    CHECK_STR(e.message, once);
    e = (struct error){.status = 429, .message = STR("slow down")};
    wire_messages.word_error(&f.c, &e);
    CHECK_STR(e.message, STR("slow down"));
}

int main(void)
{
    TAP_RUN(test_faults_name_their_place);
    TAP_RUN(test_unknown_members_become_extras_under_their_path);
    TAP_RUN(test_document_of_blocks_becomes_text_with_pictures_behind_it);
    TAP_RUN(test_round_trip_keeps_all);
    TAP_RUN(test_ids_carry_geminis_signature);
    TAP_RUN(test_a_texts_signature_comes_back_to_it);
    TAP_RUN(test_names_are_made_fit_and_found_again);
    TAP_RUN(test_envelopes);
    TAP_RUN(test_reform_keeps_every_byte_of_the_rest);
    TAP_RUN(test_unknown_events_pass_between_envelopes);
    TAP_RUN(test_front_door_of_invoke_model);
    TAP_RUN(test_exception_frame_is_an_error);
    TAP_RUN(test_errors);
    TAP_RUN(test_clients_read_that_the_prompt_is_too_long);
    return tap_done();
}
