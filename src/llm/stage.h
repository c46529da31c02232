/*
 * A stage of the pipeline: a constant that its feature exports. gateway/pipeline.c orders them in
 * one table, calls them, and takes their times.
 *
 * on_request runs before the upstream is called, in table order: 0 goes on; a negative errno ends
 *            the call, with x->error filled (exchange_fail); 1: the stage has answered it.
 * on_end     runs once for every exchange whose first stage ran, in table order, whatever happened;
 *            the client may be gone; it must not fail and should not suspend.
 * Either may be NULL. (Stages that look at the reply's bytes get an on_chunk in the step that
 * brings the first of them.)
 */
#ifndef SF_LLM_STAGE_H
#define SF_LLM_STAGE_H

struct exchange;

struct stage {
    const char *name; /* a metric label and the trace's row */
    int (*on_request)(struct exchange *x);
    void (*on_end)(struct exchange *x);
};

#endif
