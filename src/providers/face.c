/* Which face of a provider serves a call. See providers/face.h. */
#include "providers/face.h"

#define K(k) KIND_BIT(KIND_##k)

static const uint64_t generating = K(CHAT) | K(RESPONSES) | K(MESSAGES) | K(GENERATE) |
                                   K(STREAM_GENERATE) | K(CONVERSE) | K(CONVERSE_STREAM) |
                                   K(INVOKE) | K(INVOKE_STREAM);
static const uint64_t counting = K(COUNT_TOKENS) | K(GEMINI_COUNT);
static const uint64_t embedding = K(EMBEDDINGS) | K(GEMINI_EMBED);

bool kind_generates(enum endpoint_kind k)
{
    return (generating & KIND_BIT(k)) || k == KIND_COMPLETIONS;
}

static bool fits(const struct provider *p, const struct provider_face *f, struct str model)
{
    return f->kinds && (!p->face_fits || p->face_fits(f, model));
}

/* Pairs of which one is the other's stream have a kind each in some dialects. */
static bool of_other_flow(enum endpoint_kind k, bool stream)
{
    const uint64_t streams = K(STREAM_GENERATE) | K(CONVERSE_STREAM) | K(INVOKE_STREAM);
    const uint64_t wholes = K(GENERATE) | K(CONVERSE) | K(INVOKE);

    return ((stream ? wholes : streams) & KIND_BIT(k)) != 0;
}

/* OpenAI's models that only its Responses API serves. */
static bool wants_responses(const struct face_asked *a)
{
    return a->facts && a->facts->mode == MODEL_RESPONSES;
}

/* OpenAI's chat models do not complete texts; other servers of its dialect let theirs do so. */
static bool wants_chat(const struct provider *p, const struct face_asked *a)
{
    return a->kind == KIND_COMPLETIONS && a->facts && a->facts->mode != MODEL_COMPLETION &&
           (str_eq(p->id, STR("openai")) || str_eq(p->id, STR("azure")));
}

/* One of these kinds that the face has; the first by number, but Responses where the model wants
 * that. */
static bool kind_of(const struct provider_face *f, const struct face_asked *a, uint64_t kinds,
    enum endpoint_kind *ret)
{
    if (kinds & f->kinds & K(RESPONSES) && wants_responses(a)) {
        *ret = KIND_RESPONSES;
        return true;
    }
    for (unsigned k = 0; k < ENDPOINT_KINDS; k++) {
        if (!(kinds & f->kinds & KIND_BIT(k)) || of_other_flow(k, a->stream))
            continue;
        *ret = k;
        return true;
    }
    return false;
}

/* Claude at Bedrock in its own dialect, for clients that speak it: bytes pass in another envelope.
 * The publisher is a part of the model's id there. */
static bool in_envelope(
    const struct provider_face *f, const struct face_asked *a, enum endpoint_kind *ret)
{
    *ret = a->stream ? KIND_INVOKE_STREAM : KIND_INVOKE;
    return a->kind == KIND_MESSAGES && f->kinds & KIND_BIT(*ret) &&
           str_find(a->model, STR("anthropic.")) >= 0;
}

/* Gemini's models that make pictures do so as they answer; Imagen is asked otherwise. */
static bool paints(
    const struct provider_face *f, const struct face_asked *a, enum endpoint_kind *ret)
{
    *ret = KIND_GENERATE;
    return a->kind == KIND_IMAGES && f->dialect == DIALECT_GEMINI && f->kinds & K(IMAGES) &&
           !str_starts(a->model, STR("imagen"));
}

/* One of Google's that is known to make none. */
static bool cannot_paint(const struct provider_face *f, const struct face_asked *a)
{
    return a->kind == KIND_IMAGES && f->dialect == DIALECT_GEMINI && a->facts &&
           a->facts->mode != MODEL_IMAGE;
}

static const struct provider_face *translated(const struct provider *p, const struct face_asked *a,
    uint64_t kinds, enum endpoint_kind *ret_kind)
{
    for (unsigned i = 0; i < PROVIDER_FACES_MAX; i++) { /* its native one stands first */
        const struct provider_face *f = &p->faces[i];
        if (fits(p, f, a->model) && !cannot_paint(f, a) &&
            (in_envelope(f, a, ret_kind) || paints(f, a, ret_kind) ||
                kind_of(f, a, kinds, ret_kind)))
            return f;
    }
    return NULL;
}

static uint64_t group_of(enum endpoint_kind k)
{
    const uint64_t groups[] = {generating, counting, embedding, K(RERANK), K(IMAGES),
        K(SPEECH) | K(GENERATE), K(TRANSCRIPTION) | K(GENERATE)}; /* Gemini's models do both */

    if (k == KIND_RESPONSES_AUX)
        return counting;
    if (k == KIND_COMPLETIONS) /* asked for so by clients alone */
        return generating;
    for (unsigned i = 0; i < ARRAY_LEN(groups); i++)
        if (groups[i] & KIND_BIT(k))
            return groups[i];
    return 0;
}

const struct provider_face *provider_face_for(
    const struct provider *p, const struct face_asked *a, enum endpoint_kind *ret_kind)
{
    const struct provider_face *f;
    uint64_t group = group_of(a->kind);

    *ret_kind = a->kind;
    if (a->native && group && p->faces[0].dialect != a->dialect) {
        f = translated(p, a, group, ret_kind);
        if (f)
            return f;
        *ret_kind = a->kind;
    }
    for (unsigned i = 0; i < PROVIDER_FACES_MAX; i++) {
        f = &p->faces[i];
        if (f->dialect == a->dialect && f->kinds & KIND_BIT(a->kind) && fits(p, f, a->model) &&
            !(a->kind == KIND_CHAT && wants_responses(a) && f->kinds & K(RESPONSES)) &&
            !wants_chat(p, a))
            return f;
    }
    f = group ? translated(p, a, group, ret_kind) : NULL;
    if (!f && group == counting) /* whoever answers prompts has them counted, if not by itself */
        f = translated(p, a, generating, ret_kind);
    return f;
}
