/*
 * The fields of one overlay entry: which of LiteLLM's names are known, and what they set. Names
 * that are not known are passed over, since the format grows with every release; a known name with
 * a value that is not of its kind refuses the file.
 */
#include "llm/overlay_int.h"

#include "base/macros.h"
#include <errno.h>
#include <stdio.h>

int overlay_fail(struct overlay_reader *rd, struct str field, const char *why)
{
    snprintf(rd->err, rd->err_n, "model \"" STR_FMT "\", field \"" STR_FMT "\": %s",
        (int)MIN(rd->model.n, 200u), rd->model.p, (int)MIN(field.n, 200u), field.p, why);
    return -EINVAL;
}

static const struct {
    struct str name;
    size_t at;
} token_fields[] = {
    {STR_INIT("input_cost_per_token"), offsetof(struct rate_card, input)},
    {STR_INIT("output_cost_per_token"), offsetof(struct rate_card, output)},
    {STR_INIT("cache_read_input_token_cost"), offsetof(struct rate_card, cache_read)},
    {STR_INIT("input_cost_per_token_cache_hit"), offsetof(struct rate_card, cache_read)},
    {STR_INIT("cache_creation_input_token_cost"), offsetof(struct rate_card, cache_write_5m)},
    {STR_INIT("cache_creation_input_token_cost_above_1hr"),
        offsetof(struct rate_card, cache_write_1h)},
    {STR_INIT("input_cost_per_audio_token"), offsetof(struct rate_card, input_audio)},
    {STR_INIT("output_cost_per_audio_token"), offsetof(struct rate_card, output_audio)},
    {STR_INIT("output_cost_per_reasoning_token"), offsetof(struct rate_card, reasoning)},
};

static const struct {
    struct str name;
    size_t at;
    unsigned scale;
} unit_fields[] = {
    {STR_INIT("output_cost_per_image"), offsetof(struct unit_prices, image), 1},
    {STR_INIT("input_cost_per_second"), offsetof(struct unit_prices, audio_hour), 3600},
    {STR_INIT("output_cost_per_second"), offsetof(struct unit_prices, audio_hour), 3600},
    {STR_INIT("input_cost_per_character"), offsetof(struct unit_prices, character), 1},
    {STR_INIT("input_cost_per_query"), offsetof(struct unit_prices, query), 1},
    {STR_INIT("ocr_cost_per_page"), offsetof(struct unit_prices, page), 1},
};

static const struct {
    struct str name;
    uint32_t flag;
    bool denies; /* the flag is set where the field is false */
} flag_fields[] = {
    {STR_INIT("supports_vision"), MODEL_VISION},
    {STR_INIT("supports_function_calling"), MODEL_TOOLS},
    {STR_INIT("supports_parallel_function_calling"), MODEL_PARALLEL_TOOLS},
    {STR_INIT("supports_reasoning"), MODEL_REASONING},
    {STR_INIT("supports_pdf_input"), MODEL_PDF},
    {STR_INIT("supports_audio_input"), MODEL_AUDIO_IN},
    {STR_INIT("supports_audio_output"), MODEL_AUDIO_OUT},
    {STR_INIT("supports_prompt_caching"), MODEL_PROMPT_CACHE},
    {STR_INIT("supports_response_schema"), MODEL_RESPONSE_SCHEMA},
    {STR_INIT("supports_web_search"), MODEL_WEB_SEARCH},
    {STR_INIT("supports_assistant_prefill"), MODEL_PREFILL},
    {STR_INIT("supports_adaptive_thinking"), MODEL_ADAPTIVE_THINKING},
    {STR_INIT("thinking_always_on"), MODEL_THINKING_ALWAYS},
    {STR_INIT("supports_legacy_thinking"), MODEL_BUDGET_THINKING},
    {STR_INIT("supports_mid_conversation_system"), MODEL_SYSTEM_ANYWHERE},
    {STR_INIT("supports_output_config"), MODEL_OUTPUT_EFFORT},
    {STR_INIT("supports_native_structured_output"), MODEL_NATIVE_SCHEMA},
    {STR_INIT("supports_xhigh_reasoning_effort"), MODEL_EFFORT_XHIGH},
    {STR_INIT("supports_max_reasoning_effort"), MODEL_EFFORT_MAX},
    {STR_INIT("supports_video_input"), MODEL_VIDEO_IN},
    {STR_INIT("supports_sampling_params"), MODEL_NO_SAMPLING, true},
    {STR_INIT("supports_forced_tool_use"), MODEL_NO_FORCED_TOOLS, true},
    {STR_INIT("supports_none_reasoning_effort"), MODEL_NO_EFFORT_NONE, true},
    {STR_INIT("supports_minimal_reasoning_effort"), MODEL_NO_EFFORT_MINIMAL, true},
    {STR_INIT("supports_system_messages"), MODEL_NO_SYSTEM, true},
    {STR_INIT("bedrock_converse_supports_strict_tools"), MODEL_NO_STRICT_TOOLS, true},
    {STR_INIT("supports_bedrock_converse_tool_result_images"), MODEL_NO_TOOL_IMAGES, true},
};

