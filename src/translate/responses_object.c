/*
 * The Response object: what was answered, and around it all that it repeats of the request. OpenAI
 * fills in its defaults where the client said nothing; here that is done where the default is what
 * happens (tools, tool_choice, parallel calls, text, truncation), and the others are null, since
 * what another provider's defaults are is not known.
 */
#include "translate/responses_int.h"

#include "base/macros.h"

#include <errno.h>

/* --- output items --- */

void responses_put_text_part(
    struct jw *w, bool refusal, struct str text, struct str annotations, struct str logprobs)
{
    jw_open(w, '{');
    if (refusal) {
        jw_member_str(w, "type", STR("refusal"));
        jw_member_str(w, "refusal", text.p ? text : STR(""));
        jw_close(w, '}');
        return;
    }
    jw_member_str(w, "type", STR("output_text"));
    jw_key(w, "annotations");
    jw_open(w, '[');
    if (annotations.n)
        jw_raw(w, annotations);
    jw_close(w, ']');
    jw_key(w, "logprobs");
    jw_open(w, '[');
    if (logprobs.n)
        jw_raw(w, logprobs);
    jw_close(w, ']');
    jw_member_str(w, "text", text.p ? text : STR(""));
    jw_close(w, '}');
}

void responses_put_reasoning(struct jw *w, struct str id, struct str text, struct str encrypted)
{
    jw_open(w, '{');
    jw_member_str(w, "id", id);
    jw_member_str(w, "type", STR("reasoning"));
    jw_key(w, "summary");
    jw_open(w, '[');
    if (text.n) {
        jw_open(w, '{');
        jw_member_str(w, "type", STR("summary_text"));
        jw_member_str(w, "text", text);
        jw_close(w, '}');
    }
    jw_close(w, ']');
    jw_member_str(w, "encrypted_content", encrypted);
    jw_close(w, '}');
}

void responses_put_call(const struct canon_call *c, struct jw *w, bool custom, struct str id,
    const struct canon_part *p, struct str input, const char *status)
{
    struct str space, name = responses_split_name(c, p->name, &space);

    jw_open(w, '{');
    jw_member_str(w, "id", id);
    jw_member_str(w, "type", custom ? STR("custom_tool_call") : STR("function_call"));
    jw_member_str(w, "status", str_of(status));
    jw_member_str(w, custom ? "input" : "arguments", input.p ? input : STR(""));
    jw_member_str(w, "call_id", p->id);
    jw_member_str(w, "name", name);
    jw_member_str(w, "namespace", space);
    jw_close(w, '}');
}

void responses_put_image(struct jw *w, struct str id, struct str mime, struct str data)
{
    struct str kind = str_starts(mime, STR("image/")) ? str_from(mime, 6) : STR("png");

    jw_open(w, '{');
    jw_member_str(w, "id", id);
    jw_member_str(w, "type", STR("image_generation_call"));
    jw_member_str(w, "status", STR("completed"));
    jw_member_str(w, "output_format", kind);
    jw_member_str(w, "result", data);
    jw_close(w, '}');
}

/* --- status --- */

enum responses_status responses_status_of(enum canon_finish f)
{
    switch (f) {
    case FINISH_LENGTH:
    case FINISH_CONTEXT:
    case FINISH_FILTER:
        return RESPONSE_INCOMPLETE;
    case FINISH_ERROR:
        return RESPONSE_FAILED;
    default:
        return RESPONSE_COMPLETED;
    }
}

static void put_status(struct jw *w, const struct responses_object *o)
{
    static const struct str names[] = {[RESPONSE_RUNS] = STR_INIT("in_progress"),
        [RESPONSE_COMPLETED] = STR_INIT("completed"),
        [RESPONSE_INCOMPLETE] = STR_INIT("incomplete"),
        [RESPONSE_FAILED] = STR_INIT("failed")};

    jw_member_str(w, "status", names[o->status]);
    jw_member_bool(w, "background", false);
    jw_key(w, "error");
    if (o->status == RESPONSE_FAILED)
        jw_raw(w, STR("{\"code\":\"server_error\",\"message\":\"The model failed to answer.\"}"));
    else
        jw_null(w);
    jw_key(w, "incomplete_details");
    if (o->status == RESPONSE_INCOMPLETE)
        jw_raw(w, o->finish == FINISH_FILTER ? STR("{\"reason\":\"content_filter\"}")
                                             : STR("{\"reason\":\"max_output_tokens\"}"));
    else
        jw_null(w);
}

/* --- usage --- */

static void put_usage(struct jw *w, const struct usage *u)
{
    uint64_t in = usage_input_total(u), out = usage_output_total(u);

    jw_open(w, '{');
    jw_member_int(w, "input_tokens", (int64_t)in);
    jw_key(w, "input_tokens_details");
    jw_open(w, '{');
    jw_member_int(w, "cached_tokens", (int64_t)u->cache_read);
    jw_member_int(w, "cache_write_tokens", (int64_t)(u->cache_write_5m + u->cache_write_1h));
    jw_close(w, '}');
    jw_member_int(w, "output_tokens", (int64_t)out);
    jw_key(w, "output_tokens_details");
    jw_open(w, '{');
    jw_member_int(w, "reasoning_tokens", (int64_t)u->reasoning);
    jw_close(w, '}');
    jw_member_int(w, "total_tokens", (int64_t)(in + out));
    jw_close(w, '}');
}

