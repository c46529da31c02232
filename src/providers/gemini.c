/*
 * Google Gemini, and Imagen beside it. The version segment is the client's own (v1, v1beta,
 * v1alpha). A key that is wrong, expired or deleted is answered with 400, and only a detail of the
 * error tells that from a faulty request.
 */
#include "providers/quirks_int.h"
#include "json/scan.h"

/* Chunks of a resumable upload go where the reply to its start said; else it is a start. */
static void upload_target(const struct upstream *u, const struct provider_asked *a, struct buf *out)
{
    buf_addstr(out, u->base_path);
    if (a->upload_target.n) {
        buf_addstr(out, a->upload_target);
        return;
    }
    buf_addc(out, '/');
    if (str_eq(a->match.rest, STR("upload/files"))) { /* the version stood before it */
        buf_addstr(out, STR("upload/"));
        buf_addstr(out, a->match.version.n ? a->match.version : STR("v1beta"));
        buf_addstr(out, STR("/files"));
    } else {
        target_rest(a, out);
    }
    target_query(a, out);
}

int gemini_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    const struct provider_asked *a, struct buf *out)
{
    if (face->dialect != DIALECT_GEMINI) {
        target_path(u, face->prefix, a, out);
        target_query(a, out);
        return 0;
    }
    if (a->match.endpoint->kind == KIND_GEMINI_UPLOAD) {
        upload_target(u, a, out);
        return 0;
    }
    if (a->match.endpoint->kind == KIND_IMAGES) {
        buf_addstr(out, u->base_path);
        buf_addstr(out, face->prefix);
        buf_addstr(out, STR("/v1beta/models/"));
        put_encoded(out, a->model, "");
        buf_addstr(out, STR(":predict"));
        return 0;
    }
    buf_addstr(out, u->base_path);
    buf_addstr(out, face->prefix);
    buf_addc(out, '/');
    buf_addstr(out, a->match.version.n ? a->match.version : STR("v1beta"));
    buf_addc(out, '/');
    target_rest(a, out);
    target_query(a, out);
    return 0;
}

/* The face for OpenAI's dialect wraps the error in an array. */
static struct str error_of(struct str body)
{
    struct str key, first = body;
    size_t at = json_inside(body);

    if (json_type_of(body) == JSON_ARRAY && !json_next(body, &at, &key, &first))
        return STR_NONE;
    return json_find(first, STR("error"));
}

bool gemini_refused_key(int status, struct str body)
{
    struct json_error e;
    enum json_type top;
    struct str details, key, detail;

    if (status != 400 || json_scan(body, NULL, NULL, 0, &top, &e) < 0)
        return false;
    details = json_find(error_of(str_trim(body)), STR("details"));
    if (json_type_of(details) != JSON_ARRAY)
        return false;
    for (size_t at = json_inside(details); json_next(details, &at, &key, &detail);)
        if (str_eq(json_find(detail, STR("reason")), STR("\"API_KEY_INVALID\"")))
            return true;
    return false;
}
