/* Converse where tables of cases do not reach: names, ids and budgets of any request, exceptions.
 */
#include "translate/chat_int.h"
#include "translate/converse_int.h"

#include "base/limits.h"
#include "base/tap.h"
#include "http/eventstream.h"

#include <ctype.h>
#include <stdlib.h>

static struct arena arena;
static struct error error;
static struct canon_call call;
static struct canon_request request;
static struct model_facts facts;
static struct buf out;

static void begin(const char *model)
{
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 64 * MIB);
    error = (struct error){0};
    canon_call_init(&call, &arena, &error);
    canon_request_init(&request);
    facts = (struct model_facts){.flags = MODEL_TOOLS | MODEL_REASONING};
    call.provider = STR("bedrock");
    call.model = str_of(model);
    call.request = &request;
    buf_clear(&out);
}

static struct canon_message *add_message(enum canon_role role)
{
    struct canon_message **tail = &request.messages;

    while (*tail)
        tail = &(*tail)->next;
    return canon_add_message(&call, &tail, role);
}

static struct canon_part *add_part(struct canon_message *m, enum canon_part_kind kind)
{
    struct canon_part **tail = &m->parts;

    while (*tail)
        tail = &(*tail)->next;
    return canon_add_part(&call, &tail, kind);
}

/* Any bytes, now and then of what names are made of. */
static struct str random_text(unsigned max)
{
    static const char usual[] = "abcXYZ019_-.:/ ()[]";
    size_t n = (size_t)rand() % (max + 1);
    char *p = arena_alloc(&arena, n + 1);

    for (size_t i = 0; i < n; i++)
        p[i] = rand() % 3 ? usual[(size_t)rand() % (sizeof usual - 1)] : (char)(rand() % 256);
    return str_at(p, n);
}

static bool is_of(struct str s, const char *also, size_t max)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !(s.p[i] && strchr(also, s.p[i])))
            return false;
    return s.n > 0 && s.n <= max;
}

/* --- exceptions --- */