/* --- what is repeated --- */

static void put_echo(
    struct canon_call *c, struct jw *w, yyjson_val *body, const char *name, const char *otherwise)
{
    yyjson_val *v = responses_get(body, name);

    jw_key(w, name);
    if (v)
        responses_put_value(c, w, v);
    else
        jw_raw(w, str_of(otherwise));
}

static void put_reasoning(struct jw *w, yyjson_val *body)
{
    yyjson_val *v = responses_get(body, "reasoning");
    struct str effort = jr_get_str(v, "effort"), summary = jr_get_str(v, "summary");

    jw_key(w, "reasoning");
    jw_open(w, '{');
    jw_key(w, "effort");
    effort.p ? jw_str(w, effort) : jw_null(w);
    jw_key(w, "summary");
    summary.p ? jw_str(w, summary) : jw_null(w);
    jw_close(w, '}');
}

/* format is required where text is there. */
static void put_text(struct canon_call *c, struct jw *w, yyjson_val *body)
{
    yyjson_val *v = responses_get(body, "text"), *format = responses_get(v, "format");
    yyjson_val *verbosity = responses_get(v, "verbosity");

    jw_key(w, "text");
    jw_open(w, '{');
    jw_key(w, "format");
    if (format)
        responses_put_value(c, w, format);
    else
        jw_raw(w, STR("{\"type\":\"text\"}"));
    if (verbosity) {
        jw_key(w, "verbosity");
        responses_put_value(c, w, verbosity);
    }
    jw_close(w, '}');
}

/* A function that was declared without them has these members nevertheless. */
static void put_tool(struct canon_call *c, struct jw *w, yyjson_val *tool)
{
    struct str type = jr_get_str(tool, "type");
    yyjson_val *key, *v;
    size_t i, n;

    jw_open(w, '{');
    yyjson_obj_foreach(tool, i, n, key, v)
    {
        jw_key_str(w, jr_str(key));
        responses_put_value(c, w, v);
    }
    if (str_eq(type, STR("function"))) {
        if (!yyjson_obj_get(tool, "parameters"))
            jw_member_raw(w, "parameters", STR("null"));
        if (!yyjson_obj_get(tool, "strict"))
            jw_member_raw(w, "strict", STR("null"));
    }
    jw_close(w, '}');
}

static void put_tools(struct canon_call *c, struct jw *w, yyjson_val *body)
{
    yyjson_val *list = responses_get(body, "tools"), *one;
    size_t i, n;

    jw_key(w, "tools");
    jw_open(w, '[');
    yyjson_arr_foreach(list, i, n, one) put_tool(c, w, one);
    jw_close(w, ']');
}

/* What a provider says of its own tier, if it has that name here, too. */
static struct str tier_name(struct str tier)
{
    static const struct str names[] = {STR_INIT("auto"), STR_INIT("default"), STR_INIT("flex"),
        STR_INIT("scale"), STR_INIT("priority"), STR_INIT("fast")};

    if (str_eq(tier, STR("standard")))
        return STR("default");
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_ieq(tier, names[i]))
            return names[i];
    return STR_NONE;
}

/* Members as OpenAI orders them: by name. */
static void put_request(
    struct canon_call *c, struct jw *w, yyjson_val *body, const struct responses_object *o)
{
    struct str tier = tier_name(o->service_tier);

    put_echo(c, w, body, "parallel_tool_calls", "true");
    put_echo(c, w, body, "previous_response_id", "null");
    put_echo(c, w, body, "prompt_cache_key", "null");
    put_reasoning(w, body);
    put_echo(c, w, body, "safety_identifier", "null");
    jw_key(w, "service_tier");
    tier.p ? jw_str(w, tier) : jw_null(w);
    put_echo(c, w, body, "store", "true");
    put_echo(c, w, body, "temperature", "null");
    put_text(c, w, body);
    put_echo(c, w, body, "tool_choice", "\"auto\"");
    put_tools(c, w, body);
    put_echo(c, w, body, "top_logprobs", "null");
    put_echo(c, w, body, "top_p", "null");
    put_echo(c, w, body, "truncation", "\"disabled\"");
}

int responses_put_object(struct canon_call *c, struct jw *w, const struct responses_object *o)
{
    yyjson_val *body = responses_echo(c);
    char room[RESPONSES_ID_BYTES];

    jw_open(w, '{');
    jw_member_str(w, "id", responses_id(c, room));
    jw_member_str(w, "object", STR("response"));
    jw_member_int(w, "created_at", o->created);
    put_status(w, o);
    put_echo(c, w, body, "instructions", "null");
    put_echo(c, w, body, "max_output_tokens", "null");
    put_echo(c, w, body, "max_tool_calls", "null");
    jw_member_str(w, "model", c->model_shown.p ? c->model_shown : STR(""));
    jw_key(w, "output");
    jw_open(w, '[');
    if (o->output.n)
        jw_raw(w, o->output);
    jw_close(w, ']');
    put_request(c, w, body, o);
    jw_key(w, "usage");
    if (o->usage && o->usage->source != USAGE_UNKNOWN)
        put_usage(w, o->usage);
    else
        jw_null(w);
    put_echo(c, w, body, "user", "null");
    put_echo(c, w, body, "metadata", "{}");
    jw_close(w, '}');
    return w->out->err ? canon_no_room(c) : 0;
}
