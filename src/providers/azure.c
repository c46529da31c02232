/*
 * Azure OpenAI: the model is a deployment and stands in the path; the API version in the query.
 * A client that speaks Azure's paths itself keeps its own version. Without AZURE_API_VERSION the
 * newer /openai/v1 surface is used, which has the model in the body like OpenAI's.
 */
#include "providers/quirks_int.h"

const struct str azure_options[] = {STR_INIT("AZURE_API_VERSION"), STR_INIT("")};

/* The operations that Azure serves below a deployment. */
static bool by_deployment(enum endpoint_kind k)
{
    const uint64_t kinds = KIND_BIT(KIND_CHAT) | KIND_BIT(KIND_COMPLETIONS) |
                           KIND_BIT(KIND_EMBEDDINGS) | KIND_BIT(KIND_TRANSCRIPTION) |
                           KIND_BIT(KIND_SPEECH) | KIND_BIT(KIND_IMAGES) |
                           KIND_BIT(KIND_IMAGE_EDITS);
    return (kinds & KIND_BIT(k)) != 0;
}

int azure_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    const struct provider_asked *a, struct buf *out)
{
    struct str version = u->options[0];
    bool own_version = http_query_get(a->query, STR("api-version")).n > 0;
    bool v1 = !own_version && (!version.n || str_eq(a->match.version, STR("v1")));

    buf_addstr(out, u->base_path);
    if (!str_ends(u->base_path, STR("/openai")))
        buf_addstr(out, face->prefix);
    if (v1 && (!version.n || str_eq(a->match.door, STR("azure")))) {
        buf_addstr(out, STR("/v1/"));
        target_rest(a, out);
        target_query(a, out);
        return 0;
    }
    if (by_deployment(a->match.endpoint->kind) && a->model.n) {
        buf_addstr(out, STR("/deployments/"));
        put_encoded(out, a->model, "");
    }
    buf_addc(out, '/');
    target_rest(a, out);
    size_t before = out->n;
    target_query(a, out);
    if (!own_version) {
        buf_addstr(out, out->n == before ? STR("?api-version=") : STR("&api-version="));
        put_encoded(out, version, "");
    }
    return 0;
}
