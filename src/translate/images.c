/* See images.h. Here is the client's side. */
#include "translate/images_int.h"

#include "base/macros.h"

#include <errno.h>

#define IMAGES_MAX 10

/* --- the client's request --- */

static int drop_others(struct canon_call *c, yyjson_val *root)
{
    static const char *const known[] = {"model", "prompt", "size", "n", "output_format",
        "output_compression", "response_format", "seed", "user", "stream", "partial_images"};

    return jr_drop_unknown(c, root, known, ARRAY_LEN(known), STR("auto"));
}

int images_read_request(struct canon_call *c, struct str body, struct images_request *q)
{
    yyjson_val *root = jr_client_object(c, body);
    int64_t n = 1;

    *q = (struct images_request){.n = 1, .compression = -1};
    if (!root)
        return -EREMOTEIO;
    q->model = jr_get_str(root, "model");
    q->prompt = jr_get_str(root, "prompt");
    q->size = jr_get_str(root, "size");
    q->format = jr_get_str(root, "output_format");
    q->wanted = jr_get_str(root, "response_format");
    q->stream = jr_get_bool(root, "stream", false);
    q->seed = jr_raw(c->arena, yyjson_obj_get(root, "seed"));
    q->user = jr_raw(c->arena, yyjson_obj_get(root, "user"));
    jr_get_int(root, "output_compression", &q->compression);
    if (!q->prompt.n)
        return canon_wrong(c, "prompt", "a text");
    if (yyjson_obj_get(root, "n") && !yyjson_is_null(yyjson_obj_get(root, "n")) &&
        (!jr_get_int(root, "n", &n) || n < 1 || n > IMAGES_MAX))
        return canon_wrong(c, "n", "a number from 1 to 10");
    q->n = (unsigned)n;
    return drop_others(c, root);
}

/* --- sizes --- */

/* "1536x1024" as width and height; false for "auto" and others. */
static bool read_size(struct str size, uint64_t *ret_w, uint64_t *ret_h)
{
    struct str h = size, w = str_split(&h, 'x');

    return h.p && str_u64(w, ret_w) == 0 && str_u64(h, ret_h) == 0 && *ret_w && *ret_h &&
           *ret_w <= 16384 && *ret_h <= 16384;
}

/* The nearest among the ratios that most models know, and more of Gemini's. */
static struct str nearest(enum images_form form, uint64_t w, uint64_t h)
{
    static const struct {
        struct str name;
        unsigned w, h;
        bool gemini_alone;
    } ratios[] = {
        {STR_INIT("1:1"), 1, 1, false},
        {STR_INIT("3:4"), 3, 4, false},
        {STR_INIT("4:3"), 4, 3, false},
        {STR_INIT("9:16"), 9, 16, false},
        {STR_INIT("16:9"), 16, 9, false},
        {STR_INIT("2:3"), 2, 3, true},
        {STR_INIT("3:2"), 3, 2, true},
        {STR_INIT("21:9"), 21, 9, true},
    };
    uint64_t least = UINT64_MAX;
    unsigned best = 0;

    for (unsigned i = 0; i < ARRAY_LEN(ratios); i++) {
        uint64_t a = w * ratios[i].h * 1000 / (h * ratios[i].w),
                 off = a > 1000 ? a - 1000 : 1000 - a;
        if (off >= least || (ratios[i].gemini_alone && form != IMAGES_GEMINI))
            continue;
        least = off;
        best = i;
    }
    return ratios[best].name;
}

bool images_has_size(const struct images_request *q)
{
    return q->size.n && !str_eq(q->size, STR("auto"));
}

/* All providers take a ratio; the number of pixels is the model's, for a square mostly 1024. */
int images_put_ratio(struct canon_call *c, const struct images_request *q, const char *name,
    enum images_form form, struct jw *w)
{
    uint64_t width, height;

    if (!images_has_size(q))
        return 0;
    if (!read_size(q->size, &width, &height))
        return canon_wrong(c, "size", "auto or WIDTHxHEIGHT");
    jw_member_str(w, name, nearest(form, width, height));
    return width == height && width == 1024 ? 0
                                            : canon_drop(c, STR("size"), "its ratio alone is kept");
}

/* --- forms --- */

static int put_form(
    struct canon_call *c, const struct images_request *q, enum images_form form, struct jw *w)
{
    switch (form) {
    case IMAGES_IMAGEN:
        return images_put_imagen(c, q, w);
    case IMAGES_GEMINI:
        return images_put_gemini(c, q, w);
    default:
        return images_put_replicate(c, q, w);
    }
}

int images_write_request(
    struct canon_call *c, const struct images_request *q, enum images_form form, struct buf *out)
{
    struct jw w = {.out = out};
    int r;

    jw_open(&w, '{');
    r = put_form(c, q, form, &w);
    jw_close(&w, '}');
    return r == 0 && out->err ? canon_no_room(c) : r;
}

static int read_form(
    struct canon_call *c, enum images_form form, yyjson_val *root, struct images_reply *r)
{
    switch (form) {
    case IMAGES_IMAGEN:
        return images_read_imagen(c, root, r);
    case IMAGES_GEMINI:
        return images_read_gemini(c, root, r);
    default:
        return images_read_replicate(c, root, r);
    }
}

