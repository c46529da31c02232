/*
 * Google Vertex AI: below a project and location, Gemini in its own dialect, Claude in Anthropic's
 * (rawPredict: the model stands in the path alone), and pictures by Imagen (predict). The
 * credential is an access token (VERTEXAI_API_KEY); assertions that fetch one are in
 * providers/gcp_token.c.
 */
#include "providers/quirks_int.h"

const struct str vertex_options[] = {
    STR_INIT("VERTEXAI_PROJECT"), STR_INIT("VERTEXAI_LOCATION"), STR_INIT("")};

/* Google's catalogue has publishers; names of Anthropic's begin so. */
bool vertex_face_fits(const struct provider_face *face, struct str model)
{
    return (face->dialect == DIALECT_ANTHROPIC) == str_starts(model, STR("claude-"));
}

static void put_raw_predict(const struct provider_asked *a, struct buf *out)
{
    buf_addstr(out, STR("/publishers/anthropic/models/"));
    put_encoded(out, a->model, "@");
    buf_addstr(out, a->stream ? STR(":streamRawPredict") : STR(":rawPredict"));
}

static void put_generate(const struct provider_asked *a, struct buf *out)
{
    struct str rest = a->match.rest, model = a->match.model;

    buf_addstr(out, STR("/publishers/google/models/"));
    put_encoded(out, a->model, "@");
    if (a->match.endpoint->kind == KIND_IMAGES) {
        buf_addstr(out, STR(":predict"));
        return;
    }
    buf_addstr(out, str_at(model.p + model.n, (size_t)(rest.p + rest.n - model.p - model.n)));
    target_query(a, out);
}

int vertex_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    const struct provider_asked *a, struct buf *out)
{
    if (!u->options[0].n)
        return exchange_fail(x, 503, STR("provider_not_configured"),
            STR("Vertex AI needs a project: set VERTEXAI_PROJECT."));
    buf_addstr(out, u->base_path);
    buf_addstr(out, STR("/v1/projects/"));
    put_encoded(out, u->options[0], "");
    buf_addstr(out, STR("/locations/"));
    put_encoded(out, u->options[1].n ? u->options[1] : STR("global"), "");
    if (face->dialect == DIALECT_ANTHROPIC)
        put_raw_predict(a, out);
    else
        put_generate(a, out);
    return 0;
}
