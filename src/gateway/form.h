/*
 * The fields of a form that is held whole (gw_upload_hold): read a second time, by the same parser
 * that looked for the model, so that what is sent on is what was checked.
 */
#ifndef SF_GATEWAY_FORM_H
#define SF_GATEWAY_FORM_H

#include "gateway/gateway_int.h"

#define FORM_FIELD_MAX (1 * MIB)

/* Where the form's file lies in the held bytes. */
struct form_file {
    uint64_t at, n;
    struct str name, type; /* as its part says; may be empty */
};

struct form_reader {
    struct arena *arena; /* for names and values */
    struct str file;     /* the name of the field that is the file */
    /* Every other field. 0, or the error that ends the reading. */
    int (*field)(void *ctx, struct str name, struct str value);
    void *ctx;
};

/* 0, field()'s error, -ENOMEM, or x->error: 400 when the form is cut off, has no such file, or two.
 * Suspends. */
int gw_form_read(struct exchange *x, const struct form_reader *r, struct form_file *ret);

#endif
