#include "translate/chat_int.h"

#include "base/tap.h"

#include <errno.h>

struct fixture {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    struct model_facts facts;
    struct buf out;
};

static void open_for(struct fixture *f, const char *provider, uint32_t flags)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, NULL, 0, 16 * MIB);
    canon_call_init(&f->c, &f->arena, &f->error);
    canon_request_init(&f->q);
    buf_init(&f->out, 16 * MIB);
    f->facts.flags = flags;
    f->c.facts = flags ? &f->facts : NULL;
    f->c.provider = str_of(provider);
    f->c.model = f->c.model_shown = STR("m");
    f->c.request_id = STR("req_1");
    f->c.now = 1700000000;
    f->c.request = &f->q;
}

static void done(struct fixture *f)
{
    buf_free(&f->out);
    arena_free(&f->arena);
}

/* What a provider is sent for a client's chat request. */
static struct str sent(struct fixture *f, const char *body)
{
    if (chat_read_request(&f->c, str_of(body), &f->q) < 0)
        return STR("unread");
    return chat_write_request(&f->c, &f->q, &f->out) < 0 ? STR("refused") : buf_str(&f->out);
}

static bool has(struct str text, const char *piece)
{
    return str_find(text, str_of(piece)) >= 0;
}

/* --- quirks --- */

