/*
 * Images: generations (JSON), edits and variations (forms). Every image is one white pixel.
 */
#include "demo/openai_int.h"

#define PIXEL                                                                                      \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg" \
    "gg=="

/* A parameter of the JSON body or of the form, without quotes. */
static struct str parameter(struct demo_call *c, struct str name)
{
    if (c->form)
        return form_value(c->form, name);
    struct str v = json_find(c->body, name);
    return json_type_of(v) == JSON_STRING ? unquoted(v) : v;
}

static void put_image_usage(struct demo_call *c)
{
    unsigned long long in = MAX(c->prompt.words, (uint64_t)1), out = 10;
    if (c->dir.usage_in >= 0)
        in = (unsigned long long)c->dir.usage_in;
    if (c->dir.usage_out >= 0)
        out = (unsigned long long)c->dir.usage_out;
    putf(c,
        "\"usage\":{\"input_tokens\":%llu,\"input_tokens_details\":{\"image_tokens\":0,"
        "\"text_tokens\":%llu},\"output_tokens\":%llu,\"output_tokens_details\":{"
        "\"image_tokens\":%llu,\"text_tokens\":0},\"total_tokens\":%llu}",
        in, in, out, out, in + out);
}

static bool image_event(struct demo_call *c, const char *kind, const char *step, int partial)
{
    putf(c, "event: %s.%s\ndata: {\"type\":\"%s.%s\",\"b64_json\":\"" PIXEL "\"", kind, step, kind,
        step);
    putf(c,
        ",\"created_at\":%d,\"size\":\"1024x1024\",\"quality\":\"low\",\"background\":\"opaque\","
        "\"output_format\":\"png\"",
        DEMO_CREATED);
    if (partial >= 0) {
        putf(c, ",\"partial_image_index\":%d", partial);
    } else if (!c->dir.no_usage) {
        put(c, ",");
        put_image_usage(c);
    }
    put(c, "}\n\n");
    return demo_event(c);
}

static void stream_images(struct demo_call *c, const char *kind)
{
    uint64_t partials = value_u64(parameter(c, STR("partial_images")), 0);
    bool on = true;
    demo_stream_begin(c, STR("text/event-stream"), STREAM_OTHER);
    for (int i = 0; on && i < (int)MIN(partials, (uint64_t)3); i++)
        on = image_event(c, kind, "partial_image", i);
    if (on)
        (void)image_event(c, kind, "completed", -1);
    demo_stream_end(c);
}

void openai_images(struct demo_call *c)
{
    uint64_t n = MAX(MIN(value_u64(parameter(c, STR("n")), 1), (uint64_t)10), (uint64_t)1);
    bool edit = c->match.endpoint->kind == KIND_IMAGE_EDITS;
    if (edit && !c->is_json && !form_file(c->form)) {
        demo_error(c, 400, "A multipart form with an 'image' is required.");
        return;
    }
    if (str_eq(parameter(c, STR("stream")), STR("true"))) {
        stream_images(c, edit ? "image_edit" : "image_generation");
        return;
    }
    bool url = str_eq(parameter(c, STR("response_format")), STR("url"));
    putf(c, "{\"created\":%d,\"data\":[", DEMO_CREATED);
    for (unsigned i = 0; i < n; i++) {
        put_str(c, i ? STR(",") : STR(""));
        put_str(c, url ? STR("{\"url\":\"https://demo.invalid/image.png\"}")
                       : STR("{\"b64_json\":\"" PIXEL "\"}"));
    }
    put(c, "],\"background\":\"opaque\",\"output_format\":\"png\",\"quality\":\"low\","
           "\"size\":\"1024x1024\"");
    if (!c->dir.no_usage) {
        put(c, ",");
        put_image_usage(c);
    }
    put(c, "}");
    demo_json(c);
}
