/*
 * The demo provider over loopback: each endpoint answers in its dialect, streams keep their order,
 * and directions do what they say. The official SDKs judge the shapes in full elsewhere; here every
 * JSON text must at least scan, and the members that the gateway reads must be there.
 */
#include "demo/demo.h"
#include "demo/demo_int.h"
#include "http/loopback.h"
#include "http/ws.h"

static struct reply got;

static void start(void)
{
    store_reset();
    rig.handler = demo_handler;
    must(http_server_new(&rig.set, &rig.handler, &rig.server) == 0);
    int fd = net_listen(STR("127.0.0.1"), 0, false, 256, &rig.port);
    must(fd >= 0 && http_server_listen(rig.server, fd) == 0);
}

/* One request on a connection of its own; the reply is in got. Its status, or -errno. */
static int ask(const char *method, const char *path, const char *fields, struct str body)
{
    struct raw r;
    struct buf rq;
    reply_free(&got);
    buf_init(&rq, 4 * MIB);
    buf_printf(&rq, "%s %s HTTP/1.1\r\nhost: demo\r\n%scontent-length: %zu\r\n\r\n", method, path,
        fields, body.n);
    buf_addstr(&rq, body);
    raw_open(&r, rig.port);
    int e = raw_send(&r, buf_str(&rq));
    if (e == 0)
        e = raw_reply(&r, false, &got);
    raw_close(&r);
    buf_free(&rq);
    return e < 0 ? e : got.status;
}

static int post(const char *path, const char *json)
{
    return ask("POST", path, "content-type: application/json\r\n", str_of(json));
}

static int get(const char *path)
{
    return ask("GET", path, "", STR_NONE);
}

static struct str text(void)
{
    return buf_str(&got.body);
}

static bool valid(struct str json)
{
    enum json_type top;
    struct json_error fault;
    return json_scan(json, NULL, NULL, 0, &top, &fault) == 0;
}

/* A member of the reply, which must be JSON; "-" when it is not. */
static struct str at(const char *path)
{
    return valid(text()) ? json_find(text(), str_of(path)) : STR("-");
}

static struct str at_of(struct str json, const char *path)
{
    return json_find(json, str_of(path));
}

/* The first element of an array member. */
static struct str first(struct str array)
{
    struct str key, item = STR_NONE;
    size_t i = json_inside(array);
    return i && json_next(array, &i, &key, &item) ? item : STR_NONE;
}

static unsigned count(const char *needle)
{
    struct str rest = text(), n = str_of(needle);
    unsigned k = 0;
    for (ptrdiff_t i; (i = str_find(rest, n)) >= 0; k++)
        rest = str_from(rest, (size_t)i + n.n);
    return k;
}

/* True when the needles stand in the reply in this order. */
static bool in_order(const char *const *needles, unsigned n)
{
    struct str rest = text();
    for (unsigned i = 0; i < n; i++) {
        ptrdiff_t k = str_find(rest, str_of(needles[i]));
        if (k < 0)
            return false;
        rest = str_from(rest, (size_t)k + strlen(needles[i]));
    }
    return true;
}

static bool events_valid(void)
{
    struct str rest = text();
    unsigned n = 0;
    while (rest.n) {
        struct str line = str_split(&rest, '\n');
        if (!str_starts(line, STR("data: ")) || str_eq(line, STR("data: [DONE]")))
            continue;
        n++;
        if (!valid(str_trim(str_from(line, 6))))
            return false;
    }
    return n > 0;
}

/* --- OpenAI --- */

