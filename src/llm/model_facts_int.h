/*
 * The built-in table's layout, as tools/embed_facts.py writes it: no pointers, so no relocations.
 * Names lie one behind the other in facts_names; cards and units are indexes into the pools of
 * distinct prices, entry 0 being "all unknown".
 */
#ifndef SF_LLM_MODEL_FACTS_INT_H
#define SF_LLM_MODEL_FACTS_INT_H

#include "llm/prices.h"

struct facts_row {
    uint32_t name;
    uint8_t name_n, mode;
    uint16_t units;
    uint16_t rates[8]; /* tier * 2 + above */
    uint32_t flags, threshold, max_input, max_output, context, deprecation;
};

struct facts_provider {
    char id[16];
    uint32_t from, to; /* its rows, sorted by name */
};

extern const unsigned facts_n_rows, facts_n_providers;
extern const char facts_names[];
extern const struct facts_provider facts_providers[]; /* sorted by id */
extern const struct rate_card facts_rates[];
extern const struct unit_prices facts_units[];
extern const struct facts_row facts_rows[];

/* One slot a row, filled on first use (model_facts.c). */
extern const struct model_facts *facts_unpacked[];

/* Calls look_up with each form of the name that model_facts_find() describes, until one is found.
 */
typedef const struct model_facts *facts_look_up(
    const void *arg, struct str provider, struct str model);
const struct model_facts *facts_by_forms(
    facts_look_up *look_up, const void *arg, struct str provider, struct str model);

/* The exact name in the built-in table. */
const struct model_facts *facts_builtin(const void *unused, struct str provider, struct str model);

/* Byte order, shorter first: how both tables are sorted. */
int facts_name_cmp(struct str a, struct str b);

#endif
