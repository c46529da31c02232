/*
 * Endpoints: what a path on the proxy port means. One row a path and method, in one table
 * (llm/endpoint.c); front doors (prefixes such as /anthropic) and version segments are cut before
 * the look-up, so that every base URL that clients use leads to the same row.
 */
#ifndef SF_LLM_ENDPOINT_H
#define SF_LLM_ENDPOINT_H

#include "http/head.h"
#include "llm/dialect.h"

enum endpoint_kind {
    KIND_CHAT,
    KIND_COMPLETIONS,
    KIND_RESPONSES,     /* create */
    KIND_RESPONSES_SUB, /* get, delete, cancel, input_items of one response */
    KIND_RESPONSES_AUX, /* input_tokens, compact: a model in the body, nothing stored */
    KIND_RESPONSES_WS,
    KIND_CONVERSATIONS,
    KIND_EMBEDDINGS,
    KIND_MODERATIONS,
    KIND_MODELS, /* list */
    KIND_MODEL,  /* one */
    KIND_TRANSCRIPTION,
    KIND_SPEECH,
    KIND_IMAGES,
    KIND_IMAGE_EDITS, /* multipart: edits and variations */
    KIND_RERANK,
    KIND_FILES,
    KIND_UPLOADS,
    KIND_BATCHES,
    KIND_REALTIME_WS,
    KIND_REALTIME, /* client_secrets, calls */
    KIND_MESSAGES,
    KIND_COUNT_TOKENS,
    KIND_MESSAGE_BATCHES,
    KIND_COMPLETE, /* Anthropic's legacy text completion */
    KIND_GENERATE, /* Gemini generateContent */
    KIND_STREAM_GENERATE,
    KIND_GEMINI_COUNT,
    KIND_GEMINI_EMBED,  /* embedContent, batchEmbedContents */
    KIND_GEMINI_UPLOAD, /* resumable uploads of files */
    KIND_GEMINI_BATCHES,
    KIND_GEMINI_OTHER, /* files, cachedContents, operations, ... */
    KIND_CONVERSE,     /* Bedrock */
    KIND_CONVERSE_STREAM,
    KIND_INVOKE, /* Bedrock's InvokeModel: the model's own dialect; of Anthropic's in front */
    KIND_INVOKE_STREAM,
    ENDPOINT_KINDS
};

enum endpoint_flags {
    EP_JSON = 1 << 0,       /* the body is JSON */
    EP_MULTIPART = 1 << 1,  /* the body is multipart/form-data */
    EP_MODEL_BODY = 1 << 2, /* its top member "model" names the model, and must */
    EP_MODEL_OPT =
        1 << 3, /* "model" may be absent (moderations, edits: the provider has a default) */
    EP_MODEL_PATH = 1 << 4, /* the path names the model */
    EP_STREAM = 1 << 5,     /* "stream": true is allowed */
    EP_USAGE_OPT = 1 << 6,  /* a stream reports usage only with stream_options.include_usage */
    EP_CREATES = 1 << 7,    /* the reply's id belongs to the provider that made it */
    EP_BY_ID = 1 << 8,      /* the path's id says which provider */
    EP_LIST = 1 << 9,
    EP_WEBSOCKET = 1 << 10,
    EP_METERED = 1 << 11,  /* replies carry usage */
    EP_RAW_BODY = 1 << 12, /* any body, streamed on as it is */
};

struct endpoint {
    enum dialect dialect;
    enum endpoint_kind kind;
    uint16_t methods; /* 1 << enum http_method */
    uint32_t flags;
    struct str pattern; /* "responses/{id}/cancel": below the door and version */
    struct str example; /* shown in messages: "/v1/responses/{id}/cancel" */
    enum stream_style stream;
};

struct endpoint_match {
    const struct endpoint *endpoint;
    struct str door;    /* "", "anthropic", "cursor", "azure", "gemini", "bedrock" */
    struct str version; /* "v1", "v1beta", "v1alpha", "" as the client sent it */
    struct str rest;  /* canonical path below door and version, still encoded: "chat/completions" */
    struct str id;    /* what {id} matched, still encoded */
    struct str model; /* what {model} matched (Gemini, Azure deployment, models/{id}), encoded */
    bool azure_deployment;
    uint16_t allow; /* when the path exists for other methods only: their mask */
};

/* Finds the row for a request. fields decide where two dialects share a path (/v1/models,
 * /v1/files): anthropic-version means Anthropic's, a Gemini credential Google's, else OpenAI's.
 * True when found; else *ret->allow tells 405 from 404. dialect (never NULL) gets the dialect that
 * an error should have, in every case. */
bool endpoint_find(const struct http_head *head, struct endpoint_match *ret, enum dialect *dialect);

/* "did you mean" for a 404: the example of the nearest row, or empty. */
struct str endpoint_nearest(struct str path);

/* All rows, for the documentation and tests. */
const struct endpoint *endpoint_table(unsigned *ret_n);
struct str endpoint_kind_name(enum endpoint_kind k); /* "chat", "responses": a metric label */
void endpoint_allow_text(uint16_t methods, struct buf *out); /* "GET, POST" */

#endif
