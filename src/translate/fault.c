/*
 * What an error means to routing. Providers say it in three ways: with a word of their own
 * (OpenAI's code, Anthropic's type, Google's status, an AWS exception), with a sentence, and with
 * the HTTP status. A word that means one thing decides; of a request that was refused the sentence
 * tells apart what calls for another model (context, content policy) or another account; the status
 * decides the rest. Words such as invalid_request_error or api_error stand for anything, and count
 * only where the status says nothing, inside a stream.
 */
#include "translate/wire.h"

#include "base/macros.h"

#define MESSAGE_LOOKED_AT ((size_t)4096)

struct word {
    struct str word;
    enum wire_fault fault;
};

static const struct word words[] = {
    {STR_INIT("context_length_exceeded"), FAULT_CONTEXT},
    {STR_INIT("model_context_window_exceeded"), FAULT_CONTEXT},
    {STR_INIT("content_policy_violation"), FAULT_POLICY},
    {STR_INIT("content_filter"), FAULT_POLICY},
    {STR_INIT("content_filtered"), FAULT_POLICY},
    {STR_INIT("moderation_blocked"), FAULT_POLICY},
    {STR_INIT("ResponsibleAIPolicyViolation"), FAULT_POLICY},
    {STR_INIT("invalid_api_key"), FAULT_AUTH},
    {STR_INIT("authentication_error"), FAULT_AUTH},
    {STR_INIT("UNAUTHENTICATED"), FAULT_AUTH},
    {STR_INIT("UnrecognizedClientException"), FAULT_AUTH},
    {STR_INIT("ExpiredTokenException"), FAULT_AUTH},
    {STR_INIT("InvalidSignatureException"), FAULT_AUTH},
    {STR_INIT("IncompleteSignatureException"), FAULT_AUTH},
    {STR_INIT("MissingAuthenticationTokenException"), FAULT_AUTH},
    {STR_INIT("permission_error"), FAULT_PERMISSION},
    {STR_INIT("PERMISSION_DENIED"), FAULT_PERMISSION},
    {STR_INIT("AccessDeniedException"), FAULT_PERMISSION},
    {STR_INIT("insufficient_quota"), FAULT_BILLING},
    {STR_INIT("billing_error"), FAULT_BILLING},
    {STR_INIT("billing_not_active"), FAULT_BILLING},
    {STR_INIT("billing_hard_limit_reached"), FAULT_BILLING},
    {STR_INIT("ServiceQuotaExceededException"), FAULT_BILLING},
    {STR_INIT("model_not_found"), FAULT_NOT_FOUND},
    {STR_INIT("not_found_error"), FAULT_NOT_FOUND},
    {STR_INIT("NOT_FOUND"), FAULT_NOT_FOUND},
    {STR_INIT("ResourceNotFoundException"), FAULT_NOT_FOUND},
    {STR_INIT("DeploymentNotFound"), FAULT_NOT_FOUND},
    {STR_INIT("request_too_large"), FAULT_TOO_LARGE},
    {STR_INIT("rate_limit_exceeded"), FAULT_RATE},
    {STR_INIT("rate_limit_error"), FAULT_RATE},
    {STR_INIT("RESOURCE_EXHAUSTED"), FAULT_RATE},
    {STR_INIT("ThrottlingException"), FAULT_RATE},
    {STR_INIT("TooManyRequestsException"), FAULT_RATE},
    {STR_INIT("ModelNotReadyException"), FAULT_RATE},
    {STR_INIT("timeout_error"), FAULT_TIMEOUT},
    {STR_INIT("DEADLINE_EXCEEDED"), FAULT_TIMEOUT},
    {STR_INIT("ModelTimeoutException"), FAULT_TIMEOUT},
    {STR_INIT("overloaded_error"), FAULT_OVERLOAD},
    {STR_INIT("engine_overloaded"), FAULT_OVERLOAD},
    {STR_INIT("UNAVAILABLE"), FAULT_OVERLOAD},
    {STR_INIT("ServiceUnavailableException"), FAULT_OVERLOAD},
    {STR_INIT("INTERNAL"), FAULT_SERVER},
    {STR_INIT("InternalServerException"), FAULT_SERVER},
    {STR_INIT("ModelErrorException"), FAULT_SERVER},
    {STR_INIT("ModelStreamErrorException"), FAULT_SERVER},
};

/* For errors that have no status of their own. */
static const struct word loose_words[] = {
    {STR_INIT("invalid_request_error"), FAULT_BAD_REQUEST},
    {STR_INIT("INVALID_ARGUMENT"), FAULT_BAD_REQUEST},
    {STR_INIT("FAILED_PRECONDITION"), FAULT_BAD_REQUEST},
    {STR_INIT("ValidationException"), FAULT_BAD_REQUEST},
};

