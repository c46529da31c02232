/*
 * What Anthropic's endpoints share.
 */
#ifndef SF_DEMO_ANTHROPIC_INT_H
#define SF_DEMO_ANTHROPIC_INT_H

#include "demo/demo_int.h"

/* Appends the whole message of c->answer to c->out. */
void anthropic_message(struct demo_call *c);

#endif
