/*
 * Bedrock Converse as a wire: its table of functions and its exceptions. See converse.h and
 * converse_int.h.
 */
#include "translate/converse_int.h"

/* --- exceptions --- */

static const struct {
    struct str name;
    int status;
} exceptions[] = {
    {STR_INIT("ValidationException"), 400},
    {STR_INIT("AccessDeniedException"), 403},
    {STR_INIT("ResourceNotFoundException"), 404},
    {STR_INIT("ModelTimeoutException"), 408},
    {STR_INIT("ConflictException"), 409},
    {STR_INIT("ModelErrorException"), 424},
    {STR_INIT("ThrottlingException"), 429},
    {STR_INIT("InternalServerException"), 500},
    {STR_INIT("ServiceUnavailableException"), 503},
    {STR_INIT("ModelStreamErrorException"), 424},
    {STR_INIT("ModelNotReadyException"), 429},
    {STR_INIT("ServiceQuotaExceededException"), 429},
    {STR_INIT("ExpiredTokenException"), 403},
    {STR_INIT("IncompleteSignatureException"), 403},
    {STR_INIT("InvalidSignatureException"), 403},
    {STR_INIT("UnrecognizedClientException"), 403},
};

/* Without namespace and without what stands behind a colon. */
static struct str plain_exception(struct str name)
{
    ptrdiff_t hash = str_chr(name, '#');

    if (hash >= 0)
        name = str_from(name, (size_t)hash + 1);
    return str_trim(str_split(&name, ':'));
}

int converse_exception_status(struct str exception)
{
    exception = plain_exception(exception);
    for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
        if (str_ieq(exceptions[i].name, exception))
            return exceptions[i].status;
    return 0;
}

/* What failed behind Bedrock is no fault of the caller's, whatever the status says. */
int converse_status(int status)
{
    return status == 424 ? 502 : status == 408 ? 504 : status;
}

static void read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    struct str code = plain_exception(type_field);
    int known = converse_exception_status(type_field);

    if (!code.n) { /* some say it in the body */
        const char *why;
        code = plain_exception(jr_get_str(jr_parse(c->arena, body, &why), "__type"));
        known = converse_exception_status(code);
    }
    if (!status)
        status = known ? known : 500;
    native_error(
        c, converse_status(status), arena_dup(c->arena, code), native_error_text(c, body), ret);
}

const struct wire wire_converse = {
    .id = WIRE_CONVERSE,
    .name = STR_INIT("bedrock converse"),
    .maker = MAKER_ANTHROPIC, /* of its models, Claude alone signs */
    .framing = FRAMES_EVENTSTREAM,
    .stream_type = STR_INIT("application/vnd.amazon.eventstream"),
    .read_request = converse_read_request,
    .write_request = converse_write_request,
    .read_reply = converse_read_reply,
    .write_reply = converse_write_reply,
    .read_event = converse_read_event,
    .write_event = converse_write_event,
    .read_error = read_error,
};