static const struct {
    struct str name;
    enum model_mode mode;
} modes[] = {
    {STR_INIT("chat"), MODEL_CHAT},
    {STR_INIT("completion"), MODEL_COMPLETION},
    {STR_INIT("embedding"), MODEL_EMBEDDING},
    {STR_INIT("image_generation"), MODEL_IMAGE},
    {STR_INIT("image_edit"), MODEL_IMAGE},
    {STR_INIT("audio_transcription"), MODEL_AUDIO_TRANSCRIPTION},
    {STR_INIT("audio_speech"), MODEL_AUDIO_SPEECH},
    {STR_INIT("rerank"), MODEL_RERANK},
    {STR_INIT("moderation"), MODEL_MODERATION},
    {STR_INIT("responses"), MODEL_RESPONSES},
    {STR_INIT("realtime"), MODEL_REALTIME},
    {STR_INIT("ocr"), MODEL_OCR},
};

/* A number literal, from a JSON number (read raw) or a string. */
static struct str literal_of(yyjson_val *v)
{
    if (yyjson_is_raw(v))
        return str_at(yyjson_get_raw(v), yyjson_get_len(v));
    if (yyjson_is_str(v))
        return str_trim(str_at(yyjson_get_str(v), yyjson_get_len(v)));
    return STR_NONE;
}

static int read_price(
    struct overlay_reader *rd, struct str field, yyjson_val *v, unsigned scale, int64_t *ret)
{
    struct str literal = literal_of(v);
    int r = literal.p ? price_parse(literal, scale, ret) : -EINVAL;
    if (r == -ERANGE)
        return overlay_fail(rd, field, "is too large, or finer than a pico-dollar");
    return r < 0 ? overlay_fail(rd, field, "is not a price: a decimal number of 0 or more") : 0;
}

static int read_limit(struct overlay_reader *rd, struct str field, yyjson_val *v, uint32_t *ret)
{
    struct str literal = literal_of(v);
    uint64_t n;
    if (str_ends(literal, STR(".0")))
        literal = str_to(literal, literal.n - 2);
    if (!literal.p || str_u64(literal, &n) < 0 || n > UINT32_MAX)
        return overlay_fail(rd, field, "is not a number of tokens");
    *ret = (uint32_t)n;
    return 0;
}

/* Cuts "_batches", "_flex" or "_priority" off a price's name. */
static enum service_tier cut_tier(struct str *name)
{
    static const struct str suffix[] = {[TIER_BATCH] = STR_INIT("_batches"),
        [TIER_FLEX] = STR_INIT("_flex"),
        [TIER_PRIORITY] = STR_INIT("_priority")};
    for (enum service_tier t = TIER_BATCH; t <= TIER_PRIORITY; t++)
        if (str_ends(*name, suffix[t])) {
            *name = str_to(*name, name->n - suffix[t].n);
            return t;
        }
    return TIER_DEFAULT;
}

/* Cuts "_above_200k_tokens" off; returns 200000, or 0 when it is not there. */
static uint32_t cut_threshold(struct str *name)
{
    ptrdiff_t at = str_find(*name, STR("_above_"));
    struct str rest = at < 0 ? STR_NONE : str_from(*name, (size_t)at + 7);
    if (str_starts(rest, STR("1hr_above_"))) {
        at += 10;
        rest = str_from(rest, 10);
    }
    uint64_t k;
    if (!str_ends(rest, STR("k_tokens")) || str_u64(str_to(rest, rest.n - 8), &k) < 0 || k == 0 ||
        k > 1000000)
        return 0;
    *name = str_to(*name, (size_t)at);
    return (uint32_t)k * 1000;
}

static int read_token_price(struct overlay_reader *rd, struct model_facts *f, struct str field,
    yyjson_val *v, bool *ret_found)
{
    struct str name = field;
    enum service_tier tier = cut_tier(&name);
    uint32_t threshold = cut_threshold(&name);
    for (size_t i = 0; i < ARRAY_LEN(token_fields); i++) {
        if (!str_eq(token_fields[i].name, name))
            continue;
        int64_t price;
        int r = read_price(rd, field, v, 1, &price);
        if (r < 0)
            return r;
        if (threshold && price == 0)
            return 0; /* an unfilled tier */
        rd->unpriced |= threshold && f->threshold && f->threshold != threshold;
        f->threshold = threshold ? threshold : f->threshold;
        *(int64_t *)((char *)&f->rates[tier][threshold != 0] + token_fields[i].at) = price;
        *ret_found = true;
    }
    return 0;
}

static int read_unit_price(struct overlay_reader *rd, struct model_facts *f, struct str field,
    yyjson_val *v, bool *ret_found)
{
    for (size_t i = 0; i < ARRAY_LEN(unit_fields); i++) {
        if (!str_eq(unit_fields[i].name, field))
            continue;
        int64_t price, *to = (int64_t *)((char *)&f->unit + unit_fields[i].at);
        int r = read_price(rd, field, v, unit_fields[i].scale, &price);
        if (r < 0)
            return r;
        rd->unpriced |= *to > 0 && price > 0 && *to != price;
        *to = MAX(*to, price); /* LiteLLM states some prices on both sides, or 0 on one */
        *ret_found = true;
    }
    return 0;
}

