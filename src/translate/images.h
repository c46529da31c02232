/*
 * Pictures made from a prompt: OpenAI's /v1/images/generations on one side; on the other Imagen's
 * predict (Gemini, Vertex AI) and Replicate's predictions. Small enough to need no canonical form
 * but these two structs. All memory lies in c->arena.
 */
#ifndef SF_TRANSLATE_IMAGES_H
#define SF_TRANSLATE_IMAGES_H

#include "base/buf.h"
#include "translate/canon.h"

enum images_form { IMAGES_IMAGEN, IMAGES_REPLICATE };

struct images_request {
    struct str model, prompt, size, format; /* "1024x1024", "png"; empty = not said */
    unsigned n;
    int64_t compression;   /* output_compression; -1 = not said */
    bool wants_url;        /* response_format: "url" */
    struct str seed, user; /* raw; p NULL = not said */
};

struct images_one {
    struct str base64, url, mime; /* one of the first two */
    struct str revised_prompt;
};

struct images_reply {
    unsigned images_n, filtered_n; /* filtered: those that were made and kept back */
    struct images_one *images;
};

/* A client's body; what is not known there is declared. 0, or c->error: 400 with the field. */
int images_read_request(struct canon_call *c, struct str body, struct images_request *ret);
int images_write_request(
    struct canon_call *c, const struct images_request *q, enum images_form form, struct buf *out);
/* A provider's body. -EINPROGRESS: a prediction of Replicate's that is not over. */
int images_read_reply(
    struct canon_call *c, enum images_form form, struct str body, struct images_reply *ret);
int images_write_reply(struct canon_call *c, const struct images_reply *r, struct buf *out);

#endif
