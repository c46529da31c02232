/*
 * Predictions as replies. The output of a language model is a text, or a list of its pieces. The
 * stream at urls.stream has events "output" with plain text, "error" and "done".
 */
#include "translate/replicate_int.h"

static int failed(struct canon_call *c, yyjson_val *root, struct str status)
{
    struct str why = jr_get_str(root, "error");
    struct str word =
        str_eq(status, STR("failed")) ? STR("upstream_failed") : STR("upstream_canceled");

    native_error(c, 502, word, why.n ? why : STR("The prediction was canceled."), c->error);
    return -EREMOTEIO;
}

static int read_output(struct canon_call *c, yyjson_val *v, struct canon_choice *choice)
{
    struct canon_part *pieces = NULL, **tail = &pieces, *p;
    yyjson_val *in;
    size_t i, max;

    yyjson_arr_foreach(v, i, max, in)
    {
        if (!(p = canon_add_part(c, &tail, PART_TEXT)))
            return -ENOMEM;
        p->text = jr_str(in);
    }
    tail = &choice->parts;
    if (!(p = canon_add_part(c, &tail, PART_TEXT)))
        return -ENOMEM;
    p->text = yyjson_is_str(v) ? jr_str(v) : native_join(c, pieces, 1u << PART_TEXT, STR_NONE);
    return 0;
}

static void read_usage(yyjson_val *metrics, struct usage *u)
{
    if (!yyjson_obj_get(metrics, "input_token_count"))
        return;
    u->source = USAGE_REPORTED;
    u->input = jr_get_u64(metrics, "input_token_count");
    u->output = jr_get_u64(metrics, "output_token_count");
}

int replicate_read_reply(struct canon_call *c, struct str body, struct canon_reply *r)
{
    const char *why = "it is no object";
    yyjson_val *root = jr_parse(c->arena, body, &why), *output = yyjson_obj_get(root, "output");
    struct canon_choice *choice = arena_new(c->arena, struct canon_choice);
    struct str status = jr_get_str(root, "status");

    *r = (struct canon_reply){.choices = choice, .id = jr_get_str(root, "id")};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, why);
    if (!choice)
        return canon_no_room(c);
    if (str_eq(status, STR("failed")) || str_eq(status, STR("canceled")) ||
        str_eq(status, STR("aborted")))
        return failed(c, root, status);
    if (!str_eq(status, STR("succeeded")))
        return status.n ? -EINPROGRESS : canon_bad_reply(c, "it has no status");
    if (!yyjson_is_str(output) && !yyjson_is_arr(output))
        return canon_bad_reply(c, "its output is no text");
    choice->finish = FINISH_STOP;
    choice->native_finish = status;
    read_usage(yyjson_obj_get(root, "metrics"), &r->usage);
    return read_output(c, output, choice);
}

int replicate_read_event(struct canon_stream *s, struct str event, struct str data)
{
    const char *why;

    if (str_eq(event, STR("output"))) {
        native_delta(s, 0, PART_TEXT, DELTA_TEXT, data);
    } else if (str_eq(event, STR("error"))) {
        struct str text = native_error_text(s->c, data);
        native_fail(s, 502, STR("upstream_failed"), text);
    } else if (str_eq(event, STR("done"))) {
        struct str reason = jr_get_str(jr_parse(&s->pool, data, &why), "reason");
        if (reason.n) { /* "canceled", "error" */
            native_fail(s, 502, STR("upstream_failed"), reason);
            return 0;
        }
        native_finish(s, FINISH_STOP, STR("succeeded"));
        canon_emit(s, &(struct canon_event){.kind = EVENT_END});
    }
    return 0;
}
