/*
 * Bedrock's dialect where others need to know of it: its exceptions, by which errors travel in
 * replies (x-amzn-errortype) and in streams (frames of their own). llm/dialect.c writes both.
 */
#ifndef SF_TRANSLATE_CONVERSE_H
#define SF_TRANSLATE_CONVERSE_H

#include "base/buf.h"
#include "base/error.h"

/* The status for an exception's name, with or without namespace ("com.amazon…#ThrottlingException",
 * "ThrottlingException:http://…"); 0 for an unknown one. */
int converse_exception_status(struct str exception);

#endif
