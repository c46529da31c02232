/*
 * The wire of OpenAI's chat completions. See translate/chat_int.h.
 */
#include "translate/chat_int.h"

const struct wire wire_chat = {
    .id = WIRE_CHAT,
    .name = STR_INIT("openai chat"),
    .maker = MAKER_OPENAI,
    .framing = FRAMES_SSE,
    .stream_type = STR_INIT("text/event-stream"),
    .read_request = chat_read_request,
    .write_request = chat_write_request,
    .read_reply = chat_read_reply,
    .write_reply = chat_write_reply,
    .read_event = chat_read_event,
    .write_event = chat_write_event,
    .read_error = chat_read_error,
};
