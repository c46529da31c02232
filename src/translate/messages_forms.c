/*
 * Claude on Vertex AI and on Bedrock (InvokeModel): Anthropic's dialect in other envelopes.
 * See translate/messages.h.
 */
#include "translate/messages_int.h"

#include "base/macros.h"
#include "crypto/encode.h"
#include "json/scan.h"

#define BETAS_MAX 2048

/* --- Vertex AI --- */

static int write_vertex(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    return messages_write_request(c, q, MESSAGES_VERTEX, out);
}

/* What Google says of the call itself has Google's form, what the model says Anthropic's. */
static void read_vertex_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why);
    if (yyjson_is_arr(root))
        root = yyjson_arr_get_first(root);
    if (jr_get_str(yyjson_obj_get(root, "error"), "status").p)
        wire_gemini.read_error(c, status, type_field, body, ret);
    else
        messages_read_error(c, status, type_field, body, ret);
}

const struct wire wire_messages_vertex = {
    .id = WIRE_MESSAGES,
    .name = STR_INIT("anthropic messages on vertex"),
    .maker = MAKER_ANTHROPIC,
    .framing = FRAMES_SSE,
    .stream_type = STR_INIT("text/event-stream"),
    .read_request = messages_read_request,
    .write_request = write_vertex,
    .read_reply = messages_read_reply,
    .write_reply = messages_write_reply,
    .read_event = messages_read_event,
    .write_event = messages_write_event,
    .read_error = read_vertex_error,
    .word_error = messages_word_error,
};

/* --- Bedrock --- */

static int write_bedrock(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    return messages_write_request(c, q, MESSAGES_BEDROCK, out);
}

/* What can stand in a header field, where it goes to Anthropic or Vertex AI. */
static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == ',')
            return false;
    return s.n > 0;
}

static int add_beta(struct canon_call *c, struct str beta)
{
    if (!is_word(beta) || c->betas.n + beta.n > BETAS_MAX)
        return canon_fail(c, STR("anthropic_beta"),
            "anthropic_beta has to be an array of names, of %d bytes in all at most.", BETAS_MAX);
    c->betas = arena_printf(
        c->arena, STR_FMT "%s" STR_FMT, STR_ARG(c->betas), c->betas.n ? "," : "", STR_ARG(beta));
    return c->betas.p ? 0 : canon_no_room(c);
}

int messages_read_betas(struct canon_call *c, yyjson_val *list)
{
    yyjson_val *v;
    size_t i, max;
    int r = 0;

    if (list && !yyjson_is_arr(list))
        return add_beta(c, STR_NONE);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (r == 0)
            r = add_beta(c, jr_str(v));
    }
    return r;
}

/* InvokeModel takes the body of any publisher's models; what says that it is Claude's is its
 * version. Others have no translation. */
static int read_invoke(struct canon_call *c, struct str body, struct canon_request *q)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why);

    if (yyjson_is_obj(root) && !jr_get_str(root, "anthropic_version").n)
        return canon_fail(c, STR("anthropic_version"),
            "Only InvokeModel bodies for Claude, which have anthropic_version, can go to another "
            "provider than Bedrock. Use Converse for other models.");
    int r = messages_read_betas(c, yyjson_obj_get(root, "anthropic_beta"));
    return r < 0 ? r : messages_read_request(c, body, q);
}

static int read_exception(struct canon_stream *s, struct str name, struct str data)
{
    struct error e = {0};
    wire_converse.read_error(s->c, 0, name, data, &e);
    canon_emit(s, &(struct canon_event){.kind = EVENT_ERROR, .error = &e});
    return 0;
}

static int read_chunk(struct canon_stream *s, struct str event, struct str data)
{
    const char *why;
    if (str_starts(event, STR("!")))
        return read_exception(s, str_from(event, 1), data);
    struct str bytes = jr_get_str(jr_parse(&s->pool, data, &why), "bytes");
    if (!bytes.p)
        return 0; /* no chunk */
    char *text = arena_alloc(&s->pool, BASE64_MAX_BYTES(bytes.n));
    if (!text)
        return canon_no_room(s->c);
    ssize_t n = base64_decode(bytes, text);
    if (n < 0)
        return canon_bad_reply(s->c, "a chunk of its stream is not base64");
    return messages_read_event(s, STR_NONE, str_at(text, (size_t)n));
}

static void read_bedrock_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    wire_converse.read_error(c, status, type_field, body, ret);
}

const struct wire wire_messages_bedrock = {
    .id = WIRE_MESSAGES,
    .name = STR_INIT("anthropic messages on bedrock"),
    .maker = MAKER_ANTHROPIC,
    .framing = FRAMES_EVENTSTREAM,
    .stream_type = STR_INIT("application/vnd.amazon.eventstream"),
    .read_request = read_invoke,
    .write_request = write_bedrock,
    .read_reply = messages_read_reply,
    .write_reply = messages_write_reply,
    .read_event = read_chunk,
    .write_event = messages_write_event,
    .read_error = read_bedrock_error,
    .word_error = messages_word_error,
};

/* --- from one envelope into another --- */

static bool is_envelope(struct str key)
{
    static const struct str names[] = {STR_INIT("model"), STR_INIT("stream"),
        STR_INIT("anthropic_version"), STR_INIT("anthropic_beta")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i], key))
            return true;
    return false;
}

static void write_betas(struct jw *w, struct str betas)
{
    jw_key(w, "anthropic_beta");
    jw_open(w, '[');
    while (betas.p) {
        struct str beta = str_trim(str_split(&betas, ','));
        if (beta.n)
            jw_str(w, beta);
    }
    jw_close(w, ']');
}

void messages_write_envelope(const struct canon_call *c, enum messages_form form, struct jw *w)
{
    if (form == MESSAGES_VERTEX)
        jw_member_str(w, "anthropic_version", STR("vertex-2023-10-16"));
    else if (form == MESSAGES_BEDROCK)
        jw_member_str(w, "anthropic_version", STR("bedrock-2023-05-31"));
    else
        jw_member_str(w, "model", c->model);
    if (form == MESSAGES_BEDROCK && c->betas.n)
        write_betas(w, c->betas);
}

int messages_reform(
    struct canon_call *c, struct str body, enum messages_form to, bool stream, struct buf *out)
{
    struct jw w = {.out = out};
    struct str key, value;
    size_t at = json_inside(body);
    if (json_type_of(body) != JSON_OBJECT)
        return canon_fail(c, STR_NONE, "The body must be a JSON object.");
    jw_open(&w, '{');
    messages_write_envelope(c, to, &w);
    if (stream && to != MESSAGES_BEDROCK)
        jw_member_bool(&w, "stream", true);
    while (json_next(body, &at, &key, &value)) {
        if (is_envelope(key))
            continue;
        buf_addstr(out, STR(",\""));
        buf_addstr(out, key); /* as it was written, escapes and all */
        buf_addstr(out, STR("\":"));
        buf_addstr(out, value);
    }
    jw_close(&w, '}');
    return out->err ? canon_no_room(c) : 0;
}