static void test_every_provider_has_a_row_that_is_its_own(void)
{
    static const char *const names[] = {"openai", "azure", "mistral", "deepseek", "perplexity",
        "groq", "xai", "together", "ollama", "vllm", "lm_studio", "fireworks", "novita",
        "openrouter", "vercel"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        CHECK_STR(chat_quirks_of(str_of(names[i]))->provider, str_of(names[i]));
    CHECK(chat_quirks_of(STR("somebody"))->provider.n == 0);
}

static void test_efforts_become_the_nearest(void)
{
    struct fixture f;
    const struct chat_quirks *k = chat_quirks_of(STR("together"));
    open_for(&f, "together", MODEL_REASONING);
    CHECK_EQ(chat_nearest_effort(f.c.facts, k, EFFORT_NONE), EFFORT_LOW);
    CHECK_EQ(chat_nearest_effort(f.c.facts, k, EFFORT_MINIMAL), EFFORT_LOW);
    CHECK_EQ(chat_nearest_effort(f.c.facts, k, EFFORT_MAX), EFFORT_HIGH);
    k = chat_quirks_of(STR("openai"));
    CHECK_EQ(chat_nearest_effort(f.c.facts, k, EFFORT_XHIGH), EFFORT_HIGH);
    f.facts.flags |= MODEL_EFFORT_XHIGH;
    CHECK_EQ(chat_nearest_effort(f.c.facts, k, EFFORT_MAX), EFFORT_XHIGH);
    f.c.facts = NULL; /* nothing is known: as it was asked for */
    CHECK_EQ(chat_nearest_effort(f.c.facts, k, EFFORT_MAX), EFFORT_MAX);
    done(&f);
}

static void test_facts_without_flags_say_nothing(void)
{
    struct fixture f;
    open_for(&f, "openai", 0);
    f.c.facts = &f.facts;
    CHECK_EQ(chat_model_has(f.c.facts, MODEL_REASONING), -1);
    f.facts.flags = MODEL_TOOLS;
    CHECK_EQ(chat_model_has(f.c.facts, MODEL_REASONING), 0);
    CHECK_EQ(chat_model_has(f.c.facts, MODEL_TOOLS), 1);
    done(&f);
}

/* --- ids and names --- */

static void test_ids(void)
{
    struct fixture f;
    const struct chat_quirks *mistral = chat_quirks_of(STR("mistral"));
    const struct chat_quirks *openai = chat_quirks_of(STR("openai"));
    struct str long_id = STR("toolu_0123456789012345678901234567890123456789");
    open_for(&f, "mistral", 0);
    struct str a = chat_id_out(&f.c, mistral, STR("toolu_1"));
    CHECK_EQ(a.n, 9);
    CHECK_STR(chat_id_out(&f.c, mistral, STR("toolu_1")), a);
    CHECK(!str_eq(chat_id_out(&f.c, mistral, STR("toolu_2")), a));
    CHECK_STR(chat_id_out(&f.c, mistral, a), a);
    CHECK_STR(chat_id_out(&f.c, mistral, STR("abc_EF123")), /* nine, but not all of them fit */
        chat_id_out(&f.c, mistral, STR("abc_EF123")));
    CHECK(!str_eq(chat_id_out(&f.c, mistral, STR("abc_EF123")), STR("abc_EF123")));
    CHECK_STR(chat_id_out(&f.c, openai, STR("toolu_1")), STR("toolu_1"));
    struct str cut = chat_id_out(&f.c, openai, long_id);
    CHECK(cut.n <= 40 && str_starts(cut, STR("call_")));
    CHECK_STR(chat_id_out(&f.c, openai, long_id), cut);
    done(&f);
}

static void test_names_come_back(void)
{
    struct fixture f;
    struct canon_tool odd = {.name = STR("geo.find:city")}, plain = {.name = STR("f")};
    char name[200];
    memset(name, 'n', sizeof(name));
    struct canon_tool long_one = {.name = str_at(name, sizeof(name))};
    open_for(&f, "openai", 0);
    f.q.tools = &odd;
    odd.next = &plain;
    plain.next = &long_one;
    struct str shown = chat_name_out(&f.c, odd.name);
    CHECK(str_starts(shown, STR("geo_find_city_")) && shown.n <= 64);
    CHECK_STR(chat_name_in(&f.c, shown), odd.name);
    shown = chat_name_out(&f.c, long_one.name);
    CHECK_EQ(shown.n, 64);
    CHECK_STR(chat_name_in(&f.c, shown), long_one.name);
    CHECK_STR(chat_name_out(&f.c, plain.name), plain.name);
    CHECK_STR(chat_name_in(&f.c, STR("unheard_of")), STR("unheard_of"));
    done(&f);
}

static void test_split_id(void)
{
    struct str signature;
    CHECK_STR(chat_split_id(STR("c1__thought__U0k="), &signature), STR("c1"));
    CHECK_STR(signature, STR("U0k="));
    CHECK_STR(chat_split_id(STR("c1"), &signature), STR("c1"));
    CHECK(!signature.n);
    CHECK_STR(chat_split_id(STR("__thought__x"), &signature), STR("__thought__x"));
}

/* --- requests --- */

static void test_max_tokens_by_the_facts(void)
{
    static const char *const body =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"max_tokens\":5}";
    static const struct {
        const char *provider;
        uint32_t flags;
        const char *name;
    } rows[] = {
        {"openai", MODEL_TOOLS, "\"max_tokens\":5"},
        {"openai", MODEL_TOOLS | MODEL_MAX_COMPLETION_TOKENS, "\"max_completion_tokens\":5"},
        {"openai", 0, "\"max_completion_tokens\":5"},
        {"mistral", 0, "\"max_tokens\":5"},
        {"somebody", 0, "\"max_tokens\":5"},
        {"somebody", MODEL_MAX_COMPLETION_TOKENS, "\"max_completion_tokens\":5"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        open_for(&f, rows[i].provider, rows[i].flags);
        CHECK(has(sent(&f, body), rows[i].name));
        done(&f);
    }
}

/* A member of a wrong type, and what the error names. */
static void test_wrong_types(void)
{
    static const struct {
        const char *members, *param;
    } rows[] = {
        {"\"model\":5", "model"},
        {"\"messages\":{}", "messages"},
        {"\"messages\":[]", "messages"},
        {"\"messages\":[5]", "messages[0]"},
        {"\"messages\":[{\"role\":\"king\",\"content\":\"\"}]", "messages[0].role"},
        {"\"messages\":[{\"role\":\"user\"}]", "messages[0].content"},
        {"\"messages\":[{\"role\":\"user\",\"name\":1,\"content\":\"\"}]", "messages[0].name"},
        {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
            "messages[0].content[0].text"},
        {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]",
            "messages[0].content[0].image_url.url"},
        {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\","
         "\"input_audio\":{\"data\":\"A\"}}]}]",
            "messages[0].content[0].input_audio.format"},
        {"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{}}]}]",
            "messages[0].content[0].file"},
        {"\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\"}]}]",
            "messages[0].tool_calls[0].function"},
        {"\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]", "messages[0].tool_call_id"},
        {"\"messages\":[{\"role\":\"function\",\"content\":\"\"}]", "messages[0].name"},
        {"\"max_tokens\":0", "max_tokens"},
        {"\"max_tokens\":\"9\"", "max_tokens"},
        {"\"n\":0", "n"},
        {"\"stop\":[1]", "stop[0]"},
        {"\"stream\":1", "stream"},
        {"\"stream_options\":true", "stream_options"},
        {"\"response_format\":{\"type\":\"xml\"}", "response_format.type"},
        {"\"response_format\":{\"type\":\"json_schema\"}", "response_format.json_schema"},
        {"\"tools\":[{\"type\":\"function\"}]", "tools[0].function"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{}}]", "tools[0].function.name"},
        {"\"tool_choice\":\"perhaps\"", "tool_choice"},
        {"\"tool_choice\":{\"type\":\"function\"}", "tool_choice.function.name"},
        {"\"parallel_tool_calls\":\"no\"", "parallel_tool_calls"},
        {"\"reasoning_effort\":\"huge\"", "reasoning_effort"},
        {"\"thinking\":{\"type\":\"maybe\"}", "thinking.type"},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":\"x\"}", "thinking.budget_tokens"},
        {"\"logprobs\":3", "logprobs"},
        {"\"user\":3", "user"},
        {"\"safety_identifier\":3", "safety_identifier"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        open_for(&f, "openai", 0);
        struct str body = arena_printf(&f.arena, "{%s}", rows[i].members);
        CHECK_EQ(chat_read_request(&f.c, body, &f.q), -EREMOTEIO);
        CHECK_EQ(f.error.status, 400);
        CHECK_STR(f.error.param, str_of(rows[i].param));
        done(&f);
    }
}

