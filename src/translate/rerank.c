/* See rerank.h. */
#include "translate/rerank.h"

#include "base/macros.h"
#include "translate/jw.h"

#include <errno.h>

#define DOCUMENTS_MAX 10000
#define SEARCH_HOLDS  100 /* documents */

enum rerank_form rerank_form_of(struct str provider)
{
    static const struct {
        struct str provider;
        enum rerank_form form;
    } rows[] = {
        {STR_INIT("cohere"), RERANK_COHERE},
        {STR_INIT("bedrock"), RERANK_BEDROCK},
        {STR_INIT("nvidia_nim"), RERANK_NIM},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq(rows[i].provider, provider))
            return rows[i].form;
    return RERANK_JINA;
}

uint64_t rerank_searches(const struct rerank_request *q)
{
    return (q->documents_n + SEARCH_HOLDS - 1) / SEARCH_HOLDS;
}

/* --- requests --- */

/* The values of an object, joined by lines, as Cohere did it itself; of {"text": …} the text. */
static struct str object_text(struct canon_call *c, yyjson_val *v)
{
    struct str text = jr_get_str(v, "text"), all = STR("");
    yyjson_val *key, *value;
    size_t i, max;

    if (text.p && yyjson_obj_size(v) == 1)
        return text;
    yyjson_obj_foreach(v, i, max, key, value)
    {
        struct str s = yyjson_is_str(value) ? jr_str(value) : jr_raw(c->arena, value);
        all = arena_printf(c->arena, STR_FMT "%s" STR_FMT ": " STR_FMT, STR_ARG(all),
            all.n ? "\n" : "", STR_ARG(jr_str(key)), STR_ARG(s));
    }
    return all;
}

static int read_documents(struct canon_call *c, yyjson_val *list, struct rerank_request *q)
{
    size_t n = yyjson_arr_size(list), i, max;
    yyjson_val *v;

    if (!yyjson_is_arr(list) || !n)
        return canon_wrong(c, "documents", "an array that is not empty");
    if (n > DOCUMENTS_MAX)
        return canon_fail(c, STR("documents"), "There are more than %d documents.", DOCUMENTS_MAX);
    q->documents = arena_alloc(c->arena, n * sizeof(*q->documents));
    if (!q->documents)
        return canon_no_room(c);
    yyjson_arr_foreach(list, i, max, v)
    {
        struct str at = STR_NONE;
        if (yyjson_is_str(v) || yyjson_is_obj(v)) {
            q->documents[i] = yyjson_is_str(v) ? jr_str(v) : object_text(c, v);
            continue;
        }
        at = arena_printf(c->arena, "documents[%zu]", i);
        return canon_fail(c, at, STR_FMT " has to be a text or an object.", STR_ARG(at));
    }
    q->documents_n = (unsigned)n;
    return 0;
}

static int read_count(struct canon_call *c, yyjson_val *root, const char *name, int64_t *ret)
{
    yyjson_val *v = yyjson_obj_get(root, name);

    if (!v || yyjson_is_null(v))
        return 0;
    return jr_get_int(root, name, ret) && *ret > 0 ? 0 : canon_wrong(c, name, "a number above 0");
}

static int drop_others(struct canon_call *c, yyjson_val *root)
{
    static const char *const known[] = {"model", "query", "documents", "top_n",
        "max_tokens_per_doc", "return_documents", "relevant_spans", "priority"};

    return jr_drop_unknown(c, root, known, ARRAY_LEN(known), STR_NONE);
}

int rerank_read_request(struct canon_call *c, struct str body, struct rerank_request *q)
{
    yyjson_val *root = jr_client_object(c, body);
    int r;

    *q = (struct rerank_request){.top_n = -1, .max_tokens_per_doc = -1};
    if (!root)
        return -EREMOTEIO;
    q->model = jr_get_str(root, "model");
    q->query = jr_get_str(root, "query");
    q->return_documents = jr_get_bool(root, "return_documents", false);
    q->spans = jr_raw(c->arena, yyjson_obj_get(root, "relevant_spans"));
    q->priority = jr_raw(c->arena, yyjson_obj_get(root, "priority"));
    if (!q->query.n)
        return canon_wrong(c, "query", "a text");
    if ((r = read_documents(c, yyjson_obj_get(root, "documents"), q)) < 0 ||
        (r = read_count(c, root, "top_n", &q->top_n)) < 0 ||
        (r = read_count(c, root, "max_tokens_per_doc", &q->max_tokens_per_doc)) < 0)
        return r;
    return drop_others(c, root);
}

