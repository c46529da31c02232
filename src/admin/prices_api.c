/*
 * What models cost: the facts that the gateway bills by, and an operator's own prices over them,
 * which last in the store (admin/settings.h). The format of a price is LiteLLM's, as in the file
 * SMARTFLOW_PRICES.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "admin/settings_int.h"
#include "llm/prices.h"
#include "store/store.h"
#include "json/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define NAME_MAX_ 200

/* --- one model --- */

static const char *const mode_words[] = {[MODEL_CHAT] = "chat",
    [MODEL_COMPLETION] = "completion",
    [MODEL_EMBEDDING] = "embedding",
    [MODEL_IMAGE] = "image_generation",
    [MODEL_AUDIO_TRANSCRIPTION] = "audio_transcription",
    [MODEL_AUDIO_SPEECH] = "audio_speech",
    [MODEL_RERANK] = "rerank",
    [MODEL_MODERATION] = "moderation",
    [MODEL_RESPONSES] = "responses",
    [MODEL_REALTIME] = "realtime",
    [MODEL_OCR] = "ocr",
    [MODEL_MODES_] = NULL};

static const struct field_row price_fields[] = {
    {"provider", FIELD_TEXT, 0, 0, 0, 32, NULL, NULL, "Who serves it.", "\"openai\""},
    {"model", FIELD_TEXT, 0, 0, 0, 256, NULL, NULL, "As its API takes it.", "\"gpt-4o\""},
    {"mode", FIELD_WORD, 0, 0, 0, 0, mode_words, NULL, "What it does.", NULL},
    {"overridden", FIELD_BOOL, 0, 0, 0, 0, NULL, NULL, "Whether the price is the operator's.",
        NULL},
    {"max_input_tokens", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Its limit of input.", NULL},
    {"max_output_tokens", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Its limit of output.", NULL},
    {"prices", FIELD_OBJECT, 0, 0, 0, 0, NULL, NULL,
        "US dollars a token, as exact decimals in strings; null where unknown.", NULL},
};
static const struct admin_schema price_schema = {"Price", price_fields, ARRAY_LEN(price_fields), 0};

/* Pico-dollars as a decimal: 0.00000015 */
static void put_pico(struct buf *b, const char *name, int64_t pico)
{
    char text[40];

    if (pico == PRICE_UNKNOWN) {
        put_null(b, name);
        return;
    }
    int n = snprintf(
        text, sizeof text, "%" PRId64 ".%012" PRId64, pico / 1000000000000, pico % 1000000000000);
    while (n > 1 && text[n - 1] == '0')
        n--;
    n -= text[n - 1] == '.';
    put_str(b, name, str_at(text, (size_t)n));
}

static void put_prices(struct buf *b, const struct model_facts *f)
{
    const struct rate_card *r = &f->rates[0][0];

    put_open(b, "prices", '{');
    put_pico(b, "input_cost_per_token", r->input);
    put_pico(b, "output_cost_per_token", r->output);
    put_pico(b, "cache_read_input_token_cost", r->cache_read);
    put_pico(b, "cache_creation_input_token_cost", r->cache_write_5m);
    put_pico(b, "input_cost_per_audio_token", r->input_audio);
    put_pico(b, "output_cost_per_audio_token", r->output_audio);
    put_pico(b, "output_cost_per_image", f->unit.image);
    put_pico(b, "input_cost_per_query", f->unit.query);
    put_close(b, '}');
}

static void put_model(struct buf *b, const struct model_facts *f, bool overridden)
{
    put_open(b, NULL, '{');
    put_str(b, "provider", f->provider);
    put_str(b, "model", f->model);
    put_str(b, "mode", str_of(f->mode < MODEL_MODES_ ? mode_words[f->mode] : "chat"));
    put_bool(b, "overridden", overridden);
    put_int(b, "max_input_tokens", f->max_input);
    put_int(b, "max_output_tokens", f->max_output);
    put_prices(b, f);
    put_close(b, '}');
}

/* --- the list: first the operator's own, then the built-in ones --- */

struct price_query {
    struct str provider, model, search;
    bool overridden;
};
static const struct field_row query_fields[] = {
    {"provider", FIELD_TEXT, 0, offsetof(struct price_query, provider), 1, 32, NULL, NULL,
        "Only models of this provider.", NULL},
    {"model", FIELD_TEXT, 0, offsetof(struct price_query, model), 1, NAME_MAX_, NULL, NULL,
        "Only the model called so; with provider also by the names that billing knows.", NULL},
    {"search", FIELD_TEXT, 0, offsetof(struct price_query, search), 1, NAME_MAX_, NULL, NULL,
        "Only models whose names hold this.", NULL},
    {"overridden", FIELD_BOOL, 0, offsetof(struct price_query, overridden), 0, 0, NULL, NULL,
        "Only those with a price of the operator's, or only those without.", NULL},
};
static const struct admin_schema price_query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct price_query)};

