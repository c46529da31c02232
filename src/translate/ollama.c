/* Ollama's own chat as a wire. No client speaks it to the gateway. See ollama_int.h. */
#include "translate/ollama_int.h"

static void read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    (void)type_field;
    native_error(c, status, STR_NONE, native_error_text(c, body), ret);
}

const struct wire wire_ollama = {
    .id = WIRE_OLLAMA,
    .name = STR_INIT("ollama chat"),
    .maker = MAKER_OTHER,
    .framing = FRAMES_LINES,
    .write_request = ollama_write_request,
    .read_reply = ollama_read_reply,
    .read_event = ollama_read_event,
    .read_error = read_error,
};
