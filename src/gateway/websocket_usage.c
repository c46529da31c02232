/*
 * Usage of WebSocket sessions. A session makes many responses; each reports its own usage in the
 * event that ends it, and the session's is their sum. Responses over WebSocket has the events of
 * the HTTP stream; Realtime has its own event and its own names for the details.
 */
#include "gateway/websocket_int.h"

void ws_usage_add(struct usage *sum, const struct usage *one)
{
    sum->input += one->input;
    sum->output += one->output;
    sum->cache_read += one->cache_read;
    sum->cache_write_5m += one->cache_write_5m;
    sum->cache_write_1h += one->cache_write_1h;
    sum->reasoning += one->reasoning;
    sum->audio_in += one->audio_in;
    sum->audio_out += one->audio_out;
    sum->images += one->images;
    sum->audio_ms += one->audio_ms;
    sum->characters += one->characters;
    sum->queries += one->queries;
    sum->tier = one->tier;
    if (one->source != USAGE_UNKNOWN)
        sum->source = one->source;
}

static bool number_at(struct str object, struct str path, uint64_t *to)
{
    return json_u64(json_find(object, path), to) == 0;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* The totals hold cached and audio tokens, and the cached ones hold cached audio. */
static bool realtime_usage(struct str o, struct usage *u)
{
    uint64_t in = 0, out = 0, audio = 0, cached_audio = 0;
    bool any = number_at(o, STR("input_tokens"), &in);

    any |= number_at(o, STR("output_tokens"), &out);
    if (!any)
        return false;
    number_at(o, STR("input_token_details.cached_tokens"), &u->cache_read);
    number_at(o, STR("input_token_details.audio_tokens"), &audio);
    number_at(o, STR("input_token_details.cached_tokens_details.audio_tokens"), &cached_audio);
    number_at(o, STR("output_token_details.audio_tokens"), &u->audio_out);
    u->audio_in = minus(audio, cached_audio);
    u->input = minus(minus(in, u->cache_read), u->audio_in);
    u->output = minus(out, u->audio_out);
    u->source = USAGE_REPORTED;
    return true;
}

static bool responses_usage(struct str text, struct usage *u)
{
    struct meter m;
    size_t from, to;

    meter_init(&m, KIND_RESPONSES);
    m.text_max = 0;
    meter_event(&m, STR_NONE, text, &from, &to);
    *u = m.usage;
    meter_free(&m);
    return u->source != USAGE_UNKNOWN;
}

static void take_id(struct str response, char id[static 80])
{
    struct str v = json_find(response, STR("id"));

    if (v.n < 3 || v.n - 2 >= 80 || v.p[0] != '"')
        return;
    memcpy(id, v.p + 1, v.n - 2);
    id[v.n - 2] = 0;
}

bool ws_usage_take(enum endpoint_kind kind, struct str text, struct usage *sum, char id[static 80])
{
    struct usage one = {0};
    bool any;

    id[0] = 0;
    if (!text.n || !memmem(text.p, text.n, "\"usage\"", 7))
        return false;
    if (kind == KIND_REALTIME_WS)
        any = str_eq(json_find(text, STR("type")), STR("\"response.done\"")) &&
              realtime_usage(json_find(text, STR("response.usage")), &one);
    else
        any = responses_usage(text, &one);
    if (!any)
        return false;
    take_id(json_find(text, STR("response")), id);
    ws_usage_add(sum, &one);
    return true;
}