/* What only Cohere's own API takes. */
static int put_cohere(const struct rerank_request *q, struct jw *w)
{
    if (q->max_tokens_per_doc > 0)
        jw_member_int(w, "max_tokens_per_doc", q->max_tokens_per_doc);
    jw_member_raw(w, "relevant_spans", q->spans);
    jw_member_raw(w, "priority", q->priority);
    return 0;
}

static int drop_cohere(struct canon_call *c, const struct rerank_request *q)
{
    const struct {
        struct str name;
        bool said;
    } rows[] = {
        {STR_INIT("max_tokens_per_doc"), q->max_tokens_per_doc > 0},
        {STR_INIT("relevant_spans"), q->spans.p != NULL},
        {STR_INIT("priority"), q->priority.p != NULL},
    };
    int r = 0;

    for (unsigned i = 0; r == 0 && i < ARRAY_LEN(rows); i++)
        if (rows[i].said)
            r = canon_drop(c, rows[i].name, "it is not known there");
    return r;
}

static void put_text(struct jw *w, struct str text)
{
    jw_open(w, '{');
    jw_member_str(w, "text", text);
    jw_close(w, '}');
}

/* Passages that are too long are cut, as the others do; NIM would refuse them (docs.nvidia.com,
 * text reranking 2.3). It gives all of them back, and has no count to say otherwise. */
static void put_nim(const struct rerank_request *q, struct jw *w)
{
    jw_key(w, "query");
    put_text(w, q->query);
    jw_key(w, "passages");
    jw_open(w, '[');
    for (unsigned i = 0; i < q->documents_n; i++)
        put_text(w, q->documents[i]);
    jw_close(w, ']');
    jw_member_str(w, "truncate", STR("END"));
}

static void put_plain(const struct rerank_request *q, struct jw *w)
{
    jw_member_str(w, "query", q->query);
    jw_key(w, "documents");
    jw_open(w, '[');
    for (unsigned i = 0; i < q->documents_n; i++)
        jw_str(w, q->documents[i]);
    jw_close(w, ']');
    if (q->top_n > 0)
        jw_member_int(w, "top_n", q->top_n);
}

int rerank_write_request(
    struct canon_call *c, const struct rerank_request *q, enum rerank_form form, struct buf *out)
{
    struct jw w = {.out = out};
    int r;

    jw_open(&w, '{');
    if (form != RERANK_BEDROCK)
        jw_member_str(&w, "model", c->model);
    if (form == RERANK_NIM)
        put_nim(q, &w);
    else
        put_plain(q, &w);
    r = form == RERANK_COHERE ? put_cohere(q, &w) : drop_cohere(c, q);
    if (form == RERANK_BEDROCK && str_find(c->model, STR("cohere.")) >= 0) /* whose body it is */
        jw_member_int(&w, "api_version", 2);
    jw_close(&w, '}');
    return r == 0 && out->err ? canon_no_room(c) : r;
}

/* --- replies --- */

static yyjson_val *score_of(yyjson_val *v)
{
    static const char *const names[] = {"relevance_score", "score", "logit"}; /* the last: NIM */
    yyjson_val *score = NULL;

    for (unsigned i = 0; !score && i < ARRAY_LEN(names); i++)
        score = yyjson_obj_get(v, names[i]);
    return score;
}

static int read_result(
    struct canon_call *c, const struct rerank_request *q, yyjson_val *v, struct rerank_result *ret)
{
    yyjson_val *score = score_of(v);
    int64_t index;

    if (!jr_get_int(v, "index", &index) || index < 0 || index >= q->documents_n ||
        !yyjson_is_raw(score))
        return canon_bad_reply(c, "a result has no index or no score");
    *ret = (struct rerank_result){.index = (unsigned)index,
        .score = jr_raw(c->arena, score),
        .spans = jr_raw(c->arena, yyjson_obj_get(v, "relevant_spans"))};
    return 0;
}

