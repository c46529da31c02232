/*
 * Pictures by Google's models, in two ways (google-genai 1.60 and 3.4, models.py):
 *
 *   Imagen  :predict         {"instances":[{"prompt"}],"parameters":{"sampleCount",…}}
 *   Gemini  :generateContent with responseModalities; pictures are parts of the answer
 *
 * Vertex AI's Imagen takes a seed, the Gemini API's does not. A model that answers in texts, too,
 * may say why it made no picture.
 */
#include "translate/images_int.h"

#include "translate/gemini_int.h"

#include <errno.h>

#define IMAGEN_MAX 4 /* pictures in a call */

/* --- requests --- */

/* What neither takes. */
static int drop_common(struct canon_call *c, const struct images_request *q)
{
    int r = 0;

    if (str_eq(q->wanted, STR("url")))
        r = canon_drop(c, STR("response_format"), "pictures come as bytes");
    return r == 0 && q->user.p ? canon_drop(c, STR("user"), "it has no equivalent there") : r;
}

static int put_output(struct canon_call *c, const struct images_request *q, struct jw *w)
{
    if (!str_eq(q->format, STR("jpeg"))) {
        int r = 0;
        if (q->format.n && !str_eq(q->format, STR("png")))
            r = canon_drop(c, STR("output_format"), "it is png or jpeg there");
        return r == 0 && q->compression >= 0
                   ? canon_drop(c, STR("output_compression"), "only jpeg is compressed")
                   : r;
    }
    jw_key(w, "outputOptions");
    jw_open(w, '{');
    jw_member_str(w, "mimeType", STR("image/jpeg"));
    if (q->compression >= 0)
        jw_member_int(w, "compressionQuality", q->compression);
    jw_close(w, '}');
    return 0;
}

static int put_seed(struct canon_call *c, const struct images_request *q, struct jw *w)
{
    if (!q->seed.p)
        return 0;
    if (!str_eq(c->provider, STR("vertex")))
        return canon_drop(c, STR("seed"), "the Gemini API's Imagen takes none");
    jw_member_raw(w, "seed", q->seed);
    jw_member_bool(w, "addWatermark", false); /* with one there is no seed */
    return 0;
}

int images_put_imagen(struct canon_call *c, const struct images_request *q, struct jw *w)
{
    int r;

    if (q->n > IMAGEN_MAX)
        return canon_wrong(c, "n", "a number from 1 to 4 for this model");
    jw_key(w, "instances");
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member_str(w, "prompt", q->prompt);
    jw_close(w, '}');
    jw_close(w, ']');
    jw_key(w, "parameters");
    jw_open(w, '{');
    jw_member_int(w, "sampleCount", q->n);
    r = images_put_ratio(c, q, "aspectRatio", IMAGES_IMAGEN, w);
    if (r == 0)
        r = put_output(c, q, w);
    if (r == 0)
        r = put_seed(c, q, w);
    jw_close(w, '}');
    return r < 0 ? r : drop_common(c, q);
}

/* Text has to be allowed, too: the older of its models refuse pictures alone. */
static int put_config(struct canon_call *c, const struct images_request *q, struct jw *w)
{
    int r = 0;

    jw_key(w, "generationConfig");
    jw_open(w, '{');
    jw_key(w, "responseModalities");
    jw_raw(w, STR("[\"TEXT\",\"IMAGE\"]"));
    jw_member_raw(w, "seed", q->seed);
    if (images_has_size(q)) {
        jw_key(w, "imageConfig");
        jw_open(w, '{');
        r = images_put_ratio(c, q, "aspectRatio", IMAGES_GEMINI, w);
        jw_close(w, '}');
    }
    jw_close(w, '}');
    return r;
}

int images_put_gemini(struct canon_call *c, const struct images_request *q, struct jw *w)
{
    int r;

    if (q->n > 1)
        return canon_wrong(c, "n", "1 for this model, which makes one picture a call");
    gm_write_text(w, q->prompt);
    r = put_config(c, q, w);
    if (r == 0 && q->format.n && !str_eq(q->format, STR("png")))
        r = canon_drop(c, STR("output_format"), "the model decides");
    if (r == 0 && q->compression >= 0)
        r = canon_drop(c, STR("output_compression"), "the model decides");
    return r < 0 ? r : drop_common(c, q);
}

/* --- replies --- */

int images_read_imagen(struct canon_call *c, yyjson_val *root, struct images_reply *r)
{
    yyjson_val *list = yyjson_obj_get(root, "predictions"), *v;
    size_t i, max;
    int err = 0;

    yyjson_arr_foreach(list, i, max, v)
    {
        struct str data = jr_get_str(v, "bytesBase64Encoded"), mime = jr_get_str(v, "mimeType");
        if (!data.p) {
            r->filtered_n += jr_get_str(v, "raiFilteredReason").p != NULL;
            continue;
        }
        if (err == 0)
            err = images_add(c, r, data, mime.n ? mime : STR("image/png"));
        if (err == 0)
            r->images[r->images_n - 1].revised_prompt = jr_get_str(v, "prompt");
    }
    return err;
}

/* The pictures of an answer, but those that it made while it thought. */
static int read_parts(
    struct canon_call *c, yyjson_val *parts, struct images_reply *r, struct str *text)
{
    yyjson_val *v;
    size_t i, max;
    int err = 0;

    yyjson_arr_foreach(parts, i, max, v)
    {
        yyjson_val *data = yyjson_obj_get(v, "inlineData");
        struct str mime = jr_get_str(data, "mimeType");
        if (jr_get_bool(v, "thought", false))
            continue;
        if (jr_get_str(v, "text").n)
            *text = jr_get_str(v, "text");
        if (err == 0 && jr_get_str(data, "data").n && str_starts(mime, STR("image/")))
            err = images_add(c, r, jr_get_str(data, "data"), mime);
    }
    return err;
}

/* No picture: its filter, or what it said instead. */
static int made_none(struct canon_call *c, struct str finish, struct str text)
{
    if (gm_finish_of(finish) == FINISH_FILTER)
        return 0;
    canon_bad_reply(c, "it has no pictures");
    if (text.n)
        c->error->message =
            arena_printf(c->arena, "The model made no picture. It says: " STR_FMT, STR_ARG(text));
    return -EREMOTEIO;
}

int images_read_gemini(struct canon_call *c, yyjson_val *root, struct images_reply *r)
{
    yyjson_val *one = yyjson_arr_get_first(yyjson_obj_get(root, "candidates"));
    struct str text = STR_NONE, finish = jr_get_str(one, "finishReason");
    int err = read_parts(c, yyjson_obj_get(yyjson_obj_get(one, "content"), "parts"), r, &text);

    gm_read_usage(yyjson_obj_get(root, "usageMetadata"), &r->usage);
    if (err < 0 || r->images_n)
        return err;
    if (!gm_block_reason(root).n && (err = made_none(c, finish, text)) < 0)
        return err;
    r->filtered_n = 1;
    return 0;
}
