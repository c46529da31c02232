/*
 * What the files of wire_converse share. Bedrock's Converse is one dialect over the models of many
 * publishers: messages, tools and the common parameters are alike, what a publisher has of its own
 * stands in additionalModelRequestFields. The publisher is a part of the model's id.
 *
 *   converse_request.c   canonical ──▶ body: parameters, tools
 *   converse_messages.c  canonical ──▶ body: messages, system
 *   converse_media.c     pictures, documents, sounds, films, both ways
 *   converse_plan.c      thinking, structured output, what goes beside the common parameters
 *   converse_read.c      a client's body ──▶ canonical (the Bedrock front door)
 *   converse_blocks.c    content blocks ──▶ parts, of requests and replies
 *   converse_reply.c     replies, both ways; usage
 *   converse_stream.c    streams, both ways
 */
#ifndef SF_TRANSLATE_CONVERSE_INT_H
#define SF_TRANSLATE_CONVERSE_INT_H

#include "translate/converse.h"
#include "translate/messages_int.h"
#include "translate/native_int.h"

enum converse_publisher {
    PUBLISHER_OTHER,
    PUBLISHER_ANTHROPIC,
    PUBLISHER_AMAZON,
    PUBLISHER_OPENAI
};

/* By the model's id: "anthropic.claude…", "us.anthropic.…", an ARN that ends in one; by its facts
 * where the id does not say. */
enum converse_publisher converse_publisher_of(const struct canon_call *c);

struct converse_plan {
    enum converse_publisher publisher;
    struct messages_plan claude; /* of other publishers: format and choice alone */
    enum canon_effort effort;    /* of other publishers; EFFORT_UNSET: none is sent */
    bool no_tools;               /* they are left out, as none may be called */
    bool dummy_tools;            /* none are declared, but earlier turns have calls */
};

struct converse_name {
    struct converse_name *next;
    struct str name;
};

struct converse_writer {
    struct canon_call *c;
    const struct canon_request *q;
    struct converse_plan plan;
    bool marks;                  /* the model has a prompt cache */
    struct converse_name *names; /* of documents: each has to be another */
    struct jw w;
};

/* Decides what hangs together: thinking, the choice of tools, the format. Declares what is lost. */
int converse_plan(struct canon_call *c, const struct canon_request *q, struct converse_plan *ret);
/* Whether replies to this request bring their JSON in a call of JSON_TOOL. */
bool converse_json_tool(const struct canon_call *c, const struct canon_request *q);
/* "additionalModelRequestFields" where there are any. */
int converse_write_fields(struct converse_writer *cw);

int converse_write_messages(struct converse_writer *cw); /* and "system" */
/* {"cachePoint":…} where there is a mark. */
int converse_write_mark(struct converse_writer *cw, enum canon_cache cache);
/* Ids of calls as they are taken: [a-zA-Z0-9_.:-], at most 64. Others are changed, the same each
 * time. */
struct str converse_id_out(struct canon_call *c, struct str id);

/* One block of media; 400 for what has no form there. */
int converse_write_media(struct converse_writer *cw, const struct canon_part *p);
/* {"format":…,"source":…,"name":…} into a part's media; false when it is none. */
bool converse_read_media(yyjson_val *block, struct canon_part *p);
struct str converse_image_format(struct str mime); /* "png"; empty = none */
struct str converse_image_mime(struct str format); /* "image/png" */

/* Where content blocks are read into. */
struct converse_blocks {
    struct canon_call *c;
    struct canon_part **tail, *last;
    const char *at; /* "messages[0].content"; NULL: of a reply, which is read leniently */
};

/* The blocks of an array. */
int converse_read_blocks(struct converse_blocks *b, yyjson_val *list);
/* A part as a block of a reply. */
void converse_write_block(struct canon_call *c, struct jw *w, const struct canon_part *p);
struct canon_citation *converse_read_citation(struct arena *a, yyjson_val *v);
void converse_write_citation(struct arena *a, struct jw *w, const struct canon_citation *t);
/* A tool_use block's part, as the client knows the tool; text where it is JSON_TOOL. */
void converse_take_call(struct canon_call *c, struct arena *a, struct canon_part *p);

int converse_status(int status); /* of an error, as others would say it */
void converse_read_usage(yyjson_val *v, struct usage *u);
void converse_write_usage(struct jw *w, const struct usage *u); /* with its braces */
enum canon_finish converse_finish_in(struct str reason);
struct str converse_finish_out(enum canon_finish f);

int converse_read_request(struct canon_call *c, struct str body, struct canon_request *ret);
int converse_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out);
int converse_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret);
int converse_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out);
int converse_read_event(struct canon_stream *s, struct str event, struct str data);
int converse_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out);

#endif
