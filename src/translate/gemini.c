/* The wire of Gemini's dialect: usage, finish reasons, errors, and the struct. */
#include "translate/gemini_int.h"

#include "base/macros.h"
#include "llm/dialect.h"

#include <errno.h>

/* --- finish reasons --- */

static const struct {
    struct str name;
    enum canon_finish finish;
} reasons[] = {
    {STR_INIT("STOP"), FINISH_STOP},
    {STR_INIT("MAX_TOKENS"), FINISH_LENGTH},
    {STR_INIT("CONTINUATION"), FINISH_LENGTH},
    {STR_INIT("SAFETY"), FINISH_FILTER},
    {STR_INIT("RECITATION"), FINISH_FILTER},
    {STR_INIT("LANGUAGE"), FINISH_FILTER},
    {STR_INIT("OTHER"), FINISH_FILTER},
    {STR_INIT("BLOCKLIST"), FINISH_FILTER},
    {STR_INIT("PROHIBITED_CONTENT"), FINISH_FILTER},
    {STR_INIT("SPII"), FINISH_FILTER},
    {STR_INIT("IMAGE_SAFETY"), FINISH_FILTER},
    {STR_INIT("IMAGE_PROHIBITED_CONTENT"), FINISH_FILTER},
    {STR_INIT("IMAGE_RECITATION"), FINISH_FILTER},
    {STR_INIT("IMAGE_OTHER"), FINISH_FILTER},
    {STR_INIT("MODEL_ARMOR"), FINISH_FILTER},
    {STR_INIT("JAILBREAK"), FINISH_FILTER},
    {STR_INIT("ESCALATION"), FINISH_FILTER},
    {STR_INIT("PUP_LIMITED_DISABLED"), FINISH_FILTER},
};

/* What is left is the model's own mistake (MALFORMED_FUNCTION_CALL, NO_IMAGE): it stopped. */
enum canon_finish gm_finish_of(struct str reason)
{
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
        if (str_eq(reasons[i].name, reason))
            return reasons[i].finish;
    return FINISH_STOP;
}

struct str gm_finish_name(enum canon_finish f, struct str native)
{
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
        if (str_eq(reasons[i].name, native) && reasons[i].finish == f)
            return native;
    switch (f) {
    case FINISH_LENGTH:
    case FINISH_CONTEXT:
        return STR("MAX_TOKENS");
    case FINISH_FILTER:
        return STR("SAFETY");
    case FINISH_ERROR:
        return STR("OTHER");
    default:
        return STR("STOP");
    }
}

/* --- usage --- */

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t of_modality(yyjson_val *details, struct str wanted)
{
    uint64_t sum = 0;
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(details, i, n, item)
    {
        if (str_eq(jr_get_str(item, "modality"), wanted))
            sum += jr_get_u64(item, "tokenCount");
    }
    return sum;
}

static enum service_tier tier_of(struct str traffic)
{
    if (str_eq(traffic, STR("ON_DEMAND_PRIORITY")))
        return TIER_PRIORITY;
    return str_eq(traffic, STR("ON_DEMAND_FLEX")) ? TIER_FLEX : TIER_DEFAULT;
}

/* As llm/meter_usage.c counts: cached tokens are inside the prompt's, thoughts are not inside the
 * candidates', what tools brought is part of the prompt. */
void gm_read_usage(yyjson_val *o, struct usage *u)
{
    const struct str audio = STR("AUDIO");
    int64_t prompt;
    if (!jr_get_int(o, "promptTokenCount", &prompt) || prompt < 0)
        return;
    *u = (struct usage){.source = USAGE_REPORTED, .tier = tier_of(jr_get_str(o, "trafficType"))};
    uint64_t all = jr_get_u64(o, "promptTokenCount") + jr_get_u64(o, "toolUsePromptTokenCount");
    u->cache_read = jr_get_u64(o, "cachedContentTokenCount");
    u->audio_in = minus(of_modality(yyjson_obj_get(o, "promptTokensDetails"), audio),
        of_modality(yyjson_obj_get(o, "cacheTokensDetails"), audio));
    u->audio_out = of_modality(yyjson_obj_get(o, "candidatesTokensDetails"), audio);
    u->input = minus(all, u->cache_read + u->audio_in);
    u->reasoning = jr_get_u64(o, "thoughtsTokenCount");
    u->output = minus(jr_get_u64(o, "candidatesTokenCount"), u->audio_out) + u->reasoning;
}

static void put_modality(struct jw *w, struct str name, uint64_t n)
{
    jw_open(w, '{');
    jw_member_str(w, "modality", name);
    jw_member_int(w, "tokenCount", (int64_t)n);
    jw_close(w, '}');
}

