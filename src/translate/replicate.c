/* Replicate's predictions as a wire. No client speaks them to the gateway. See replicate_int.h. */
#include "translate/replicate_int.h"

static void read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    (void)type_field;
    native_error(c, status, STR_NONE, native_error_text(c, body), ret);
}

const struct wire wire_replicate = {
    .id = WIRE_REPLICATE,
    .name = STR_INIT("replicate predictions"),
    .maker = MAKER_OTHER,
    .framing = FRAMES_SSE,
    .write_request = replicate_write_request,
    .read_reply = replicate_read_reply,
    .read_event = replicate_read_event,
    .read_error = read_error,
};
