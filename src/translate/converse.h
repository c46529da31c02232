/*
 * Bedrock's dialect where others need to know of it: its exceptions, by which errors travel in
 * replies (x-amzn-errortype; llm/dialect.c writes them) and in streams (frames of their own).
 */
#ifndef SF_TRANSLATE_CONVERSE_H
#define SF_TRANSLATE_CONVERSE_H

#include "base/buf.h"
#include "base/error.h"

/* The status for an exception's name, with or without namespace ("com.amazon…#ThrottlingException",
 * "ThrottlingException:http://…"); 0 for an unknown one. */
int converse_exception_status(struct str exception);
/* Appends one event's frame: {"text":…} under ":event-type". */
int converse_put_frame(struct buf *out, struct str event, struct str payload);
/* Appends the frame of an exception, which ends a stream. */
int converse_put_exception(struct buf *out, const struct error *e);

#endif
