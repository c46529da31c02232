/*
 * Estimates. See keys/estimate.h.
 *
 * Tokens are guessed as a sum of weights by pairs of bytes, in sixteenths of a token. The weights
 * were chosen so that no sample of prose in a dozen languages, of code, logs, JSON and CJK text, in
 * UTF-8 or as \u escapes, has more tokens than its guess, with either rank table
 * (keys/estimate_test.c). Prose in English is guessed at about one and a half times what it has.
 */
#include "keys/estimate.h"

#include "base/limits.h"
#include "base/macros.h"
#include "llm/exchange.h"
#include "llm/prices.h"
#include "llm/tokens.h"
#include "runtime/co.h"
#include "runtime/offload.h"

#include <errno.h>

#define ROUGH_BYTES 512       /* beyond it looking at each byte has to be worth it */
#define HERE_BYTES  (8 * KIB) /* counted on this thread */
#define PICTURES_BYTES                                                                             \
    (8 * KIB) /* a body below it may hold a picture's address, but no picture                      \
               */

/* --- guessing tokens --- */

enum class { LOWER, UPPER, DIGIT, SPACE, MARK, BREAK, CONT, LEAD2, LEAD3, LEAD4, CLASSES = 16 };

static const uint8_t classes[256] = {
    [0 ... 31] = BREAK,
    [' '] = SPACE,
    ['!' ... '/'] = MARK,
    ['0' ... '9'] = DIGIT,
    [':' ... '@'] = MARK,
    ['A' ... 'Z'] = UPPER,
    ['[' ... '`'] = MARK,
    ['a' ... 'z'] = LOWER,
    ['{' ... 127] = MARK,
    [0x80 ... 0xbf] = CONT,
    [0xc0 ... 0xdf] = LEAD2, /* Latin with marks, Greek, Cyrillic, Hebrew, Arabic */
    [0xe0 ... 0xef] = LEAD3, /* Indic scripts, CJK */
    [0xf0 ... 0xff] = LEAD4, /* emoji, rare CJK */
};

/* Of a byte behind another: a token seldom goes over a change of class. */
static const uint8_t weights[CLASSES][CLASSES] = {
    /*           lower upper digit space mark break cont lead2 lead3 lead4 */
    [LOWER] = {4, 14, 16, 2, 16, 10, 0, 16, 34, 64},
    [UPPER] = {7, 10, 16, 2, 16, 10, 0, 16, 34, 64},
    [DIGIT] = {14, 14, 9, 2, 16, 10, 0, 16, 34, 64},
    [SPACE] = {8, 10, 16, 2, 16, 10, 0, 16, 34, 64},
    [MARK] = {10, 12, 16, 3, 14, 10, 0, 16, 34, 64},
    [BREAK] = {10, 12, 16, 6, 16, 10, 0, 16, 34, 64},
    [CONT] = {12, 14, 16, 2, 16, 10, 0, 16, 34, 64},
    [LEAD2] = {16, 16, 16, 16, 16, 16, 0, 16, 34, 64},
    [LEAD3] = {16, 16, 16, 16, 16, 16, 0, 16, 34, 64},
    [LEAD4] = {16, 16, 16, 16, 16, 16, 0, 16, 34, 64},
};

uint64_t tokens_guess(struct str text)
{
    const uint8_t *p = (const uint8_t *)text.p, *end = p + text.n;
    uint64_t sum = 0, more = 0;
    unsigned a = BREAK, b;

    for (; end - p >= 4; p += 4) {
        b = classes[p[0]];
        sum += weights[a][b];
        a = classes[p[1]];
        more += weights[b][a];
        b = classes[p[2]];
        sum += weights[a][b];
        a = classes[p[3]];
        more += weights[b][a];
    }
    for (; p < end; p++, a = b) {
        b = classes[*p];
        sum += weights[a][b];
    }
    return (sum + more) / 16 + 1;
}

/* --- counting them --- */

void estimate_watch(struct json_set *set, uint8_t mark)
{
    static const struct json_word words[] = {
        {STR_INIT("image_url"), false},
        {STR_INIT("inlineData"), false},
        {STR_INIT("inline_data"), false},
        {STR_INIT("file_data"), false},
        {STR_INIT("input_audio"), false},
        {STR_INIT("source"), false}, /* {"type": "base64", …} or {"bytes": …} */
        {STR_INIT("bytes"), false},
    };

    json_set_add(set, words, ARRAY_LEN(words), mark);
}

static bool has_pictures(const struct exchange *x)
{
    static const struct str marks[] = {STR_INIT("\"image_url\""), STR_INIT("\"input_image\""),
        STR_INIT("\"inlineData\""), STR_INIT("\"inline_data\""), STR_INIT("\"file_data\""),
        STR_INIT("\"input_audio\""), STR_INIT("\"base64\""), STR_INIT("\"bytes\"")};

    return x->body_names & NAMES_PICTURES && x->body.n >= PICTURES_BYTES &&
           json_mentions(x->body, marks, ARRAY_LEN(marks));
}

