/*
 * What a batch used: the lines of its results, each with the usage of one request.
 *
 *   OpenAI      {"custom_id":…,"response":{"status_code":200,"body":{"model":…,"usage":{…}}},…}
 *   Anthropic   {"custom_id":…,"result":{"type":"succeeded","message":{"model":…,"usage":{…}}}}
 *   Google      {"key":…,"response":{"usageMetadata":{…},…}}, all of the batch's one model
 *
 * Google's object of a batch, an operation, says where the results are, or holds them itself:
 *
 *   {"name":"batches/…","metadata":{"model":"models/…","state":"BATCH_STATE_SUCCEEDED","output":
 *    {"responsesFile":"files/…"} or {"inlinedResponses":{"inlinedResponses":[{"response":…},…]}}}}
 *
 * Each line is priced by itself, as a request is, at the prices of batches, and added up by model.
 * Nothing here suspends.
 */
#include "gateway/own.h"

#include "llm/prices.h"
#include "route/route.h"

#define LINE_MAX_BYTES (16 * MIB)

/* --- the object --- */

static bool has_ended(struct str status)
{
    static const struct str ends[] = {STR_INIT("\"completed\""), STR_INIT("\"failed\""),
        STR_INIT("\"expired\""), STR_INIT("\"cancelled\"")};

    for (unsigned i = 0; i < ARRAY_LEN(ends); i++)
        if (str_ieq(status, ends[i]))
            return true;
    return false;
}

static bool gemini_ended(struct str object)
{
    static const struct str ends[] = {STR_INIT("_SUCCEEDED\""), STR_INIT("_FAILED\""),
        STR_INIT("_EXPIRED\""), STR_INIT("_CANCELLED\"")};
    struct str state = json_find(object, STR("metadata.state"));

    for (unsigned i = 0; i < ARRAY_LEN(ends); i++)
        if (str_ends(state, ends[i]))
            return true;
    return json_type_of(json_find(object, STR("done"))) == JSON_TRUE;
}

bool own_batch_ended(enum owned_kind kind, struct str object)
{
    if (kind == OWNED_MESSAGE_BATCH)
        return str_eq(json_find(object, STR("processing_status")), STR("\"ended\""));
    if (kind == OWNED_GEMINI_BATCH)
        return gemini_ended(object);
    return has_ended(json_find(object, STR("status")));
}

/* Of Google's output, which stands in two places. */
static struct str gemini_output(struct str object, struct str member)
{
    struct str out = json_find(json_find(object, STR("metadata.output")), member);

    return out.p ? out : json_find(json_find(object, STR("response")), member);
}

static struct str text_of(struct str literal)
{
    if (json_type_of(literal) != JSON_STRING)
        return STR_NONE;
    struct str s = str_at(literal.p + 1, literal.n - 2);
    return str_chr(s, '\\') < 0 ? s : STR_NONE; /* no model and no file has such a name */
}

struct str own_batch_file(enum owned_kind kind, struct str object)
{
    if (kind == OWNED_BATCH)
        return text_of(json_find(object, STR("output_file_id")));
    return kind == OWNED_GEMINI_BATCH ? text_of(gemini_output(object, STR("responsesFile")))
                                      : STR_NONE;
}

/* Of a batch that has one model. */
static struct str model_of(enum owned_kind kind, struct str object)
{
    struct str model =
        kind == OWNED_GEMINI_BATCH ? text_of(json_find(object, STR("metadata.model"))) : STR_NONE;

    return str_starts(model, STR("models/")) ? str_from(model, 7) : model;
}

/* --- sums --- */

static struct own_model *sum_of(struct own_usage *sums, struct str model)
{
    for (unsigned i = 0; i < sums->n; i++)
        if (str_eq(str_of(sums->at[i].model), model))
            return &sums->at[i];
    if (sums->n == OWN_MODELS_MAX)
        return &sums->at[OWN_MODELS_MAX - 1];
    struct own_model *m = &sums->at[sums->n++];
    *m = (struct own_model){.nano = 0};
    str_put(m->model, model);
    return m;
}

static void add_usage(struct usage *to, const struct usage *u)
{
    to->input += u->input;
    to->output += u->output;
    to->cache_read += u->cache_read;
    to->cache_write_5m += u->cache_write_5m;
    to->cache_write_1h += u->cache_write_1h;
    to->reasoning += u->reasoning;
    to->audio_in += u->audio_in;
    to->audio_out += u->audio_out;
    to->images += u->images;
    to->source = USAGE_REPORTED;
    to->tier = TIER_BATCH;
}

/* The built-in demo stands in for the providers of the models that it is asked for. */
static const struct model_facts *facts_of(
    struct str provider, struct str model, const struct prices_overlay *prices)
{
    const struct provider *p;
    struct str rest;

    if (str_eq(provider, STR("demo")) && (p = route_by_name(model, &rest)))
        return prices_find(prices, p->id, rest);
    return prices_find(prices, provider, model);
}

static void add_priced(struct own_usage *sums, struct str model, const struct usage *u,
    struct str provider, const struct prices_overlay *prices)
{
    const struct model_facts *facts = facts_of(provider, model, prices);
    struct own_model *m;
    int64_t nano = -1;

