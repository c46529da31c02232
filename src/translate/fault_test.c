/* What an error means, row by row of what providers send. */
#include "base/macros.h"
#include "base/tap.h"
#include "translate/wire.h"

struct row {
    int status;
    const char *code, *type, *message, *want;
};

static const struct row rows[] = {
    /* OpenAI */
    {400, "", "invalid_request_error", "Unknown parameter: 'x'.", "bad_request"},
    {400, "context_length_exceeded", "invalid_request_error", "", "context_window"},
    {400, "", "invalid_request_error",
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
        "context_window"},
    {400, "content_policy_violation", "invalid_request_error", "", "content_policy"},
    {400, "content_filter", "", "", "content_policy"},
    {400, "", "invalid_request_error",
        "Your request was rejected as a result of our safety system.", "content_policy"},
    {401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided",
        "authentication"},
    {403, "", "", "Country not supported", "permission"},
    {404, "model_not_found", "invalid_request_error", "", "not_found"},
    {404, "", "invalid_request_error", "", "not_found"},
    {413, "", "", "", "too_large"},
    {429, "rate_limit_exceeded", "tokens", "Rate limit reached", "rate_limit"},
    {413, "rate_limit_exceeded", "tokens", "Request too large for model", "rate_limit"},
    {429, "", "requests", "", "rate_limit"},
    {429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota", "billing"},
    {429, "", "", "You exceeded your current quota, please check your plan", "billing"},
    {500, "", "server_error", "", "server_error"},
    {503, "", "server_error", "", "overloaded"},
    {504, "", "", "", "timeout"},
    {408, "", "", "", "timeout"},
    {402, "", "", "Insufficient Balance", "billing"},
    {422, "", "", "bad", "bad_request"},
    /* Anthropic */
    {400, "", "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum",
        "context_window"},
    {400, "", "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "context_window"},
    {400, "", "invalid_request_error", "Your credit balance is too low to access the API",
        "billing"},
    {400, "", "invalid_request_error", "Output blocked by content filtering policy",
        "content_policy"},
    {401, "", "authentication_error", "invalid x-api-key", "authentication"},
    {402, "", "billing_error", "", "billing"},
    {403, "", "permission_error", "", "permission"},
    {404, "", "not_found_error", "model: x", "not_found"},
    {413, "", "request_too_large", "", "too_large"},
    {429, "", "rate_limit_error", "", "rate_limit"},
    {500, "", "api_error", "", "server_error"},
    {504, "", "timeout_error", "", "timeout"},
    {529, "", "overloaded_error", "", "overloaded"},
    {529, "", "", "", "overloaded"},
    /* Gemini */
    {400, "INVALID_ARGUMENT", "", "Invalid value at 'contents'", "bad_request"},
    {400, "INVALID_ARGUMENT", "",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "context_window"},
    {400, "INVALID_ARGUMENT", "", "API key not valid. Please pass a valid API key.",
        "authentication"},
    {400, "FAILED_PRECONDITION", "", "User location is not supported", "bad_request"},
    {401, "UNAUTHENTICATED", "", "", "authentication"},
    {403, "PERMISSION_DENIED", "", "", "permission"},
    {404, "NOT_FOUND", "", "", "not_found"},
    {429, "RESOURCE_EXHAUSTED", "", "You exceeded your current quota", "rate_limit"},
    {500, "INTERNAL", "", "", "server_error"},
    {503, "UNAVAILABLE", "", "The model is overloaded", "overloaded"},
    {504, "DEADLINE_EXCEEDED", "", "", "timeout"},
    /* Bedrock */
    {400, "ValidationException", "", "messages.0: bad", "bad_request"},
    {400, "ValidationException", "", "Input is too long for requested model.", "context_window"},
    {400, "ValidationException", "", "The provided model identifier is invalid.", "not_found"},
    {403, "AccessDeniedException", "", "You don't have access to the model", "permission"},
    {403, "AccessDeniedException", "", "The security token included in the request is expired",
        "authentication"},
    {403, "UnrecognizedClientException", "", "", "authentication"},
    {400, "ServiceQuotaExceededException", "", "", "billing"},
    {404, "ResourceNotFoundException", "", "", "not_found"},
    {429, "ThrottlingException", "", "", "rate_limit"},
    {429, "ModelNotReadyException", "", "", "rate_limit"},
    {408, "ModelTimeoutException", "", "", "timeout"},
    {503, "ServiceUnavailableException", "", "", "overloaded"},
    {500, "InternalServerException", "", "", "server_error"},
    {424, "ModelErrorException", "", "", "server_error"},
    {424, "ModelStreamErrorException", "", "", "server_error"},
    {424, "", "", "", "server_error"},
    /* Cohere */
    {400, "", "", "too many tokens: size limit exceeded by 100 tokens", "context_window"},
    {401, "", "", "invalid api token", "authentication"},
    {498, "", "", "blocked", "content_policy"},
    {499, "", "", "request cancelled", "server_error"},
    {501, "", "", "", "server_error"},
    /* Azure */
    {400, "content_filter", "",
        "The response was filtered due to the prompt triggering Azure's content management policy",
        "content_policy"},
    {404, "DeploymentNotFound", "", "", "not_found"},
    /* Inside a stream there is no status. */
    {0, "", "overloaded_error", "Overloaded", "overloaded"},
    {200, "", "api_error", "", "server_error"},
    {0, "", "invalid_request_error", "odd", "bad_request"},
    {0, "", "invalid_request_error", "prompt is too long", "context_window"},
    {0, "throttlingException", "", "", "rate_limit"},
    {0, "validationException", "", "", "bad_request"},
    {0, "", "", "something", "server_error"},
    {0, "", "", "", "none"},
    /* A sentence counts only where the status leaves it open. */
    {500, "", "", "content policy service failed", "server_error"},
    {429, "", "", "too many tokens a minute", "rate_limit"},
};

static void test_rows(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        enum wire_fault f =
            wire_fault_of(r->status, str_of(r->code), str_of(r->type), str_of(r->message));
        if (!str_eq(str_of(wire_fault_name(f)), str_of(r->want)))
            tap_fail(__FILE__, __LINE__, "%d %s %s \"%s\" is %s, wanted %s", r->status, r->code,
                r->type, r->message, wire_fault_name(f), r->want);
    }
}

/* The same error for clients of each dialect: status, code, type. */
static void check_words(
    struct error e, enum dialect d, int status, const char *code, const char *type)
{
    struct canon_call c = {0};
    wire_word_error(d, NULL, &c, &e);
    CHECK_EQ(e.status, status);
    CHECK_STR(e.code, str_of(code));
    CHECK_STR(e.type, str_of(type));
    CHECK_STR(e.message, STR("m"));
}

static void test_words(void)
{
    const struct error overload = {.status = 503, .code = STR("UNAVAILABLE"), .message = STR("m")};
    const struct error money = {.status = 402, .type = STR("billing_error"), .message = STR("m")};
    const struct error rate = {
        .status = 429, .code = STR("ThrottlingException"), .message = STR("m")};
    const struct error slow = {.status = 408, .type = STR("timeout_error"), .message = STR("m")};
    const struct error bad = {
        .status = 400, .code = STR("unsupported_value"), .type = STR("x"), .message = STR("m")};
    check_words(overload, DIALECT_OPENAI, 503, "", "");
    check_words(overload, DIALECT_ANTHROPIC, 529, "UNAVAILABLE", "");
    check_words(money, DIALECT_OPENAI, 429, "insufficient_quota", "insufficient_quota");
    check_words(money, DIALECT_ANTHROPIC, 402, "insufficient_quota", "");
    check_words(rate, DIALECT_GEMINI, 429, "rate_limit_exceeded", "");
    check_words(slow, DIALECT_ANTHROPIC, 504, "", "");
    check_words(bad, DIALECT_OPENAI, 400, "unsupported_value", "");
    check_words((struct error){.message = STR("m")}, DIALECT_OPENAI, 500, "", "");
}

static void test_any_text(void)
{
    char text[300];
    for (unsigned seed = 1; seed < 2000; seed++) {
        unsigned x = seed * 2654435761u;
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = (char)(x = x * 1664525u + 1013904223u, x >> 24);
        struct str s = str_at(text, seed % sizeof(text));
        CHECK(wire_fault_of(400, s, s, s) == FAULT_BAD_REQUEST);
        CHECK(wire_fault_name(wire_fault_of((int)(seed % 600), s, s, s))[0] != '\0');
    }
}

int main(void)
{
    TAP_RUN(test_rows);
    TAP_RUN(test_words);
    TAP_RUN(test_any_text);
    return tap_done();
}