static void test_exceptions(void)
{
    static const struct {
        const char *name;
        int status;
    } rows[] = {
        {"throttlingException", 429},
        {"ThrottlingException", 429},
        {"com.amazon.coral.service#ValidationException", 400},
        {"AccessDeniedException:http://internal.amazon.com/coral/", 403},
        {"modelTimeoutException", 408},
        {"modelStreamErrorException", 424},
        {"serviceUnavailableException", 503},
        {"somethingNew", 0},
        {"", 0},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_EQ(converse_exception_status(str_of(rows[i].name)), rows[i].status);
}

/* The exception of the frame that says an error of this status. */
static struct str exception_for(int status)
{
    static struct eventstream stream;
    struct eventstream_message m;
    const struct error e = {.status = status, .message = STR("a \"b\"")};

    buf_clear(&out);
    eventstream_free(&stream);
    eventstream_init(&stream);
    dialect_stream_error(STREAM_BEDROCK, &e, STR_NONE, 0, &out);
    must(eventstream_feed(&stream, buf_str(&out)) == 0);
    must(eventstream_next(&stream, &m) == 1);
    must(str_eq(eventstream_string(&m, STR(":message-type")), STR("exception")));
    must(str_eq(eventstream_string(&m, STR(":content-type")), STR("application/json")));
    must(str_eq(m.payload, STR("{\"message\":\"a \\\"b\\\"\"}")));
    struct str name = arena_dup(&arena, eventstream_string(&m, STR(":exception-type")));
    eventstream_free(&stream);
    return name;
}

static void test_exception_frames(void)
{
    begin("m");
    CHECK_STR(exception_for(429), STR("throttlingException"));
    CHECK_STR(exception_for(400), STR("validationException"));
    CHECK_STR(exception_for(424), STR("modelStreamErrorException"));
    CHECK_STR(exception_for(503), STR("serviceUnavailableException"));
    CHECK_STR(exception_for(529), STR("serviceUnavailableException"));
    CHECK_STR(exception_for(500), STR("internalServerException"));
    CHECK_STR(exception_for(502), STR("internalServerException"));
}

/* --- whose model --- */

static void test_publishers(void)
{
    static const struct {
        const char *model;
        enum converse_publisher publisher;
    } rows[] = {
        {"anthropic.claude-sonnet-4-5-20250929-v1:0", PUBLISHER_ANTHROPIC},
        {"us.anthropic.claude-sonnet-4-5-20250929-v1:0", PUBLISHER_ANTHROPIC},
        {"global.anthropic.claude-opus-5", PUBLISHER_ANTHROPIC},
        {"claude-opus-5", PUBLISHER_ANTHROPIC},
        {"arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1", PUBLISHER_ANTHROPIC},
        {"arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0", PUBLISHER_AMAZON},
        {"arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", PUBLISHER_OTHER},
        {"amazon.nova-lite-v1:0", PUBLISHER_AMAZON},
        {"openai.gpt-oss-120b-1:0", PUBLISHER_OPENAI},
        {"my.anthropic", PUBLISHER_OTHER},
        {"a.b.anthropic.c", PUBLISHER_OTHER},
        {"meta.llama3-1-8b-instruct-v1:0", PUBLISHER_OTHER},
        {"", PUBLISHER_OTHER},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        begin(rows[i].model);
        CHECK_EQ(converse_publisher_of(&call), rows[i].publisher);
    }
    begin("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123");
    facts.model = STR("anthropic.claude-opus-5");
    call.facts = &facts;
    CHECK_EQ(converse_publisher_of(&call), PUBLISHER_ANTHROPIC);
}

/* --- any request --- */

static void test_any_id(void)
{
    begin("m");
    for (unsigned i = 0; i < 2000; i++) {
        struct str id = random_text(90), shown = converse_id_out(&call, id);
        CHECK(is_of(shown, "_.:-", 64));
        CHECK_STR(converse_id_out(&call, id), shown);
        CHECK_STR(converse_id_out(&call, shown), shown);
    }
}

static void test_any_tool_name(void)
{
    static struct canon_tool tool;

    begin("m");
    request.tools = &tool;
    for (unsigned i = 0; i < 2000; i++) {
        tool.name = random_text(90);
        struct str shown = chat_name_out(&call, tool.name);
        CHECK(is_of(shown, "_-", 64));
        CHECK_STR(chat_name_in(&call, shown), tool.name);
    }
}

/* The value of a name's members in the body, one behind the other. */
static void check_names(yyjson_val *v, unsigned n)
{
    struct str seen[64];
    unsigned found = 0;
    yyjson_val *block;
    size_t i, max;

    yyjson_arr_foreach(v, i, max, block)
    {
        struct str name = jr_get_str(yyjson_obj_get(block, "document"), "name");
        if (!name.p)
            continue;
        CHECK(is_of(name, "-()[] ", 200));
        CHECK(str_find(name, STR("  ")) < 0);
        for (unsigned k = 0; k < found; k++)
            CHECK(!str_eq(seen[k], name));
        seen[found++] = name;
    }
    CHECK_EQ(found, n);
}

static void test_any_document_name(void)
{
    for (unsigned round = 0; round < 100; round++) {
        const char *why;
        begin("m");
        struct canon_message *m = add_message(ROLE_USER);
        unsigned n = (unsigned)rand() % 20 + 1;
        for (unsigned i = 0; i < n; i++) {
            struct canon_part *p = add_part(m, PART_DOCUMENT);
            p->media = (struct canon_media){.source = MEDIA_BASE64,
                .mime = STR("application/pdf"),
                .data = STR("JVBE"),
                .name = rand() % 2 ? random_text(250) : STR("same")};
        }
        CHECK_EQ(converse_write_request(&call, &request, &out), 0);
        yyjson_val *root = jr_parse(&arena, buf_str(&out), &why);
        yyjson_val *first = yyjson_arr_get_first(yyjson_obj_get(root, "messages"));
        check_names(yyjson_obj_get(first, "content"), n);
    }
}

/* Any effort with any max_tokens gives a budget that Claude takes, or none. */
static void test_any_budget(void)
{
    static const int64_t maxima[] = {-1, 0, 1, 1023, 1024, 1025, 2000, 4096, 8193, 100000};

    for (unsigned e = EFFORT_NONE; e <= EFFORT_MAX; e++)
        for (unsigned i = 0; i < ARRAY_LEN(maxima); i++) {
            const char *why;
            int64_t budget = 0, most = 0;
            begin("anthropic.claude-sonnet-4-20250514-v1:0");
            call.facts = &facts;
            add_part(add_message(ROLE_USER), PART_TEXT)->text = STR("hi");
            request.reasoning.effort = (enum canon_effort)e;
            request.max_tokens = maxima[i];
            CHECK_EQ(converse_write_request(&call, &request, &out), 0);
            yyjson_val *root = jr_parse(&arena, buf_str(&out), &why);
            yyjson_val *fields = yyjson_obj_get(root, "additionalModelRequestFields");
            yyjson_val *thinking = yyjson_obj_get(fields, "thinking");
            if (!jr_get_int(thinking, "budget_tokens", &budget))
                continue;
            CHECK(jr_get_int(yyjson_obj_get(root, "inferenceConfig"), "maxTokens", &most));
            CHECK(budget >= 1024 && budget < most);
        }
}

int main(void)
{
    srand(1);
    buf_init(&out, 16 * MIB);
    TAP_RUN(test_exceptions);
    TAP_RUN(test_exception_frames);
    TAP_RUN(test_publishers);
    TAP_RUN(test_any_id);
    TAP_RUN(test_any_tool_name);
    TAP_RUN(test_any_document_name);
    TAP_RUN(test_any_budget);
    buf_free(&out);
    arena_free(&arena);
    return tap_done();
}