    model = str_to(model, sizeof m->model - 1);
    m = sum_of(sums, model);
    m->calls++;
    add_usage(&m->usage, u);
    if (!facts || cost_compute(facts, u, TIER_BATCH, &nano) < 0)
        nano = -1;
    if (nano < 0 || m->nano < 0 || __builtin_add_overflow(m->nano, nano, &m->nano))
        m->nano = -1;
}

/* Google's vectors come with a count of their own. */
static void take_token_count(struct meter *m, struct str reply)
{
    struct str count = json_find(reply, STR("tokenCount")), digits = text_of(count);
    uint64_t n;

    if (str_u64(digits.n ? digits : count, &n) < 0 || n > INT64_MAX)
        return;
    m->usage.input = (int64_t)n;
    m->usage.source = USAGE_REPORTED;
}

static enum endpoint_kind reply_kind(enum owned_kind kind)
{
    return kind == OWNED_MESSAGE_BATCH  ? KIND_MESSAGES
           : kind == OWNED_GEMINI_BATCH ? KIND_GENERATE
                                        : KIND_EMBEDDINGS;
}

/* One reply, as it would have come to a call. */
static void add_reply(struct own_lines *l, struct str reply)
{
    struct str model = l->model;
    struct meter m;

    if (json_type_of(reply) != JSON_OBJECT)
        return;
    meter_init(&m, reply_kind(l->kind));
    meter_reply(&m, reply);
    if (l->kind == OWNED_GEMINI_BATCH && m.usage.source != USAGE_REPORTED)
        take_token_count(&m, reply);
    if (!model.n)
        model = text_of(
            json_find(reply, l->kind == OWNED_GEMINI_BATCH ? STR("modelVersion") : STR("model")));
    if (m.usage.source == USAGE_REPORTED)
        add_priced(l->sums, model, &m.usage, l->provider, l->prices);
    meter_free(&m);
}

/* --- lines --- */

void own_lines_init(struct own_lines *l, struct own_usage *sums, enum owned_kind kind,
    struct str object, struct str provider, const struct prices_overlay *prices)
{
    *l = (struct own_lines){.sums = sums,
        .kind = kind,
        .provider = provider,
        .model = model_of(kind, object),
        .prices = prices};
    buf_init(&l->line, LINE_MAX_BYTES);
}

static struct str reply_in(enum owned_kind kind, struct str line)
{
    return json_find(line, kind == OWNED_MESSAGE_BATCH  ? STR("result.message")
                           : kind == OWNED_GEMINI_BATCH ? STR("response")
                                                        : STR("response.body"));
}

static void take_line(struct own_lines *l, struct str line)
{
    struct json_error e;
    enum json_type top;

    line = str_trim(line);
    if (!line.n)
        return;
    if (json_scan(line, NULL, NULL, 0, &top, &e) < 0 || top != JSON_OBJECT) {
        l->skipped++;
        return;
    }
    add_reply(l, reply_in(l->kind, line));
}

/* The end of a line whose beginning is held. */
static void end_line(struct own_lines *l)
{
    if (l->skip)
        l->skipped++;
    else
        take_line(l, buf_str(&l->line));
    buf_clear(&l->line);
    l->skip = false;
}

static void hold(struct own_lines *l, struct str part)
{
    if (!l->skip && buf_addstr(&l->line, part) < 0)
        l->skip = true;
}

void own_lines_add(struct own_lines *l, struct str piece)
{
    ptrdiff_t end;

    while ((end = str_chr(piece, '\n')) >= 0) {
        struct str part = str_to(piece, (size_t)end);
        piece = str_from(piece, (size_t)end + 1);
        if (!l->line.n && !l->skip) {
            take_line(l, part);
            continue;
        }
        hold(l, part);
        end_line(l);
    }
    hold(l, piece);
}

void own_lines_end(struct own_lines *l)
{
    if (l->line.n || l->skip)
        end_line(l);
    buf_free(&l->line);
}

/* --- what stands in the object --- */

/* Vectors may stand under a name of their own. */
static void add_inlined(struct own_lines *l, struct str object)
{
    static const struct str names[] = {STR_INIT("inlinedResponses.inlinedResponses"),
        STR_INIT("inlinedEmbedContentResponses.inlinedResponses")};
    struct str list, key, item;

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        list = gemini_output(object, names[i]);
        if (json_type_of(list) != JSON_ARRAY)
            continue;
        for (size_t at = json_inside(list); json_next(list, &at, &key, &item);)
            add_reply(l, reply_in(l->kind, item));
    }
}

void own_usage_of_object(struct own_usage *sums, enum owned_kind kind, struct str object,
    struct str provider, const struct prices_overlay *prices)
{
    struct own_lines l;

    own_lines_init(&l, sums, kind, object, provider, prices);
    if (kind == OWNED_GEMINI_BATCH)
        add_inlined(&l, object);
    else if (kind == OWNED_BATCH)
        add_reply(&l, object);
    own_lines_end(&l);
}
