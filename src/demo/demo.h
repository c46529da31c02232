/*
 * The demo provider: a deterministic upstream in the program, so that tests, benchmarks and
 * newcomers need nothing else. It is an ordinary HTTP server on 127.0.0.1 that speaks OpenAI's,
 * Anthropic's and Gemini's dialects; the gateway calls it like any other provider.
 */
#ifndef SF_DEMO_DEMO_H
#define SF_DEMO_DEMO_H

#include "http/server.h"

/* The handler of its listener. Stateless but for files, batches, responses and conversations, which
 * live in bounded per-process memory. */
extern const struct http_handler demo_handler;

#endif
