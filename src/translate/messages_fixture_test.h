/*
 * What the tests of Anthropic's dialect share: a call to a Claude model of which a few things are
 * known, its request read from a text, and what is written of it.
 */
#ifndef SF_TRANSLATE_MESSAGES_FIXTURE_TEST_H
#define SF_TRANSLATE_MESSAGES_FIXTURE_TEST_H

#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "translate/messages_int.h"
#include "json/scan.h"

struct fixture {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    struct model_facts facts;
    struct buf out;
};

static inline void fixture_free(struct fixture *f)
{
    buf_free(&f->out);
    arena_free(&f->arena);
}

#define FIXTURE _cleanup_(fixture_free) struct fixture

static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, NULL, 0, 64 * MIB);
    buf_init(&f->out, 64 * MIB);
    canon_call_init(&f->c, &f->arena, &f->error);
    f->c.model = STR("claude-x");
    f->c.model_shown = STR("shown");
    f->c.provider = STR("anthropic");
    f->c.request_id = STR("req_1");
    f->c.request = &f->q;
    f->facts.flags = MODEL_REASONING | MODEL_PREFILL | MODEL_NATIVE_SCHEMA;
    f->facts.max_output = 64000;
    f->c.facts = &f->facts;
    canon_request_init(&f->q);
}

static inline int read_into(struct fixture *f, const char *body)
{
    return wire_messages.read_request(&f->c, str_of(body), &f->q);
}

static inline struct str written(struct fixture *f, const struct wire *w)
{
    buf_clear(&f->out);
    f->error = (struct error){0};
    f->c.lost_n = 0;
    return w->write_request(&f->c, &f->q, &f->out) < 0 ? STR_NONE : buf_str(&f->out);
}

static inline struct str member(struct str body, const char *path)
{
    return json_find(body, str_of(path));
}

#define ASK                                                                                        \
    "\"model\":\"m\",\"max_tokens\":4096,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"

#endif
