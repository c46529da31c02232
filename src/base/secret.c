/*
 * struct secret, wiping and constant-time comparison. A secret owns one heap block of its bytes and
 * a NUL behind them; every way out of that block's life wipes it first.
 */
#include "base/secret.h"

#include <errno.h>
#include <stdlib.h>

int secret_set(struct secret *s, struct str value)
{
    char *p = NULL;

    if (value.n && !(p = str_dup(value)))
        return -ENOMEM;
    secret_free(s); /* only now: value may be a view of the old bytes */
    s->p_ = p;
    s->n_ = value.n;
    return 0;
}

void secret_free(struct secret *s)
{
    if (s->p_)
        mem_wipe(s->p_, s->n_);
    free(s->p_);
    *s = (struct secret){0};
}

bool secret_is_set(const struct secret *s)
{
    return s->n_ > 0;
}

bool secret_eq(const struct secret *s, struct str value)
{
    return s->n_ > 0 && s->n_ == value.n && mem_ct_eq(s->p_, value.p, value.n);
}

struct str secret_reveal(const struct secret *s)
{
    return str_at(s->p_, s->n_);
}

void secret_hint(const struct secret *s, char out[static 8])
{
    memcpy(out, "\xe2\x80\xa6", 4); /* U+2026 and its NUL */
    if (s->n_ < 12)
        return;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)s->p_[s->n_ - 4 + i];
        out[3 + i] = c > 0x20 && c < 0x7f ? (char)c : '?';
    }
    out[7] = '\0';
}

void mem_wipe(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}

bool mem_ct_eq(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char differ = 0;

    for (size_t i = 0; i < n; i++)
        differ |= x[i] ^ y[i];
    return differ == 0;
}
