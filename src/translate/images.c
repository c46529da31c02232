/* See images.h. */
#include "translate/images.h"

#include "base/macros.h"
#include "translate/jw.h"

#include <errno.h>

#define IMAGES_MAX 10

static int wrong(struct canon_call *c, const char *name, const char *what)
{
    return canon_fail(c, str_of(name), "%s has to be %s.", name, what);
}

/* --- the client's request --- */

static int drop_others(struct canon_call *c, yyjson_val *root)
{
    static const char *const known[] = {"model", "prompt", "size", "n", "output_format",
        "output_compression", "response_format", "seed", "user"};
    yyjson_val *key, *v;
    size_t i, max;
    int r = 0;

    yyjson_obj_foreach(root, i, max, key, v)
    {
        bool is_known = yyjson_is_null(v);
        for (unsigned k = 0; k < ARRAY_LEN(known); k++)
            is_known |= str_eq(jr_str(key), str_of(known[k]));
        if (!is_known && r == 0)
            r = canon_drop(c, jr_str(key), "it is not known there");
    }
    return r;
}

int images_read_request(struct canon_call *c, struct str body, struct images_request *q)
{
    const char *why = "no JSON";
    yyjson_val *root = jr_parse(c->arena, body, &why);
    int64_t n = 1;

    *q = (struct images_request){.n = 1, .compression = -1};
    if (!yyjson_is_obj(root))
        return canon_fail(c, STR_NONE, "The body is no JSON object.");
    q->model = jr_get_str(root, "model");
    q->prompt = jr_get_str(root, "prompt");
    q->size = jr_get_str(root, "size");
    q->format = jr_get_str(root, "output_format");
    q->wants_url = str_eq(jr_get_str(root, "response_format"), STR("url"));
    q->seed = jr_raw(c->arena, yyjson_obj_get(root, "seed"));
    q->user = jr_raw(c->arena, yyjson_obj_get(root, "user"));
    jr_get_int(root, "output_compression", &q->compression);
    if (!q->prompt.n)
        return wrong(c, "prompt", "a text");
    if (yyjson_obj_get(root, "n") && !yyjson_is_null(yyjson_obj_get(root, "n")) &&
        (!jr_get_int(root, "n", &n) || n < 1 || n > IMAGES_MAX))
        return wrong(c, "n", "a number from 1 to 10");
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

/* The ratio that is nearest to a size, among those that both providers know. */
static struct str ratio_of(uint64_t w, uint64_t h)
{
    static const struct {
        struct str name;
        uint64_t w, h;
    } ratios[] = {
        {STR_INIT("1:1"), 1, 1},
        {STR_INIT("3:4"), 3, 4},
        {STR_INIT("4:3"), 4, 3},
        {STR_INIT("9:16"), 9, 16},
        {STR_INIT("16:9"), 16, 9},
    };
    unsigned best = 0;
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < ARRAY_LEN(ratios); i++) {
        uint64_t a = w * ratios[i].h * 1000 / (h * ratios[i].w),
                 off = a > 1000 ? a - 1000 : 1000 - a;
        if (off < least) {
            least = off;
            best = i;
        }
    }
    return ratios[best].name;
}

/* Both providers take a ratio; the number of pixels is the model's. */
static int put_ratio(
    struct canon_call *c, const struct images_request *q, const char *name, struct jw *w)
{
    uint64_t width, height;

    if (!q->size.n || str_eq(q->size, STR("auto")))
        return 0;
    if (!read_size(q->size, &width, &height))
        return wrong(c, "size", "auto or WIDTHxHEIGHT");
    jw_member_str(w, name, ratio_of(width, height));
    return width == height && width == 1024 ? 0
                                            : canon_drop(c, STR("size"), "its ratio alone is kept");
}

/* --- the provider's request --- */

static int put_imagen(struct canon_call *c, const struct images_request *q, struct jw *w)
{
    bool jpeg = str_eq(q->format, STR("jpeg"));
    int r;

    jw_key(w, "instances");
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member_str(w, "prompt", q->prompt);
    jw_close(w, '}');
    jw_close(w, ']');
    jw_key(w, "parameters");
    jw_open(w, '{');
    jw_member_int(w, "sampleCount", q->n);
    r = put_ratio(c, q, "aspectRatio", w);
    if (r == 0 && q->format.n && !jpeg && !str_eq(q->format, STR("png")))
        r = canon_drop(c, STR("output_format"), "it is png or jpeg there");
    if (jpeg) {
        jw_key(w, "outputOptions");
        jw_open(w, '{');
        jw_member_str(w, "mimeType", STR("image/jpeg"));
        if (q->compression >= 0)
            jw_member_int(w, "compressionQuality", q->compression);
        jw_close(w, '}');
    } else if (r == 0 && q->compression >= 0) {
        r = canon_drop(c, STR("output_compression"), "only jpeg is compressed");
    }
    if (q->seed.p) { /* a seed needs the watermark off */
        jw_member_raw(w, "seed", q->seed);
        jw_member_bool(w, "addWatermark", false);
    }
    jw_close(w, '}');
    if (r == 0 && q->wants_url)
        r = canon_drop(c, STR("response_format"), "pictures come as bytes");
    return r == 0 && q->user.p ? canon_drop(c, STR("user"), "it has no equivalent there") : r;
}

static struct str version_of(struct str model)
{
    ptrdiff_t colon = str_chr(model, ':');