static bool contains(struct str s, struct str part)
{
    for (size_t i = 0; i + part.n <= s.n; i++)
        if (str_ieq(str_at(s.p + i, part.n), part))
            return true;
    return false;
}

static bool wanted(const struct price_query *q, const struct model_facts *f)
{
    return (!q->provider.n || str_eq(q->provider, f->provider)) &&
           (!q->model.n || str_eq(q->model, f->model)) &&
           (!q->search.n || contains(f->model, q->search));
}

/* The rows of the store: "price:openai/gpt-4o". */
struct overrides {
    struct store_rows *rows;
    const struct prices_overlay *overlay; /* in force */
};

static bool split(struct str name, struct str *provider, struct str *model)
{
    *model = str_from(name, strlen(PRICE_PREFIX));
    *provider = str_split(model, '/');
    return provider->n && model->n;
}

static bool is_overridden(const struct overrides *o, const struct model_facts *f)
{
    struct str provider, model;

    for (unsigned i = 0; i < store_rows_n(o->rows); i++)
        if (split(store_cell_str(o->rows, i, 0), &provider, &model) &&
            str_eq(provider, f->provider) && str_eq(model, f->model))
            return true;
    return false;
}

/* The i-th of the list: NULL behind the last. *ret_own: a price of the operator's. */
static const struct model_facts *at(
    struct admin_call *c, const struct overrides *o, size_t i, bool *ret_own, bool *ret_end)
{
    unsigned n = store_rows_n(o->rows);
    struct str provider, model;
    const struct model_facts *f;

    *ret_own = i < n;
    *ret_end = false;
    if (i < n)
        return split(store_cell_str(o->rows, (unsigned)i, 0), &provider, &model)
                   ? prices_find(o->overlay, provider, model)
                   : NULL;
    f = c->env->model_at ? c->env->model_at(i - n) : NULL;
    *ret_end = !f;
    return f && !is_overridden(o, f) ? f : NULL;
}

static int prices_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    const struct price_query *q = c->query;
    bool own, end = false;
    uint64_t from = 0;
    unsigned n = 0;

    if (p->cursor.n && str_u64(p->cursor, &from) < 0)
        return admin_bad(c, "cursor", "cursor is not of this list.");
    for (size_t i = from; !end; i++) {
        const struct model_facts *f = at(c, ctx, i, &own, &end);
        if (!f || !wanted(q, f) || (admin_asked(c, "overridden") && q->overridden != own))
            continue;
        if (n == p->limit) {
            p->next = arena_printf(&c->arena, "%zu", i);
            return 0;
        }
        put_model(p->items, f, own);
        n++;
    }
    return 0;
}

/* By the rules of billing: without dates, "-latest" and the like. */
static int one_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    const struct price_query *q = c->query;
    const struct overrides *o = ctx;
    const struct model_facts *f = prices_find(o->overlay, q->provider, q->model);

    if (f)
        put_model(p->items, f, is_overridden(o, f));
    return 0;
}

