/*
 * What the files of pictures share. See translate/images.h.
 */
#ifndef SF_TRANSLATE_IMAGES_INT_H
#define SF_TRANSLATE_IMAGES_INT_H

#include "translate/images.h"
#include "translate/jw.h"

/* It asks for a size, and does not leave that to the model. */
bool images_has_size(const struct images_request *q);
/* The client's size as the nearest ratio that the form knows, since none takes pixels; the loss is
 * declared. Nothing for "auto". */
int images_put_ratio(struct canon_call *c, const struct images_request *q, const char *name,
    enum images_form form, struct jw *w);
/* Adds one picture: base64 of this type, or, where mime.p is NULL, a URL or data URL. There has to
 * be room in r->images. */
int images_add(struct canon_call *c, struct images_reply *r, struct str text, struct str mime);

/* --- images_google.c --- */
int images_put_imagen(struct canon_call *c, const struct images_request *q, struct jw *w);
int images_put_gemini(struct canon_call *c, const struct images_request *q, struct jw *w);
int images_read_imagen(struct canon_call *c, yyjson_val *root, struct images_reply *r);
int images_read_gemini(struct canon_call *c, yyjson_val *root, struct images_reply *r);

/* --- images_replicate.c --- */
int images_put_replicate(struct canon_call *c, const struct images_request *q, struct jw *w);
int images_read_replicate(struct canon_call *c, yyjson_val *root, struct images_reply *r);

#endif
