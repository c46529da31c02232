/*
 * The demo provider's front: the endpoint table of llm/ says which handler a path has. A call goes
 * body → directions → delay or fault → handler.
 */
#include "demo/demo.h"
#include "demo/demo_int.h"

#include "crypto/encode.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void (*const handlers[ENDPOINT_KINDS])(struct demo_call *c) = {
    [KIND_CHAT] = openai_chat,
    [KIND_COMPLETIONS] = openai_completions,
    [KIND_RESPONSES] = openai_responses,
    [KIND_RESPONSES_SUB] = openai_response_by_id,
    [KIND_RESPONSES_AUX] = openai_response_aux,
    [KIND_RESPONSES_WS] = openai_responses_ws,
    [KIND_CONVERSATIONS] = openai_conversations,
    [KIND_EMBEDDINGS] = openai_embeddings,
    [KIND_MODERATIONS] = openai_moderations,
    [KIND_MODELS] = demo_models,
    [KIND_MODEL] = demo_model,
    [KIND_TRANSCRIPTION] = openai_transcription,
    [KIND_SPEECH] = openai_speech,
    [KIND_IMAGES] = openai_images,
    [KIND_IMAGE_EDITS] = openai_images,
    [KIND_RERANK] = openai_rerank,
    [KIND_FILES] = demo_files,
    [KIND_UPLOADS] = openai_uploads,
    [KIND_BATCHES] = openai_batches,
    [KIND_REALTIME_WS] = openai_realtime_ws,
    [KIND_REALTIME] = openai_realtime,
    [KIND_MESSAGES] = anthropic_messages,
    [KIND_COUNT_TOKENS] = anthropic_count,
    [KIND_MESSAGE_BATCHES] = anthropic_batches,
    [KIND_COMPLETE] = anthropic_complete,
    [KIND_GENERATE] = gemini_generate,
    [KIND_STREAM_GENERATE] = gemini_generate,
    [KIND_GEMINI_COUNT] = gemini_count,
    [KIND_GEMINI_EMBED] = gemini_embed,
    [KIND_GEMINI_UPLOAD] = gemini_upload,
    [KIND_GEMINI_BATCHES] = gemini_batches,
    [KIND_GEMINI_OTHER] = gemini_other,
};

/* --- ids --- */

void put_id(struct demo_call *c, struct buf *out, const char *prefix)
{
    static const char hex[] = "0123456789abcdef";
    char text[16];
    for (unsigned i = 0; i < 16; i++)
        text[i] = hex[c->hash >> (60 - 4 * i) & 15];
    buf_addstr(out, str_of(prefix));
    buf_add(out, text, sizeof(text));
}

/* Stored objects are told apart by a count, so two equal requests make two of them. */
void new_id(const char *prefix, char out[static 48])
{
    static _Atomic uint64_t count;
    snprintf(out, 48, "%sdemo%020llu", prefix, (unsigned long long)atomic_fetch_add(&count, 1) + 1);
}

void demo_put_raw(struct demo_call *c, struct str value, const char *otherwise)
{
    buf_addstr(&c->out, value.p ? value : str_of(otherwise));
}

/* --- one call --- */

void call_init(struct demo_call *c, struct http_request *rq)
{
    memset(c, 0, sizeof(*c));
    c->rq = rq;
    c->model = STR("\"demo\"");
    directions_init(&c->dir);
    buf_init(&c->out, DEMO_OUT_MAX);
    buf_init(&c->model_text, 16 * KIB);
}

void call_free(struct demo_call *c)
{
    prompt_free(&c->prompt);
    answer_free(c->answer);
    gzip_free(c->gzip);
    form_free(c->form);
    buf_free(&c->out);
    buf_free(&c->model_text);
}

/* The path's model, decoded, as a JSON literal: Gemini, Azure deployments, models/{id}. */
static void model_from_path(struct demo_call *c)
{
    struct str raw = c->match.model;
    if (!raw.n)
        return;
    char *plain = malloc(raw.n);
    ptrdiff_t n = plain ? http_percent_decode(raw, plain) : -ENOMEM;
    if (n > 0 && buf_addjson(&c->model_text, str_at(plain, (size_t)n)) == 0)
        c->model = buf_str(&c->model_text);
    free(plain);
}

/* False: an error was sent. */
static bool body_in(struct demo_call *c)
{
    const struct endpoint *e = c->match.endpoint;
    model_from_path(c);
    if (c->rq->head.framing == HTTP_BODY_NONE && !(e->flags & EP_JSON))
        return true;
    int r = http_body_all(c->rq, LIMIT_BODY_BYTES, &c->body);
    if (r == -EMSGSIZE) {
        demo_error(c, 413, "The request is too large.");
        return false;
    }
    if (r < 0)
        return false;
    if (!(e->flags & EP_JSON)) {
        c->form = form_read(c);
        if (!c->form && json_inside(c->body))
            (void)request_parse(c);
        return true;
    }
    if (request_parse(c) < 0) {
        demo_error(c, 400, "The body is not a JSON object.");
        return false;
    }
    return true;
}

/* The answer of an endpoint that takes a prompt. */
static bool is_prompted(enum endpoint_kind k)
{
    return k == KIND_CHAT || k == KIND_COMPLETIONS || k == KIND_RESPONSES || k == KIND_MESSAGES ||
           k == KIND_COMPLETE || k == KIND_GENERATE || k == KIND_STREAM_GENERATE;
}

static void serve(struct demo_call *c)
{
    enum endpoint_kind kind = c->match.endpoint->kind;
    if (!body_in(c))
        return;
    prompt_read(c);
    if (!demo_ready(c))
        return;
    if (is_prompted(kind) && !(c->answer = answer_make(c))) {
        demo_error(c, 500, "Out of memory.");
        return;
    }
    handlers[kind](c);
}

static void demo_handle(struct http_request *rq, void *ctx)
{
    struct demo_call c;
    call_init(&c, rq);
    if (endpoint_find(&rq->head, &c.match, &c.dialect)) {
        serve(&c);
    } else {
        c.match.id = rq->head.path;
        demo_error(&c, c.match.allow ? 405 : 404,
            c.match.allow ? "Method not allowed."
                          : "Invalid URL. The demo provider has no such path.");
    }
    call_free(&c);
}

static void demo_render_error(
    struct buf *out, int status, struct str path, const char *why, void *ctx)
{
    buf_printf(out,
        "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\",\"param\":null,"
        "\"code\":null}}",
        why);
}

const struct http_handler demo_handler = {
    .handle = demo_handle,
    .render_error = demo_render_error,
};
