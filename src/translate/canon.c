/*
 * A call's context: its errors, and the building of lists. See translate/canon.h.
 */
#include "translate/canon.h"

#include "base/macros.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_MAX 512

void canon_call_init(struct canon_call *c, struct arena *a, struct error *e)
{
    *c = (struct canon_call){.arena = a, .error = e};
}

static int fail(struct canon_call *c, int status, struct str code, struct str message, int r)
{
    if (c->error->status == 0)
        *c->error = (struct error){.status = status, .code = code, .message = message};
    return r;
}

int canon_fail(struct canon_call *c, struct str param, const char *fmt, ...)
{
    char text[MESSAGE_MAX];
    va_list args;
    if (c->error->status)
        return -EREMOTEIO;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    struct str message = arena_dup(c->arena, str_of(text)), at = arena_dup(c->arena, param);
    if (!message.p)
        message = STR("The request cannot be translated.");
    fail(c, 400, STR("invalid_request_error"), message, 0);
    c->error->param = at;
    return -EREMOTEIO;
}

int canon_wrong(struct canon_call *c, const char *name, const char *what)
{
    return canon_fail(c, str_of(name), "%s has to be %s.", name, what);
}

int canon_bad_reply(struct canon_call *c, const char *why)
{
    struct str message = arena_printf(c->arena, "The provider's reply cannot be read: %s.", why);
    if (!message.p)
        message = STR("The provider's reply cannot be read.");
    return fail(c, 502, STR("upstream_bad_response"), message, -EREMOTEIO);
}

int canon_no_room(struct canon_call *c)
{
    return fail(c, 413, STR("request_too_large"),
        STR("The call is too large to be translated for its provider."), -ENOMEM);
}

void canon_request_init(struct canon_request *q)
{
    *q = (struct canon_request){
        .tool_choice.parallel = -1,
        .max_tokens = -1,
        .n = 1,
        .format.strict = -1,
        .reasoning.budget = -1,
    };
}

struct canon_message *canon_add_message(
    struct canon_call *c, struct canon_message ***tail, enum canon_role role)
{
    struct canon_message *m = arena_new(c->arena, struct canon_message);
    if (!m) {
        canon_no_room(c);
        return NULL;
    }
    m->role = role;
    **tail = m;
    *tail = &m->next;
    return m;
}

struct canon_part *canon_add_text(struct canon_call *c, struct canon_part ***tail, struct str text)
{
    struct canon_part *p = canon_add_part(c, tail, PART_TEXT);
    if (p)
        p->text = text;
    return p;
}

int canon_add_words(
    struct canon_call *c, struct canon_message ***tail, enum canon_role role, struct str text)
{
    struct canon_message *m = canon_add_message(c, tail, role);
    struct canon_part **parts = m ? &m->parts : NULL;
    return m && canon_add_text(c, &parts, text) ? 0 : -ENOMEM;
}

struct canon_part *canon_add_part(
    struct canon_call *c, struct canon_part ***tail, enum canon_part_kind kind)
{
    struct canon_part *p = arena_new(c->arena, struct canon_part);
    if (!p) {
        canon_no_room(c);
        return NULL;
    }
    p->kind = kind;
    **tail = p;
    *tail = &p->next;
    return p;
}