#define CHAT(text) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define CHAT_WITH(text, more)                                                                      \
    "{\"model\":\"m\"," more ",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define TOOLS                                                                                      \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"first\",\"parameters\":{\"type\":" \
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}}}},"  \
    "{\"type\":\"function\",\"function\":{\"name\":\"second\"}}]"

static void chat(void)
{
    start();
    CHECK_EQ(post("/v1/chat/completions", CHAT("Hello \\u00e4\\n\\\"x\\\"")), 200);
    CHECK_STR(at("object"), STR("\"chat.completion\""));
    CHECK_STR(at("model"), STR("\"m\""));
    struct str choice = first(at("choices"));
    CHECK_STR(at_of(choice, "message.content"), STR("\"You said: Hello \xc3\xa4\\n\\\"x\\\"\""));
    CHECK_STR(at_of(choice, "finish_reason"), STR("\"stop\""));
    CHECK_STR(at("usage.completion_tokens"), STR("5"));
    CHECK_EQ(
        post("/v1/chat/completions", CHAT_WITH("one two three", "\"max_tokens\":3,\"n\":2")), 200);
    choice = first(at("choices"));
    CHECK_STR(at_of(choice, "message.content"), STR("\"You said: one\""));
    CHECK_STR(at_of(choice, "finish_reason"), STR("\"length\""));
    CHECK_STR(at("usage.completion_tokens"), STR("6"));
    CHECK_EQ(count("\"finish_reason\""), 2);
    rig_stop();
}

static void chat_repeats(void)
{
    struct buf once;
    buf_init(&once, MIB);
    start();
    CHECK_EQ(post("/v1/chat/completions", CHAT("same")), 200);
    buf_addstr(&once, text());
    CHECK_EQ(post("/v1/chat/completions", CHAT("same")), 200);
    CHECK_STR(text(), buf_str(&once));
    CHECK_EQ(post("/v1/chat/completions", CHAT("other")), 200);
    CHECK(!str_eq(at("id"), at_of(buf_str(&once), "id")));
    buf_free(&once);
    rig_stop();
}

static void chat_stream(void)
{
    static const char *const order[] = {"\"role\":\"assistant\"", "\"content\":\"You\"",
        "\"content\":\" said:\"", "\"content\":\" hi\"", "\"finish_reason\":\"stop\"", "[DONE]"};
    start();
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("hi", "\"stream\":true")), 200);
    CHECK(events_valid());
    CHECK(in_order(order, ARRAY_LEN(order)));
    CHECK_EQ(count("\"usage\""), 0);
    CHECK_EQ(post("/v1/chat/completions",
                 CHAT_WITH("hi", "\"stream\":true,\"stream_options\":{\"include_usage\":true}")),
        200);
    CHECK(events_valid());
    CHECK_EQ(count("\"usage\":null"), 5);
    CHECK_EQ(count("\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":3"), 1);
    rig_stop();
}

static void chat_tools(void)
{
    start();
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("Use tools now", TOOLS)), 200);
    struct str choice = first(at("choices"));
    struct str call = first(at_of(choice, "message.tool_calls"));
    CHECK_STR(at_of(choice, "finish_reason"), STR("\"tool_calls\""));
    CHECK_STR(
        at_of(call, "function.arguments"), STR("\"{\\\"city\\\": \\\"demo\\\", \\\"n\\\": 1}\""));
    CHECK_EQ(count("\"type\":\"function\""), 2);
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("use tool second", TOOLS)), 200);
    CHECK_EQ(count("\"name\":\"first\""), 0);
    CHECK_EQ(count("\"name\":\"second\""), 1);
    CHECK_EQ(
        post("/v1/chat/completions", CHAT_WITH("x", TOOLS ",\"tool_choice\":\"required\"")), 200);
    CHECK_EQ(count("\"name\":\"first\""), 1);
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("use tool", TOOLS ",\"tool_choice\":\"none\"")),
        200);
    CHECK_EQ(count("tool_calls"), 0);
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("use tools", TOOLS ",\"stream\":true")), 200);
    CHECK(events_valid());
    CHECK_EQ(count("\"id\":\"call_"), 2);
    CHECK_EQ(
        post("/v1/chat/completions",
            "{\"model\":\"m\"," TOOLS ",\"messages\":[{\"role\":\"user\",\"content\":\"use tool\"},"
            "{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"42\"}]}"),
        200);
    CHECK_EQ(count("The tool said: 42"), 1);
    rig_stop();
}

