/*
 * The writer of a client's stream: responses_stream.c decides what an event means, and
 * responses_stream_items.c writes items.
 */
#ifndef SF_TRANSLATE_RESPONSES_STREAM_INT_H
#define SF_TRANSLATE_RESPONSES_STREAM_INT_H

#include "translate/responses_int.h"

struct rs_item {
    struct rs_item *next;
    struct str json;
};

enum open_kind { NOTHING_OPEN, OPEN_MESSAGE, OPEN_REASONING, OPEN_CALL, OPEN_MEDIA };

struct rs_writer {
    struct canon_call *c;
    uint64_t sequence;
    struct rs_item *items, **tail; /* done */
    unsigned items_n;              /* begun */
    size_t items_bytes;

    enum open_kind open;
    char id[RESPONSES_ID_BYTES];
    unsigned contents_n;       /* of the message: parts begun */
    struct canon_text content; /* of the message: its parts that are done, as JSON */

    bool refusal;
    bool custom, wrapped;    /* of the call: its arguments stand for a text */
    struct canon_text text;  /* of the open part; of a call its arguments or input */
    struct canon_text notes; /* its annotations, as JSON */
    struct canon_text logprobs;
    unsigned notes_n;
    struct str signature;
    enum canon_maker maker;
    struct canon_part call; /* id and name of the open call */
    struct str mime;
    enum canon_finish finish;
};

struct jw rs_event_begin(struct rs_writer *wr, struct buf *out, const char *type);
void rs_event_end(struct jw *w);

/* Messages: a part begins, goes on, gets an annotation or log probabilities, ends; and the item. */
void rs_begin_text(struct rs_writer *wr, const struct canon_part *p, struct buf *out);
void rs_text_delta(struct rs_writer *wr, struct str text, struct buf *out);
int rs_note(struct rs_writer *wr, const struct canon_citation *x, struct buf *out);
int rs_note_logprobs(struct canon_stream *s, struct rs_writer *wr, struct str raw);
int rs_end_text(struct rs_writer *wr, struct buf *out);
/* 0 also where none is open. */
int rs_end_message(struct rs_writer *wr, const char *status, struct buf *out);

void rs_begin_reasoning(struct rs_writer *wr, struct buf *out);
int rs_reasoning_delta(struct rs_writer *wr, struct str text, struct buf *out);
int rs_end_reasoning(struct rs_writer *wr, enum canon_part_kind kind, struct buf *out);
/* What was signed is over: its signature has an item of its own, if there is one. */
int rs_signature_item(
    struct rs_writer *wr, enum canon_part_kind kind, struct str signature, struct buf *out);

int rs_begin_call(struct rs_writer *wr, const struct canon_part *p, struct buf *out);
void rs_call_delta(struct rs_writer *wr, struct str text, struct buf *out);
int rs_end_call(struct rs_writer *wr, struct buf *out);

int rs_begin_media(struct rs_writer *wr, const struct canon_part *p, struct buf *out);
int rs_end_media(struct rs_writer *wr, struct buf *out);

#endif
