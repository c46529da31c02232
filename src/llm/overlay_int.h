/*
 * Between prices_overlay.c (the file and the snapshot) and overlay_fields.c (one entry's fields).
 */
#ifndef SF_LLM_OVERLAY_INT_H
#define SF_LLM_OVERLAY_INT_H

#include "llm/prices.h"

#include <yyjson.h>

/* What is being read, for error texts. */
struct overlay_reader {
    struct prices_overlay *o;
    char *err;
    size_t err_n;
    struct str model;
    bool unpriced; /* the entry's prices have a form that struct model_facts cannot hold */
};

/* Writes the error text; returns -EINVAL. */
int overlay_fail(struct overlay_reader *rd, struct str field, const char *why);

void overlay_forget_prices(struct model_facts *f); /* all unknown, no threshold */

/* 1 when the entry's mode is served, 0 when not. Without a mode the one in f stands. */
int overlay_read_mode(struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry);

/* Prices, limits and abilities. */
int overlay_read_fields(struct overlay_reader *rd, struct model_facts *f, yyjson_val *entry);

#endif
