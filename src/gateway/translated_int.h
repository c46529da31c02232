/*
 * What the files of translated calls share. See gateway/translated.h.
 */
#ifndef SF_GATEWAY_TRANSLATED_INT_H
#define SF_GATEWAY_TRANSLATED_INT_H

#include "gateway/followup.h"
#include "gateway/translated.h"
#include "translate/audio.h"
#include "translate/chat.h"
#include "translate/messages.h"
#include "translate/stream.h"
#include "translate/wire.h"

/* What an attempt's body was made to be, where it is no answer's. Empty types: JSON. */
struct translated_made {
    struct str sent_type;     /* content-type of the body, */
    struct str wanted_type;   /* what is wanted back, */
    struct str reply_type;    /* and of the client's whole reply */
    uint64_t file_at, file_n; /* the body is this part of the client's form, as it came */
    struct speech_sent *speech;
};

/* Made when the first attempt needs it; freed with the exchange. On the heap, as a stream that
 * waits should have little on its stack. */
struct translated {
    struct arena arena; /* the request as it was read, and what attempts make of it */
    bool on;            /* the attempt that runs is translated */
    bool remade;        /* its body is none of the client's bytes with edits */
    bool was_read;      /* request holds the client's */
    const struct wire *client, *provider;
    struct canon_request request;
    struct canon_call as_read;     /* with the losses of reading */
    struct canon_call call;        /* of the attempt that runs */
    struct error error;            /* of the call; copied to the exchange's */
    struct embed_request *embed;   /* embeddings: the request; in the arena */
    unsigned embedded_n;           /* inputs that the provider got */
    struct rerank_request *rerank; /* likewise, of those calls */
    struct images_request *images;
    struct speech_request *speech;
    struct transcription *transcription;
    struct translated_made made; /* of the attempt that runs */
    struct str items; /* Responses: the conversation, where the gateway keeps it; else p NULL */
};

/* The snapshot that the call runs under, which lives as long as it does. */
static inline const struct config *translated_config(const struct exchange *x)
{
    return container_of(x->route_settings, const struct config, route);
}

/* --- edit.c: bodies that stay as they are --- */
/* fit: what is edited for this provider, too. */
int gw_edit_body(struct exchange *x, const struct chat_fit *fit, struct gw_body *ret);

/* --- translated.c --- */
/* What the canonical form's functions said, as the exchange's error. Always < 0. */
int translated_failed(struct exchange *x, int r);
/* The content-type of a stream to this client. */
struct str translated_stream_type(const struct translated *t);
/* x->dropped_params from what the attempt lost so far. */
void translated_note_losses(struct exchange *x);
/* The same for edits that lose something. 0, or x->error where losses are refused. */
int translated_declare(struct exchange *x, const struct chat_fit *fit);
/* Usage as the provider reported it. */
void translated_usage(struct exchange *x, const struct usage *u);
/* Texts of a reply, for local counting, as long as no usage was reported. */
void translated_parts_text(struct exchange *x, const struct canon_part *parts);

/* The answer of a Responses call is kept, where the provider keeps none. reply: the response
 * object. Suspends. */
void translated_keep(struct exchange *x, struct str reply);
/* The response object in the last event of a stream. */
struct str translated_last_response(struct str stream);

/* A kind of call that is no answer to messages: what its bodies are made of. All return 0 or -errno
 * as the canonical form's functions. */
struct translated_other {
    bool (*is)(const struct exchange *x); /* whether the client's call is one */
    /* The client's body, once a call, with t->as_read, into a member of struct translated. */
    int (*read)(struct exchange *x);
    /* An attempt's body, with t->call. -ENOTSUP: not with this target. */
    int (*write)(struct exchange *x, struct buf *out);
    /* The client's reply from the provider's, which is no error. */
    int (*reply)(struct exchange *x, struct str body, struct buf *out);
    /* Passes a reply on that is not read whole first; NULL where none is. 0 or x->error. */
    int (*relay)(struct exchange *x, struct http_call *c, const struct http_head *h);
};

/* --- translated_embeddings.c --- */
/* More inputs in a call of OpenAI's form than its provider, which has that form, takes at once. */
bool translated_splits_embedding(const struct exchange *x);

extern const struct translated_other translated_counts, translated_embeddings, translated_images,
    translated_rerank, translated_speech, translated_transcription;

/* --- translated_other.c --- */
/* The steps of the kind that x is. -ENOTSUP: it is none, or not with this target. */
int translated_read_other(struct exchange *x);
int translated_write_other(struct exchange *x, struct buf *out);
int translated_other_reply(struct exchange *x, struct str body, struct buf *out);
int translated_other_relay(struct exchange *x, struct http_call *c, const struct http_head *h);
/* Options of a target as its query: x->made_query. */
int translated_put_query(struct exchange *x, const struct audio_options *o);
/* A reply of n bytes will be read: makes room for what becomes of it. */
void translated_make_room(struct translated *t, size_t n);

/* --- translated_media.c --- */
/* Fetches what the provider does not take by URL. 0 or x->error. Suspends. */
int translated_fetch_media(struct exchange *x);

/* --- translated_predictions.c --- */
/* Where *body, the provider's reply, is a prediction that is not over: waits until it is. *body
 * becomes its end, in *last, which the caller ends in any case. 0 or x->error. Suspends. */
int translated_await_prediction(
    struct exchange *x, const struct http_head *h, struct str *body, struct followup *last);

/* --- translated_reply.c --- */
int translated_relay_whole(struct exchange *x, struct http_call *c, const struct http_head *h);
/* Fields of a reply that was made anew; type: its content-type. */
void translated_reply_fields(
    struct exchange *x, const struct http_head *from, struct str type, struct buf *out);

/* An error of the provider's in the words, and with the status, of the client's dialect. */
void translated_word_error(struct exchange *x, struct error *e);

/* --- translated_stream.c --- */
/* The head of a stream's reply, where it is not out yet; head_only: keep-alives follow, and no
 * token. */
int translated_stream_begin(struct exchange *x, const struct http_head *from, bool head_only);
int translated_relay_stream(struct exchange *x, struct http_call *c, const struct http_head *h);

#endif