static void read_usage(yyjson_val *root, struct usage *u)
{
    yyjson_val *units = yyjson_obj_get(yyjson_obj_get(root, "meta"), "billed_units");
    yyjson_val *usage = yyjson_obj_get(root, "usage");
    const uint64_t tokens[] = {jr_get_u64(usage, "prompt_tokens"),
        jr_get_u64(usage, "total_tokens"), jr_get_u64(units, "input_tokens")};

    u->queries = jr_get_u64(units, "search_units");
    for (unsigned i = 0; !u->input && i < ARRAY_LEN(tokens); i++)
        u->input = tokens[i];
    if (u->queries || u->input)
        u->source = USAGE_REPORTED;
}

static yyjson_val *results_of(yyjson_val *root)
{
    static const char *const names[] = {"results", "data", "rankings"}; /* Voyage; NIM */
    yyjson_val *list = NULL;

    for (unsigned i = 0; !yyjson_is_arr(list) && i < ARRAY_LEN(names); i++)
        list = yyjson_obj_get(root, names[i]);
    return yyjson_is_arr(list) ? list : NULL;
}

int rerank_read_reply(
    struct canon_call *c, const struct rerank_request *q, struct str body, struct rerank_reply *ret)
{
    const char *why = "it is no object";
    yyjson_val *root = jr_parse(c->arena, body, &why), *list = results_of(root), *v;
    size_t n = yyjson_arr_size(list), i, max;
    int r = 0;

    *ret = (struct rerank_reply){.id = jr_get_str(root, "id")};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, why);
    if (!list)
        return canon_bad_reply(c, "it has no results");
    if (q->top_n > 0)
        n = MIN(n, (size_t)q->top_n);
    ret->results = arena_alloc(c->arena, (n + 1) * sizeof(*ret->results));
    if (!ret->results)
        return canon_no_room(c);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (r == 0 && i < n)
            r = read_result(c, q, v, &ret->results[i]);
    }
    ret->results_n = (unsigned)n;
    read_usage(root, &ret->usage);
    return r;
}

static void put_result(const struct rerank_request *q, const struct rerank_result *r, struct jw *w)
{
    jw_open(w, '{');
    jw_member_int(w, "index", r->index);
    jw_member_raw(w, "relevance_score", r->score);
    jw_member_raw(w, "relevant_spans", r->spans);
    if (q->return_documents) {
        jw_key(w, "document");
        put_text(w, q->documents[r->index]);
    }
    jw_close(w, '}');
}

/* Cohere's place for it, and Jina's. */
static void put_usage(const struct usage *u, struct jw *w)
{
    if (u->queries || u->input) {
        jw_key(w, "meta");
        jw_open(w, '{');
        jw_key(w, "billed_units");
        jw_open(w, '{');
        if (u->queries)
            jw_member_int(w, "search_units", (int64_t)u->queries);
        if (u->input)
            jw_member_int(w, "input_tokens", (int64_t)u->input);
        jw_close(w, '}');
        jw_close(w, '}');
    }
    if (u->input) {
        jw_key(w, "usage");
        jw_open(w, '{');
        jw_member_int(w, "total_tokens", (int64_t)u->input);
        jw_close(w, '}');
    }
}

/* Members of Jina's and of Cohere's replies, as clients of both ask here. */
int rerank_write_reply(struct canon_call *c, const struct rerank_request *q,
    const struct rerank_reply *r, struct buf *out)
{
    struct jw w = {.out = out};

    jw_open(&w, '{');
    jw_member_str(&w, "id", r->id.n ? r->id : c->request_id);
    jw_member_str(&w, "model", c->model_shown);
    jw_key(&w, "results");
    jw_open(&w, '[');
    for (unsigned i = 0; i < r->results_n; i++)
        put_result(q, &r->results[i], &w);
    jw_close(&w, ']');
    put_usage(&r->usage, &w);
    jw_close(&w, '}');
    return out->err ? canon_no_room(c) : 0;
}