    if (colon >= 0)
        return str_from(model, (size_t)colon + 1);
    return str_chr(model, '/') < 0 ? model : STR_NONE;
}

static int put_replicate(struct canon_call *c, const struct images_request *q, struct jw *w)
{
    struct str version = version_of(c->model);
    int r;

    if (version.n)
        jw_member_str(w, "version", version);
    jw_key(w, "input");
    jw_open(w, '{');
    jw_member_str(w, "prompt", q->prompt);
    if (q->n > 1)
        jw_member_int(w, "num_outputs", q->n);
    r = put_ratio(c, q, "aspect_ratio", w);
    if (q->format.n)
        jw_member_str(w, "output_format", str_eq(q->format, STR("jpeg")) ? STR("jpg") : q->format);
    if (q->compression >= 0)
        jw_member_int(w, "output_quality", q->compression);
    jw_member_raw(w, "seed", q->seed);
    jw_close(w, '}');
    return r == 0 && q->user.p ? canon_drop(c, STR("user"), "it has no equivalent there") : r;
}

int images_write_request(
    struct canon_call *c, const struct images_request *q, enum images_form form, struct buf *out)
{
    struct jw w = {.out = out};
    int r;

    jw_open(&w, '{');
    r = form == IMAGES_IMAGEN ? put_imagen(c, q, &w) : put_replicate(c, q, &w);
    jw_close(&w, '}');
    return r == 0 && out->err ? canon_no_room(c) : r;
}

/* --- replies --- */

static int add_image(struct canon_call *c, struct images_reply *r, struct str text, struct str mime)
{
    struct images_one *one = &r->images[r->images_n++];
    struct canon_media media = {0};

    *one = (struct images_one){.mime = mime};
    if (canon_data_url(text, &media)) {
        one->base64 = media.data;
        one->mime = media.mime;
    } else if (str_starts(text, STR("https://")) || str_starts(text, STR("http://"))) {
        one->url = text;
    } else if (mime.p) {
        one->base64 = text;
    } else {
        return canon_bad_reply(c, "an output is no picture");
    }
    return 0;
}

static int read_imagen(struct canon_call *c, yyjson_val *root, struct images_reply *r)
{
    yyjson_val *list = yyjson_obj_get(root, "predictions"), *v;
    size_t i, max;
    int err = 0;

    yyjson_arr_foreach(list, i, max, v)
    {
        struct str data = jr_get_str(v, "bytesBase64Encoded");
        if (!data.p) {
            r->filtered_n += jr_get_str(v, "raiFilteredReason").p != NULL;
            continue;
        }
        if (err == 0)
            err = add_image(c, r, data, STR("image/png"));
        if (err < 0)
            continue;
        struct str mime = jr_get_str(v, "mimeType"), prompt = jr_get_str(v, "prompt");
        if (mime.n)
            r->images[r->images_n - 1].mime = mime;
        r->images[r->images_n - 1].revised_prompt = prompt;
    }
    return err;
}

static int read_replicate(struct canon_call *c, yyjson_val *root, struct images_reply *r)
{
    yyjson_val *output = yyjson_obj_get(root, "output"), *v;
    struct str status = jr_get_str(root, "status"), why = jr_get_str(root, "error");
    size_t i, max;
    int err = 0;

    if (str_eq(status, STR("starting")) || str_eq(status, STR("processing")) ||
        str_eq(status, STR("queued")))
        return -EINPROGRESS;
    if (!str_eq(status, STR("succeeded"))) {
        canon_bad_reply(c, "the prediction failed");
        if (why.n)
            c->error->message = why;
        return -EREMOTEIO;
    }
    if (yyjson_is_str(output))
        return add_image(c, r, jr_str(output), STR_NONE);
    yyjson_arr_foreach(output, i, max, v)
    {
        if (err == 0)
            err = add_image(c, r, jr_str(v), STR_NONE);
    }
    return err;
}

/* Room for as many pictures as the reply can hold. */
static size_t most_images(yyjson_val *root)
{
    size_t a = yyjson_arr_size(yyjson_obj_get(root, "predictions"));
    size_t b = yyjson_arr_size(yyjson_obj_get(root, "output"));

    return MAX(a, b) + 1;
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
    err = form == IMAGES_IMAGEN ? read_imagen(c, root, r) : read_replicate(c, root, r);
    if (err == 0 && !r->images_n && !r->filtered_n)
        return canon_bad_reply(c, "it has no pictures");
    return err;
}

int images_write_reply(struct canon_call *c, const struct images_reply *r, struct buf *out)
{
    struct jw w = {.out = out};

    if (!r->images_n) { /* the words of OpenAI's own refusal */
        *c->error = (struct error){.status = 400,
            .code = STR("content_policy_violation"),
            .type = STR("invalid_request_error"),
            .message = STR("All pictures were kept back by the provider's safety filter."),
            .param = STR("prompt")};
        return -EREMOTEIO;
    }
    jw_open(&w, '{');
    jw_member_int(&w, "created", c->now);
    jw_key(&w, "data");
    jw_open(&w, '[');
    for (unsigned i = 0; i < r->images_n; i++) {
        jw_open(&w, '{');
        jw_member_str(&w, "b64_json", r->images[i].base64);
        jw_member_str(&w, "url", r->images[i].url);
        jw_member_str(&w, "revised_prompt", r->images[i].revised_prompt);
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    return out->err ? canon_no_room(c) : 0;
}
