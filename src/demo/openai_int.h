/*
 * What OpenAI's endpoints share.
 */
#ifndef SF_DEMO_OPENAI_INT_H
#define SF_DEMO_OPENAI_INT_H

#include "demo/demo_int.h"

struct str openai_finish(const struct answer *a);   /* a JSON literal */
uint64_t openai_choices(const struct demo_call *c); /* "n", at least 1 */
void openai_usage(struct demo_call *c);
/* {"id":...,"object":...,"created":...,"model":... */
void openai_head(struct demo_call *c, struct buf *out, const char *prefix, const char *object);
/* Up to n bytes off *rest, never less than a character. */
struct str utf8_piece(struct str *rest, size_t n);

/* --- responses --- */

/* openai_response.c: the object, with its output unless it is only begun. id: "resp_...". */
void response_put(struct demo_call *c, const char *id, const char *status);
const char *response_status(const struct answer *a); /* "completed" or "incomplete" */
/* One item of the output, from '{' to '}'. full = with its text or arguments. */
void response_item_put(struct demo_call *c, const char *id, unsigned i, bool full);
void response_item_id(struct demo_call *c, const char *id, unsigned i);
void response_text_part(struct demo_call *c, struct str text);
/* Keeps the object that stands in c->out from the offset on, with the input's items. */
void response_save(struct demo_call *c, const char *id, size_t from);
/* openai_response_stream.c: all events, over HTTP or a WebSocket. */
void response_stream(struct demo_call *c, const char *id);
bool response_event_end(struct demo_call *c);
void response_event_begin(struct demo_call *c, struct str type);
/* False: an error was sent. Checks previous_response_id and conversation. */
bool response_links_hold(struct demo_call *c, const char **ret_why);
/* openai_conversations.c: adds items ("{...},{...}") to one; false when there is none. */
bool conversation_add(struct str id, struct str items);
/* The items of an input (text or array), with ids, with commas between. */
void response_items(struct str input, struct buf *out, const char *id);
/* Replies with such items as a list object. */
void response_item_list(struct demo_call *c, struct str items);
/* openai_chat.c: the whole completion into c->out. */
void openai_chat_put(struct demo_call *c);

/* --- files.c --- */

void openai_file_put(
    struct buf *out, const char *id, struct str name, struct str purpose, size_t bytes);

/* --- WebSockets (ws.c) --- */

struct ws;
/* Answers the handshake. NULL: an error was sent. */
struct ws *ws_open(struct demo_call *c);
void ws_close(struct ws *w, unsigned code);
/* The next text message into *ret: > 0, 0 at the end, -errno. */
int ws_receive(struct ws *w, struct str *ret);
int ws_send(struct ws *w, struct str text);
/* Sends c->out as one message and heeds the directions of a stream. False: stop. */
bool ws_event(struct demo_call *c);

#endif
