/*
 * Inside the sequencer. stream.c takes a reader's events and decides when the stream starts and
 * ends; stream_parts.c keeps each choice's parts apart; stream_collect.c builds the whole reply out
 * of what the writer is given.
 */
#ifndef SF_TRANSLATE_STREAM_INT_H
#define SF_TRANSLATE_STREAM_INT_H

#include "translate/stream.h"

#define CHOICES_MAX 128 /* OpenAI's maximum of n */

/* A delta that waits. */
struct kept {
    struct kept *next;
    enum canon_delta field;
    struct str text;
    struct canon_citation *citation;
};

/* How far the text of a tool call's arguments is a JSON object. */
struct args_state {
    uint32_t depth;
    bool any, in_string, escaped, complete;
};

/* A part that is open, or waits until those before it are whole. */
struct seq_part {
    struct seq_part *next; /* that waits */
    struct arena mem;      /* of its own texts, and of what waits */
    unsigned key;          /* the reader's */
    unsigned number;       /* in its choice, as the writer knows it */
    struct canon_part part;
    struct args_state args;
    bool begun; /* the writer was told */
    bool ended; /* the reader said so */
    struct kept *kept, **kept_tail;
    size_t kept_n;
    char first[256]; /* of mem */
};

struct seq_choice {
    struct seq_choice *next;
    unsigned index;
    struct seq_part *open, *waiting, **waiting_tail;
    unsigned parts_n; /* begun so far */
    bool has_calls, finished, finish_sent;
    enum canon_finish finish;
    struct str native_finish, stop_sequence;
    struct collected *collected;
};

struct sequencer {
    struct seq_choice *choices, **tail;
    unsigned choices_n, finished_n;
    bool started;    /* START went out */
    bool usage_news; /* usage came since the last choice finished */
    bool end_seen;
    bool released; /* FINISH and USAGE went out */
    bool ended;    /* END went out */
    size_t kept_n;
    char *pool_first;
};

/* Gives a sequenced event to the writer and the collector. */
void seq_deliver(struct canon_stream *s, const struct canon_event *e);
/* START goes out, if it has not. */
void seq_start(struct canon_stream *s);
void seq_part_event(struct canon_stream *s, struct seq_choice *ch, const struct canon_event *e);
/* Ends all parts of the choice in their order. */
void seq_close_parts(struct canon_stream *s, struct seq_choice *ch);
void seq_free_parts(struct sequencer *q, struct seq_choice *ch);

int collect_event(struct canon_stream *s, struct seq_choice *ch, const struct canon_event *e);
void collect_free(struct seq_choice *ch);

#endif
