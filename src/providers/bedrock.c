/* See bedrock.h. Nothing here suspends or keeps anything. */
#include "providers/bedrock.h"

#include "base/macros.h"
#include "crypto/encode.h"
#include "providers/sigv4.h"
#include "json/scan.h"

#include <errno.h>

int bedrock_target(
    struct buf *out, struct str base_path, struct str model, enum bedrock_operation op)
{
    static const struct str tails[] = {[BEDROCK_CONVERSE] = STR_INIT("/converse"),
        [BEDROCK_CONVERSE_STREAM] = STR_INIT("/converse-stream"),
        [BEDROCK_INVOKE] = STR_INIT("/invoke"),
        [BEDROCK_INVOKE_STREAM] = STR_INIT("/invoke-with-response-stream")};
    if (!model.n || str_eq(model, STR(".")) || str_eq(model, STR("..")))
        return -EINVAL; /* dots would change the path that is signed */
    buf_addstr(out, base_path);
    buf_addstr(out, STR("/model/"));
    uri_encode(out, model, false);
    return buf_addstr(out, tails[op]);
}

int bedrock_host(struct buf *out, struct str region)
{
    for (size_t i = 0; i < region.n; i++) {
        char c = region.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return -EINVAL;
    }
    if (!region.n || region.n > 40)
        return -EINVAL;
    buf_addstr(out, STR("bedrock-runtime."));
    buf_addstr(out, region);
    bool china = str_starts(region, STR("cn-"));
    return buf_addstr(out, china ? STR(".amazonaws.com.cn") : STR(".amazonaws.com"));
}

static const struct {
    struct str name;
    int status;
} exceptions[] = {
    {STR_INIT("accessDeniedException"), 403},
    {STR_INIT("conflictException"), 409},
    {STR_INIT("expiredTokenException"), 403},
    {STR_INIT("incompleteSignatureException"), 403},
    {STR_INIT("internalServerException"), 500},
    {STR_INIT("invalidSignatureException"), 403},
    {STR_INIT("modelErrorException"), 424},
    {STR_INIT("modelNotReadyException"), 429},
    {STR_INIT("modelStreamErrorException"), 424},
    {STR_INIT("modelTimeoutException"), 408},
    {STR_INIT("resourceNotFoundException"), 404},
    {STR_INIT("serviceQuotaExceededException"), 429},
    {STR_INIT("serviceUnavailableException"), 503},
    {STR_INIT("throttlingException"), 429},
    {STR_INIT("unrecognizedClientException"), 403},
    {STR_INIT("validationException"), 400},
};

int bedrock_status(struct str exception)
{
    ptrdiff_t hash = str_chr(exception, '#');
    if (hash >= 0)
        exception = str_from(exception, (size_t)hash + 1);
    exception = str_trim(str_split(&exception, ':'));
    for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
        if (str_ieq(exceptions[i].name, exception))
            return exceptions[i].status;
    return 500;
}

struct bedrock_event bedrock_event(const struct eventstream_message *m)
{
    struct str kind = eventstream_string(m, STR(":message-type"));
    struct bedrock_event e = {.kind = BEDROCK_UNKNOWN, .payload = m->payload};
    if (str_eq(kind, STR("event"))) {
        e.kind = BEDROCK_EVENT;
        e.type = eventstream_string(m, STR(":event-type"));
    } else if (str_eq(kind, STR("exception")) || str_eq(kind, STR("error"))) {
        bool exception = str_eq(kind, STR("exception"));
        e.kind = BEDROCK_EXCEPTION;
        e.type = eventstream_string(m, exception ? STR(":exception-type") : STR(":error-code"));
        e.status = bedrock_status(e.type);
    }
    return e;
}

int bedrock_chunk(struct str payload, struct buf *out)
{
    const struct json_want want = {STR("bytes")};
    struct json_span span;
    struct json_error err;
    enum json_type top;
    if (json_scan(payload, &want, &span, 1, &top, &err) < 0 || top != JSON_OBJECT ||
        span.type != JSON_STRING || span.escaped || span.duplicate)
        return -EBADMSG;
    struct str text = json_span_text(payload, &span);
    text = str_at(text.p + 1, text.n - 2);
    int r = buf_reserve(out, BASE64_MAX_BYTES(text.n));
    if (r < 0)
        return r;
    ssize_t n = base64_decode(text, out->p + out->n);
    if (n < 0)
        return -EBADMSG;
    out->n += (size_t)n;
    return 0;
}
