/*
 * What the providers that speak OpenAI's chat dialect take of it, one row each. A row states what
 * the provider's own documentation or SDK says; what is not in a table row is passed on, and the
 * provider answers for itself. Abilities of models are not here but in the facts (llm/prices.h).
 *
 * A row serves calls that are translated, and those that would pass as they came (chat_fit.c).
 */
#include "translate/chat_int.h"

#define P(id) ((uint32_t)1 << PARAM_##id)
#define E(id) ((uint8_t)(1 << EFFORT_##id))

/* OpenAI's own additions, which the compatible ones do not have. */
#define OPENAI_ONLY                                                                                \
    (P(STORE) | P(PROMPT_CACHE_KEY) | P(PROMPT_CACHE_RETENTION) | P(VERBOSITY) | P(MODALITIES) |   \
        P(AUDIO) | P(PREDICTION))
#define SAMPLING_OF_OLD                                                                            \
    (P(FREQUENCY_PENALTY) | P(PRESENCE_PENALTY) | P(LOGPROBS) | P(TOP_LOGPROBS) | P(LOGIT_BIAS))
#define ALL_EFFORTS  (E(NONE) | E(MINIMAL) | E(LOW) | E(MEDIUM) | E(HIGH) | E(XHIGH) | E(MAX))
#define EASY_EFFORTS (E(LOW) | E(MEDIUM) | E(HIGH))

/* What OpenAI's reasoning models refuse beside temperature and top_p, which the facts state. */
#define OPENAI(name)                                                                               \
    {                                                                                              \
        .provider = STR_INIT(name),                                                                \
        .flags = CHAT_NEW_MAX_TOKENS | CHAT_CUSTOM_TOOLS | CHAT_HIDES_THINKING, .lacks = P(TOP_K), \
        .model_flag = MODEL_NO_SAMPLING, .model_lacks = SAMPLING_OF_OLD, .model_no_stop = true,    \
        .efforts = ALL_EFFORTS                                                                     \
    }

/* Servers of open models: more sampling than OpenAI has. */
#define SERVER(name, more)                                                                         \
    {                                                                                              \
        .provider = STR_INIT(name), .flags = CHAT_VIDEO | (more),                                  \
        .lacks = OPENAI_ONLY | P(SERVICE_TIER) | P(METADATA), .efforts = ALL_EFFORTS,              \
        .history = HISTORY_CONTENT                                                                 \
    }

/* Providers of many models, whose API names reasoning and caching in ways of its own. */
#define ROUTER(name)                                                                               \
    {                                                                                              \
        .provider = STR_INIT(name), .flags = CHAT_CACHE_MARKS | CHAT_URL_FILES | CHAT_VIDEO,       \
        .efforts = ALL_EFFORTS & ~E(MAX), .history = HISTORY_DETAILS, .think = THINK_OBJECT        \
    }

