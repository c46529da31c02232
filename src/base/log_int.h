/*
 * What log.c (lines) and log_write.c (where they go) share.
 */
#ifndef SF_BASE_LOG_INT_H
#define SF_BASE_LOG_INT_H

#include "base/buf.h"

#define LOG_FLUSH_AT ((size_t)16384)

/* Writes the thread's lines unless another thread is writing: then they wait for a later line,
 * until there are so many that they have to go out. */
void log_flush_soon(void);

/* The calling thread's buffer of whole lines; NULL when memory is out. */
struct buf *log_thread_lines(void);

#endif