static int overrides_load(struct admin_call *c, struct overrides *o)
{
    char err[STORE_ERR_BYTES] = "";

    *o = (struct overrides){.overlay = c->config->prices};
    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r = store_query(c->env->store,
        "SELECT name, value FROM settings WHERE name LIKE 'price:%' ORDER BY name", NULL, 0,
        &o->rows, err);
    return r < 0 ? admin_store_fail(c, r, err) : 0;
}

static int list(struct admin_call *c)
{
    const struct price_query *q = c->query;
    struct overrides o;
    int r = overrides_load(c, &o);

    if (r == 0)
        r = admin_list(c, q->provider.n && q->model.n ? one_page : prices_page, &o);
    store_rows_free(o.rows);
    return r;
}

/* --- changing --- */

struct price_body {
    struct str provider, model, prices;
};
static const struct field_row body_fields[] = {
    {"provider", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, offsetof(struct price_body, provider),
        1, 32, NULL, NULL, "Who serves the model.", "\"openai\""},
    {"model", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, offsetof(struct price_body, model), 1,
        NAME_MAX_, NULL, NULL, "As its API takes it.", "\"gpt-4o\""},
    {"prices", FIELD_OBJECT, FIELD_CREATE | FIELD_REQUIRED, offsetof(struct price_body, prices), 2,
        (int64_t)(16 * KIB), NULL, NULL,
        "LiteLLM's members: input_cost_per_token, output_cost_per_token, max_output_tokens, ….",
        "{\"input_cost_per_token\":\"0.0000025\",\"output_cost_per_token\":\"0.00001\"}"},
};
static const struct admin_schema price_body = {
    "Price_override", body_fields, ARRAY_LEN(body_fields), sizeof(struct price_body)};

/* {"openai/gpt-4o":{"litellm_provider":"openai",…}}, as the reader of such files takes it. */
static struct str entry_text(struct admin_call *c, const struct price_body *p)
{
    _cleanup_(buf_free) struct buf b = {0};
    struct str inside = str_trim(str_from(p->prices, json_inside(p->prices)));

    buf_init(&b, 64 * KIB);
    put_open(&b, NULL, '{');
    put_str(&b, "litellm_provider", p->provider);
    if (!json_find(p->prices, STR("mode")).p)
        put_str(&b, "mode", STR("chat"));
    if (inside.n && inside.p[0] != '}')
        buf_addc(&b, ',');
    buf_addstr(&b, inside);
    return arena_dup(&c->arena, buf_str(&b));
}

/* A price, or a limit of tokens. */
static bool says_anything(struct str prices)
{
    size_t at = json_inside(prices);
    struct str key, value;

    while (json_next(prices, &at, &key, &value))
        if (str_find(key, STR("cost_per_")) >= 0 || str_find(key, STR("_tokens")) >= 0)
            return true;
    return false;
}

static int check_entry(struct admin_call *c, const struct price_body *p, struct str entry)
{
    struct prices_overlay *made = NULL;
    char err[256] = "";
    struct str name =
        arena_printf(&c->arena, STR_FMT "/" STR_FMT, STR_ARG(p->provider), STR_ARG(p->model));
    _cleanup_(buf_free) struct buf b = {0};

    if (json_find(p->prices, STR("litellm_provider")).p)
        return admin_bad(c, "prices", "prices: the provider stands beside the prices.");
    if (!provider_by_id(p->provider))
        return admin_bad(
            c, "provider", "provider: there is no provider '" STR_FMT "'.", STR_ARG(p->provider));
    buf_init(&b, 64 * KIB);
    put_open(&b, NULL, '{');
    buf_addjson(&b, name);
    buf_addc(&b, ':');
    buf_addstr(&b, entry);
    put_close(&b, '}');
    int r = prices_overlay_parse(buf_str(&b), &made, err, sizeof err);
    size_t n = r == 0 ? prices_overlay_models(made) : 0;
    size_t unpriced = r == 0 ? prices_overlay_unpriced(made) : 0;
    prices_overlay_unref(made);
    if (r < 0)
        return admin_bad(c, "prices", "prices: %s", err);
    if (!n || unpriced || !says_anything(p->prices))
        return admin_bad(c, "prices", "prices: there is no price in it that is used here.");
    return 0;
}

