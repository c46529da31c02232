/*
 * For unit tests of stages: an exchange made from the text of a request, as the front and the read
 * stage would have left it.
 */
#ifndef SF_LLM_EXCHANGE_TEST_H
#define SF_LLM_EXCHANGE_TEST_H

#include "base/tap.h"
#include "llm/exchange.h"
#include <stdio.h>

struct made {
    char text[4096], names[1024];
    struct http_field room[LIMIT_HEADERS];
    struct http_request rq;
    struct exchange x;
    struct json_span spans[BODY_MEMBERS];
};

/* fields: complete lines. model: what the body or form names; NULL: nothing, or the path does. */
static inline struct exchange *made_begin(
    struct made *m, const char *method, const char *target, const char *fields, const char *model)
{
    const char *why = "";
    struct exchange *x = &m->x;

    arena_free(&x->arena);
    *m = (struct made){.text = ""};
    arena_init(&x->arena, NULL, 0, LIMIT_EXCHANGE_ARENA);
    snprintf(
        m->text, sizeof m->text, "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, target, fields);
    if (http_parse_request(str_of(m->text), m->room, LIMIT_HEADERS, &m->rq.head, &why) <= 0)
        tap_fail(__FILE__, __LINE__, "%s %s: %s", method, target, why);
    x->rq = &m->rq;
    x->spans = m->spans;
    x->body_names = NAMES_ALL;
    x->cost_nano = -1;
    if (!endpoint_find(&m->rq.head, &x->match, &x->dialect)) {
        tap_fail(__FILE__, __LINE__, "%s %s: no such route", method, target);
        return x;
    }
    if (model) {
        x->model_asked = str_of(model);
    } else if (x->match.model.n) {
        ptrdiff_t n = http_percent_decode(x->match.model, m->names);
        x->model_asked = str_at(m->names, n > 0 ? (size_t)n : 0);
    }
    x->model = x->model_asked;
    return x;
}

static inline void made_end(struct made *m)
{
    arena_free(&m->x.arena);
}

#endif