static void test_what_is_no_request(void)
{
    static const char *const bodies[] = {"", "[]", "5", "{\"messages\":", "{\"model\":\"m\"}"};
    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
        struct fixture f;
        open_for(&f, "openai", 0);
        CHECK_EQ(chat_read_request(&f.c, str_of(bodies[i]), &f.q), -EREMOTEIO);
        CHECK_EQ(f.error.status, 400);
        done(&f);
    }
}

static void test_an_arena_that_is_full_is_413(void)
{
    struct fixture f;
    open_for(&f, "openai", 0);
    arena_free(&f.arena);
    arena_init(&f.arena, NULL, 0, 16 * KIB);
    struct buf body;
    buf_init(&body, MIB);
    buf_addstr(&body, STR("{\"messages\":["));
    for (int i = 0; i < 2000; i++)
        buf_printf(&body, "%s{\"role\":\"user\",\"content\":\"q\"}", i ? "," : "");
    buf_addstr(&body, STR("]}"));
    CHECK(chat_read_request(&f.c, buf_str(&body), &f.q) < 0);
    CHECK_EQ(f.error.status, 413);
    buf_free(&body);
    done(&f);
}

static void test_audio_that_was_spoken_goes_back_by_its_id(void)
{
    struct fixture f;
    open_for(&f, "openai", 0);
    CHECK(has(sent(&f, "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":"
                       "\"assistant\",\"audio\":{\"id\":\"audio_1\"}}]}"),
        "\"audio\":{\"id\":\"audio_1\"}"));
    done(&f);
}

static void test_a_signed_text_of_geminis_keeps_its_signature(void)
{
    struct fixture f;
    struct canon_part text = {
        .kind = PART_TEXT, .text = STR("a"), .signature = STR("U0k="), .maker = MAKER_GEMINI};
    struct jw w;
    open_for(&f, "gemini", 0);
    w = (struct jw){.out = &f.out};
    jw_open(&w, '{');
    jw_member_str(&w, "role", STR("assistant"));
    jw_member_str(&w, "content", text.text);
    chat_write_thinking(&f.c, &text, &w);
    jw_close(&w, '}');
    struct str body = arena_printf(&f.arena,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},%.*s]}", (int)f.out.n, f.out.p);
    CHECK_EQ(chat_read_request(&f.c, body, &f.q), 0);
    const struct canon_part *p = f.q.messages->next->parts;
    while (p && p->kind != PART_TEXT)
        p = p->next;
    CHECK(p);
    CHECK_STR(p->signature, text.signature);
    CHECK_EQ(p->maker, MAKER_GEMINI);
    done(&f);
}

/* --- usage --- */

