/*
 * WebSocket (RFC 6455) frames: a strict incremental parser and a writer, without any I/O.
 * Handshake helpers compute and check Sec-WebSocket-Accept. No extensions are negotiated.
 */
#ifndef SF_HTTP_WS_H
#define SF_HTTP_WS_H

#include "base/buf.h"

enum ws_opcode { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_frame {
    enum ws_opcode opcode;
    bool fin;
    struct str payload; /* unmasked */
};

struct ws_parser {
    struct buf held;    /* a frame that is not complete yet, or the unmasked payload of the last */
    bool expect_masked; /* a server reads masked frames, a client unmasked ones */
    bool in_message;    /* between a non-final data frame and its final continuation */
    bool drop_held;     /* held was given out by the last call */
    size_t max_frame;   /* bytes of payload */
};

void ws_parser_init(struct ws_parser *w, bool expect_masked, size_t max_frame);
void ws_parser_free(struct ws_parser *w);
/* Takes the next whole frame from *in: 1 a frame (payload valid until the next call), 0 more bytes
 * are needed, -EPROTO a violation (wrong masking, reserved bits or opcodes, fragmented or long
 * control frames, a close frame that is not a code and UTF-8, non-minimal length, unexpected
 * continuation), -EMSGSIZE too long, -ENOMEM. Text is not checked for UTF-8: a character may be cut
 * by a frame's end. */
int ws_next(struct ws_parser *w, struct str *in, struct ws_frame *ret);

/* Appends one frame; -EINVAL for a long or fragmented control frame. mask NULL = unmasked (server),
 * else 4 bytes of mask (client). */
int ws_put(
    struct buf *out, enum ws_opcode opcode, bool fin, struct str payload, const uint8_t *mask);
/* Without code (0) the frame is empty. */
int ws_put_close(struct buf *out, unsigned code, struct str reason, const uint8_t *mask);

/* The accept value for a key into out (29 bytes with NUL); false when the key is not 16 bytes of
 * base64. */
bool ws_accept_value(struct str key, char out[static 29]);

#endif
