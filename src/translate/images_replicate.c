/*
 * Pictures by Replicate's predictions. Each model has inputs of its own; these are the names that
 * most of its pictures' models share (replicate.com, input schemas of the flux family). The output
 * is a URL or a list of them, or data URLs.
 */
#include "translate/images_int.h"

#include <errno.h>

static struct str version_of(struct str model)
{
    ptrdiff_t colon = str_chr(model, ':');

    if (colon >= 0)
        return str_from(model, (size_t)colon + 1);
    return str_chr(model, '/') < 0 ? model : STR_NONE;
}

int images_put_replicate(struct canon_call *c, const struct images_request *q, struct jw *w)
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
    r = images_put_ratio(c, q, "aspect_ratio", IMAGES_REPLICATE, w);
    if (q->format.n)
        jw_member_str(w, "output_format", str_eq(q->format, STR("jpeg")) ? STR("jpg") : q->format);
    if (q->compression >= 0)
        jw_member_int(w, "output_quality", q->compression);
    jw_member_raw(w, "seed", q->seed);
    jw_close(w, '}');
    return r == 0 && q->user.p ? canon_drop(c, STR("user"), "it has no equivalent there") : r;
}

static bool is_running(struct str status)
{
    return str_eq(status, STR("starting")) || str_eq(status, STR("processing")) ||
           str_eq(status, STR("queued"));
}

int images_read_replicate(struct canon_call *c, yyjson_val *root, struct images_reply *r)
{
    yyjson_val *output = yyjson_obj_get(root, "output"), *v;
    struct str status = jr_get_str(root, "status"), why = jr_get_str(root, "error");
    size_t i, max;
    int err = 0;

    if (is_running(status))
        return -EINPROGRESS;
    if (!str_eq(status, STR("succeeded"))) {
        canon_bad_reply(c, "the prediction failed");
        if (why.n)
            c->error->message = why;
        return -EREMOTEIO;
    }
    if (yyjson_is_str(output))
        return images_add(c, r, jr_str(output), STR_NONE);
    yyjson_arr_foreach(output, i, max, v)
    {
        if (err == 0)
            err = images_add(c, r, jr_str(v), STR_NONE);
    }
    return err;
}
