/*
 * POST /chat/completions, whole and streamed. A stream has the role first, then the pieces of the
 * text or the fragments of tool calls, the finish reason, the usage if it was asked for, [DONE].
 * With "n" the choices come interleaved, as OpenAI sends them.
 */
#include "demo/demo_int.h"

#include "demo/openai_int.h"

struct str openai_finish(const struct answer *a)
{
    switch (a->finish) {
    case FINISH_LENGTH:
        return STR("\"length\"");
    case FINISH_TOOLS:
        return STR("\"tool_calls\"");
    default:
        return STR("\"stop\"");
    }
}

uint64_t openai_choices(const struct demo_call *c)
{
    uint64_t n = field_u64(c, F_N, 1);
    return MAX(MIN(n, (uint64_t)DEMO_CHOICES), (uint64_t)1);
}

void openai_usage(struct demo_call *c)
{
    const struct answer *a = c->answer;
    unsigned long long in = a->tokens_in, out = a->tokens_out * openai_choices(c);
    putf(c,
        "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
        "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":%llu,\"audio_tokens\":0,"
        "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
        in, out, in + out, (unsigned long long)a->tokens_thought);
}

/* --- log probabilities: one token a piece --- */

static void put_token(struct demo_call *c, struct str piece)
{
    put(c, "{\"token\":");
    put_json(c, piece);
    put(c, ",\"logprob\":-0.125,\"bytes\":[");
    for (size_t i = 0; i < piece.n; i++)
        putf(c, "%s%u", i ? "," : "", (unsigned char)piece.p[i]);
    put(c, "],\"top_logprobs\":[]}");
}

static void put_logprobs(struct demo_call *c, struct str text, uint64_t words, size_t pieces)
{
    if (!field_true(c, F_LOGPROBS) || !text.n) {
        put(c, "null");
        return;
    }
    put(c, "{\"content\":[");
    for (bool first = true; text.n; first = false) {
        struct str piece = answer_piece(&text, &words, &pieces);
        put_str(c, first ? STR("") : STR(","));
        put_token(c, piece);
    }
    put(c, "],\"refusal\":null}");
}

/* --- whole --- */

static void put_call_id(struct demo_call *c, unsigned choice, unsigned i)
{
    put(c, "\"");
    put_id(c, &c->out, "call_");
    putf(c, "%02u%02u\"", choice, i);
}

static void put_calls(struct demo_call *c, unsigned choice)
{
    const struct answer *a = c->answer;
    put(c, "\"content\":null,\"refusal\":null,\"annotations\":[],\"tool_calls\":[");
    for (unsigned i = 0; i < a->n_calls; i++) {
        const struct demo_tool *t = &a->calls[i];
        put_str(c, i ? STR(",{\"id\":") : STR("{\"id\":"));
        put_call_id(c, choice, i);
        put_str(c, t->custom ? STR(",\"type\":\"custom\",\"custom\":{\"name\":\"")
                             : STR(",\"type\":\"function\",\"function\":{\"name\":\""));
        put_str(c, t->name);
        put_str(c, t->custom ? STR("\",\"input\":") : STR("\",\"arguments\":"));
        put_json(c, buf_str(&a->args[i]));
        put(c, "}}");
    }
    put(c, "]");
}

static void put_choice(struct demo_call *c, unsigned i)
{
    const struct answer *a = c->answer;
    putf(c, "%s{\"index\":%u,\"message\":{\"role\":\"assistant\",", i ? "," : "", i);
    if (a->n_calls) {
        put_calls(c, i);
    } else {
        put(c, "\"content\":");
        put_json(c, buf_str(&a->text));
        put(c, ",\"refusal\":null,\"annotations\":[]");
    }
    put(c, "},\"logprobs\":");
    put_logprobs(c, buf_str(&a->text), a->tokens_out, a->pieces);
    put(c, ",\"finish_reason\":");
    put_str(c, openai_finish(a));
    put(c, "}");
}

void openai_head(struct demo_call *c, struct buf *out, const char *prefix, const char *object)
{
    buf_addstr(out, STR("{\"id\":\""));
    put_id(c, out, prefix);
    buf_addstr(out, STR("\",\"object\":\""));
    buf_addstr(out, str_of(object));
    buf_printf(out, "\",\"created\":%d,\"model\":", DEMO_CREATED);
    buf_addstr(out, c->model);
}

void openai_chat_put(struct demo_call *c)
{
    openai_head(c, &c->out, "chatcmpl-", "chat.completion");
    put(c, ",\"choices\":[");
    for (unsigned i = 0; i < openai_choices(c); i++)
        put_choice(c, i);
    put(c, "]");
    if (!c->dir.no_usage) {
        put(c, ",\"usage\":");
        openai_usage(c);
    }
    put(c, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_demo\"}");
}

/* --- streamed --- */

struct chat_stream {
    struct demo_call *c;
    struct buf head; /* "data: {...", up to the choice's index */
    bool usage;      /* asked for: every other chunk then has "usage":null */
};

