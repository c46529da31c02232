/*
 * What the files of translated calls share. See gateway/translated.h.
 */
#ifndef SF_GATEWAY_TRANSLATED_INT_H
#define SF_GATEWAY_TRANSLATED_INT_H

#include "gateway/translated.h"
#include "translate/messages.h"
#include "translate/stream.h"
#include "translate/wire.h"

/* Made when the first attempt needs it; freed with the exchange. On the heap, as a stream that
 * waits should have little on its stack. */
struct translated {
    struct arena arena; /* the request as it was read, and what attempts make of it */
    bool on;            /* the attempt that runs is translated */
    bool remade;        /* its body is none of the client's bytes with edits */
    bool was_read;      /* request holds the client's */
    const struct wire *client, *provider;
    struct canon_request request;
    struct canon_call as_read;   /* with the losses of reading */
    struct canon_call call;      /* of the attempt that runs */
    struct error error;          /* of the call; copied to the exchange's */
    struct embed_request *embed; /* embeddings: the request; in the arena */
    unsigned embedded_n;         /* inputs that the provider got */
    struct str items; /* Responses: the conversation, where the gateway keeps it; else p NULL */
};

/* The snapshot that the call runs under, which lives as long as it does. */
static inline const struct config *translated_config(const struct exchange *x)
{
    return container_of(x->route_settings, const struct config, route);
}

/* --- edit.c: bodies that stay as they are --- */
int gw_edit_body(struct exchange *x, struct gw_body *ret);

/* --- translated.c --- */
/* What the canonical form's functions said, as the exchange's error. Always < 0. */
int translated_failed(struct exchange *x, int r);
/* x->dropped_params from what the attempt lost so far. */
/* The content-type of a stream to this client. */
struct str translated_stream_type(const struct translated *t);
void translated_note_losses(struct exchange *x);
/* Usage as the provider reported it. */
void translated_usage(struct exchange *x, const struct usage *u);
/* Texts of a reply, for local counting, as long as no usage was reported. */
void translated_parts_text(struct exchange *x, const struct canon_part *parts);

/* The answer of a Responses call is kept, where the provider keeps none. reply: the response
 * object. Suspends. */
void translated_keep(struct exchange *x, struct str reply);
/* The response object in the last event of a stream. */
struct str translated_last_response(struct str stream);

/* --- translated_count.c --- */
bool translated_is_count(const struct exchange *x);
bool translated_is_embedding(const struct exchange *x);
/* Bodies of those. 0 or -errno as the canonical form's functions; -ENOTSUP: not with this target.
 */
int translated_write_other(struct exchange *x, struct buf *out);
int translated_other_reply(struct exchange *x, struct str body, struct buf *out);

/* --- translated_media.c --- */
/* Fetches what the provider does not take by URL. 0 or x->error. Suspends. */
int translated_fetch_media(struct exchange *x);

/* --- translated_reply.c --- */
int translated_relay_whole(struct exchange *x, struct http_call *c, const struct http_head *h);
/* Fields of a reply that was made anew; type: its content-type. */
void translated_reply_fields(
    struct exchange *x, const struct http_head *from, struct str type, struct buf *out);

/* An error of the provider's in the words, and with the status, of the client's dialect. */
void translated_word_error(struct exchange *x, struct error *e);

/* --- translated_stream.c --- */
int translated_relay_stream(struct exchange *x, struct http_call *c, const struct http_head *h);

#endif
