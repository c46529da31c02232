/* The system calls of the journal's writer, which tests let fail or hang. */
#ifndef SF_JOURNAL_SYS_H
#define SF_JOURNAL_SYS_H

#include <sys/types.h>

struct journal_sys {
    ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
    int (*fdatasync)(int fd);
};
extern struct journal_sys journal_sys; /* write.c */

#endif