static const struct chat_quirks table[] = {
    OPENAI("openai"),
    OPENAI("azure"),
    {
        /* mistralai 3.7, ChatCompletionRequest: others are 422; tool_choice may be "required", too
         */
        .provider = STR_INIT("mistral"),
        .flags = CHAT_NO_STREAM_OPTIONS | CHAT_OLD_MAX_TOKENS | CHAT_RANDOM_SEED | CHAT_SAYS_ANY |
                 CHAT_SHORT_IDS | CHAT_NO_DEVELOPER | CHAT_NO_NAMES | CHAT_NO_USER_AFTER_TOOL |
                 CHAT_MISTRAL_MEDIA,
        .lacks = P(LOGIT_BIAS) | P(USER) | P(STORE) | P(PROMPT_CACHE_RETENTION) | P(VERBOSITY) |
                 P(MODALITIES) | P(AUDIO),
        .efforts = ALL_EFFORTS,
        .history = HISTORY_CHUNKS,
    },
    {
        .provider = STR_INIT("deepseek"),
        .flags = CHAT_OLD_MAX_TOKENS | CHAT_NO_SCHEMA | CHAT_NO_DEVELOPER | CHAT_ONE_ANSWER |
                 CHAT_NO_PARALLEL | CHAT_PLAIN_TEXT | CHAT_NO_STRICT,
        .lacks = OPENAI_ONLY | P(TOP_K) | P(SEED) | P(LOGIT_BIAS) | P(USER) | P(METADATA) |
                 P(SERVICE_TIER),
        .efforts = ALL_EFFORTS,
        .history = HISTORY_OF_TOOLS,
        .think = THINK_SWITCH,
    },
    {
        /* perplexityai 0.46, chat CompletionCreateParams and ChatMessageInput */
        .provider = STR_INIT("perplexity"),
        .flags = CHAT_OLD_MAX_TOKENS | CHAT_ALTERNATES | CHAT_NO_DEVELOPER | CHAT_NO_NAMES |
                 CHAT_NO_STREAM_OPTIONS,
        .lacks = OPENAI_ONLY | P(SEED) | P(LOGIT_BIAS) | P(USER) | P(METADATA) | P(SERVICE_TIER),
        .efforts = E(MINIMAL) | EASY_EFFORTS,
    },
    {
        /* groq 1.7, which says of store and metadata that they are not supported, and n is 1;
           console.groq.com/docs/openai for the rest */
        .provider = STR_INIT("groq"),
        .flags = CHAT_NEW_MAX_TOKENS | CHAT_NO_NAMES | CHAT_ONE_ANSWER,
        .lacks =
            OPENAI_ONLY | P(TOP_K) | P(LOGIT_BIAS) | P(LOGPROBS) | P(TOP_LOGPROBS) | P(METADATA),
        .efforts = E(NONE) | EASY_EFFORTS,
        .history = HISTORY_REASONING,
    },
    {
        /* docs.x.ai, chat completions: either name of the limit */
        .provider = STR_INIT("xai"),
        .flags = CHAT_NO_NAMES | CHAT_NO_STRICT,
        .lacks = OPENAI_ONLY | P(TOP_K) | P(METADATA) | P(SERVICE_TIER),
        .model_flag = MODEL_REASONING,
        .model_lacks = P(FREQUENCY_PENALTY) | P(PRESENCE_PENALTY),
        .model_no_stop = true,
        .efforts = E(NONE) | EASY_EFFORTS | E(XHIGH),
    },
    {
        /* together 3.1, chat CompletionCreateParams */
        .provider = STR_INIT("together"),
        .flags = CHAT_OLD_MAX_TOKENS | CHAT_NO_PARALLEL | CHAT_LOGPROBS_NUMBER | CHAT_VIDEO |
                 CHAT_SAYS_ENABLED,
        .lacks = OPENAI_ONLY | P(USER) | P(METADATA) | P(SERVICE_TIER),
        .efforts = EASY_EFFORTS,
        .history = HISTORY_CONTENT,
    },
    {
        /* ollama/ollama, openai/openai.go: ChatCompletionRequest and FromChatRequest() */
        .provider = STR_INIT("ollama"),
        .flags = CHAT_OLD_MAX_TOKENS | CHAT_NO_TOOL_CHOICE | CHAT_NO_PARALLEL | CHAT_ONE_ANSWER |
                 CHAT_ELSE_NATIVE | CHAT_DATA_IMAGES,
        .lacks = OPENAI_ONLY | P(TOP_K) | P(LOGIT_BIAS) | P(USER) | P(METADATA) | P(SERVICE_TIER),
        .efforts = E(NONE) | EASY_EFFORTS,
        .history = HISTORY_REASONING,
    },
    {
        /* Google's endpoint in OpenAI's dialect: others are 400 "Unknown name" (of seed, penalties,
           top_k and reasoning: Vali-98/ChatterUI#227, MinLL/SkyrimNet-GamePlugin#77) */
        .provider = STR_INIT("gemini"),
        .flags = CHAT_ELSE_NATIVE | CHAT_DATA_IMAGES,
        .lacks = OPENAI_ONLY | P(TOP_K) | P(SEED) | P(FREQUENCY_PENALTY) | P(PRESENCE_PENALTY) |
                 P(LOGIT_BIAS) | P(LOGPROBS) | P(TOP_LOGPROBS) | P(USER) | P(METADATA) |
                 P(SERVICE_TIER),
        .efforts = E(NONE) | E(MINIMAL) | EASY_EFFORTS,
    },
    {
        /* docs.cohere.com/docs/compatibility-api */
        .provider = STR_INIT("cohere"),
        .flags = CHAT_OLD_MAX_TOKENS | CHAT_ELSE_NATIVE | CHAT_NO_PARALLEL | CHAT_ONE_ANSWER |
                 CHAT_NO_STREAM_OPTIONS | CHAT_NO_STRICT,
        .lacks = OPENAI_ONLY | P(TOP_K) | P(LOGIT_BIAS) | P(TOP_LOGPROBS) | P(USER) | P(METADATA) |
                 P(SERVICE_TIER),
        .efforts = E(NONE) | E(HIGH),
    },
    {
        /* litellm 1.109, nvidia_nim: the models' common part; max_completion_tokens is renamed */
        .provider = STR_INIT("nvidia_nim"),
        .flags = CHAT_OLD_MAX_TOKENS,
        .lacks = OPENAI_ONLY | P(USER) | P(METADATA) | P(SERVICE_TIER),
        .efforts = ALL_EFFORTS,
        .history = HISTORY_CONTENT,
    },
    SERVER("vllm", 0),
    SERVER("lm_studio", CHAT_OLD_MAX_TOKENS),
    SERVER("fireworks", 0),
    SERVER("novita", CHAT_OLD_MAX_TOKENS),
    ROUTER("openrouter"),
    ROUTER("vercel"),
};