static struct usage usage_of(const char *json)
{
    struct arena a;
    struct usage u = {0};
    const char *why;
    arena_init(&a, NULL, 0, MIB);
    chat_read_usage(jr_parse(&a, str_of(json), &why), &u);
    arena_free(&a);
    return u;
}

static void test_usage(void)
{
    struct usage u =
        usage_of("{\"prompt_tokens\":100,\"completion_tokens\":30,\"prompt_tokens_details\":"
                 "{\"cached_tokens\":60,\"cache_write_tokens\":20,\"audio_tokens\":5},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":7,\"audio_tokens\":10}}");
    CHECK_EQ(u.input, 15);
    CHECK_EQ(u.cache_read, 60);
    CHECK_EQ(u.cache_write_5m, 20);
    CHECK_EQ(u.audio_in, 5);
    CHECK_EQ(u.output, 20);
    CHECK_EQ(u.audio_out, 10);
    CHECK_EQ(u.reasoning, 7);
    CHECK_EQ(usage_input_total(&u), 100);
    CHECK_EQ(usage_output_total(&u), 30);
    u = usage_of("{\"prompt_tokens\":10,\"completion_tokens\":1,\"prompt_cache_hit_tokens\":99}");
    CHECK_EQ(u.input, 0); /* never below */
    u = usage_of("{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":33,"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":20}}");
    CHECK_EQ(u.output, 23);
    u = usage_of("{\"prompt_tokens\":10,\"completion_tokens\":23,\"total_tokens\":33,"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":20}}");
    CHECK_EQ(u.output, 23);
    u = usage_of("{\"prompt_tokens\":50,\"completion_tokens\":1,\"cache_creation_input_tokens\":9,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":1}}");
    CHECK_EQ(u.cache_write_5m, 9);
    CHECK_EQ(u.input, 40);
    CHECK_EQ(usage_of("{}").source, USAGE_UNKNOWN);
    CHECK_EQ(usage_of("null").source, USAGE_UNKNOWN);
}

/* --- errors --- */

static void test_errors(void)
{
    static const struct {
        int status;
        const char *body;
        int want;
        const char *message, *code, *param;
    } rows[] = {
        {401,
            "{\"error\":{\"message\":\"bad key\",\"type\":\"invalid_request_error\",\"param\":null,"
            "\"code\":\"invalid_api_key\"}}",
            401, "bad key", "invalid_api_key", ""},
        {400, "[{\"error\":{\"code\":400,\"message\":\"no\",\"status\":\"INVALID_ARGUMENT\"}}]",
            400, "no", "", ""},
        {404, "{\"error\":\"model 'x' not found\"}", 404, "model 'x' not found", "", ""},
        {404, "{\"detail\":\"Not Found\"}", 404, "Not Found", "", ""},
        {422,
            "{\"detail\":[{\"loc\":[\"body\",\"tools\",2,\"function\",\"name\"],\"msg\":\"bad\"}]}",
            422, "bad", "", "tools[2].function.name"},
        {400, "{\"object\":\"error\",\"message\":\"too long\",\"type\":\"X\",\"code\":3051}", 400,
            "too long", "", ""},
        {200, "{\"error\":{\"code\":529,\"message\":\"busy\"}}", 529, "busy", "", ""},
        {500, "", 500, "The provider answered with status 500.", "", ""},
        {500, "{}", 500, "The provider answered with status 500.", "", ""},
        {500, "{\"error\":null}", 500, "The provider answered with status 500.", "", ""},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct error e;
        open_for(&f, "openai", 0);
        chat_read_error(&f.c, rows[i].status, STR_NONE, str_of(rows[i].body), &e);
        CHECK_EQ(e.status, rows[i].want);
        CHECK_STR(e.message, str_of(rows[i].message));
        CHECK_STR(e.code, str_of(rows[i].code));
        CHECK_STR(e.param, str_of(rows[i].param));
        done(&f);
    }
}

static void test_a_long_message_is_cut_between_characters(void)
{
    struct fixture f;
    struct error e;
    struct buf body;
    open_for(&f, "openai", 0);
    buf_init(&body, MIB);
    buf_addstr(&body, STR("{\"error\":{\"message\":\"x"));
    for (int i = 0; i < 3000; i++)
        buf_addstr(&body, STR("ä"));
    buf_addstr(&body, STR("\"}}"));
    chat_read_error(&f.c, 400, STR_NONE, buf_str(&body), &e);
    CHECK_EQ(e.message.n, 2047);
    buf_free(&body);
    done(&f);
}

