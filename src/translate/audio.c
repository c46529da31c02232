/* See audio.h. */
#include "translate/audio.h"

#include "translate/gemini_int.h"
#include "translate/jw.h"

#include <errno.h>

int audio_option_add(
    struct canon_call *c, struct audio_options *o, struct str name, struct str value)
{
    if (o->n == AUDIO_OPTIONS_MAX)
        return canon_fail(c, name, "There are more than %d options.", AUDIO_OPTIONS_MAX);
    o->at[o->n++] = (struct audio_option){name, value};
    return 0;
}

static int kept_back(struct canon_call *c)
{
    *c->error = (struct error){.status = 400,
        .code = STR("content_policy_violation"),
        .type = STR("invalid_request_error"),
        .message = STR("The answer was kept back by the provider's safety filter.")};
    return -EREMOTEIO;
}

int audio_read_gemini(
    struct canon_call *c, struct str body, const struct canon_choice **ret, struct usage *ret_usage)
{
    struct canon_reply reply;
    int r = gm_read_reply(c, body, &reply);

    if (r < 0)
        return r;
    *ret = reply.choices;
    *ret_usage = reply.usage;
    return reply.choices->finish == FINISH_FILTER && !reply.choices->parts ? kept_back(c) : 0;
}

void audio_event_open(struct jw *w, struct buf *out, struct str type)
{
    *w = (struct jw){.out = out};
    buf_addstr(out, STR("data: "));
    jw_open(w, '{');
    jw_member_str(w, "type", type);
}

void audio_event_close(struct jw *w)
{
    jw_close(w, '}');
    buf_addstr(w->out, STR("\n\n"));
}

void audio_put_tokens(struct jw *w, const struct usage *u)
{
    uint64_t in = usage_input_total(u), out = usage_output_total(u);

    jw_member_int(w, "input_tokens", (int64_t)in);
    jw_key(w, "input_token_details");
    jw_open(w, '{');
    jw_member_int(w, "text_tokens", (int64_t)(in - u->audio_in));
    jw_member_int(w, "audio_tokens", (int64_t)u->audio_in);
    jw_close(w, '}');
    jw_member_int(w, "output_tokens", (int64_t)out);
    jw_member_int(w, "total_tokens", (int64_t)(in + out));
}