static void chat_shapes(void)
{
    start();
    CHECK_EQ(
        post("/v1/chat/completions",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
            "\"text\":\"look\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]}"),
        200);
    CHECK_EQ(count("I see 1 image. You said: look"), 1);
    CHECK_EQ(post("/v1/chat/completions",
                 CHAT_WITH("x",
                     "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":"
                     "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[7]},\"b\":{\"$ref\":"
                     "\"#/$defs/B\"}},\"$defs\":{\"B\":{\"type\":\"array\",\"items\":"
                     "{\"type\":\"boolean\"}}}}}}")),
        200);
    CHECK_EQ(count("{\\\"a\\\": 7, \\\"b\\\": [true]}"), 1);
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("x", "\"logprobs\":true")), 200);
    CHECK_EQ(count("\"logprob\":"), 3);
    CHECK_EQ(post("/v1/chat/completions", "{\"model\":\"m\""), 400);
    CHECK_STR(at("error.type"), STR("\"invalid_request_error\""));
    CHECK_EQ(post("/v1/nothing", "{}"), 404);
    CHECK(at("error.message").p);
    rig_stop();
}

static void responses(void)
{
    char path[128];
    start();
    CHECK_EQ(post("/v1/responses", "{\"model\":\"m\",\"input\":\"Hello\"}"), 200);
    CHECK_STR(at("status"), STR("\"completed\""));
    CHECK_STR(at("usage.output_tokens"), STR("3"));
    CHECK_STR(
        at_of(first(at_of(first(at("output")), "content")), "text"), STR("\"You said: Hello\""));
    struct str id = unquoted(at("id"));
    snprintf(path, sizeof(path), "/v1/responses/" STR_FMT, STR_ARG(id));
    CHECK_EQ(get(path), 200);
    CHECK_STR(at("status"), STR("\"completed\""));
    CHECK_EQ(ask("POST", path, "", STR("{}")), 405);
    CHECK_EQ(ask("DELETE", path, "", STR_NONE), 200);
    CHECK_STR(at("deleted"), STR("true"));
    CHECK_EQ(get(path), 404);
    CHECK_EQ(post("/v1/responses",
                 "{\"model\":\"m\",\"input\":\"a\",\"previous_response_id\":\"resp_x\"}"),
        400);
    CHECK_EQ(post("/v1/responses", "{\"model\":\"m\",\"input\":\"a\",\"background\":true}"), 200);
    CHECK_STR(at("status"), STR("\"queued\""));
    CHECK_EQ(post("/v1/responses/input_tokens", "{\"model\":\"m\",\"input\":\"a b\"}"), 200);
    CHECK_STR(at("input_tokens"), STR("2"));
    CHECK_EQ(post("/v1/responses/compact", "{\"model\":\"m\",\"input\":\"a b\"}"), 200);
    CHECK_STR(at("object"), STR("\"response.compaction\""));
    rig_stop();
}

static void responses_stream(void)
{
    static const char *const order[] = {"event: response.created\n",
        "event: response.in_progress\n", "event: response.output_item.added\n",
        "event: response.content_part.added\n", "event: response.output_text.delta\n",
        "event: response.output_text.done\n", "event: response.content_part.done\n",
        "event: response.output_item.done\n", "event: response.completed\n"};
    start();
    CHECK_EQ(post("/v1/responses", "{\"model\":\"m\",\"input\":\"Hello\",\"stream\":true}"), 200);
    CHECK(events_valid());
    CHECK(in_order(order, ARRAY_LEN(order)));
    CHECK_EQ(count("\"sequence_number\":10"), 1);
    CHECK_EQ(count("\"sequence_number\":11"), 0);
    CHECK_EQ(count("[DONE]"), 0);
    rig_stop();
}

