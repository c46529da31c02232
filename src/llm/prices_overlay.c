/*
 * The overlay: prices and limits of the operator's, in LiteLLM's format, so that a file of theirs
 * can be used as it is. It is read once, checked whole, and never changed afterwards.
 *
 * Shape: one array of model_facts sorted by provider and model, and one buffer that holds their
 * names. Owner: whoever holds a reference; the counter is atomic, so that requests on any thread
 * can keep the snapshot that they began with while the configuration swaps in a new one.
 * Reading the file blocks: load it at start-up or in the offload pool.
 */
#include "llm/model_facts_int.h"
#include "llm/overlay_int.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
    struct model_facts facts;
    struct str key; /* as in the file, to tell a repeated key from two names of one model */
};

struct prices_overlay {
    int refs;
    struct arena names;
    struct entry *entries;
    size_t n, unpriced;
};

/* ---- names ---- */

static const struct {
    struct str theirs, ours;
} provider_ids[] = {
    {STR_INIT("text-completion-openai"), STR_INIT("openai")},
    {STR_INIT("azure_ai"), STR_INIT("azure")},
    {STR_INIT("azure_text"), STR_INIT("azure")},
    {STR_INIT("cohere_chat"), STR_INIT("cohere")},
    {STR_INIT("fireworks_ai"), STR_INIT("fireworks")},
    {STR_INIT("fireworks_ai-embedding-models"), STR_INIT("fireworks")},
    {STR_INIT("together_ai"), STR_INIT("together")},
    {STR_INIT("bedrock_converse"), STR_INIT("bedrock")},
    {STR_INIT("bedrock_mantle"), STR_INIT("bedrock")},
    {STR_INIT("vercel_ai_gateway"), STR_INIT("vercel")},
};

/* Our id for a provider name of LiteLLM's; a name of neither's stands for itself. */
static struct str provider_id(struct str theirs)
{
    if (str_starts(theirs, STR("vertex_ai")))
        return STR("vertex");
    for (size_t i = 0; i < ARRAY_LEN(provider_ids); i++)
        if (str_eq(provider_ids[i].theirs, theirs))
            return provider_ids[i].ours;
    return theirs;
}

/* "azure_ai/gpt-5" is "gpt-5" of azure; the first part of "meta/llama-3" is no provider. */
static struct str without_provider(struct str key, struct str provider)
{
    ptrdiff_t slash = str_chr(key, '/');
    if (slash <= 0 || (size_t)slash + 1 == key.n)
        return key;
    bool prefix = str_eq(provider_id(str_to(key, (size_t)slash)), provider);
    return prefix ? str_from(key, (size_t)slash + 1) : key;
}

/* ---- entries ---- */

static struct model_facts start_from(struct str provider, struct str model)
{
    const struct model_facts *known = model_facts_find(provider, model);
    struct model_facts f = known ? *known : (struct model_facts){0};
    if (!known)
        overlay_forget_prices(&f);
    return f;
}

static int read_entry(struct overlay_reader *rd, struct str key, yyjson_val *value)
{
    struct prices_overlay *o = rd->o;
    rd->model = key;
    if (!yyjson_is_obj(value))
        return overlay_fail(rd, STR(""), "is not an object");
    yyjson_val *v = yyjson_obj_get(value, "litellm_provider");
    if (!yyjson_is_str(v) || yyjson_get_len(v) == 0)
        return overlay_fail(rd, STR("litellm_provider"), "is missing or not a string");
    struct str provider = provider_id(str_at(yyjson_get_str(v), yyjson_get_len(v)));
    struct str model = without_provider(key, provider);
    struct entry *e = &o->entries[o->n];
    e->facts = start_from(provider, model);
    int r = overlay_read_mode(rd, &e->facts, value);
    if (r <= 0)
        return r;
    r = overlay_read_fields(rd, &e->facts, value);
    if (r < 0)
        return r;
    e->key = arena_dup(&o->names, key);
    e->facts.provider = arena_dup(&o->names, provider);
    e->facts.model = arena_dup(&o->names, model);
    if (!e->key.p || !e->facts.provider.p || !e->facts.model.p)
        return -ENOMEM;
    o->n++;
    o->unpriced += rd->unpriced;
    return 0;
}

static int entry_cmp(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;
    int c = facts_name_cmp(a->facts.provider, b->facts.provider);
    if (c == 0)
        c = facts_name_cmp(a->facts.model, b->facts.model);
    return c ? c : facts_name_cmp(a->key, b->key);
}

/* Two keys may name one model ("azure/x", "azure_ai/x"): the first in byte order stands. The same
 * key twice is a mistake. */
static int sort_entries(struct overlay_reader *rd)
{
    struct prices_overlay *o = rd->o;
    size_t n = 0;
    if (o->n)
        qsort(o->entries, o->n, sizeof(*o->entries), entry_cmp);
    for (size_t i = 0; i < o->n; i++) {
        struct entry *e = &o->entries[i], *last = n ? &o->entries[n - 1] : NULL;
        rd->model = e->key;
        if (i && str_eq(o->entries[i - 1].key, e->key) &&
            str_eq(o->entries[i - 1].facts.provider, e->facts.provider))
            return overlay_fail(rd, STR(""), "stands twice");
        if (last && str_eq(last->facts.provider, e->facts.provider) &&
            str_eq(last->facts.model, e->facts.model))
            continue;
        o->entries[n++] = *e;
    }
    o->n = n;
    return 0;
}