/* What a web search costs, by the size of the context it brings; of use only where all are one. */
static int read_search_price(
    struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry, bool *ret_found)
{
    struct str field = STR("search_context_cost_per_query");
    yyjson_val *sizes = yyjson_obj_getn(entry, field.p, field.n), *k, *v;
    int64_t price = PRICE_UNKNOWN, first = PRICE_UNKNOWN;
    size_t i, n;
    if (!yyjson_is_obj(sizes) || f->unit.query >= 0)
        return 0;
    yyjson_obj_foreach(sizes, i, n, k, v)
    {
        int r = read_price(rd, field, v, 1, &price);
        if (r < 0)
            return r;
        if (i > 0 && price != first)
            return 0;
        first = price;
    }
    f->unit.query = first > 0 ? first : PRICE_UNKNOWN;
    *ret_found |= first > 0;
    return 0;
}

/* What comes out of an image model are picture tokens; older models are priced at the input. */
static int read_image_prices(
    struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry, bool *ret_found)
{
    const struct {
        struct str name;
        int64_t *to;
    } prices[] = {{STR("output_cost_per_image_token"), &f->rates[TIER_DEFAULT][0].output},
        {STR("input_cost_per_image"), f->unit.image > 0 ? NULL : &f->unit.image}};
    for (size_t i = 0; i < ARRAY_LEN(prices); i++) {
        yyjson_val *v = yyjson_obj_getn(entry, prices[i].name.p, prices[i].name.n);
        if (!v || yyjson_is_null(v) || !prices[i].to)
            continue;
        int r = read_price(rd, prices[i].name, v, 1, prices[i].to);
        if (r < 0)
            return r;
        *ret_found = true;
    }
    return 0;
}

void overlay_forget_prices(struct model_facts *f)
{
    memset(f->rates, 0xff, sizeof(f->rates)); /* PRICE_UNKNOWN */
    memset(&f->unit, 0xff, sizeof(f->unit));
    f->threshold = 0;
}

static int read_prices(struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry)
{
    struct model_facts priced = *f;
    bool found = false;
    size_t i, n;
    yyjson_val *k, *v;
    overlay_forget_prices(&priced);
    rd->unpriced = false;
    yyjson_obj_foreach(entry, i, n, k, v)
    {
        struct str field = str_at(yyjson_get_str(k), yyjson_get_len(k));
        if (yyjson_is_null(v))
            continue;
        int r = read_token_price(rd, &priced, field, v, &found);
        if (r == 0)
            r = read_unit_price(rd, &priced, field, v, &found);
        if (r < 0)
            return r;
    }
    int r = read_search_price(rd, &priced, entry, &found);
    if (r == 0 && f->mode == MODEL_IMAGE)
        r = read_image_prices(rd, &priced, entry, &found);
    if (r < 0)
        return r;
    if (rd->unpriced)
        overlay_forget_prices(&priced);
    if (found)
        *f = priced;
    return 0;
}

static int read_flags(struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_fields); i++) {
        struct str name = flag_fields[i].name;
        yyjson_val *v = yyjson_obj_getn(entry, name.p, name.n);
        if (!v || yyjson_is_null(v))
            continue;
        if (!yyjson_is_bool(v))
            return overlay_fail(rd, name, "is not true or false");
        bool set = yyjson_get_bool(v) != flag_fields[i].denies;
        f->flags = set ? f->flags | flag_fields[i].flag : f->flags & ~flag_fields[i].flag;
    }
    return 0;
}

static int read_limits(struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry)
{
    const struct {
        struct str name;
        uint32_t *to;
    } limits[] = {{STR("max_tokens"), &f->max_output}, {STR("max_input_tokens"), &f->max_input},
        {STR("max_output_tokens"), &f->max_output}};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        yyjson_val *v = yyjson_obj_getn(entry, limits[i].name.p, limits[i].name.n);
        if (!v || yyjson_is_null(v))
            continue;
        int r = read_limit(rd, limits[i].name, v, limits[i].to);
        if (r < 0)
            return r;
    }
    return 0;
}

int overlay_read_mode(struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry)
{
    yyjson_val *v = yyjson_obj_get(entry, "mode");
    if (!v || yyjson_is_null(v))
        return 1;
    if (!yyjson_is_str(v))
        return overlay_fail(rd, STR("mode"), "is not a string");
    struct str mode = str_at(yyjson_get_str(v), yyjson_get_len(v));
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (str_eq(modes[i].name, mode)) {
            f->mode = modes[i].mode;
            return 1;
        }
    return 0;
}

int overlay_read_fields(struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry)
{
    int r = read_prices(rd, f, entry);
    if (r == 0)
        r = read_limits(rd, f, entry);
    return r ? r : read_flags(rd, f, entry);
}
