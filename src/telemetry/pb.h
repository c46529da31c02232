/*
 * Writing protocol buffers (the wire format of proto3): as much as OTLP needs. Lengths are written
 * shortest, so that one message has one encoding. Errors stick to the buffer.
 */
#ifndef SF_TELEMETRY_PB_H
#define SF_TELEMETRY_PB_H

#include "base/buf.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

void pb_varint(struct buf *b, uint64_t v);
void pb_uint(struct buf *b, unsigned field, uint64_t v);
void pb_fixed64(struct buf *b, unsigned field, uint64_t v);
void pb_fixed32(struct buf *b, unsigned field, uint32_t v);
void pb_bytes(struct buf *b, unsigned field, struct str s);
/* A message within a message: what is appended between the two calls. */
size_t pb_open(struct buf *b, unsigned field);
void pb_close(struct buf *b, size_t opened);

/* OTLP's KeyValue, as the given field. Values that are empty are written, too. */
void pb_attr_str(struct buf *b, unsigned field, struct str key, struct str value);
void pb_attr_int(struct buf *b, unsigned field, struct str key, int64_t value);
void pb_attr_bool(struct buf *b, unsigned field, struct str key, bool value);
void pb_attr_double(struct buf *b, unsigned field, struct str key, double value);

#endif