/* Entries of LiteLLM's file that are no models. */
static bool is_model(struct str key)
{
    return !str_eq(key, STR("sample_spec")) && !str_eq(key, STR("fallback_generalizations"));
}

static int read_entries(struct overlay_reader *rd, yyjson_val *root)
{
    if (!yyjson_is_obj(root))
        return overlay_fail(rd, STR(""), "the file does not hold a JSON object");
    size_t count = yyjson_obj_size(root);
    if (count > LIMIT_OVERLAY_MODELS)
        return overlay_fail(rd, STR(""), "too many models");
    rd->o->entries = calloc(count + 1, sizeof(*rd->o->entries));
    if (!rd->o->entries)
        return -ENOMEM;
    size_t i, n;
    yyjson_val *k, *v;
    yyjson_obj_foreach(root, i, n, k, v)
    {
        struct str key = str_at(yyjson_get_str(k), yyjson_get_len(k));
        int r = is_model(key) ? read_entry(rd, key, v) : 0;
        if (r < 0)
            return r;
    }
    return sort_entries(rd);
}

/* ---- the snapshot ---- */

int prices_overlay_parse(struct str json, struct prices_overlay **ret, char *err, size_t err_n)
{
    yyjson_read_err why;
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)json.p, json.n, YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    if (!doc) {
        snprintf(err, err_n, "not valid JSON at byte %zu: %s", why.pos, why.msg);
        return why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? -ENOMEM : -EINVAL;
    }
    struct prices_overlay *o = calloc(1, sizeof(*o));
    struct overlay_reader rd = {.o = o, .err = err, .err_n = err_n};
    int r = -ENOMEM;
    if (o) {
        o->refs = 1;
        arena_init(&o->names, NULL, 0, LIMIT_OVERLAY_BYTES * 2);
        r = read_entries(&rd, yyjson_doc_get_root(doc));
    }
    yyjson_doc_free(doc);
    if (r < 0) {
        prices_overlay_unref(o);
        if (r == -ENOMEM)
            snprintf(err, err_n, "out of memory");
        return r;
    }
    *ret = o;
    return 0;
}

static int read_file(int fd, struct buf *b)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    for (;;) {
        int r = buf_reserve(b, 1);
        if (r < 0)
            return r == -ENOBUFS ? -EFBIG : r;
        ssize_t n = read(fd, b->p + b->n, b->cap - b->n);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        b->n += n > 0 ? (size_t)n : 0;
    }
}

int prices_overlay_load(const char *path, struct prices_overlay **ret, char *err, size_t err_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int r = -errno;
        snprintf(err, err_n, "cannot open %s: %s", path, strerror(-r));
        return r;
    }
    _cleanup_(buf_free) struct buf b = {0};
    buf_init(&b, LIMIT_OVERLAY_BYTES);
    int r = read_file(fd, &b);
    close(fd);
    if (r < 0) {
        snprintf(err, err_n, "cannot read %s: %s", path, strerror(-r));
        return r;
    }
    return prices_overlay_parse(buf_str(&b), ret, err, err_n);
}

struct prices_overlay *prices_overlay_ref(struct prices_overlay *o)
{
    must(__atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED) > 0);
    return o;
}

void prices_overlay_unref(struct prices_overlay *o)
{
    if (!o || __atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    arena_free(&o->names);
    free(o->entries);
    free(o);
}

size_t prices_overlay_models(const struct prices_overlay *o)
{
    return o->n;
}

size_t prices_overlay_unpriced(const struct prices_overlay *o)
{
    return o->unpriced;
}

static const struct model_facts *in_overlay(
    const struct prices_overlay *o, struct str provider, struct str model)
{
    size_t lo = 0, hi = o->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct model_facts *f = &o->entries[mid].facts;
        int c = facts_name_cmp(provider, f->provider);
        if (c == 0)
            c = facts_name_cmp(model, f->model);
        if (c == 0)
            return f;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static const struct model_facts *overlay_then_builtin(
    const void *overlay, struct str provider, struct str model)
{
    const struct model_facts *f = overlay ? in_overlay(overlay, provider, model) : NULL;
    return f ? f : facts_builtin(NULL, provider, model);
}

/* What this thread asked for last: mostly the same few models. */
#define RECENT       8
#define RECENT_BYTES 64

struct recent {
    const struct model_facts *found;
    uint8_t provider_n, model_n;
    char text[RECENT_BYTES];
};

static bool is_recent(const struct recent *r, struct str provider, struct str model)
{
    return r->model_n == model.n && r->provider_n == provider.n &&
           !memcmp(r->text, provider.p, provider.n) &&
           !memcmp(r->text + provider.n, model.p, model.n);
}

/* Of the built-in table, whose facts live for ever. */
static const struct model_facts *find_builtin(struct str provider, struct str model)
{
    static _Thread_local struct recent recent[RECENT];

    if (!model.n || provider.n + model.n > RECENT_BYTES)
        return model_facts_find(provider, model);
    struct recent *r = &recent[(model.n + (uint8_t)model.p[model.n - 1]) % RECENT];
    if (is_recent(r, provider, model))
        return r->found;
    r->found = model_facts_find(provider, model);
    r->provider_n = (uint8_t)provider.n;
    r->model_n = (uint8_t)model.n;
    memcpy(r->text, provider.p, provider.n);
    memcpy(r->text + provider.n, model.p, model.n);
    return r->found;
}

const struct model_facts *prices_find(
    const struct prices_overlay *o, struct str provider, struct str model)
{
    if (!o)
        return find_builtin(provider, model);
    return facts_by_forms(overlay_then_builtin, o, provider, model);
}
