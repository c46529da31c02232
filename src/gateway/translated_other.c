/*
 * Translated calls that are no answers of a model to messages: counts, embeddings, rerank, pictures
 * and others. They go the way of all attempts (translated.c); only what stands in the bodies is
 * another thing, and each kind has that in a file of its own, as one row of this table.
 */
#include "gateway/translated_int.h"

#include "providers/provider.h"

#include <errno.h>

#define ROOM_A_BYTE 6 /* of a reply: its text, its values, and what is kept of them */

static const struct translated_other *const table[] = {
    &translated_counts,
    &translated_embeddings,
    &translated_images,
    &translated_rerank,
    &translated_speech,
    &translated_transcription,
};

static const struct translated_other *other_of(const struct exchange *x)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i]->is(x))
            return table[i];
    return NULL;
}

int translated_read_other(struct exchange *x)
{
    const struct translated_other *o = other_of(x);

    return o ? o->read(x) : -ENOTSUP;
}

int translated_write_other(struct exchange *x, struct buf *out)
{
    const struct translated_other *o = other_of(x);

    must(o); /* its body was read */
    return o->write(x, out);
}

int translated_other_reply(struct exchange *x, struct str body, struct buf *out)
{
    const struct translated_other *o = other_of(x);

    must(o);
    return o->reply(x, body, out);
}

int translated_other_relay(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    const struct translated_other *o = other_of(x);

    return o && o->relay ? o->relay(x, c, h) : translated_relay_whole(x, c, h);
}

int translated_put_query(struct exchange *x, const struct audio_options *o)
{
    struct translated *t = x->translated;
    struct buf *b = gw_scratch();

    for (unsigned i = 0; i < o->n; i++)
        provider_put_param(b, o->at[i].name, o->at[i].value);
    if (b->err || b->n > LIMIT_TARGET_BYTES / 2)
        return canon_fail(&t->call, STR_NONE, "The call's options are too long for a query.");
    x->made_query = arena_dup(&t->arena, buf_str(b));
    return x->made_query.p ? 0 : -ENOMEM;
}

void translated_make_room(struct translated *t, size_t n)
{
    t->arena.max += ROOM_A_BYTE * n;
}
