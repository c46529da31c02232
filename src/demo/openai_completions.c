/*
 * POST /completions: the older form, with one text a choice.
 */
#include "demo/openai_int.h"

/* "logprobs": a number asks for the four parallel lists. */
static void put_lists(struct demo_call *c, struct str text)
{
    if (c->fields[F_LOGPROBS].type != JSON_NUMBER || !text.n) {
        put(c, "null");
        return;
    }
    put(c, "{\"tokens\":[");
    put_json(c, text);
    put(c, "],\"token_logprobs\":[-0.125],\"top_logprobs\":[{}],\"text_offset\":[0]}");
}

static void put_choice(struct demo_call *c, unsigned i, struct str text, struct str finish)
{
    putf(c, "{\"text\":");
    put_json(c, text);
    putf(c, ",\"index\":%u,\"logprobs\":", i);
    put_lists(c, text);
    put(c, ",\"finish_reason\":");
    put_str(c, finish);
    put(c, "}");
}

static bool stream_choice(struct demo_call *c, unsigned i, struct str text, struct str finish)
{
    put(c, "data: ");
    openai_head(c, &c->out, "cmpl-", "text_completion");
    put(c, ",\"choices\":[");
    put_choice(c, i, text, finish);
    put_str(c, field_true(c, F_INCLUDE_USAGE) && !c->dir.no_usage ? STR("],\"usage\":null}\n\n")
                                                                  : STR("]}\n\n"));
    return demo_event(c);
}

static bool stream_texts(struct demo_call *c, unsigned n)
{
    struct str rest = buf_str(&c->answer->text);
    size_t pieces = c->answer->pieces;
    uint64_t words = count_words(rest);
    while (rest.n) {
        struct str piece = answer_piece(&rest, &words, &pieces);
        for (unsigned i = 0; i < n; i++)
            if (!stream_choice(c, i, piece, STR("null")))
                return false;
    }
    for (unsigned i = 0; i < n; i++)
        if (!stream_choice(c, i, STR(""), openai_finish(c->answer)))
            return false;
    return true;
}

static void stream_all(struct demo_call *c, unsigned n)
{
    demo_stream_begin(c, STR("text/event-stream"), STREAM_CHAT);
    bool on = stream_texts(c, n);
    if (on && field_true(c, F_INCLUDE_USAGE) && !c->dir.no_usage) {
        put(c, "data: ");
        openai_head(c, &c->out, "cmpl-", "text_completion");
        put(c, ",\"choices\":[],\"usage\":");
        openai_usage(c);
        put(c, "}\n\n");
        on = demo_event(c);
    }
    if (on)
        put(c, "data: [DONE]\n\n");
    demo_stream_end(c);
}

void openai_completions(struct demo_call *c)
{
    unsigned n = (unsigned)openai_choices(c);
    if (field_true(c, F_STREAM)) {
        stream_all(c, n);
        return;
    }
    openai_head(c, &c->out, "cmpl-", "text_completion");
    put(c, ",\"choices\":[");
    for (unsigned i = 0; i < n; i++) {
        put_str(c, i ? STR(",") : STR(""));
        put_choice(c, i, buf_str(&c->answer->text), openai_finish(c->answer));
    }
    put(c, "],\"system_fingerprint\":\"fp_demo\"");
    if (!c->dir.no_usage) {
        put(c, ",\"usage\":");
        openai_usage(c);
    }
    put(c, "}");
    demo_json(c);
}
