/* The providers' side of embeddings, and the vectors' two forms. */
#include "translate/embeddings_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "crypto/encode.h"
#include "translate/native_int.h"

#include <errno.h>
#include <stdio.h>

/* --- what vectors are for --- */

static const struct {
    struct str gemini, cohere;
} uses[EMBED_USES] = {
    [EMBED_QUERY] = {STR_INIT("RETRIEVAL_QUERY"), STR_INIT("search_query")},
    [EMBED_DOCUMENT] = {STR_INIT("RETRIEVAL_DOCUMENT"), STR_INIT("search_document")},
    [EMBED_CLASSIFICATION] = {STR_INIT("CLASSIFICATION"), STR_INIT("classification")},
    [EMBED_CLUSTERING] = {STR_INIT("CLUSTERING"), STR_INIT("clustering")},
    [EMBED_SIMILARITY] = {STR_INIT("SEMANTIC_SIMILARITY"), {NULL, 0}},
    [EMBED_QUESTION] = {STR_INIT("QUESTION_ANSWERING"), {NULL, 0}},
    [EMBED_FACT] = {STR_INIT("FACT_VERIFICATION"), {NULL, 0}},
    [EMBED_CODE] = {STR_INIT("CODE_RETRIEVAL_QUERY"), {NULL, 0}},
};

struct str embed_use_gemini(enum embed_use u)
{
    return uses[u].gemini;
}

struct str embed_use_cohere(enum embed_use u)
{
    return uses[u].cohere;
}

enum embed_use embed_use_parse(struct str word)
{
    if (str_eq(word, STR("query"))) /* NVIDIA's and Voyage's words */
        return EMBED_QUERY;
    if (str_eq(word, STR("passage")) || str_eq(word, STR("document")))
        return EMBED_DOCUMENT;
    for (unsigned u = EMBED_QUERY; u < EMBED_USES; u++)
        if (str_ieq(word, uses[u].gemini) || (uses[u].cohere.p && str_eq(word, uses[u].cohere)))
            return (enum embed_use)u;
    return EMBED_UNSAID;
}

/* --- 32-bit floats --- */

struct str embed_pack(struct arena *a, struct str raw)
{
    const char *why;
    yyjson_val *list = raw.p ? jr_parse(a, raw, &why) : NULL, *item;
    size_t n = yyjson_arr_size(list), i, max;
    uint8_t *bytes = yyjson_is_arr(list) ? arena_alloc(a, n * 4 + 1) : NULL;
    char *text = bytes ? arena_alloc(a, BASE64_SIZE(n * 4) + 1) : NULL;
    if (!text)
        return STR_NONE;
    yyjson_arr_foreach(list, i, max, item)
    {
        uint32_t bits;
        if (!yyjson_is_raw(item))
            return STR_NONE;
        float f = (float)native_decimal(str_at(yyjson_get_raw(item), yyjson_get_len(item)));
        memcpy(&bits, &f, 4);
        for (unsigned k = 0; k < 4; k++)
            bytes[4 * i + k] = (uint8_t)(bits >> 8 * k);
    }
    base64_encode(str_at((char *)bytes, n * 4), text);
    return str_at(text, BASE64_SIZE(n * 4));
}

struct str embed_unpack(struct arena *a, struct str base64)
{
    _cleanup_(buf_free) struct buf text;
    uint8_t *bytes = base64.p ? arena_alloc(a, BASE64_MAX_BYTES(base64.n)) : NULL;
    ssize_t n = bytes ? base64_decode(base64, bytes) : -1;
    buf_init(&text, LIMIT_RESPONSE_BYTES);
    if (n < 0 || n % 4)
        return STR_NONE;
    buf_addc(&text, '[');
    for (ssize_t i = 0; i < n; i += 4) {
        uint32_t bits = 0;
        float f;
        for (unsigned k = 0; k < 4; k++)
            bits |= (uint32_t)bytes[i + k] << 8 * k;
        memcpy(&f, &bits, 4);
        if (f != f || f - f != 0) /* no JSON can say it */
            return STR_NONE;
        buf_printf(&text, i ? ",%.9g" : "%.9g", (double)f);
    }
    buf_addc(&text, ']');
    return text.err ? STR_NONE : arena_dup(a, buf_str(&text));
}

/* --- requests --- */

