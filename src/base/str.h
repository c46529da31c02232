/*
 * struct str: a view of bytes that somebody else owns. Not NUL-terminated; may hold any byte.
 * Views are passed by value. A function that keeps one says whose lifetime it takes.
 */
#ifndef SF_BASE_STR_H
#define SF_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1}) /* a view of a string literal */
#define STR_INIT(l)                                                                                \
    {                                                                                              \
        "" l, sizeof(l) - 1                                                                        \
    } /* the same in a static initialiser */
#define STR_NONE   ((struct str){NULL, 0})
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z) /* z may be NULL */
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline struct str str_at(const char *p, size_t n)
{
    return (struct str){p, n};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_ieq(struct str a, struct str b); /* ASCII case folded */
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
ptrdiff_t str_find(struct str s, struct str needle); /* index or -1 */
ptrdiff_t str_chr(struct str s, char c);             /* index or -1 */
struct str str_trim(struct str s);            /* without leading and trailing SP, HT, CR, LF */
struct str str_from(struct str s, size_t at); /* the rest from index at (clamped) */
struct str str_to(struct str s, size_t at);   /* the first at bytes (clamped) */

/* Cuts s at the first c: returns what stands before it and leaves the rest in *s. Without c it
 * returns all of *s and leaves it empty with p NULL. */
struct str str_split(struct str *s, char c);

/* Decimal digits only, no sign, no overflow; 0 or -EINVAL / -ERANGE. */
int str_u64(struct str s, uint64_t *ret_value);

/* The decimal digits of v to out; returns how many. */
#define U64_DIGITS ((size_t)20) /* at most */
size_t u64_put(char *out, uint64_t v);
/* The bytes of s to where there is room for them; returns the place behind. */
static inline char *str_put(char *to, struct str s)
{
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

/* A NUL-terminated heap copy; the caller frees it. NULL when memory is out. */
char *str_dup(struct str s);

/* Glob with '*' for any run of bytes, otherwise literal; linear time. */
bool str_glob(struct str pattern, struct str s);

#endif
