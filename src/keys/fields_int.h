/* Inside src/keys: what reading fields shares between its files. */
#ifndef SF_KEYS_FIELDS_INT_H
#define SF_KEYS_FIELDS_INT_H

#include "keys/record.h"

#define ITEM_BYTES 256 /* of a text in a list */

/* Refusals: each fills e and returns -EINVAL (or -ENOMEM). */
int field_wrong(struct error *e, struct arena *a, struct str param, struct str message);
int field_must_be(const struct field_row *f, struct error *e, struct arena *a, const char *what);
int field_no_memory(struct error *e);

/* The text of a JSON string, in the arena. -EINVAL: no string, too long, or with control bytes. */
int field_text(struct str json, size_t max, struct str *ret, struct arena *a);
struct str field_word_list(const char *const *words, struct arena *a); /* "a", "b" or "c" */
bool field_word_index(const char *const *words, struct str json, uint32_t *ret);

int field_budgets_parse(const struct field_row *f, struct str json, struct budget_list *ret,
    struct arena *a, struct error *e);
int field_cap_parse(const struct field_row *f, struct str json, struct budget_list *ret,
    struct arena *a, struct error *e);
/* The monthly budget that monthly_spend_cap shows. */
bool budget_is_cap(const struct budget *b);

#endif