/* --- replies --- */

static void test_replies_that_are_none(void)
{
    static const struct {
        const char *body;
        int status;
    } rows[] = {
        {"", 502},
        {"[]", 502},
        {"{}", 502},
        {"{\"choices\":[]}", 502},
        {"{\"error\":{\"message\":\"x\",\"code\":429}}", 429},
        {"{\"choices\":[{\"error\":{\"message\":\"x\",\"code\":503},\"finish_reason\":\"error\"}]}",
            503},
        {"{\"error\":\"broken\"}", 502},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        struct canon_reply r;
        open_for(&f, "openrouter", 0);
        CHECK_EQ(chat_read_reply(&f.c, str_of(rows[i].body), &r), -EREMOTEIO);
        CHECK_EQ(f.error.status, rows[i].status);
        done(&f);
    }
}

static void test_a_call_without_an_id_gets_one(void)
{
    struct fixture f;
    struct canon_reply r;
    open_for(&f, "vllm", 0);
    CHECK_EQ(chat_read_reply(&f.c,
                 STR("{\"choices\":[{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\","
                     "\"arguments\":{\"a\":1}}},{\"function\":{\"name\":\"g\"}}]}}]}"),
                 &r),
        0);
    const struct canon_part *p = r.choices->parts;
    CHECK(p && p->next);
    CHECK(p->id.n && p->next->id.n && !str_eq(p->id, p->next->id));
    CHECK_STR(p->raw, STR("{\"a\":1}"));
    CHECK_STR(p->next->raw, STR("{}"));
    CHECK_EQ(r.choices->finish, FINISH_TOOL_CALLS);
    done(&f);
}

static void test_finish_words(void)
{
    CHECK_EQ(chat_read_finish(STR("stop"), false), FINISH_STOP);
    CHECK_EQ(chat_read_finish(STR("stop"), true), FINISH_TOOL_CALLS);
    CHECK_EQ(chat_read_finish(STR("length"), true), FINISH_LENGTH);
    CHECK_EQ(chat_read_finish(STR("insufficient_system_resource"), false), FINISH_ERROR);
    CHECK_EQ(chat_read_finish(STR("whatever"), false), FINISH_STOP);
    for (int f = FINISH_STOP; f <= FINISH_ERROR; f++)
        CHECK(chat_finish_word((enum canon_finish)f, false, false).n > 0);
    CHECK_STR(chat_finish_word(FINISH_PAUSE, false, false), STR("stop"));
    CHECK_STR(chat_finish_word(FINISH_CONTEXT, false, false), STR("length"));
    CHECK_STR(chat_finish_word(FINISH_ERROR, false, false), STR("error"));
    CHECK_STR(chat_finish_word(FINISH_TOOL_CALLS, true, true), STR("function_call"));
}

/* --- streams --- */

static struct str streamed(struct fixture *f, const char *const *events, unsigned n, int *ret_err)
{
    struct canon_stream s;
    *ret_err = canon_stream_open(&s, &f->c, &wire_chat, &wire_chat);
    for (unsigned i = 0; i < n && *ret_err == 0; i++)
        *ret_err = canon_stream_event(&s, STR_NONE, str_of(events[i]), &f->out);
    if (*ret_err == 0)
        *ret_err = canon_stream_end(&s, &f->out);
    canon_stream_close(&s);
    return buf_str(&f->out);
}

static void test_a_call_whose_name_is_said_each_time_is_one_call(void)
{
    static const char *const events[] = {
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"a\\\"\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\","
        "\"arguments\":\":1}\"}}]},\"finish_reason\":\"tool_calls\"}]}",
        "[DONE]"};
    struct fixture f;
    int err;
    open_for(&f, "vllm", 0);
    struct str out = streamed(&f, events, ARRAY_LEN(events), &err);
    CHECK_EQ(err, 0);
    CHECK(has(out, "\"id\":\"call_req_1_0\""));
    CHECK(!has(out, "\"index\":1"));
    done(&f);
}

