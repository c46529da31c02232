/* Pictures from a prompt, at Google's models and Replicate's. */
#include "gateway/translated_int.h"

#include "translate/images.h"

#include <errno.h>

static bool is_images(const struct exchange *x)
{
    return x->match.endpoint->kind == KIND_IMAGES;
}

/* What the face was chosen for (providers/face.c) says how Google's model is asked. */
static enum images_form form_of(const struct exchange *x)
{
    if (x->face->dialect == DIALECT_REPLICATE)
        return IMAGES_REPLICATE;
    return x->up_kind == KIND_GENERATE ? IMAGES_GEMINI : IMAGES_IMAGEN;
}

static int read_request(struct exchange *x)
{
    struct translated *t = x->translated;

    if (!(t->images = arena_new(&t->arena, struct images_request)))
        return -ENOMEM;
    return images_read_request(&t->as_read, x->body, t->images);
}

static int write_request(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;

    x->stream = false; /* at the provider; the client may get events all the same */
    t->made.reply_type = images_reply_type(t->images);
    return images_write_request(&t->call, t->images, form_of(x), out);
}

static int write_reply(struct exchange *x, struct str body, struct buf *out)
{
    struct translated *t = x->translated;
    struct images_reply reply;

    translated_make_room(t, body.n);
    int r = images_read_reply(&t->call, form_of(x), body, &reply);

    if (r == -EINPROGRESS)
        return canon_bad_reply(&t->call, "the prediction is not over");
    if (r < 0)
        return r;
    translated_usage(x, &reply.usage);
    return images_write_reply(&t->call, t->images, &reply, out);
}

const struct translated_other translated_images = {
    .is = is_images,
    .read = read_request,
    .write = write_request,
    .reply = write_reply,
};