static void put_details(struct jw *w, const char *name, uint64_t text, uint64_t audio)
{
    jw_key(w, name);
    jw_open(w, '[');
    put_modality(w, STR("TEXT"), text);
    put_modality(w, STR("AUDIO"), audio);
    jw_close(w, ']');
}

void gm_write_usage(const struct usage *u, struct jw *w)
{
    uint64_t in = usage_input_total(u), out = usage_output_total(u);
    uint64_t thoughts = MIN(u->reasoning, out);
    jw_open(w, '{');
    jw_member_int(w, "promptTokenCount", (int64_t)in);
    jw_member_int(w, "candidatesTokenCount", (int64_t)(out - thoughts));
    jw_member_int(w, "totalTokenCount", (int64_t)(in + out));
    if (u->cache_read)
        jw_member_int(w, "cachedContentTokenCount", (int64_t)u->cache_read);
    if (u->audio_in)
        put_details(w, "promptTokensDetails", in - u->audio_in, u->audio_in);
    if (u->audio_out)
        put_details(
            w, "candidatesTokensDetails", minus(out - thoughts, u->audio_out), u->audio_out);
    if (thoughts)
        jw_member_int(w, "thoughtsTokenCount", (int64_t)thoughts);
    jw_close(w, '}');
}

/* --- errors --- */

/* "13s", "0.5s" → whole seconds, rounded up; 0 when it is none. */
static int delay_of(struct str s)
{
    uint64_t n;
    if (!s.n || s.p[s.n - 1] != 's')
        return 0;
    struct str fraction = str_to(s, s.n - 1), whole = str_split(&fraction, '.');
    if (str_u64(whole, &n) < 0 || n > 86400)
        return 0;
    for (size_t i = 0; i < fraction.n; i++)
        if (fraction.p[i] != '0')
            return (int)n + 1;
    return (int)n;
}

static int retry_delay(yyjson_val *details)
{
    yyjson_val *item;
    size_t i, n;
    int s = 0;
    yyjson_arr_foreach(details, i, n, item)
    {
        s = MAX(s, delay_of(jr_get_str(item, "retryDelay")));
    }
    return s;
}

static bool has_reason(yyjson_val *details, struct str reason)
{
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(details, i, n, item)
    {
        if (str_eq(jr_get_str(item, "reason"), reason))
            return true;
    }
    return false;
}

/* The field of a BadRequest: "contents[0].parts[0]". */
static struct str violated(yyjson_val *details)
{
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(details, i, n, item)
    {
        yyjson_val *first = yyjson_arr_get_first(yyjson_obj_get(item, "fieldViolations"));
        if (jr_get_str(first, "field").n)
            return jr_get_str(first, "field");
    }
    return STR_NONE;
}

static struct str kept(struct canon_call *c, struct str s)
{
    return s.n ? arena_dup(c->arena, s) : STR_NONE;
}

/* One error object. Its status word is the code: routing and log know Google's words. */
static void take_error(struct canon_call *c, yyjson_val *e, int status, struct error *ret)
{
    yyjson_val *details = yyjson_obj_get(e, "details");
    int64_t code;
    if (status < 400 && jr_get_int(e, "code", &code) && code >= 400 && code < 600)
        status = (int)code;
    ret->status = status < 400 ? 502 : status;
    ret->code = kept(c, jr_get_str(e, "status"));
    if (has_reason(details, STR("API_KEY_INVALID")))
        ret->code = STR("UNAUTHENTICATED"); /* Google says 400 and INVALID_ARGUMENT */
    ret->message = kept(c, jr_get_str(e, "message"));
    ret->param = kept(c, violated(details));
    ret->retry_after_s = retry_delay(details);
}

void gm_read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    const char *why;
    yyjson_val *root = body.n ? jr_parse(c->arena, body, &why) : NULL;
    *ret = (struct error){.status = status < 400 ? 502 : status};
    if (yyjson_is_arr(root)) /* the face for OpenAI's dialect, and streams that are no events */
        root = yyjson_arr_get_first(root);
    yyjson_val *e = yyjson_obj_get(root, "error");
    if (yyjson_is_obj(e))
        take_error(c, e, status, ret);
    else if (yyjson_is_str(e))
        ret->message = kept(c, jr_str(e));
    if (!ret->message.n)
        ret->message = STR("The provider answered with an error without a message.");
}

const struct wire wire_gemini = {
    .id = WIRE_GEMINI,
    .name = STR_INIT("gemini generateContent"),
    .maker = MAKER_GEMINI,
    .framing = FRAMES_SSE,
    .stream_type = STR_INIT("text/event-stream"),
    .read_request = gm_read_request,
    .write_request = gm_write_request,
    .read_reply = gm_read_reply,
    .write_reply = gm_write_reply,
    .read_event = gm_read_event,
    .write_event = gm_write_event,
    .read_error = gm_read_error,
};
