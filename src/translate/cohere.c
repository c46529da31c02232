/* Cohere's v2 chat as a wire. No client speaks it to the gateway. See cohere_int.h. */
#include "translate/cohere_int.h"

static void read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    (void)type_field;
    native_error(c, status, STR_NONE, native_error_text(c, body), ret);
}

const struct wire wire_cohere = {
    .id = WIRE_COHERE,
    .name = STR_INIT("cohere chat"),
    .maker = MAKER_OTHER,
    .framing = FRAMES_SSE,
    .write_request = cohere_write_request,
    .read_reply = cohere_read_reply,
    .read_event = cohere_read_event,
    .read_error = read_error,
};
