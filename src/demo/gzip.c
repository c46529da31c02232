/*
 * Compressed replies, so that the gateway meets an upstream that sends them. The state is zlib's
 * own, about 260 KB, and lives only for calls with the direction gzip=1.
 */
#include "demo/demo_int.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

struct gzip {
    z_stream z;
};

struct gzip *gzip_new(void)
{
    struct gzip *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    if (deflateInit2(&g->z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(g);
        return NULL;
    }
    return g;
}

void gzip_free(struct gzip *g)
{
    if (!g)
        return;
    deflateEnd(&g->z);
    free(g);
}

/* Every piece is flushed, so that the reader of a stream gets it at once. */
int gzip_add(struct gzip *g, struct str in, bool last, struct buf *out)
{
    g->z.next_in = (Bytef *)in.p;
    g->z.avail_in = (uInt)in.n;
    do {
        if (buf_reserve(out, 16 * KIB) < 0)
            return -ENOMEM;
        size_t room = out->cap - out->n;
        g->z.next_out = (Bytef *)out->p + out->n;
        g->z.avail_out = (uInt)room;
        int r = deflate(&g->z, last ? Z_FINISH : Z_SYNC_FLUSH);
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
            return -EIO;
        out->n += room - g->z.avail_out;
    } while (g->z.avail_out == 0);
    return 0;
}
