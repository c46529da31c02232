/*
 * Archives in the ustar format (POSIX.1-1988), of plain files alone: a header block, the bytes,
 * zeros up to the next block. Sizes of 8 GiB and more stand in GNU's base-256 form. Reading is
 * strict: what is not such a file is an error, and so is a name that could lead out of the folder.
 */
#ifndef SF_VAULT_TAR_H
#define SF_VAULT_TAR_H

#include "base/str.h"

#define TAR_BLOCK    512
#define TAR_NAME_MAX 99

/* "journal/chain-1.jsonl": parts of letters, digits, '-', '_' and '.', none beginning with '.'. */
bool tar_name_ok(struct str name);
void tar_header(struct str name, uint64_t size, int64_t wall_ns, char out[static TAR_BLOCK]);
/* How many zeros follow that many bytes. */
static inline size_t tar_padding(uint64_t size)
{
    return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

struct tar_member {
    char name[TAR_NAME_MAX + 1];
    uint64_t size;
};
/* 1, 0 the end (a block of zeros), -EBADMSG. */
int tar_parse(const char block[static TAR_BLOCK], struct tar_member *ret);

#endif
