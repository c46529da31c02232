/*
 * What models cost and can do, and what a call cost.
 *
 * Two sources of facts: the table built into the program (src/llm/model_facts.tsv through
 * tools/embed_facts.py), and an overlay, a JSON file of the operator's in LiteLLM's format, which
 * wins. An overlay is an immutable, reference-counted snapshot that its owner (the configuration)
 * swaps whole; facts found in it live as long as a reference is held. Facts of the built-in table
 * live for ever.
 *
 * Money: prices are whole pico-dollars (1e-12 USD) per unit, as vendors' decimals are exact there;
 * a cost is whole nano-dollars, rounded once. An unknown price is PRICE_UNKNOWN, never 0, and a
 * cost that needs one is unknown.
 */
#ifndef SF_LLM_PRICES_H
#define SF_LLM_PRICES_H

#include "base/str.h"
#include "llm/usage.h"

#define PRICE_UNKNOWN        ((int64_t)-1)
#define LIMIT_OVERLAY_BYTES  ((size_t)32 * 1024 * 1024)
#define LIMIT_OVERLAY_MODELS 65536

enum model_mode {
    MODEL_CHAT,
    MODEL_COMPLETION,
    MODEL_EMBEDDING,
    MODEL_IMAGE,
    MODEL_AUDIO_TRANSCRIPTION,
    MODEL_AUDIO_SPEECH,
    MODEL_RERANK,
    MODEL_MODERATION,
    MODEL_RESPONSES, /* served by the Responses API alone */
    MODEL_REALTIME,
    MODEL_OCR,
    MODEL_MODES_,
};

enum model_flag {
    MODEL_VISION = 1 << 0,
    MODEL_TOOLS = 1 << 1,
    MODEL_PARALLEL_TOOLS = 1 << 2,
    MODEL_REASONING = 1 << 3,
    MODEL_PDF = 1 << 4,
    MODEL_AUDIO_IN = 1 << 5,
    MODEL_AUDIO_OUT = 1 << 6,
    MODEL_PROMPT_CACHE = 1 << 7,
    MODEL_RESPONSE_SCHEMA = 1 << 8,
    MODEL_WEB_SEARCH = 1 << 9,
    MODEL_PREFILL = 1 << 10,
    MODEL_ADAPTIVE_THINKING = 1 << 11,
    MODEL_NO_SAMPLING = 1 << 12,           /* rejects temperature and top_p */
    MODEL_MAX_COMPLETION_TOKENS = 1 << 13, /* rejects max_tokens */
    MODEL_THINKING_ALWAYS = 1 << 14,       /* rejects thinking that is turned off */
    MODEL_BUDGET_THINKING = 1 << 15,       /* adaptive, but takes a budget, too */
    MODEL_SYSTEM_ANYWHERE = 1 << 16,       /* Claude: system messages between the turns */
    MODEL_OUTPUT_EFFORT = 1 << 17,         /* Claude: output_config.effort */
    MODEL_NATIVE_SCHEMA = 1 << 18,         /* Claude: output_config.format */
    MODEL_EFFORT_XHIGH = 1 << 19,
    MODEL_EFFORT_MAX = 1 << 20,
    MODEL_VIDEO_IN = 1 << 21,
    MODEL_NO_FORCED_TOOLS = 1 << 22,   /* the model must be free to call none */
    MODEL_NO_EFFORT_NONE = 1 << 23,    /* known to reject this effort */
    MODEL_NO_EFFORT_MINIMAL = 1 << 24, /* known to reject this effort */
    MODEL_NO_SYSTEM = 1 << 25,         /* rejects system messages */
    MODEL_NO_STRICT_TOOLS = 1 << 26,   /* Bedrock Converse */
    MODEL_NO_TOOL_IMAGES = 1 << 27,    /* Bedrock Converse: no pictures in a tool's result */
};

/* Pico-dollars a token. */
struct rate_card {
    int64_t input, output;
    int64_t cache_read, cache_write_5m, cache_write_1h;
    int64_t input_audio, output_audio;
    int64_t reasoning; /* only where it differs from output */
};

/* Pico-dollars a unit. */
struct unit_prices {
    int64_t image;
    int64_t audio_hour;
    int64_t character;
    int64_t query; /* a rerank search; in chat a web search, where all its sizes cost the same */
    int64_t page;
};

struct model_facts {
    struct str provider, model;
    enum model_mode mode;
    uint32_t flags; /* enum model_flag */
    /* By enum service_tier; [1] is for calls with more than threshold input tokens. */
    struct rate_card rates[4][2];
    struct unit_prices unit;
    uint32_t threshold;             /* 0 = one price for all lengths */
    uint32_t max_input, max_output; /* tokens; 0 = unknown */
    uint32_t context;               /* tokens in and out together; 0 = unknown */
    uint32_t deprecation;           /* 20270226; 0 = unknown */
};

/* The built-in facts of a model; NULL when it is not known (or memory is out). provider is one of
 * our ids ("openai"), model the name that its API takes. Tried in order: the name, the name without
 * its date (-20250929, -2024-08-06) or @version, that with "-latest", and a "-latest" name without
 * it. Thread-safe; costs a binary search. */
const struct model_facts *model_facts_find(struct str provider, struct str model);

/* The i-th row of the built-in table, by provider and name; NULL behind the last. */
const struct model_facts *model_facts_at(size_t i);

/* ---- cost ---- */

/* Half up to the nano-dollar, once. -ENODATA when the usage is unknown or a price that it needs is;
 * -ERANGE when the sum does not fit. Calls with token counts are billed by them alone where the
 * model has token prices (a transcription's seconds or a picture count are then only informative).
 * A batch or flex price that is not listed is the default one, as these tiers are discounts; one
 * that is missing for priority is unknown. */
int cost_compute(
    const struct model_facts *f, const struct usage *u, enum service_tier tier, int64_t *ret_nano);

/* ---- overlay ---- */

struct prices_overlay;

/* Reads LiteLLM's format: {"model": {"litellm_provider": …, "mode": …, "input_cost_per_token": …}}.
 * Numbers are parsed as decimals; strings that hold a number are taken too. What an entry says of
 * limits and abilities is laid over the built-in facts; if it has any price, its prices replace all
 * built-in ones, so that no old tier outlives a new price. Modes that are not served here and
 * prices of no use here are skipped. A malformed entry refuses the file: -EINVAL with the model and
 * the field in err; other errors are those of reading the file. Prices of a form that is not known
 * here (a second context threshold, seconds that cost differently in and out) become unknown; the
 * caller reports how many entries that befell. */
int prices_overlay_load(const char *path, struct prices_overlay **ret, char *err, size_t err_n);
int prices_overlay_parse(struct str json, struct prices_overlay **ret, char *err, size_t err_n);
struct prices_overlay *prices_overlay_ref(struct prices_overlay *o);
void prices_overlay_unref(struct prices_overlay *o); /* NULL is fine */
size_t prices_overlay_models(const struct prices_overlay *o);
size_t prices_overlay_unpriced(const struct prices_overlay *o);

/* As model_facts_find, for each form of the name first in the overlay (may be NULL), then in the
 * built-in table. */
const struct model_facts *prices_find(
    const struct prices_overlay *o, struct str provider, struct str model);

/* A decimal literal in US dollars ("3.5E-7") times scale as pico-dollars. Digits beyond the
 * pico-dollar are rounded when they are less than 1e-4 of the price (binary float noise, endless
 * fractions). -EINVAL when it is not a non-negative decimal, -ERANGE when it does not fit. */
int price_parse(struct str literal, unsigned scale, int64_t *ret_pico);

#endif