/* Room for as many pictures as the reply can hold. */
static size_t most_images(yyjson_val *root)
{
    yyjson_val *one = yyjson_arr_get_first(yyjson_obj_get(root, "candidates"));
    const size_t counts[] = {yyjson_arr_size(yyjson_obj_get(root, "predictions")),
        yyjson_arr_size(yyjson_obj_get(root, "output")),
        yyjson_arr_size(yyjson_obj_get(yyjson_obj_get(one, "content"), "parts"))};
    size_t most = 1; /* an output that is no list */

    for (unsigned i = 0; i < ARRAY_LEN(counts); i++)
        most = MAX(most, counts[i]);
    return most;
}

int images_read_reply(
    struct canon_call *c, enum images_form form, struct str body, struct images_reply *r)
{
    const char *why = "it is no object";
    yyjson_val *root = jr_parse(c->arena, body, &why);
    int err;

    *r = (struct images_reply){0};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, why);
    r->images = arena_alloc(c->arena, most_images(root) * sizeof(*r->images));
    if (!r->images)
        return canon_no_room(c);
    if ((err = read_form(c, form, root, r)) < 0)
        return err;
    r->usage.images = r->images_n;
    r->usage.source = USAGE_REPORTED;
    return r->images_n || r->filtered_n ? 0 : canon_bad_reply(c, "it has no pictures");
}

int images_add(struct canon_call *c, struct images_reply *r, struct str text, struct str mime)
{
    struct images_one *one = &r->images[r->images_n++];
    struct canon_media media = {0};

    *one = (struct images_one){.mime = mime};
    if (mime.p) {
        one->base64 = text;
    } else if (canon_data_url(text, &media)) {
        one->base64 = media.data;
        one->mime = media.mime;
    } else if (str_starts(text, STR("https://")) || str_starts(text, STR("http://"))) {
        one->url = text;
    } else {
        return canon_bad_reply(c, "an output is no picture");
    }
    return 0;
}

/* --- the client's reply --- */

/* The words of OpenAI's own refusal. */
static int refuse(struct canon_call *c)
{
    *c->error = (struct error){.status = 400,
        .code = STR("content_policy_violation"),
        .type = STR("invalid_request_error"),
        .message = STR("All pictures were kept back by the provider's safety filter."),
        .param = STR("prompt")};
    return -EREMOTEIO;
}

/* "png" of "image/png"; p NULL where it is not known. */
static struct str format_of(const struct images_one *one)
{
    return str_starts(one->mime, STR("image/")) ? str_from(one->mime, 6) : STR_NONE;
}

/* As OpenAI's models that are billed by tokens say it. */
static void put_usage(struct jw *w, const struct usage *u)
{
    uint64_t in = usage_input_total(u), out = usage_output_total(u);

    if (!in && !out)
        return;
    jw_key(w, "usage");
    jw_open(w, '{');
    jw_member_int(w, "input_tokens", (int64_t)in);
    jw_key(w, "input_tokens_details");
    jw_open(w, '{');
    jw_member_int(w, "image_tokens", 0);
    jw_member_int(w, "text_tokens", (int64_t)in);
    jw_close(w, '}');
    jw_member_int(w, "output_tokens", (int64_t)out);
    jw_member_int(w, "total_tokens", (int64_t)(in + out));
    jw_close(w, '}');
}

static void put_image(struct jw *w, const struct images_one *one)
{
    jw_member_str(w, "b64_json", one->base64);
    jw_member_str(w, "url", one->url);
}

static void put_whole(struct canon_call *c, const struct images_reply *r, struct buf *out)
{
    struct jw w = {.out = out};

    jw_open(&w, '{');
    jw_member_int(&w, "created", c->now);
    jw_key(&w, "data");
    jw_open(&w, '[');
    for (unsigned i = 0; i < r->images_n; i++) {
        jw_open(&w, '{');
        put_image(&w, &r->images[i]);
        jw_member_str(&w, "revised_prompt", r->images[i].revised_prompt);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_member_str(&w, "output_format", format_of(&r->images[0]));
    put_usage(&w, &r->usage);
    jw_close(&w, '}');
}

/* The events of a stream whose pictures come whole (openai-python 3.54,
 * types/image_gen_completed_event.py). */
static void put_event(struct canon_call *c, const struct images_request *q,
    const struct images_one *one, const struct usage *u, struct buf *out)
{
    struct jw w = {.out = out};

    buf_addstr(out, STR("event: image_generation.completed\ndata: "));
    jw_open(&w, '{');
    jw_member_str(&w, "type", STR("image_generation.completed"));
    put_image(&w, one);
    jw_member_int(&w, "created_at", c->now);
    jw_member_str(&w, "size", images_has_size(q) ? q->size : STR("auto"));
    jw_member_str(&w, "quality", STR("auto"));
    jw_member_str(&w, "background", STR("auto"));
    jw_member_str(&w, "output_format", format_of(one));
    if (u)
        put_usage(&w, u);
    jw_close(&w, '}');
    buf_addstr(out, STR("\n\n"));
}

struct str images_reply_type(const struct images_request *q)
{
    return q->stream ? STR("text/event-stream") : STR("application/json");
}

int images_write_reply(struct canon_call *c, const struct images_request *q,
    const struct images_reply *r, struct buf *out)
{
    if (!r->images_n)
        return refuse(c);
    if (str_eq(q->wanted, STR("b64_json")) && !r->images[0].base64.p) {
        int e = canon_drop(c, STR("response_format"), "pictures come as URLs");
        if (e < 0)
            return e;
    }
    for (unsigned i = 0; q->stream && i < r->images_n; i++)
        put_event(c, q, &r->images[i], i + 1 == r->images_n ? &r->usage : NULL, out);
    if (!q->stream)
        put_whole(c, r, out);
    return out->err ? canon_no_room(c) : 0;
}