static void chunk_begin(struct chat_stream *s, unsigned choice)
{
    put_str(s->c, buf_str(&s->head));
    buf_addu64(&s->c->out, choice);
    put(s->c, ",\"delta\":{");
}

/* finish is a literal or null. */
static bool chunk_end(struct chat_stream *s, struct str piece, struct str finish)
{
    struct demo_call *c = s->c;
    put(c, "},\"logprobs\":");
    put_logprobs(c, piece, 1, 1);
    put(c, ",\"finish_reason\":");
    put_str(c, finish);
    put_str(c, s->usage ? STR("}],\"usage\":null}\n\n") : STR("}]}\n\n"));
    return demo_event(c);
}

static bool stream_roles(struct chat_stream *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        chunk_begin(s, i);
        put(s->c, "\"role\":\"assistant\",\"content\":");
        put_str(s->c, s->c->answer->n_calls ? STR("null") : STR("\"\""));
        put(s->c, ",\"refusal\":null");
        if (!chunk_end(s, STR_NONE, STR("null")))
            return false;
    }
    return true;
}

static bool stream_text(struct chat_stream *s, unsigned n)
{
    const struct answer *a = s->c->answer;
    struct str rest = buf_str(&a->text);
    size_t pieces = a->pieces;
    uint64_t words = count_words(rest);
    while (rest.n) {
        struct str piece = answer_piece(&rest, &words, &pieces);
        for (unsigned i = 0; i < n; i++) {
            chunk_begin(s, i);
            put(s->c, "\"content\":");
            put_json(s->c, piece);
            if (!chunk_end(s, piece, STR("null")))
                return false;
        }
    }
    return true;
}

/* The first fragment names the tool; the arguments follow in pieces of 12 bytes. */
static bool stream_call(struct chat_stream *s, unsigned choice, unsigned i)
{
    const struct demo_tool *t = &s->c->answer->calls[i];
    struct demo_call *c = s->c;
    chunk_begin(s, choice);
    putf(c, "\"tool_calls\":[{\"index\":%u,\"id\":", i);
    put_call_id(c, choice, i);
    put_str(c, t->custom ? STR(",\"type\":\"custom\",\"custom\":{\"name\":\"")
                         : STR(",\"type\":\"function\",\"function\":{\"name\":\""));
    put_str(c, t->name);
    put_str(c, t->custom ? STR("\",\"input\":\"\"}}]") : STR("\",\"arguments\":\"\"}}]"));
    if (!chunk_end(s, STR_NONE, STR("null")))
        return false;
    struct str rest = buf_str(&c->answer->args[i]);
    while (rest.n) {
        struct str piece = utf8_piece(&rest, 12);
        chunk_begin(s, choice);
        putf(c, "\"tool_calls\":[{\"index\":%u,", i);
        put_str(c, t->custom ? STR("\"custom\":{\"input\":") : STR("\"function\":{\"arguments\":"));
        put_json(c, piece);
        put(c, "}}]");
        if (!chunk_end(s, STR_NONE, STR("null")))
            return false;
    }
    return true;
}

static bool stream_calls(struct chat_stream *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < s->c->answer->n_calls; k++)
            if (!stream_call(s, i, k))
                return false;
    return true;
}

static bool stream_finish(struct chat_stream *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        chunk_begin(s, i);
        if (!chunk_end(s, STR_NONE, openai_finish(s->c->answer)))
            return false;
    }
    return true;
}

/* The chunk that has no choice: cut the head before "{index". */
static bool stream_usage(struct chat_stream *s)
{
    static const struct str tail = STR_INIT("{\"index\":");
    if (!s->usage)
        return true;
    put_str(s->c, str_to(buf_str(&s->head), s->head.n - tail.n));
    put(s->c, "],\"usage\":");
    openai_usage(s->c);
    put(s->c, "}\n\n");
    return demo_event(s->c);
}

static void chat_stream(struct demo_call *c)
{
    struct chat_stream s = {.c = c};
    unsigned n = (unsigned)openai_choices(c);
    s.usage = field_true(c, F_INCLUDE_USAGE) && !c->dir.no_usage;
    buf_init(&s.head, 64 * KIB);
    buf_addstr(&s.head, STR("data: "));
    openai_head(c, &s.head, "chatcmpl-", "chat.completion.chunk");
    buf_addstr(&s.head, STR(",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_demo\","
                            "\"choices\":[{\"index\":"));
    demo_stream_begin(c, STR("text/event-stream"), STREAM_CHAT);
    if (stream_roles(&s, n) && (c->answer->n_calls ? stream_calls(&s, n) : stream_text(&s, n)) &&
        stream_finish(&s, n) && stream_usage(&s))
        put(c, "data: [DONE]\n\n");
    demo_stream_end(c);
    buf_free(&s.head);
}

void openai_chat(struct demo_call *c)
{
    if (c->fields[F_MESSAGES].type != JSON_ARRAY) {
        demo_error(c, 400, "Missing required parameter: 'messages'.");
    } else if (field_true(c, F_STREAM)) {
        chat_stream(c);
    } else {
        openai_chat_put(c);
        demo_json(c);
    }
}
