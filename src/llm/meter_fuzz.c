/*
 * Replies of any content: no crash, offsets that lie in the data, a reply's usage that does not
 * depend on how its bytes were cut into pieces, and the short way of "usage":null in valid JSON.
 */
#include "base/macros.h"
#include "llm/meter.h"
#include "json/scan.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const enum endpoint_kind kinds[] = {KIND_CHAT, KIND_COMPLETIONS, KIND_RESPONSES,
    KIND_MESSAGES, KIND_GENERATE, KIND_STREAM_GENERATE, KIND_IMAGES, KIND_RERANK,
    KIND_TRANSCRIPTION, KIND_BATCHES, KIND_CONVERSE, KIND_CONVERSE_STREAM, KIND_INVOKE,
    KIND_INVOKE_STREAM};

static bool same(const struct usage *a, const struct usage *b)
{
    return a->input == b->input && a->output == b->output && a->cache_read == b->cache_read &&
           a->cache_write_5m == b->cache_write_5m && a->cache_write_1h == b->cache_write_1h &&
           a->reasoning == b->reasoning && a->audio_in == b->audio_in &&
           a->audio_out == b->audio_out && a->audio_ms == b->audio_ms && a->source == b->source;
}

static bool is_json(struct str text)
{
    struct json_error e;
    enum json_type top;

    return json_scan(text, NULL, NULL, 0, &top, &e) == 0;
}

/* What a chunk is does not depend on whether one with "usage":null came before. */
static void both_ways(enum endpoint_kind kind, struct str data)
{
    struct meter slow, quick;
    size_t from[2] = {0}, to[2] = {0};

    meter_init(&slow, kind);
    meter_init(&quick, kind);
    quick.null_seen = true;
    enum meter_verdict a = meter_event(&slow, STR_NONE, data, &from[0], &to[0]);
    enum meter_verdict b = meter_event(&quick, STR_NONE, data, &from[1], &to[1]);
    must(a == b && same(&slow.usage, &quick.usage));
    must(a != METER_NULL || (from[0] == from[1] && to[0] == to[1]));
    meter_free(&slow);
    meter_free(&quick);
}

/* The input as events, one a line; a leading word up to '|' names the event. */
static void events(enum endpoint_kind kind, struct str text)
{
    struct meter m;

    meter_init(&m, kind);
    while (text.p) {
        struct str data = str_split(&text, '\n'), name = STR_NONE;
        size_t from = 0, to = 0;
        if (str_chr(data, '|') > 0 && str_chr(data, '|') < 40)
            name = str_split(&data, '|');
        if (is_json(data))
            both_ways(kind, data);
        uint64_t before = m.output_bytes;
        enum meter_verdict v = meter_event(&m, name, data, &from, &to);
        if (v == METER_NULL) {
            must(from < to && to <= data.n);
            must(str_find(str_at(data.p + from, to - from), STR("\"usage\"")) >= 0);
        }
        must(m.output_bytes >= before && m.output_bytes - before <= 3 * data.n);
    }
    must(m.text.n <= m.output_bytes && m.text.n <= 256 * 1024);
    meter_free(&m);
}

static void pieces(enum endpoint_kind kind, struct str text, uint8_t seed)
{
    struct meter whole, cut;

    meter_init(&whole, kind);
    meter_init(&cut, kind);
    meter_piece(&whole, text);
    for (size_t at = 0; at < text.n;) {
        size_t piece = 1 + (at * 31 + seed) % 97;
        meter_piece(&cut, str_to(str_from(text, at), piece));
        at += piece;
    }
    meter_pieces_end(&whole);
    meter_pieces_end(&cut);
    must(text.n > 16 * 1024 || same(&whole.usage, &cut.usage));
    meter_free(&whole);
    meter_free(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct meter m;

    if (n < 2)
        return 0;
    enum endpoint_kind kind = kinds[data[0] % ARRAY_LEN(kinds)];
    struct str text = str_at((const char *)data + 2, n - 2);
    events(kind, text);
    pieces(kind, text, data[1]);
    meter_init(&m, kind);
    meter_reply(&m, text);
    must(m.ids.n == 0 || m.ids.p[m.ids.n - 1] == 0);
    meter_free(&m);
    return 0;
}
