/*
 * Messages out of frames: fragments are joined, control frames come out between them. Without I/O.
 * A message that is one frame is not copied again. Between messages no memory is held.
 */
#include "gateway/websocket_int.h"

#include <errno.h>

void ws_reader_init(struct ws_reader *r, bool from_client, size_t max)
{
    *r = (struct ws_reader){0};
    ws_parser_init(&r->frames, from_client, max);
    buf_init(&r->joined, max);
}

void ws_reader_free(struct ws_reader *r)
{
    ws_parser_free(&r->frames);
    buf_free(&r->joined);
}

/* A frame of a message that has several: 1 when it is the last, 0, -errno. */
static int join(struct ws_reader *r, const struct ws_frame *f)
{
    if (f->opcode != WS_CONT)
        r->opcode = f->opcode;
    int e = buf_addstr(&r->joined, f->payload);
    if (e < 0)
        return e == -ENOBUFS ? -EMSGSIZE : e;
    r->joining = !f->fin;
    r->drop = f->fin;
    return f->fin;
}

int ws_reader_next(struct ws_reader *r, struct str *in, struct ws_message *ret)
{
    struct ws_frame f;
    int n;

    if (r->drop)
        buf_free(&r->joined);
    r->drop = false;
    while ((n = ws_next(&r->frames, in, &f)) > 0) {
        if (f.opcode >= WS_CLOSE || (f.fin && !r->joining)) {
            *ret = (struct ws_message){f.opcode, f.payload};
            return 1;
        }
        if ((n = join(r, &f)) != 0) {
            *ret = (struct ws_message){r->opcode, buf_str(&r->joined)};
            return n;
        }
    }
    return n;
}

bool ws_reader_between_frames(const struct ws_reader *r)
{
    return r->frames.held.n == 0 || r->frames.drop_held;
}

bool ws_reader_between_messages(const struct ws_reader *r)
{
    return ws_reader_between_frames(r) && !r->frames.in_message;
}

unsigned ws_close_code(struct str payload)
{
    const uint8_t *p = (const uint8_t *)payload.p;

    return payload.n < 2 ? 0 : (unsigned)p[0] << 8 | p[1];
}