/* What a provider says of a request that it refused, in lower case. */
static const struct word sentences[] = {
    {STR_INIT("prompt is too long"), FAULT_CONTEXT},
    {STR_INIT("input is too long"), FAULT_CONTEXT},
    {STR_INIT("context length"), FAULT_CONTEXT},
    {STR_INIT("context_length"), FAULT_CONTEXT},
    {STR_INIT("context window"), FAULT_CONTEXT},
    {STR_INIT("context limit"), FAULT_CONTEXT},
    {STR_INIT("context size"), FAULT_CONTEXT},
    {STR_INIT("too many tokens"), FAULT_CONTEXT},
    {STR_INIT("exceeds the maximum number of tokens"), FAULT_CONTEXT},
    {STR_INIT("maximum prompt length"), FAULT_CONTEXT},
    {STR_INIT("reduce the length of the messages"), FAULT_CONTEXT},
    {STR_INIT("content management policy"), FAULT_POLICY},
    {STR_INIT("content policy"), FAULT_POLICY},
    {STR_INIT("content filter"), FAULT_POLICY},
    {STR_INIT("safety system"), FAULT_POLICY},
    {STR_INIT("credit balance is too low"), FAULT_BILLING},
    {STR_INIT("insufficient balance"), FAULT_BILLING},
    {STR_INIT("api key not valid"), FAULT_AUTH},
    {STR_INIT("api key expired"), FAULT_AUTH},
    {STR_INIT("invalid api key"), FAULT_AUTH},
    {STR_INIT("incorrect api key"), FAULT_AUTH},
    {STR_INIT("security token included in the request is"), FAULT_AUTH},
    {STR_INIT("model identifier is invalid"), FAULT_NOT_FOUND},
};

static enum wire_fault by_word(const struct word *table, size_t n, struct str word)
{
    for (size_t i = 0; word.n && i < n; i++)
        if (str_ieq(table[i].word, word))
            return table[i].fault;
    return FAULT_NONE;
}

static bool mentions(struct str text, struct str lower)
{
    for (size_t i = 0; i + lower.n <= text.n; i++)
        if (str_ieq(str_at(text.p + i, lower.n), lower))
            return true;
    return false;
}

static enum wire_fault by_sentence(struct str message)
{
    message = str_to(message, MESSAGE_LOOKED_AT);
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++)
        if (mentions(message, sentences[i].word))
            return sentences[i].fault;
    return FAULT_NONE;
}

static enum wire_fault by_status(int status)
{
    switch (status) {
    case 401:
        return FAULT_AUTH;
    case 402:
        return FAULT_BILLING;
    case 403:
        return FAULT_PERMISSION;
    case 404:
    case 410:
        return FAULT_NOT_FOUND;
    case 408:
    case 504:
    case 524:
        return FAULT_TIMEOUT;
    case 413:
        return FAULT_TOO_LARGE;
    case 424: /* Bedrock: the model failed */
    case 499: /* the provider gave up */
        return FAULT_SERVER;
    case 429:
        return FAULT_RATE;
    case 498: /* Cohere: a word on its list of denied ones */
        return FAULT_POLICY;
    case 503:
    case 529:
        return FAULT_OVERLOAD;
    }
    return status >= 500 ? FAULT_SERVER : FAULT_BAD_REQUEST;
}

/* Statuses under which a provider may mean what only its sentence says. */
static bool is_vague(int status)
{
    return status == 400 || status == 403 || status == 413 || status == 422;
}

/* Whether the sentence may say more than f, which a word said or nobody. */
static bool sentence_counts(int status, enum wire_fault f)
{
    if (f != FAULT_NONE && f != FAULT_BAD_REQUEST && f != FAULT_TOO_LARGE && f != FAULT_PERMISSION)
        return false;
    return status < 400 || is_vague(status);
}

enum wire_fault wire_fault_of(int status, struct str code, struct str type, struct str message)
{
    enum wire_fault f = by_word(words, ARRAY_LEN(words), code), said;
    if (!f)
        f = by_word(words, ARRAY_LEN(words), type);
    if (!f && status < 400)
        f = by_word(loose_words, ARRAY_LEN(loose_words), code.n ? code : type);
    if (sentence_counts(status, f) && (said = by_sentence(message)))
        return said;
    if (f)
        return f;
    if (status < 400)
        return code.n || type.n || message.n ? FAULT_SERVER : FAULT_NONE;
    if (status == 429 &&
        mentions(str_to(message, MESSAGE_LOOKED_AT), STR("exceeded your current quota")))
        return FAULT_BILLING;
    return by_status(status);
}

const char *wire_fault_name(enum wire_fault f)
{
    static const char *const names[] = {
        [FAULT_NONE] = "none",
        [FAULT_BAD_REQUEST] = "bad_request",
        [FAULT_CONTEXT] = "context_window",
        [FAULT_POLICY] = "content_policy",
        [FAULT_AUTH] = "authentication",
        [FAULT_PERMISSION] = "permission",
        [FAULT_BILLING] = "billing",
        [FAULT_NOT_FOUND] = "not_found",
        [FAULT_TOO_LARGE] = "too_large",
        [FAULT_RATE] = "rate_limit",
        [FAULT_TIMEOUT] = "timeout",
        [FAULT_OVERLOAD] = "overloaded",
        [FAULT_SERVER] = "server_error",
    };
    return names[f];
}