struct count {
    struct exchange *x;
    uint64_t tokens;
};

static int count_work(void *data)
{
    struct count *c = data;

    c->tokens = tokens_of_request(c->x->model, c->x->match.endpoint->kind, c->x->body);
    return 0;
}

/* The job is bounded work on the exchange's own memory, so it is waited for to its end. */
void estimate_count(struct exchange *x, struct estimate *e)
{
    struct count c = {.x = x};
    int r = 0;

    e->exact = true;
    if (x->body.n <= HERE_BYTES && tokens_ready(x->model)) {
        count_work(&c);
    } else {
        co_mask_cancel();
        r = offload_run(count_work, &c, NULL, NEVER_NS);
        co_unmask_cancel();
    }
    if (r == 0)
        e->input = c.tokens;
}

void estimate_refine(struct exchange *x, struct estimate *e)
{
    if (!e->rough) {
        estimate_count(x, e);
        return;
    }
    e->rough = false;
    e->input = tokens_guess(x->body);
}

/* --- what a request asks for --- */

static uint64_t number(const struct exchange *x, enum body_member m, uint64_t otherwise)
{
    const struct json_span *s = &x->spans[m];
    uint64_t n;

    if (s->type != JSON_NUMBER || json_u64(json_span_text(x->body, s), &n) < 0)
        return otherwise;
    return MIN(n, (uint64_t)1 << 32);
}

/* Gemini's settings stand in an object of their own, spelled in two ways. */
static uint64_t gemini_number(const struct exchange *x, struct str camel, struct str snake)
{
    static const struct str names[] = {STR_INIT("generationConfig"), STR_INIT("generation_config")};
    struct str objects[2], v = STR_NONE;
    uint64_t n;

    json_members(x->body, names, objects, 2);
    struct str o = objects[0].p ? objects[0] : objects[1];
    if (json_type_of(o) == JSON_OBJECT) {
        v = json_find(o, camel);
        v = v.p ? v : json_find(o, snake);
    }
    return v.n && json_u64(v, &n) == 0 ? MIN(n, (uint64_t)1 << 32) : 0;
}

static uint64_t converse_maximum(const struct exchange *x)
{
    static const struct str names[] = {STR_INIT("inferenceConfig")};
    struct str o;
    uint64_t n;

    json_members(x->body, names, &o, 1);
    struct str v = json_type_of(o) == JSON_OBJECT ? json_find(o, STR("maxTokens")) : STR_NONE;
    return v.n && json_u64(v, &n) == 0 ? MIN(n, (uint64_t)1 << 32) : 0;
}

static bool is_bedrock(const struct exchange *x)
{
    enum endpoint_kind k = x->match.endpoint->kind;

    return k == KIND_CONVERSE || k == KIND_CONVERSE_STREAM || k == KIND_INVOKE ||
           k == KIND_INVOKE_STREAM;
}

static bool is_gemini(const struct exchange *x)
{
    return x->match.endpoint->kind == KIND_GENERATE ||
           x->match.endpoint->kind == KIND_STREAM_GENERATE;
}

static uint64_t stated_maximum(const struct exchange *x)
{
    uint64_t most;

    if (is_gemini(x))
        return gemini_number(x, STR("maxOutputTokens"), STR("max_output_tokens"));
    most = number(x, BODY_MAX_COMPLETION_TOKENS, 0);
    most = MAX(most, number(x, BODY_MAX_TOKENS, 0));
    if (is_bedrock(x)) /* some models are invoked with Converse's words, too */
        most = MAX(most, converse_maximum(x));
    return MAX(most, number(x, BODY_MAX_OUTPUT_TOKENS, 0));
}

static uint64_t answers(const struct exchange *x)
{
    const struct json_span *prompt = &x->spans[BODY_PROMPT];
    uint64_t n = is_gemini(x) ? gemini_number(x, STR("candidateCount"), STR("candidate_count"))
                              : number(x, BODY_N, 1);

    if (x->match.endpoint->kind == KIND_COMPLETIONS && prompt->type == JSON_ARRAY) {
        struct str first = str_trim(str_from(json_span_text(x->body, prompt), 1));
        if (json_type_of(first) == JSON_STRING) /* several prompts; numbers are one as tokens */
            n *= prompt->items;
    }
    return MAX(n, 1);
}

static uint64_t output_tokens(const struct exchange *x, unsigned default_output)
{
    uint64_t stated = x->spans && x->body.n ? stated_maximum(x) : 0;

    if (!stated) {
        stated = default_output;
        if (x->facts && x->facts->max_output)
            stated = MIN(stated, x->facts->max_output);
    }
    return stated * (x->spans && x->body.n ? answers(x) : 1);
}