static void small_endpoints(void)
{
    start();
    CHECK_EQ(post("/v1/completions", "{\"model\":\"m\",\"prompt\":\"p\"}"), 200);
    CHECK_STR(at_of(first(at("choices")), "text"), STR("\"You said: p\""));
    CHECK_EQ(
        post("/v1/embeddings", "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":8}"), 200);
    CHECK_EQ(count("\"object\":\"embedding\""), 2);
    CHECK_STR(at("usage.prompt_tokens"), STR("2"));
    CHECK_EQ(
        post("/v1/embeddings",
            "{\"model\":\"m\",\"input\":[1,2],\"dimensions\":3,\"encoding_format\":\"base64\"}"),
        200);
    CHECK_EQ(unquoted(at_of(first(at("data")), "embedding")).n, 16);
    CHECK_EQ(post("/v1/moderations", "{\"input\":\"violence\"}"), 200);
    CHECK_STR(at_of(first(at("results")), "flagged"), STR("true"));
    CHECK_EQ(post("/v1/rerank",
                 "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\",\"b\"],\"top_n\":1}"),
        200);
    CHECK_EQ(count("relevance_score"), 1);
    CHECK_EQ(get("/v1/models"), 200);
    CHECK_STR(at("object"), STR("\"list\""));
    CHECK_EQ(get("/v1/models/a%2Fb"), 200);
    CHECK_STR(at("id"), STR("\"a/b\""));
    CHECK_EQ(
        post("/v1/audio/speech", "{\"model\":\"m\",\"input\":\"x\",\"response_format\":\"wav\"}"),
        200);
    CHECK_STR(str_to(text(), 4), STR("RIFF"));
    CHECK_EQ(post("/v1/images/generations", "{\"prompt\":\"x\"}"), 200);
    CHECK_EQ(count("b64_json"), 1);
    rig_stop();
}

static int upload(const char *path, const char *fields)
{
    char head[256];
    snprintf(head, sizeof(head), "content-type: multipart/form-data; boundary=XX\r\n%s", fields);
    return ask("POST", path, head,
        STR("--XX\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--XX\r\n"
            "content-disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\r\n"
            "{\"custom_id\":\"c\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
            "\"content\":\"hi\"}]}}\r\n--XX--\r\n"));
}

static void files(void)
{
    char path[128], batch[160];
    start();
    CHECK_EQ(upload("/v1/files", ""), 200);
    CHECK_STR(at("purpose"), STR("\"batch\""));
    struct str id = unquoted(at("id"));
    snprintf(path, sizeof(path), "/v1/files/" STR_FMT "/content", STR_ARG(id));
    snprintf(batch, sizeof(batch), "{\"input_file_id\":\"" STR_FMT "\"}", STR_ARG(id));
    CHECK_EQ(get(path), 200);
    CHECK_EQ(count("\"custom_id\":\"c\""), 1);
    CHECK_EQ(post("/v1/batches", batch), 200);
    CHECK_STR(at("status"), STR("\"validating\""));
    CHECK_EQ(get("/v1/batches"), 200);
    struct str done = first(at("data"));
    CHECK_STR(at_of(done, "status"), STR("\"completed\""));
    struct str out = unquoted(at_of(done, "output_file_id"));
    snprintf(path, sizeof(path), "/v1/files/" STR_FMT "/content", STR_ARG(out));
    CHECK_EQ(get(path), 200);
    CHECK_EQ(count("You said: hi"), 1);
    CHECK(valid(str_trim(text())));
    CHECK_EQ(upload("/v1/audio/transcriptions", ""), 200);
    CHECK_EQ(count("file f.txt of"), 1);
    CHECK_EQ(upload("/v1/files", "anthropic-version: 2023-06-01\r\n"), 200);
    CHECK_STR(at("type"), STR("\"file\""));
    rig_stop();
}

/* --- Anthropic, Gemini --- */

#define MESSAGE(text, more)                                                                        \
    "{\"model\":\"c\",\"max_tokens\":99" more                                                      \
    ",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"

static void messages(void)
{
    static const char *const order[] = {"event: message_start\n", "event: ping\n",
        "\"type\":\"thinking\"", "thinking_delta", "signature_delta", "event: content_block_stop\n",
        "\"type\":\"text\"", "text_delta", "event: content_block_stop\n", "event: message_delta\n",
        "event: message_stop\n"};
    start();
    CHECK_EQ(post("/v1/messages", MESSAGE("Hello", "")), 200);
    CHECK_STR(at_of(first(at("content")), "text"), STR("\"You said: Hello\""));
    CHECK_STR(at("stop_reason"), STR("\"end_turn\""));
    CHECK_STR(at("usage.output_tokens"), STR("3"));
    CHECK_EQ(post("/v1/messages",
                 MESSAGE("Hello", ",\"stream\":true,\"thinking\":{\"type\":\"enabled\"}")),
        200);
    CHECK(events_valid());
    CHECK(in_order(order, ARRAY_LEN(order)));
    CHECK_EQ(
        post("/v1/messages", MESSAGE("use tool", ",\"tools\":[{\"name\":\"t\",\"input_schema\":"
                                                 "{\"type\":\"object\"}}]")),
        200);
    CHECK_STR(at("stop_reason"), STR("\"tool_use\""));
    CHECK_STR(at_of(first(at("content")), "input"), STR("{}"));
    CHECK_EQ(post("/v1/messages", MESSAGE("a b c", ",\"stop_sequences\":[\"b\"]")), 200);
    CHECK_STR(at("stop_sequence"), STR("\"b\""));
    CHECK_EQ(post("/v1/messages", MESSAGE("demo:status=529", "")), 529);
    CHECK_STR(at("error.type"), STR("\"overloaded_error\""));
    CHECK_EQ(post("/v1/messages/count_tokens", MESSAGE("a b", "")), 200);
    CHECK_STR(at("input_tokens"), STR("2"));
    CHECK_EQ(post("/v1/messages/batches",
                 "{\"requests\":[{\"custom_id\":\"x\",\"params\":" MESSAGE("q", "") "}]}"),
        200);
    CHECK_STR(at("processing_status"), STR("\"in_progress\""));
    rig_stop();
}

#define ASK(text) "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"" text "\"}]}]}"

static void gemini(void)
{
    start();
    CHECK_EQ(post("/v1beta/models/g:generateContent", ASK("Hello")), 200);
    CHECK_STR(at_of(first(at_of(first(at("candidates")), "content.parts")), "text"),
        STR("\"You said: Hello\""));
    CHECK_STR(at("usageMetadata.totalTokenCount"), STR("4"));
    CHECK_EQ(post("/v1beta/models/g:streamGenerateContent?alt=sse", ASK("Hello")), 200);
    CHECK(events_valid());
    CHECK_EQ(count("\"finishReason\":\"STOP\""), 1);
    CHECK_EQ(post("/v1beta/models/g:streamGenerateContent", ASK("Hello")), 200);
    CHECK(valid(text()));
    CHECK_EQ(count("\"usageMetadata\""), 3);
    CHECK_EQ(post("/v1beta/models/g:countTokens", ASK("a b c")), 200);
    CHECK_STR(at("totalTokens"), STR("3"));
    CHECK_EQ(
        post("/v1beta/models/g:embedContent", "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}"), 200);
    CHECK_EQ(json_type_of(at("embedding.values")), JSON_ARRAY);
    CHECK_EQ(post("/v1beta/models/g:generateContent", ASK("demo:status=429")), 429);
    CHECK_STR(at("error.status"), STR("\"RESOURCE_EXHAUSTED\""));
    rig_stop();
}

/* --- directions --- */

static void failures(void)
{
    start();
    CHECK_EQ(post("/v1/chat/completions", CHAT("demo:status=429")), 429);
    CHECK_STR(http_get(&got.head.fields, HTTP_RETRY_AFTER), STR("1"));
    CHECK_EQ(post("/v1/chat/completions", "{\"model\":\"demo-error-503\",\"messages\":[]}"), 503);
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("x", "\"user\":\"mock:status=500\"")), 500);
    CHECK_EQ(post("/v1/chat/completions", CHAT("x demo:cut_after=40")), -ECONNRESET);
    CHECK_EQ(post("/v1/chat/completions", CHAT("x demo:lie_length=5")), -ECONNRESET);
    CHECK_EQ(post("/v1/chat/completions", CHAT("x demo:lie_length=-5")), 200);
    CHECK(!valid(text()));
    CHECK_EQ(post("/v1/chat/completions", CHAT("x demo:bad_json=1")), 200);
    CHECK(!valid(text()));
    CHECK_EQ(
        post("/v1/chat/completions", CHAT_WITH("x demo:error_after=2", "\"stream\":true")), 200);
    CHECK_EQ(count("\"error\":{"), 1);
    CHECK_EQ(count("[DONE]"), 0);
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("x demo:cut_after=500", "\"stream\":true")),
        -ECONNRESET);
    CHECK_EQ(got.body.n, 500);
    rig_stop();
}

