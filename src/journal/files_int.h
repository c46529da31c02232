/*
 * Files of the journal's folder: small ones read and replaced whole, the list of segments, lines of
 * a file that may still grow. Everything blocks.
 */
#ifndef SF_JOURNAL_FILES_INT_H
#define SF_JOURNAL_FILES_INT_H

#include "base/buf.h"
#include "base/str.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Appends the file's bytes; -ENOBUFS beyond out's maximum. */
int file_read(int dir, const char *name, struct buf *out);
/* Written beside it, synced and renamed: the old text or the new, never a part. */
int file_write(int dir, const char *name, struct str text, mode_t mode);
int dir_sync(int dir);
/* The folder's names, from the first; the caller closes it. NULL: errno. */
DIR *dir_names(int dir);
/* Maps a file of this size, shared; make: it is made where there is none, else -ENOENT. One of
 * another size begins anew. Its blocks are taken now: a mapping of a file with holes ends the
 * process when the disk is full. 0 or -errno. */
int file_map(int dir, const char *name, bool make, size_t size, char **ret);

/* One more than the highest N of the files called prefixN, 0 when there are none; or -errno. */
int file_numbers_end(int dir, struct str prefix, uint64_t *ret);

#define SEGMENT_NAME 32
void segment_name(uint64_t first_seq, char out[static SEGMENT_NAME]);
/* The first seq of each segment, ascending; the caller frees *ret. */
int segment_list(int dir, uint64_t **ret, size_t *ret_n);

/*
 * Lines of a file. A view is valid until the next call. The file may grow meanwhile; what has no
 * newline yet is not a line.
 */
struct lines {
    int fd; /* not owned */
    char *p;
    size_t n, at, cap, max; /* bytes read, those given out, room, longest line */
    off_t offset;           /* in the file, of the byte at `at` */
};
void lines_init(struct lines *l, int fd, off_t from, size_t max);
void lines_free(struct lines *l);
/* 1 and a line without its newline; 0 at the end; -EMSGSIZE a line is too long; -EIO …. limit: the
 * offset to which the file counts. */
int lines_next(struct lines *l, off_t limit, struct str *ret);
/* What stands behind the last line; only after lines_next() returned 0. */
struct str lines_rest(const struct lines *l);

#endif
