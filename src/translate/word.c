/*
 * A provider's error in the words of another dialect: the status, code and type that its clients
 * expect for what the error means (translation page, section 6). The message stays.
 */
#include "translate/wire.h"

#include "base/macros.h"

static int status_of(bool anthropic, enum wire_fault f, int status)
{
    switch (f) {
    case FAULT_BAD_REQUEST:
    case FAULT_CONTEXT:
    case FAULT_POLICY:
        return 400;
    case FAULT_AUTH:
        return 401;
    case FAULT_PERMISSION:
        return 403;
    case FAULT_BILLING:
        return anthropic ? 402 : 429;
    case FAULT_NOT_FOUND:
        return 404;
    case FAULT_TOO_LARGE:
        return 413;
    case FAULT_RATE:
        return 429;
    case FAULT_TIMEOUT:
        return 504;
    case FAULT_OVERLOAD:
        return anthropic ? 529 : 503;
    case FAULT_SERVER:
        return status == 502 || status == 500 ? status : 500;
    case FAULT_NONE:
        break;
    }
    return status >= 400 ? status : 502;
}

/* Anthropic's words; Google's and Amazon's have capitals. */
static bool is_foreign(struct str code)
{
    static const struct str words[] = {STR_INIT("invalid_request_error"), STR_INIT("api_error"),
        STR_INIT("authentication_error"), STR_INIT("permission_error"), STR_INIT("not_found_error"),
        STR_INIT("overloaded_error"), STR_INIT("timeout_error"), STR_INIT("rate_limit_error"),
        STR_INIT("billing_error"), STR_INIT("request_too_large")};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(words[i], code))
            return true;
    for (size_t i = 0; i < code.n; i++)
        if (code.p[i] >= 'A' && code.p[i] <= 'Z')
            return true;
    return false;
}

/* OpenAI's words, which stand for the fault in every dialect's code. */
static struct str code_of(enum wire_fault f, bool openai, struct str code)
{
    switch (f) {
    case FAULT_CONTEXT:
        return STR("context_length_exceeded");
    case FAULT_POLICY:
        return STR("content_policy_violation");
    case FAULT_BILLING:
        return STR("insufficient_quota");
    case FAULT_RATE:
        return STR("rate_limit_exceeded");
    case FAULT_AUTH:
        return STR("invalid_api_key");
    default:
        return openai && is_foreign(code) ? STR_NONE : code;
    }
}

void wire_word_error(
    enum dialect d, const struct wire *client, struct canon_call *c, struct error *e)
{
    enum wire_fault f = wire_fault_of(e->status, e->code, e->type, e->message);
    bool openai = d == DIALECT_OPENAI;
    e->status = status_of(d == DIALECT_ANTHROPIC, f, e->status);
    e->code = code_of(f, openai, e->code);
    /* Else the dialect derives it from the status. */
    e->type = f == FAULT_BILLING && openai ? STR("insufficient_quota") : STR_NONE;
    if (client && client->word_error)
        client->word_error(c, e);
}