static void contents(void)
{
    start();
    CHECK_EQ(post("/v1/chat/completions", CHAT("demo:size=5000")), 200);
    CHECK_EQ(unquoted(at_of(first(at("choices")), "message.content")).n, 5000);
    CHECK_EQ(post("/v1/chat/completions", CHAT_WITH("demo:chunks=9", "\"stream\":true")), 200);
    CHECK_EQ(count("\"delta\":{\"content\""), 9);
    CHECK_EQ(post("/v1/chat/completions", CHAT("demo:no_usage=1")), 200);
    CHECK(!at("usage").p);
    CHECK_EQ(post("/v1/chat/completions", CHAT("demo:usage_in=7,usage_out=8")), 200);
    CHECK_STR(at("usage.total_tokens"), STR("15"));
    CHECK_EQ(ask("POST", "/v1/chat/completions", "authorization: Bearer sk-very-secret\r\n",
                 STR(CHAT("demo:echo=headers"))),
        200);
    CHECK_EQ(count("sk-very-secret"), 0);
    CHECK_EQ(count("sha256:"), 1);
    CHECK_EQ(post("/v1/chat/completions", CHAT("demo:echo=body")), 200);
    CHECK_EQ(count("{\\\"model\\\":\\\"m\\\""), 1);
    CHECK_EQ(post("/v1/chat/completions", CHAT("demo:gzip=1")), 200);
    CHECK_STR(http_get(&got.head.fields, HTTP_CONTENT_ENCODING), STR("gzip"));
    CHECK_STR(str_to(text(), 2), STR("\x1f\x8b"));
    int64_t before = clock_now();
    CHECK_EQ(
        post("/v1/chat/completions", CHAT_WITH("x demo:chunks=4,interval=5", "\"stream\":true")),
        200);
    CHECK(clock_now() - before >= 20 * NS_PER_MS);
    rig_stop();
}

