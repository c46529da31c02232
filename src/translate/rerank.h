/*
 * Rerank: documents put in the order in which they answer a query. Clients ask as Jina's API does,
 * which vLLM, Together and others share, or as Cohere's, which is nearly the same; Bedrock's models
 * are invoked with bodies of their own, and NVIDIA's NIM ranks passages. Small enough to need no
 * canonical form but these two structs.
 *
 * All memory lies in c->arena. c->model is the model at the target, c->model_shown the client's.
 */
#ifndef SF_TRANSLATE_RERANK_H
#define SF_TRANSLATE_RERANK_H

#include "base/buf.h"
#include "translate/canon.h"

enum rerank_form {
    RERANK_JINA,    /* /v1/rerank */
    RERANK_COHERE,  /* /v2/rerank */
    RERANK_BEDROCK, /* InvokeModel of cohere.rerank-… and amazon.rerank-… */
    RERANK_NIM,     /* /v1/ranking */
};

struct rerank_request {
    struct str model, query;
    unsigned documents_n;
    struct str *documents;      /* their texts */
    int64_t top_n;              /* -1 = not said: all */
    int64_t max_tokens_per_doc; /* -1 */
    bool return_documents;
    struct str spans, priority; /* Cohere's relevant_spans and priority, raw; p NULL = not said */
};

struct rerank_result {
    unsigned index;
    struct str score; /* its digits, as they came: what they mean is the model's */
    struct str spans; /* Cohere's relevant_spans, raw; p NULL = none */
};

struct rerank_reply {
    struct str id;
    unsigned results_n;
    struct rerank_result *results; /* best first, as the provider gave them */
    struct usage usage; /* queries, or input tokens; USAGE_UNKNOWN where it says neither */
};

/* The form of a provider whose bodies are not Jina's; RERANK_JINA for all others. */
enum rerank_form rerank_form_of(struct str provider);

/* A client's body; what is not known there is declared. 0, or c->error: 400 with the field. */
int rerank_read_request(struct canon_call *c, struct str body, struct rerank_request *ret);
int rerank_write_request(
    struct canon_call *c, const struct rerank_request *q, enum rerank_form form, struct buf *out);
/* A provider's body, of whichever form; results beyond top_n are left out. */
int rerank_read_reply(struct canon_call *c, const struct rerank_request *q, struct str body,
    struct rerank_reply *ret);
/* The client's, with the texts where it wants them. */
int rerank_write_reply(struct canon_call *c, const struct rerank_request *q,
    const struct rerank_reply *r, struct buf *out);
/* Searches that a request is billed as, where the provider does not say: one a hundred documents
 * (cohere.com/pricing; Bedrock's user guide, rerank-pricing). */
uint64_t rerank_searches(const struct rerank_request *q);

#endif
