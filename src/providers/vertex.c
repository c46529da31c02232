/*
 * Google Vertex AI: Gemini's dialect below a project and location. The credential is an access
 * token (VERTEXAI_API_KEY); assertions that fetch one are in providers/gcp_token.c.
 */
#include "providers/quirks_int.h"

const struct str vertex_options[] = {
    STR_INIT("VERTEXAI_PROJECT"), STR_INIT("VERTEXAI_LOCATION"), STR_INIT("")};
const struct str bedrock_options[] = {STR_INIT("AWS_SECRET_ACCESS_KEY"), STR_INIT("AWS_REGION"),
    STR_INIT("AWS_SESSION_TOKEN"), STR_INIT("")};

int vertex_target(
    const struct upstream *u, const struct provider_face *face, struct exchange *x, struct buf *out)
{
    struct str rest = x->match.rest, model = x->match.model;
    (void)face;

    if (!u->options[0].n)
        return exchange_fail(x, 503, STR("provider_not_configured"),
            STR("Vertex AI needs a project: set VERTEXAI_PROJECT."));
    buf_addstr(out, u->base_path);
    buf_addstr(out, STR("/v1/projects/"));
    put_encoded(out, u->options[0], "");
    buf_addstr(out, STR("/locations/"));
    put_encoded(out, u->options[1].n ? u->options[1] : STR("global"), "");
    buf_addstr(out, STR("/publishers/google/models/"));
    put_encoded(out, x->model, "@");
    buf_addstr(out, str_at(model.p + model.n, (size_t)(rest.p + rest.n - model.p - model.n)));
    target_query(x, out);
    return 0;
}
