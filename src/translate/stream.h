/*
 * A translated stream: the state of its reader and its writer, and the sequencer between them.
 *
 * The sequencer opens and closes parts (a change of part ends the one before; of tool calls only
 * when its arguments are a whole JSON object), keeps the deltas of a part that came too early until
 * its turn (OpenAI may interleave tool calls; what is kept is bounded), splits PART_WHOLE, drops
 * pings and empty deltas, sends each kind of event at most as often as the order in canon.h allows,
 * and holds FINISH back until usage or the end came, so that a writer has both when it needs them.
 * It also collects the whole reply where asked, for the journal, and for clients that did not ask
 * for a stream.
 *
 * What a writer may rely on beyond the order in canon.h:
 *   - START comes right before the first part or FINISH, not earlier: nothing is written to a
 *     client as long as a failed call can still be given to another target.
 *   - key is the number of the part in its choice: 0, 1, 2, … with no gaps.
 *   - START, deltas and END of a part have in part what its start said: kind, id, name, maker,
 *     media without what deltas bring; text only of redacted thinking. A CITATION delta has its
 *     one citation in part->citations.
 *   - A text or thinking part has at least one delta, or it is left out. A tool call that came
 *     without arguments has the one delta "{}".
 *   - FINISH_STOP of a choice that calls tools is FINISH_TOOL_CALLS.
 *   - s->usage is complete at FINISH where the provider reports usage.
 * An EVENT_ERROR of a reader is noted in s->failed and s->error, and is not written: the caller
 * decides whether another target goes on, or canon_stream_fail() tells the client.
 *
 * A reader's usage is cumulative: of input and output each side that a report says anything of
 * replaces what earlier reports said of that side.
 *
 * Memory that lives as long as the stream lies in c->arena and is bounded; what one event needs is
 * taken from s->pool, which is empty again behind each event.
 */
#ifndef SF_TRANSLATE_STREAM_H
#define SF_TRANSLATE_STREAM_H

#include "translate/wire.h"

#define STREAM_KEPT_MAX ((size_t)1 << 20) /* deltas that wait for their part's turn */

struct canon_stream {
    struct canon_call *c;
    const struct wire *from, *to;
    void *reader, *writer; /* what they keep; allocated by them from c->arena at first use */
    struct buf *out;       /* where write_event puts its bytes */
    struct arena pool;     /* of the event that is being read */
    struct sequencer *seq_;
    struct str id;      /* of START, for writers: it lives as long as the stream */
    int64_t created;    /* likewise; c->now where the provider does not say */
    struct usage usage; /* the last that was reported, laid over the earlier ones */
    bool finish_held;   /* FINISH came and waits for usage or END: the answer is whole, and whoever
                         * waits too long calls canon_stream_end() */
    /* May be NULL; set by the caller: hears each event that the writer is given, before it. The
     * wire that is to itself must not be copied for that: writers look at which one it is. */
    void (*heard)(struct canon_stream *s, const struct canon_event *e);
    bool collect;       /* set by the caller before the first event: canon_stream_reply() */
    bool finished;      /* END or FINISH with all that had to come was seen */
    bool failed;        /* an error came inside the stream */
    bool content;       /* a part was opened for the client: no failover from here on */
    struct error error; /* that came inside */
    int err;            /* first failure of a reader, a writer or the sequencer */
};

/* from reads the upstream's events, to writes the client's; to NULL: only collects. -ENOMEM. */
int canon_stream_open(
    struct canon_stream *s, struct canon_call *c, const struct wire *from, const struct wire *to);
void canon_stream_close(struct canon_stream *s);

/* One event of the upstream; what it means for the client is appended to out. 0 or -errno: then
 * c->error says why. */
int canon_stream_event(struct canon_stream *s, struct str event, struct str data, struct buf *out);
/* The upstream's body ended: what was held back goes out, with the client's end marker, if the
 * stream was whole; else -ECONNRESET and nothing (the caller sends dialect_stream_error). */
int canon_stream_end(struct canon_stream *s, struct buf *out);

/* Writes the error event of the client's dialect, after which nothing more is written. */
int canon_stream_fail(struct canon_stream *s, const struct error *e, struct buf *out);
/* What came so far as one reply, in c->arena; s->collect was set. -ENOMEM, -EINVAL. */
int canon_stream_reply(struct canon_stream *s, struct canon_reply *ret);

/* For readers. */
void canon_emit(struct canon_stream *s, const struct canon_event *e);

/* A whole reply as the stream that would have brought it: for providers that do not stream. */
int canon_replay(
    struct canon_call *c, const struct canon_reply *r, const struct wire *to, struct buf *out);

/* Cuts an upstream's body into events, whatever its framing; a splitter keeps what is not whole. */
struct canon_frames;
int canon_frames_new(enum wire_framing f, struct canon_frames **ret);
void canon_frames_free(struct canon_frames *f);
/* 1: *event and *data are one, valid until the next call; 0: all of *in is used; -EINVAL,
 * -EMSGSIZE. */
int canon_frames_next(
    struct canon_frames *f, struct str *in, struct str *ret_event, struct str *ret_data);
/* The bytes of the event that came last, where it is a frame of AWS's: good until the next piece.
 */
struct str canon_frames_raw(const struct canon_frames *f);
/* The body ended: 1 with its last event where only the line end behind it is missing; 0. */
int canon_frames_end(struct canon_frames *f, struct str *ret_event, struct str *ret_data);

#endif
