/*
 * Pieces do not matter: the same frames, then the same verdict. Every frame that is read can be
 * written, and reads back. The first byte chooses the side.
 */
#include "base/limits.h"
#include "http/cut_fuzz.h"
#include "http/ws.h"

#define MAX_FRAME (64 * KIB)

static bool masked;

static int feed(struct ws_parser *w, struct str piece, struct buf *print, struct buf *written)
{
    static const uint8_t mask[4] = {1, 0xff, 0, 0x80};
    struct ws_frame f;
    int r;
    while ((r = ws_next(w, &piece, &f)) > 0) {
        must(f.payload.n <= MAX_FRAME && (f.opcode < WS_CLOSE || (f.fin && f.payload.n <= 125)));
        buf_printf(print, "%d %d %zu ", f.opcode, f.fin, f.payload.n);
        buf_addstr(print, f.payload);
        must(ws_put(written, f.opcode, f.fin, f.payload, masked ? mask : NULL) == 0);
    }
    must(r < 0 || piece.n == 0);
    return r;
}

static int read_frames(struct str s, bool cut, struct buf *print, struct buf *written)
{
    struct cutter k = cutter_of(s, 6);
    struct ws_parser w;
    int r = 0;
    buf_init(print, 16 * MIB);
    buf_init(written, 16 * MIB);
    ws_parser_init(&w, masked, MAX_FRAME);
    if (!cut)
        r = feed(&w, s, print, written);
    while (cut && s.n && r >= 0)
        r = feed(&w, cutter_take(&k, &s), print, written);
    ws_parser_free(&w);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MIB)
        return 0;
    _cleanup_(buf_free) struct buf whole, parts, again, written, unused, unused2;
    masked = data[0] & 1;
    struct str s = str_at((const char *)data + 1, size - 1);
    int a = read_frames(s, false, &whole, &written);
    int b = read_frames(s, true, &parts, &unused);
    must(a == b && str_eq(buf_str(&whole), buf_str(&parts)));
    must(read_frames(buf_str(&written), true, &again, &unused2) == 0);
    must(str_eq(buf_str(&whole), buf_str(&again)));
    char accept[29];
    must(!ws_accept_value(str_to(s, 24), accept) || strlen(accept) == 28);
    return 0;
}