static void stall_ends_with_client(void)
{
    struct raw r;
    static const char body[] = CHAT_WITH("x demo:stall_after=2", "\"stream\":true");
    char head[256];
    start();
    raw_open(&r, rig.port);
    snprintf(head, sizeof(head),
        "POST /v1/chat/completions HTTP/1.1\r\nhost: d\r\ncontent-length: %zu\r\n\r\n",
        sizeof(body) - 1);
    CHECK_EQ(raw_sendz(&r, head), 0);
    CHECK_EQ(raw_sendz(&r, body), 0);
    CHECK_EQ(raw_until(&r, STR("\"content\":\"You\"")), 0);
    CHECK_EQ(http_server_connections(rig.server), 1);
    raw_close(&r);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    rig_stop();
}

/* --- WebSocket --- */

static int next_message(struct raw *r, struct ws_parser *p, struct str *in, struct str *ret)
{
    struct ws_frame f;
    for (;;) {
        int e = ws_next(p, in, &f);
        if (e > 0) {
            *ret = f.payload;
            return f.opcode;
        }
        if (e < 0)
            return e;
        buf_clear(&r->in);
        ssize_t n = raw_more(r);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        *in = buf_str(&r->in);
    }
}

static int talk(const char *path, const char *message, const char *until, struct buf *last)
{
    struct raw r;
    struct ws_parser p;
    struct buf out;
    struct str in, m;
    char head[256];
    int e;
    buf_init(&out, MIB);
    ws_parser_init(&p, false, MIB);
    raw_open(&r, rig.port);
    snprintf(head, sizeof(head),
        "GET %s HTTP/1.1\r\nhost: d\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        path);
    must(raw_sendz(&r, head) == 0 && raw_until(&r, STR("\r\n\r\n")) == 0);
    buf_drop(&r.in, (size_t)str_find(buf_str(&r.in), STR("\r\n\r\n")) + 4);
    struct buf rest = r.in; /* bytes that came with the head: the parser's first input */
    buf_init(&r.in, MIB);
    in = buf_str(&rest);
    must(ws_put(&out, WS_TEXT, true, str_of(message), (const uint8_t *)"mask") == 0);
    must(raw_send(&r, buf_str(&out)) == 0);
    while ((e = next_message(&r, &p, &in, &m)) == WS_TEXT && str_find(m, str_of(until)) < 0)
        ;
    if (e == WS_TEXT)
        buf_addstr(last, m);
    raw_close(&r);
    ws_parser_free(&p);
    buf_free(&rest);
    buf_free(&out);
    return e;
}

static void websockets(void)
{
    struct buf last;
    buf_init(&last, MIB);
    start();
    CHECK_EQ(
        talk("/v1/responses", "{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"hi\"}",
            "\"response.completed\"", &last),
        WS_TEXT);
    CHECK(valid(buf_str(&last)));
    CHECK_STR(at_of(buf_str(&last), "response.usage.total_tokens"), STR("4"));
    buf_clear(&last);
    CHECK_EQ(
        talk("/v1/realtime?model=rt", "{\"type\":\"response.create\"}", "\"response.done\"", &last),
        WS_TEXT);
    CHECK(valid(buf_str(&last)));
    CHECK_STR(at_of(buf_str(&last), "response.usage.output_tokens"), STR("2"));
    buf_free(&last);
    rig_stop();
}

/* --- the store --- */

static void test_store(void)
{
    char id[16];
    struct store_page page;
    struct buf out;
    store_reset();
    buf_init(&out, MIB);
    for (unsigned i = 0; i < STORE_OBJECTS + 5; i++) {
        snprintf(id, sizeof(id), "id%u", i);
        CHECK_EQ(store_put(STORE_FILE, str_of(id), str_of(id), STR_NONE), 0);
    }
    CHECK(!store_get(STORE_FILE, STR("id4"), NULL, NULL));
    CHECK(store_get(STORE_FILE, STR("id5"), NULL, NULL));
    store_list(STORE_FILE, STR("id9"), 2, &out, &page);
    CHECK_STR(buf_str(&out), STR("id8,id7"));
    CHECK(page.more);
    char *large = calloc(1, 40 * MIB);
    CHECK_EQ(store_put(STORE_BATCH, STR("a"), STR("{}"), str_at(large, 40 * MIB)), 0);
    CHECK_EQ(store_put(STORE_UPLOAD, STR("b"), STR("{}"), str_at(large, 40 * MIB)), 0);
    CHECK(!store_get(STORE_BATCH, STR("a"), NULL, NULL));
    CHECK(store_get(STORE_UPLOAD, STR("b"), NULL, NULL));
    CHECK(!store_get(STORE_FILE, STR("id900"), NULL, NULL));
    free(large);
    buf_free(&out);
    store_reset();
}

static void test_directions(void)
{
    struct directions d;
    directions_init(&d);
    directions_read(
        &d, STR("a demo: x mock:delay=3,chunks=4 and demo:lie_length=-7,what=1,size\n"));
    CHECK_EQ(d.delay_ms, 3);
    CHECK_EQ(d.chunks, 4);
    CHECK_EQ(d.lie_length, -7);
    CHECK_EQ(d.size, 0);
    CHECK_EQ(d.cut_after, -1);
}

#define IN_LOOP(name)                                                                              \
    static void test_##name(void)                                                                  \
    {                                                                                              \
        in_loop(name);                                                                             \
        reply_free(&got);                                                                          \
    }

IN_LOOP(chat)
IN_LOOP(chat_repeats)
IN_LOOP(chat_stream)
IN_LOOP(chat_tools)
IN_LOOP(chat_shapes)
IN_LOOP(responses)
IN_LOOP(responses_stream)
IN_LOOP(small_endpoints)
IN_LOOP(files)
IN_LOOP(messages)
IN_LOOP(gemini)
IN_LOOP(failures)
IN_LOOP(contents)
IN_LOOP(stall_ends_with_client)
IN_LOOP(websockets)

int main(void)
{
    TAP_RUN(test_chat);
    TAP_RUN(test_chat_repeats);
    TAP_RUN(test_chat_stream);
    TAP_RUN(test_chat_tools);
    TAP_RUN(test_chat_shapes);
    TAP_RUN(test_responses);
    TAP_RUN(test_responses_stream);
    TAP_RUN(test_small_endpoints);
    TAP_RUN(test_files);
    TAP_RUN(test_messages);
    TAP_RUN(test_gemini);
    TAP_RUN(test_failures);
    TAP_RUN(test_contents);
    TAP_RUN(test_stall_ends_with_client);
    TAP_RUN(test_websockets);
    TAP_RUN(test_store);
    TAP_RUN(test_directions);
    return tap_done();
}
