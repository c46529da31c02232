/*
 * What Bedrock says of usage. Converse has it in the reply and in a stream's last event, in words
 * of its own. InvokeModel passes the model's own dialect on: Claude's replies have Anthropic's
 * usage, Nova's Converse's, and others none, but then the reply's head counts, and so does the last
 * chunk of a stream (AWS, "InvokeModel" and "Monitoring model invocation":
 * amazon-bedrock-invocationMetrics). A chunk's text is base64 inside a frame's JSON.
 */
#include "llm/meter_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "crypto/encode.h"
#include "json/scan.h"

/* --- Converse --- */

/* Of what was written to the cache, how much for an hour. */
static uint64_t written_for_an_hour(struct str details)
{
    uint64_t all = 0;
    size_t at = 1;
    struct str key, item;

    if (json_type_of(details) != JSON_ARRAY)
        return 0;
    while (json_next(details, &at, &key, &item)) {
        uint64_t n = 0;
        if (json_type_of(item) == JSON_OBJECT && meter_number_at(item, STR("inputTokens"), &n) &&
            str_eq(json_find(item, STR("ttl")), STR("\"1h\"")))
            all += n;
    }
    return all;
}

/* Cached tokens stand beside the input's, but where the total tells that they are in it. */
void meter_usage_converse(struct usage *u, struct str o)
{
    uint64_t in = 0, out = 0, total = 0, read = 0, written = 0;
    bool any = meter_number_at(o, STR("inputTokens"), &in);

    any |= meter_number_at(o, STR("outputTokens"), &out);
    if (!any)
        return;
    meter_number_at(o, STR("totalTokens"), &total);
    meter_number_at(o, STR("cacheReadInputTokens"), &read);
    meter_number_at(o, STR("cacheWriteInputTokens"), &written);
    if (read + written && total == in + out)
        in -= MIN(in, read + written);
    u->input = in;
    u->output = out;
    u->cache_read = read;
    u->cache_write_1h = MIN(written_for_an_hour(json_find(o, STR("cacheDetails"))), written);
    u->cache_write_5m = written - u->cache_write_1h;
    u->source = USAGE_REPORTED;
}

static void collect_converse(struct meter *m, struct str data)
{
    static const struct meter_key keys[] = {
        METER_KEY("text", true, 't', 'e'), METER_KEY("input", true, 'i', 'n')};

    if (m->usage.source == USAGE_UNKNOWN)
        meter_look(m, data, keys, ARRAY_LEN(keys));
}

static enum meter_verdict converse_event(struct meter *m, struct str event, struct str data)
{
    if (str_eq(event, STR("contentBlockDelta"))) {
        collect_converse(m, data);
    } else if (str_eq(event, STR("messageStop"))) {
        m->finished = true;
    } else if (str_eq(event, STR("metadata")) && json_type_of(data) == JSON_OBJECT) {
        meter_usage_object(m, json_find(data, STR("usage")));
        meter_tier_word(m, json_find(data, STR("serviceTier.type")));
        return METER_END;
    }
    return METER_PASS;
}

/* --- InvokeModel --- */

static void take_metrics(struct meter *m, struct str o)
{
    struct usage *u = &m->usage;
    bool any;

    if (json_type_of(o) != JSON_OBJECT)
        return;
    m->finished = true;
    if (u->source != USAGE_UNKNOWN)
        return;
    any = meter_number_at(o, STR("inputTokenCount"), &u->input);
    any |= meter_number_at(o, STR("outputTokenCount"), &u->output);
    meter_number_at(o, STR("cacheReadInputTokenCount"), &u->cache_read);
    meter_number_at(o, STR("cacheWriteInputTokenCount"), &u->cache_write_5m);
    if (any)
        u->source = USAGE_REPORTED;
}

/* What a model said in one chunk, in its own dialect; only Claude's and Nova's are known. */
static enum meter_verdict model_event(struct meter *m, struct str json)
{
    if (json_type_of(json) != JSON_OBJECT)
        return METER_PASS;
    enum meter_verdict v = meter_anthropic_event(m, json);
    struct str usage = json_find(json, STR("metadata.usage"));
    if (usage.p)
        meter_usage_object(m, usage);
    take_metrics(m, json_find(json, STR("amazon-bedrock-invocationMetrics")));
    return v;
}

static enum meter_verdict invoke_event(struct meter *m, struct str data)
{
    _cleanup_(buf_free) struct buf text = {0};
    struct str bytes = json_type_of(data) == JSON_OBJECT ? json_find(data, STR("bytes")) : STR_NONE;

    buf_init(&text, LIMIT_EVENTSTREAM_BYTES);
    if (bytes.n < 3 || buf_reserve(&text, BASE64_MAX_BYTES(bytes.n)) < 0)
        return METER_PASS;
    ssize_t n = base64_decode(str_at(bytes.p + 1, bytes.n - 2), text.p);
    return n > 0 ? model_event(m, str_at(text.p, (size_t)n)) : METER_PASS;
}

/* A number that the reply's head has. */
static bool take_field(const struct http_fields *f, const char *name, uint64_t *to)
{
    struct str v = http_get_other(f, str_of(name));

    return v.n && str_u64(v, to) == 0;
}

void meter_fields(struct meter *m, const struct http_fields *f)
{
    struct usage u = {0};
    bool any;

    if (m->kind != KIND_INVOKE || m->usage.source != USAGE_UNKNOWN)
        return;
    any = take_field(f, "x-amzn-bedrock-input-token-count", &u.input);
    any |= take_field(f, "x-amzn-bedrock-output-token-count", &u.output);
    take_field(f, "x-amzn-bedrock-cache-read-input-token-count", &u.cache_read);
    take_field(f, "x-amzn-bedrock-cache-write-input-token-count", &u.cache_write_5m);
    if (!any || MAX(MAX(u.input, u.output), MAX(u.cache_read, u.cache_write_5m)) > METER_COUNT_MAX)
        return;
    u.tier = m->usage.tier;
    u.source = USAGE_REPORTED;
    m->usage = u;
}

/* --- --- */

enum meter_verdict meter_bedrock_event(struct meter *m, struct str event, struct str data)
{
    if (str_starts(event, STR("!"))) { /* an exception ends a stream */
        m->failed = true;
        return METER_ERROR;
    }
    return m->kind == KIND_CONVERSE_STREAM ? converse_event(m, event, data) : invoke_event(m, data);
}