static bool writes_text(enum endpoint_kind k)
{
    static const bool yes[ENDPOINT_KINDS] = {
        [KIND_CHAT] = true,
        [KIND_COMPLETIONS] = true,
        [KIND_RESPONSES] = true,
        [KIND_RESPONSES_WS] = true,
        [KIND_REALTIME_WS] = true,
        [KIND_MESSAGES] = true,
        [KIND_COMPLETE] = true,
        [KIND_GENERATE] = true,
        [KIND_STREAM_GENERATE] = true,
        [KIND_CONVERSE] = true,
        [KIND_CONVERSE_STREAM] = true,
        [KIND_INVOKE] = true,
        [KIND_INVOKE_STREAM] = true,
    };
    return yes[k];
}

/* Sound: at least 2 KB a second, four hours at most. */
static uint64_t sound_ms(const struct exchange *x)
{
    uint64_t bytes = 0;

    str_u64(http_get(&x->rq->head.fields, HTTP_CONTENT_LENGTH), &bytes);
    return bytes ? MIN(bytes / 2, (uint64_t)4 * 3600 * 1000) : 600 * 1000;
}

static uint64_t pictures(const struct exchange *x)
{
    return x->spans && x->body.n ? MAX(number(x, BODY_N, 1), 1) : 1;
}

static uint64_t searches(const struct exchange *x)
{
    const struct json_span *d = x->spans && x->body.n ? &x->spans[BODY_DOCUMENTS] : NULL;

    return d && d->type == JSON_ARRAY ? d->items / 100 + 1 : 1;
}

void estimate_make(struct exchange *x, unsigned default_output, struct estimate *e)
{
    const struct endpoint *ep = x->match.endpoint;

    *e = (struct estimate){.metered = (ep->flags & EP_METERED) != 0 || ep->kind == KIND_SPEECH};
    if (!e->metered)
        return;
    e->rough = x->body.n > ROUGH_BYTES;
    e->input = e->rough ? x->body.n : x->body.n ? tokens_guess(x->body) : 0;
    e->cache_writes = x->facts &&
                      x->facts->rates[0][0].cache_write_5m > x->facts->rates[0][0].input &&
                      json_mentions(x->body,
                          (const struct str[]){STR("\"cache_control\""), STR("\"cachePoint\"")}, 2);
    if (writes_text(ep->kind))
        e->output = output_tokens(x, default_output);
    if (ep->kind == KIND_IMAGES || ep->kind == KIND_IMAGE_EDITS)
        e->images = pictures(x);
    else if (ep->kind == KIND_SPEECH)
        e->characters = x->characters;
    else if (ep->kind == KIND_TRANSCRIPTION)
        e->audio_ms = sound_ms(x);
    else if (ep->kind == KIND_RERANK)
        e->queries = searches(x);
    if (has_pictures(x))
        estimate_count(x, e);
}

/* --- money --- */

static enum service_tier tier_of(const struct exchange *x)
{
    if (x->spans && x->body.n && x->spans[BODY_SERVICE_TIER].type == JSON_STRING &&
        str_eq(json_span_text(x->body, &x->spans[BODY_SERVICE_TIER]), STR("\"priority\"")))
        return TIER_PRIORITY;
    return TIER_DEFAULT;
}

static int price(
    const struct model_facts *f, const struct usage *u, enum service_tier tier, int64_t *at_least)
{
    int64_t nano;
    int r = cost_compute(f, u, tier, &nano);

    if (r == 0 && nano > *at_least)
        *at_least = nano;
    return r;
}

static struct usage as_usage(const struct exchange *x, const struct estimate *e)
{
    const struct rate_card *c = &x->facts->rates[TIER_DEFAULT][0];
    struct usage u = {.input = e->input,
        .output = e->output,
        .images = e->images,
        .characters = e->characters,
        .audio_ms = e->audio_ms,
        .queries = e->queries,
        .source = USAGE_COUNTED};

    if (c->reasoning > c->output)
        u.reasoning = u.output;
    return u;
}

int estimate_price(const struct exchange *x, const struct estimate *e, int64_t *ret_nano)
{
    int64_t most = 0;

    *ret_nano = 0;
    if (!e->metered)
        return 0;
    if (!x->facts)
        return -ENODATA;
    struct usage u = as_usage(x, e);
    int r = price(x->facts, &u, tier_of(x), &most);
    if (r < 0 && tier_of(x) != TIER_DEFAULT)
        r = price(x->facts, &u, TIER_DEFAULT, &most);
    if (e->cache_writes) { /* dearer than plain input; those for an hour dearest */
        u.cache_write_5m = u.input;
        u.input = 0;
        price(x->facts, &u, TIER_DEFAULT, &most);
        u.cache_write_1h = u.cache_write_5m;
        u.cache_write_5m = 0;
        if (json_mentions(x->body, (const struct str[]){STR("\"ttl\"")}, 1))
            price(x->facts, &u, TIER_DEFAULT, &most);
    }
    *ret_nano = most;
    return r;
}
