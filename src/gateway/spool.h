/*
 * A spool: a file without a name, for what is too large to be held in memory. It ends with whoever
 * has it, also when the program dies.
 *
 * Disks are slow, so nothing of it is done on the loop's thread: bytes are gathered, and written
 * and read on the offload pool. All calls suspend but spool_free(). One that is cancelled gives the
 * spool away, to be freed when the disk is done with it: *s is NULL then.
 */
#ifndef SF_GATEWAY_SPOOL_H
#define SF_GATEWAY_SPOOL_H

#include "base/str.h"
#include <sys/types.h>

struct spool;

/* 0 or -errno: what open() says, -ENOMEM, -ECANCELED. */
int spool_open(struct str folder, struct spool **ret);
int spool_append(struct spool **s, struct str bytes); /* 0 or -errno */
/* A view of at most n bytes from offset at on, valid until the next call: > 0, 0 at the end,
 * -errno. */
ssize_t spool_read(struct spool **s, uint64_t at, size_t n, struct str *ret);
void spool_free(struct spool *s); /* NULL ok */

/* A file in the folder, with its name taken away at once, for file systems that cannot make one
 * without. For spool_open() and tests. fd or -errno. */
int spool_file_unlinked(const char *folder);

#endif
