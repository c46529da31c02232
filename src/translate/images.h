/*
 * Pictures made from a prompt: OpenAI's /v1/images/generations on one side; on the other Imagen's
 * predict and Gemini's generateContent (Gemini API, Vertex AI), and Replicate's predictions. Small
 * enough to need no canonical form but these two structs. All memory lies in c->arena.
 *
 *   images.c            the client's side, and which form is which
 *   images_google.c     Imagen and Gemini
 *   images_replicate.c  Replicate
 */
#ifndef SF_TRANSLATE_IMAGES_H
#define SF_TRANSLATE_IMAGES_H

#include "base/buf.h"
#include "translate/canon.h"

enum images_form {
    IMAGES_IMAGEN,    /* :predict */
    IMAGES_GEMINI,    /* :generateContent of a model that answers with pictures */
    IMAGES_REPLICATE, /* a prediction */
};

struct images_request {
    struct str model, prompt, size, format; /* "1024x1024", "png"; empty = not said */
    unsigned n;
    int64_t compression;   /* output_compression; -1 = not said */
    struct str wanted;     /* response_format: "url", "b64_json"; empty = not said */
    struct str seed, user; /* raw; p NULL = not said */
    bool stream; /* it wants events; no provider here has any, so there is one a picture */
};

struct images_one {
    struct str base64, url, mime; /* one of the first two */
    struct str revised_prompt;
};

struct images_reply {
    unsigned images_n, filtered_n; /* filtered: those that were made and kept back */
    struct images_one *images;
    struct usage usage; /* pictures made; tokens where the provider says them */
};

/* A client's body; what is not known there is declared. 0, or c->error: 400 with the field. */
int images_read_request(struct canon_call *c, struct str body, struct images_request *ret);
int images_write_request(
    struct canon_call *c, const struct images_request *q, enum images_form form, struct buf *out);
/* A provider's body. -EINPROGRESS: a prediction of Replicate's that is not over. */
int images_read_reply(
    struct canon_call *c, enum images_form form, struct str body, struct images_reply *ret);
/* The client's: JSON, or events where it asked for them. 400 where all were kept back. */
int images_write_reply(struct canon_call *c, const struct images_request *q,
    const struct images_reply *r, struct buf *out);
/* The content-type of that. */
struct str images_reply_type(const struct images_request *q);

#endif