enum embed_wire embed_wire_of(struct str provider, struct str model)
{
    if (str_eq(provider, STR("gemini")))
        return EMBED_GEMINI;
    if (str_eq(provider, STR("vertex")))
        return EMBED_VERTEX;
    if (str_eq(provider, STR("cohere")))
        return EMBED_COHERE;
    if (str_eq(provider, STR("ollama")))
        return EMBED_OLLAMA;
    if (str_eq(provider, STR("bedrock")))
        return str_glob(STR("*cohere.embed*"), model) ? EMBED_BEDROCK_COHERE : EMBED_TITAN;
    return EMBED_OPENAI;
}

struct up {
    struct canon_call *c;
    const struct embed_request *q;
    unsigned first, n;
    struct jw w;
};

static void put_texts(struct up *u, const char *name)
{
    jw_key(&u->w, name);
    jw_open(&u->w, '[');
    for (unsigned i = u->first; i < u->first + u->n; i++)
        jw_str(&u->w, u->q->inputs[i].text);
    jw_close(&u->w, ']');
}

static void put_dimensions(struct up *u, const char *name)
{
    if (u->q->dimensions > 0)
        jw_member_int(&u->w, name, u->q->dimensions);
}

static int drop_use(struct up *u)
{
    return u->q->use != EMBED_UNSAID
               ? canon_drop(u->c, u->q->use_name, "the provider does not ask what vectors are for")
               : 0;
}

static int put_openai(struct up *u)
{
    const struct embed_input *in = &u->q->inputs[u->first];
    jw_member_str(&u->w, "model", u->c->model);
    jw_key(&u->w, "input");
    if (u->q->one && !in->tokens.p) {
        jw_str(&u->w, in->text);
    } else {
        jw_open(&u->w, '[');
        for (unsigned i = 0; i < u->n; i++) {
            if (in[i].tokens.p)
                jw_raw(&u->w, in[i].tokens);
            else
                jw_str(&u->w, in[i].text);
        }
        jw_close(&u->w, ']');
    }
    put_dimensions(u, "dimensions");
    if (u->q->base64)
        jw_member_str(&u->w, "encoding_format", STR("base64"));
    jw_member_raw(&u->w, "user", u->q->user);
    return drop_use(u);
}

static void put_gemini_input(struct up *u, const struct embed_input *in)
{
    struct str model = arena_printf(u->c->arena, "models/" STR_FMT, STR_ARG(u->c->model));
    jw_open(&u->w, '{');
    jw_member_str(&u->w, "model", model);
    jw_key(&u->w, "content");
    jw_raw(&u->w, STR("{\"parts\":[{\"text\":"));
    buf_addjson(u->w.out, in->text);
    buf_addstr(u->w.out, STR("}]}"));
    if (u->q->use != EMBED_UNSAID)
        jw_member_str(&u->w, "taskType", embed_use_gemini(u->q->use));
    if (in->title.n)
        jw_member_str(&u->w, "title", in->title);
    put_dimensions(u, "outputDimensionality");
    jw_close(&u->w, '}');
}

static int put_gemini(struct up *u)
{
    jw_key(&u->w, "requests");
    jw_open(&u->w, '[');
    for (unsigned i = u->first; i < u->first + u->n; i++)
        put_gemini_input(u, &u->q->inputs[i]);
    jw_close(&u->w, ']');
    return 0;
}

static int put_vertex(struct up *u)
{
    jw_key(&u->w, "instances");
    jw_open(&u->w, '[');
    for (unsigned i = u->first; i < u->first + u->n; i++) {
        jw_open(&u->w, '{');
        jw_member_str(&u->w, "content", u->q->inputs[i].text);
        if (u->q->use != EMBED_UNSAID)
            jw_member_str(&u->w, "task_type", embed_use_gemini(u->q->use));
        if (u->q->inputs[i].title.n)
            jw_member_str(&u->w, "title", u->q->inputs[i].title);
        jw_close(&u->w, '}');
    }
    jw_close(&u->w, ']');
    if (u->q->dimensions > 0) {
        jw_key(&u->w, "parameters");
        jw_open(&u->w, '{');
        put_dimensions(u, "outputDimensionality");
        jw_close(&u->w, '}');
    }
    return 0;
}

/* Cohere insists on a use. Where the client said none, the vectors are stored ones. */
static int put_cohere_rest(struct up *u)
{
    struct str word =
        u->q->use == EMBED_UNSAID ? STR("search_document") : embed_use_cohere(u->q->use);
    jw_member_str(&u->w, "input_type", word.p ? word : STR("search_document"));
    put_texts(u, "texts");
    put_dimensions(u, "output_dimension");
    jw_key(&u->w, "embedding_types");
    jw_raw(&u->w, STR("[\"float\"]"));
    return word.p ? 0 : canon_drop(u->c, u->q->use_name, "Cohere has no such use");
}