static int save(struct admin_call *c, struct str name, struct str value)
{
    struct store_batch *b = NULL;
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v[] = {
        store_text(name), store_text(value), store_int(clock_wall()), store_text(c->who.actor)};
    int r = store_batch_new(&b);

    if (r == 0 && value.p)
        r = store_batch_add(b,
            "INSERT INTO settings (name, value, updated_at, updated_by) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value, "
            "updated_at = excluded.updated_at, updated_by = excluded.updated_by",
            v, 4, 0);
    else if (r == 0)
        r = store_batch_add(b, "DELETE FROM settings WHERE name = ?1", v, 1, STORE_EXPECT_ONE);
    if (r == 0)
        r = store_batch_add_change(b, ADMIN_SETTINGS_KIND, name);
    if (r == 0)
        r = store_batch_run(c->env->store, b, err);
    store_batch_free(b);
    if (r == -EAGAIN && !value.p)
        return admin_not_found(c, "price of that name", str_from(name, strlen(PRICE_PREFIX)));
    return r < 0 ? admin_store_fail(c, r, err) : 0;
}

static int create(struct admin_call *c)
{
    const struct price_body *p = c->body;
    struct str entry = entry_text(c, p);
    struct str name = arena_printf(
        &c->arena, PRICE_PREFIX STR_FMT "/" STR_FMT, STR_ARG(p->provider), STR_ARG(p->model));
    int r = check_entry(c, p, entry);

    if (r == 0)
        r = c->env->store ? save(c, name, entry) : admin_store_fail(c, -EHOSTDOWN, NULL);
    if (r == 0)
        r = admin_audit(c, "policy_change", "price.set", name, c->text);
    if (r == 0 && c->env->reload)
        c->env->reload();
    put_open(&c->out, NULL, '{');
    put_str(&c->out, "provider", p->provider);
    put_str(&c->out, "model", p->model);
    put_raw(&c->out, "prices", p->prices);
    put_close(&c->out, '}');
    return r;
}

static int remove_price(struct admin_call *c)
{
    struct str name = arena_printf(&c->arena, PRICE_PREFIX STR_FMT "/" STR_FMT,
        STR_ARG(admin_param(c, 0)), STR_ARG(admin_param(c, 1)));
    int r = c->env->store ? save(c, name, STR_NONE) : admin_store_fail(c, -EHOSTDOWN, NULL);

    if (r == 0)
        r = admin_audit(c, "policy_change", "price.delete", name, STR_NONE);
    if (r == 0 && c->env->reload)
        c->env->reload();
    put_raw(&c->out, NULL, STR("{}"));
    return r;
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/prices",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = list,
        .query = &price_query,
        .reply = &price_schema,
        .name = "prices",
        .list = true,
        .tag = "Prices",
        .summary = "What models cost, and their limits"},
    {.method = HTTP_POST,
        .path = "/api/prices",
        .may = MAY_ADMIN,
        .handle = create,
        .body = &price_body,
        .name = "price",
        .flags = ADMIN_CREATED,
        .tag = "Prices",
        .summary = "Set the price of a model"},
    {.method = HTTP_DELETE,
        .path = "/api/prices/{provider}/{model}",
        .may = MAY_ADMIN,
        .handle = remove_price,
        .tag = "Prices",
        .summary = "Take the operator's price of a model back"},
};
const struct admin_rows admin_prices_rows = {rows, ARRAY_LEN(rows)};