static const struct chat_quirks any = {
    .flags = CHAT_OLD_MAX_TOKENS,
    .lacks = P(TOP_K),
    .efforts = ALL_EFFORTS,
};

const struct chat_quirks *chat_quirks_of(struct str provider)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (str_eq(table[i].provider, provider))
            return &table[i];
    return &any;
}

int chat_model_has(const struct model_facts *f, uint32_t flag)
{
    if (!f || !f->flags) /* a row without any ability is one that states none */
        return -1;
    return (f->flags & flag) != 0;
}

bool chat_takes(const struct model_facts *f, const struct chat_quirks *k, enum canon_param_id id)
{
    uint32_t bit = (uint32_t)1 << id;
    if (bit & (k->lacks | P(SAFETY)))
        return false;
    if ((bit & (P(TEMPERATURE) | P(TOP_P))) && chat_model_has(f, MODEL_NO_SAMPLING) > 0)
        return false;
    return !(bit & k->model_lacks) || chat_model_has(f, k->model_flag) <= 0;
}

bool chat_knows(const struct chat_quirks *k, enum canon_param_id id)
{
    return !(k->lacks & (uint32_t)1 << id);
}

bool chat_takes_stop(const struct model_facts *f, const struct chat_quirks *k)
{
    return !k->model_no_stop || chat_model_has(f, k->model_flag) <= 0;
}

bool chat_refuses_effort(
    const struct model_facts *f, const struct chat_quirks *k, enum canon_effort e)
{
    if (!(k->efforts & (1 << e)))
        return true;
    if (e == EFFORT_NONE)
        return chat_model_has(f, MODEL_NO_EFFORT_NONE) > 0;
    return e == EFFORT_MINIMAL && chat_model_has(f, MODEL_NO_EFFORT_MINIMAL) > 0;
}

static bool knows_effort(
    const struct model_facts *f, const struct chat_quirks *k, enum canon_effort e)
{
    if (chat_refuses_effort(f, k, e))
        return false;
    switch (e) {
    case EFFORT_XHIGH:
        return chat_model_has(f, MODEL_EFFORT_XHIGH) != 0;
    case EFFORT_MAX:
        return chat_model_has(f, MODEL_EFFORT_MAX) != 0;
    default:
        return true;
    }
}

enum canon_effort chat_nearest_effort(
    const struct model_facts *f, const struct chat_quirks *k, enum canon_effort wanted)
{
    /* What is too much becomes less, what is too little becomes more. */
    for (int e = wanted; e > EFFORT_UNSET; e--)
        if (knows_effort(f, k, e))
            return e;
    for (int e = wanted; e <= EFFORT_MAX; e++)
        if (knows_effort(f, k, e))
            return e;
    return EFFORT_UNSET;
}