static int put_cohere(struct up *u)
{
    jw_member_str(&u->w, "model", u->c->model);
    return put_cohere_rest(u);
}

static int put_ollama(struct up *u)
{
    jw_member_str(&u->w, "model", u->c->model);
    put_texts(u, "input");
    put_dimensions(u, "dimensions");
    return drop_use(u);
}

/* The first generation has one size. */
static bool has_sizes(struct str model)
{
    return !str_glob(STR("*titan-embed-text-v1*"), model) &&
           !str_glob(STR("*titan-embed-g1-text*"), model);
}

static int put_titan(struct up *u)
{
    bool sizes = has_sizes(u->c->model);
    jw_member_str(&u->w, "inputText", u->q->inputs[u->first].text);
    if (sizes)
        put_dimensions(u, "dimensions");
    else if (u->q->dimensions > 0 &&
             canon_drop(u->c, u->q->dimensions_name, "the model has one size") < 0)
        return -EREMOTEIO;
    return drop_use(u);
}

static const struct {
    unsigned batch; /* inputs a call */
    int (*put)(struct up *u);
} wires[EMBED_WIRES] = {
    [EMBED_OPENAI] = {2048, put_openai},
    [EMBED_GEMINI] = {100, put_gemini},
    [EMBED_VERTEX] = {250, put_vertex},
    [EMBED_COHERE] = {96, put_cohere},
    [EMBED_OLLAMA] = {512, put_ollama},
    [EMBED_TITAN] = {1, put_titan},
    [EMBED_BEDROCK_COHERE] = {96, put_cohere_rest},
};

/* Members that only the client's own provider has. */
static int drop_rest(struct up *u, enum embed_wire to)
{
    int r = 0;
    for (const struct canon_extra *e = u->q->extras; e && r == 0; e = e->next)
        r = canon_drop(u->c, e->name, "the provider does not know it");
    if (r == 0 && u->q->user.p && to != EMBED_OPENAI)
        r = canon_drop(u->c, STR("user"), "the provider does not know it");
    for (unsigned i = 0; i < u->q->inputs_n && r == 0; i++)
        if (u->q->inputs[i].title.n && to != EMBED_GEMINI && to != EMBED_VERTEX)
            r = canon_drop(u->c, STR("title"), "the provider does not know it");
    return r;
}

static int check_inputs(struct up *u, enum embed_wire to)
{
    for (unsigned i = 0; i < u->q->inputs_n && to != EMBED_OPENAI; i++)
        if (u->q->inputs[i].tokens.p)
            return canon_fail(u->c, STR("input"),
                "'input' must be text for this provider: its tokens are other ones.");
    return 0;
}

/* Gemini and Cohere take no more in OpenAI's form than in their own. */
static unsigned batch_in_openai(struct str provider)
{
    enum embed_wire own = str_eq(provider, STR("gemini"))   ? EMBED_GEMINI
                          : str_eq(provider, STR("cohere")) ? EMBED_COHERE
                                                            : EMBED_OPENAI;
    return wires[own].batch;
}

unsigned embed_batch(enum embed_wire to, struct str provider, struct str model)
{
    bool alone = to == EMBED_VERTEX && str_starts(model, STR("gemini-embedding"));
    if (to == EMBED_OPENAI)
        return batch_in_openai(provider);
    return alone ? 1 : wires[to].batch;
}

int embed_write_request(struct canon_call *c, enum embed_wire to, const struct embed_request *q,
    unsigned first, struct buf *out, unsigned *ret_n)
{
    must(wires[to].put && first < q->inputs_n);
    struct up u = {.c = c, .q = q, .first = first, .w = {.out = out}};
    u.n = MIN(q->inputs_n - first, embed_batch(to, c->provider, c->model));
    int r = check_inputs(&u, to);
    jw_open(&u.w, '{');
    if (r == 0)
        r = wires[to].put(&u);
    if (r == 0)
        r = drop_rest(&u, to);
    jw_close(&u.w, '}');
    *ret_n = u.n;
    return r < 0 ? r : out->err;
}

/* --- replies --- */

struct down {
    struct canon_call *c;
    struct embed_reply *r;
};

