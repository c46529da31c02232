/*
 * For the tests of calls that are no conversations: a call to some provider's model, its fault, and
 * what is written of it. Included by *_test.c alone.
 */
#ifndef SF_TRANSLATE_CALL_TEST_H
#define SF_TRANSLATE_CALL_TEST_H

#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "translate/audio.h"
#include "translate/canon.h"

static struct arena arena;
static struct error error;
static struct canon_call call;
static struct buf out;

static inline void t_end(void)
{
    buf_free(&out);
    arena_free(&arena);
}

static inline void t_begin(const char *model)
{
    t_end();
    arena_init(&arena, NULL, 0, 32 * MIB);
    buf_init(&out, 16 * MIB);
    error = (struct error){0};
    canon_call_init(&call, &arena, &error);
    call.provider = STR("p");
    call.model = str_of(model);
}

/* "name=value&name=value" */
static inline void t_put_options(struct buf *b, const struct audio_options *o)
{
    for (unsigned i = 0; i < o->n; i++)
        buf_printf(b, "%s" STR_FMT "=" STR_FMT, i ? "&" : "", STR_ARG(o->at[i].name),
            STR_ARG(o->at[i].value));
}

#endif