static void test_calls_without_indexes_are_told_apart_by_ids(void)
{
    static const char *const events[] = {
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{}\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"b\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{}\"}}]}}]}",
        "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", "[DONE]"};
    struct fixture f;
    int err;
    open_for(&f, "vllm", 0);
    struct str out = streamed(&f, events, ARRAY_LEN(events), &err);
    CHECK_EQ(err, 0);
    CHECK(has(out, "{\"index\":0,\"id\":\"a\""));
    CHECK(has(out, "{\"index\":1,\"id\":\"b\""));
    CHECK(has(out, "\"finish_reason\":\"tool_calls\",\"native_finish_reason\":\"stop\""));
    done(&f);
}

static void test_streams_that_cannot_be_read(void)
{
    static const char no_start[] =
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"x\"}"
        "}]}}]}";
    static const char *const bad[] = {"{", "[1]", "nonsense", no_start};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct fixture f;
        int err;
        open_for(&f, "openai", 0);
        streamed(&f, &bad[i], 1, &err);
        CHECK_EQ(err, -EREMOTEIO);
        CHECK_EQ(f.error.status, 502);
        done(&f);
    }
}

static void test_an_empty_finish_is_no_finish(void)
{
    static const char *const events[] = {
        "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"\"}]}",
        "{\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}",
        "[DONE]"};
    struct fixture f;
    int err;
    open_for(&f, "somebody", 0);
    struct str out = streamed(&f, events, ARRAY_LEN(events), &err);
    CHECK_EQ(err, 0);
    CHECK(has(out, "{\"content\":\"b\"}"));
    done(&f);
}

static void test_too_long_a_thought_is_shown_but_not_signed(void)
{
    struct fixture f;
    struct buf event;
    struct canon_stream s;
    open_for(&f, "openrouter", 0);
    buf_init(&event, 2 * MIB);
    buf_addstr(&event, STR("{\"choices\":[{\"delta\":{\"reasoning_content\":\""));
    for (int i = 0; i < 300 * 1024; i++)
        buf_addc(&event, 'x');
    buf_addstr(&event, STR("\"}}]}"));
    CHECK_EQ(canon_stream_open(&s, &f.c, &wire_chat, &wire_chat), 0);
    CHECK_EQ(canon_stream_event(&s, STR_NONE, buf_str(&event), &f.out), 0);
    CHECK_EQ(canon_stream_event(&s, STR_NONE,
                 STR("{\"choices\":[{\"delta\":{\"thinking_blocks\":[{\"type\":\"thinking\","
                     "\"thinking\":\"x\",\"signature\":\"S\"}]},\"finish_reason\":\"stop\"}]}"),
                 &f.out),
        0);
    CHECK_EQ(canon_stream_end(&s, &f.out), 0);
    CHECK(!has(buf_str(&f.out), "thinking_blocks"));
    CHECK(has(buf_str(&f.out), "data: [DONE]"));
    canon_stream_close(&s);
    buf_free(&event);
    done(&f);
}

int main(void)
{
    TAP_RUN(test_every_provider_has_a_row_that_is_its_own);
    TAP_RUN(test_efforts_become_the_nearest);
    TAP_RUN(test_facts_without_flags_say_nothing);
    TAP_RUN(test_ids);
    TAP_RUN(test_names_come_back);
    TAP_RUN(test_split_id);
    TAP_RUN(test_max_tokens_by_the_facts);
    TAP_RUN(test_wrong_types);
    TAP_RUN(test_what_is_no_request);
    TAP_RUN(test_an_arena_that_is_full_is_413);
    TAP_RUN(test_audio_that_was_spoken_goes_back_by_its_id);
    TAP_RUN(test_a_signed_text_of_geminis_keeps_its_signature);
    TAP_RUN(test_usage);
    TAP_RUN(test_errors);
    TAP_RUN(test_a_long_message_is_cut_between_characters);
    TAP_RUN(test_replies_that_are_none);
    TAP_RUN(test_a_call_without_an_id_gets_one);
    TAP_RUN(test_finish_words);
    TAP_RUN(test_a_call_whose_name_is_said_each_time_is_one_call);
    TAP_RUN(test_calls_without_indexes_are_told_apart_by_ids);
    TAP_RUN(test_streams_that_cannot_be_read);
    TAP_RUN(test_an_empty_finish_is_no_finish);
    TAP_RUN(test_too_long_a_thought_is_shown_but_not_signed);
    return tap_done();
}