static int add_vector(struct down *d, yyjson_val *v)
{
    struct embed_reply *r = d->r;
    struct embed_vector to = {.base64 = jr_str(v)};
    if (r->vectors_n == r->room) {
        unsigned room = r->room ? 2 * r->room : 16;
        struct embed_vector *more = arena_alloc(d->c->arena, room * sizeof(*more));
        if (!more)
            return canon_no_room(d->c);
        if (r->vectors_n)
            memcpy(more, r->vectors, r->vectors_n * sizeof(*more));
        r->vectors = more;
        r->room = room;
    }
    if (yyjson_is_arr(v))
        to.raw = jr_raw(d->c->arena, v);
    if (!to.raw.p && !to.base64.p)
        return canon_bad_reply(d->c, "a vector in it is no list of numbers");
    r->vectors[r->vectors_n++] = to;
    return 0;
}

/* path: what leads from an item to its vector. */
static int add_all(struct down *d, yyjson_val *list, const char *path, const char *then)
{
    yyjson_val *item;
    size_t i, n;
    int r = 0;
    yyjson_arr_foreach(list, i, n, item)
    {
        yyjson_val *v = path ? yyjson_obj_get(item, path) : item;
        if (then)
            v = yyjson_obj_get(v, then);
        if (r == 0)
            r = add_vector(d, v);
    }
    return r;
}

static void add_usage(struct down *d, yyjson_val *o, const char *name)
{
    int64_t n;
    if (!jr_get_int(o, name, &n) || n < 0)
        return;
    d->r->usage.input += jr_get_u64(o, name);
    d->r->usage.source = USAGE_REPORTED;
}

static int read_openai(struct down *d, yyjson_val *root)
{
    add_usage(d, yyjson_obj_get(root, "usage"), "prompt_tokens");
    return add_all(d, yyjson_obj_get(root, "data"), "embedding", NULL);
}

static int read_gemini(struct down *d, yyjson_val *root)
{
    add_usage(d, yyjson_obj_get(root, "usageMetadata"), "promptTokenCount");
    return add_all(d, yyjson_obj_get(root, "embeddings"), "values", NULL);
}

static int read_vertex(struct down *d, yyjson_val *root)
{
    yyjson_val *list = yyjson_obj_get(root, "predictions"), *item;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, item)
    {
        yyjson_val *e = yyjson_obj_get(item, "embeddings");
        add_usage(d, yyjson_obj_get(e, "statistics"), "token_count");
    }
    return add_all(d, list, "embeddings", "values");
}

/* {"float": […]} since vectors have types, a bare list before. */
static int read_cohere(struct down *d, yyjson_val *root)
{
    yyjson_val *vectors = yyjson_obj_get(root, "embeddings");
    yyjson_val *units = yyjson_obj_get(yyjson_obj_get(root, "meta"), "billed_units");
    add_usage(d, units, "input_tokens");
    if (!d->r->id.p)
        d->r->id = jr_get_str(root, "id");
    return add_all(
        d, yyjson_is_obj(vectors) ? yyjson_obj_get(vectors, "float") : vectors, NULL, NULL);
}

static int read_ollama(struct down *d, yyjson_val *root)
{
    add_usage(d, root, "prompt_eval_count");
    return add_all(d, yyjson_obj_get(root, "embeddings"), NULL, NULL);
}

static int read_titan(struct down *d, yyjson_val *root)
{
    yyjson_val *v = yyjson_obj_get(root, "embedding");
    if (!v)
        v = yyjson_obj_get(yyjson_obj_get(root, "embeddingsByType"), "float");
    add_usage(d, root, "inputTextTokenCount");
    return v ? add_vector(d, v) : 0;
}

int embed_read_reply(
    struct canon_call *c, enum embed_wire to, struct str body, unsigned n, struct embed_reply *r)
{
    static int (*const readers[EMBED_WIRES])(struct down *, yyjson_val *) = {
        [EMBED_OPENAI] = read_openai,
        [EMBED_GEMINI] = read_gemini,
        [EMBED_VERTEX] = read_vertex,
        [EMBED_COHERE] = read_cohere,
        [EMBED_OLLAMA] = read_ollama,
        [EMBED_TITAN] = read_titan,
        [EMBED_BEDROCK_COHERE] = read_cohere,
    };
    struct down d = {.c = c, .r = r};
    const char *why;
    unsigned before = r->vectors_n;
    must(readers[to]);
    yyjson_val *root = jr_parse(c->arena, body, &why);
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, root ? "it is no object" : why);
    int e = readers[to](&d, root);
    if (e == 0 && r->vectors_n - before != n)
        e = canon_bad_reply(c, "it has not as many vectors as there were inputs");
    return e;
}
