/*
 * Replies of Converse, both ways, and its usage.
 */
#include "translate/converse_int.h"

/* --- usage --- */

/* Whether inputTokens has the cached ones in it: the total tells. */
static bool input_has_cached(yyjson_val *v, uint64_t cached)
{
    uint64_t total = jr_get_u64(v, "totalTokens");

    return cached && total && total == jr_get_u64(v, "inputTokens") + jr_get_u64(v, "outputTokens");
}

static void read_writes(yyjson_val *v, struct usage *u)
{
    uint64_t all = jr_get_u64(v, "cacheWriteInputTokens"), hour = 0;
    yyjson_val *d;
    size_t i, max;

    yyjson_arr_foreach(yyjson_obj_get(v, "cacheDetails"), i, max, d)
    {
        if (str_eq(jr_get_str(d, "ttl"), STR("1h")))
            hour += jr_get_u64(d, "inputTokens");
    }
    u->cache_write_1h = MIN(hour, all);
    u->cache_write_5m = all - u->cache_write_1h;
}

void converse_read_usage(yyjson_val *v, struct usage *u)
{
    uint64_t input = jr_get_u64(v, "inputTokens"), cached;

    if (!yyjson_is_obj(v))
        return;
    u->source = USAGE_REPORTED;
    u->output = jr_get_u64(v, "outputTokens");
    u->cache_read = jr_get_u64(v, "cacheReadInputTokens");
    read_writes(v, u);
    cached = u->cache_read + u->cache_write_5m + u->cache_write_1h;
    u->input = input_has_cached(v, cached) ? input - MIN(input, cached) : input;
}

void converse_write_usage(struct jw *w, const struct usage *u)
{
    uint64_t written = u->cache_write_5m + u->cache_write_1h;

    jw_open(w, '{');
    jw_member_int(w, "inputTokens", (int64_t)(u->input + u->audio_in));
    jw_member_int(w, "outputTokens", (int64_t)usage_output_total(u));
    jw_member_int(w, "totalTokens", (int64_t)(usage_input_total(u) + usage_output_total(u)));
    if (u->cache_read)
        jw_member_int(w, "cacheReadInputTokens", (int64_t)u->cache_read);
    if (written)
        jw_member_int(w, "cacheWriteInputTokens", (int64_t)written);
    jw_close(w, '}');
}

/* --- finish --- */

static const struct {
    struct str word;
    enum canon_finish finish;
} finishes[] = {
    {STR_INIT("end_turn"), FINISH_STOP},
    {STR_INIT("stop_sequence"), FINISH_STOP_SEQUENCE},
    {STR_INIT("tool_use"), FINISH_TOOL_CALLS},
    {STR_INIT("max_tokens"), FINISH_LENGTH},
    {STR_INIT("model_context_window_exceeded"), FINISH_CONTEXT},
    {STR_INIT("content_filtered"), FINISH_FILTER},
    {STR_INIT("guardrail_intervened"), FINISH_FILTER},
    {STR_INIT("malformed_model_output"), FINISH_STOP},
    {STR_INIT("malformed_tool_use"), FINISH_STOP},
};

enum canon_finish converse_finish_in(struct str reason)
{
    for (unsigned i = 0; i < ARRAY_LEN(finishes); i++)
        if (str_eq(finishes[i].word, reason))
            return finishes[i].finish;
    return FINISH_STOP;
}

struct str converse_finish_out(enum canon_finish f)
{
    for (unsigned i = 0; i < ARRAY_LEN(finishes); i++)
        if (finishes[i].finish == f)
            return finishes[i].word;
    return STR("end_turn");
}

/* --- replies --- */

static void read_tier(yyjson_val *root, struct canon_reply *r)
{
    r->service_tier = jr_get_str(yyjson_obj_get(root, "serviceTier"), "type");
    if (str_eq(r->service_tier, STR("flex")))
        r->usage.tier = TIER_FLEX;
    else if (str_eq(r->service_tier, STR("priority")))
        r->usage.tier = TIER_PRIORITY;
}

static bool has_calls(const struct canon_part *parts)
{
    for (const struct canon_part *p = parts; p; p = p->next)
        if (p->kind == PART_TOOL_CALL)
            return true;
    return false;
}

int converse_read_reply(struct canon_call *c, struct str body, struct canon_reply *r)
{
    const char *why = "it is no object";
    yyjson_val *root = jr_parse(c->arena, body, &why);
    yyjson_val *message = yyjson_obj_get(yyjson_obj_get(root, "output"), "message");
    struct canon_choice *choice = arena_new(c->arena, struct canon_choice);

    *r = (struct canon_reply){.choices = choice};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, why);
    if (!yyjson_is_obj(message))
        return canon_bad_reply(c, "it has no message");
    if (!choice)
        return canon_no_room(c);
    struct converse_blocks b = {.c = c, .tail = &choice->parts};
    int err = converse_read_blocks(&b, yyjson_obj_get(message, "content"));
    if (err < 0)
        return err;
    choice->native_finish = jr_get_str(root, "stopReason");
    choice->finish = converse_finish_in(choice->native_finish);
    if (choice->finish == FINISH_TOOL_CALLS && !has_calls(choice->parts))
        choice->finish = FINISH_STOP; /* it was the tool that stands for a format */
    choice->stop_sequence =
        jr_get_str(yyjson_obj_get(root, "additionalModelResponseFields"), "stop_sequence");
    converse_read_usage(yyjson_obj_get(root, "usage"), &r->usage);
    read_tier(root, r);
    return 0;
}

/* The latency stands in every reply of Bedrock's, and clients read it; here it is not measured. */
int converse_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out)
{
    const struct canon_choice *choice = r->choices;
    struct jw w = {.out = out};

    jw_open(&w, '{');
    jw_key(&w, "output");
    jw_open(&w, '{');
    jw_key(&w, "message");
    jw_open(&w, '{');
    jw_member_str(&w, "role", STR("assistant"));
    jw_key(&w, "content");
    jw_open(&w, '[');
    for (const struct canon_part *p = choice ? choice->parts : NULL; p; p = p->next)
        converse_write_block(c, &w, p);
    jw_close(&w, ']');
    jw_close(&w, '}');
    jw_close(&w, '}');
    jw_member_str(&w, "stopReason", converse_finish_out(choice ? choice->finish : FINISH_STOP));
    jw_key(&w, "usage");
    converse_write_usage(&w, &r->usage);
    jw_member_raw(&w, "metrics", STR("{\"latencyMs\":0}"));
    if (choice && choice->stop_sequence.n) {
        jw_key(&w, "additionalModelResponseFields");
        jw_open(&w, '{');
        jw_member_str(&w, "stop_sequence", choice->stop_sequence);
        jw_close(&w, '}');
    }
    jw_close(&w, '}');
    return out->err ? canon_no_room(c) : 0;
}
