/*
 * Edits drawn from the input, against edits made with memmove from the last to the first.
 */
#include "base/macros.h"
#include "json/splice.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The result of the edits on a plain copy; room for what they add is in cap. */
static char *edit_plainly(const struct splice *s, size_t *ret_n)
{
    size_t n = s->original.n, cap = n;
    for (unsigned i = 0; i < s->n; i++)
        cap += s->edits[i].with.n;
    char *text = malloc(cap + 1);
    must(text);
    memcpy(text, s->original.p, n);
    for (unsigned i = s->n; i-- > 0;) {
        const struct splice_edit *e = &s->edits[i];
        memmove(text + e->from + e->with.n, text + e->to, n - e->to);
        memcpy(text + e->from, e->with.p, e->with.n);
        n = n - (e->to - e->from) + e->with.n;
    }
    *ret_n = n;
    return text;
}

static bool overlaps(const struct splice *s, size_t from, size_t to)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->edits[i].from < to && from < s->edits[i].to)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t edits = n ? data[0] % 16 : 0;
    if (n < 1 + edits * 3)
        return 0;
    struct splice s;
    const uint8_t *draw = data + 1;
    struct str text = str_at((const char *)data + 1 + edits * 3, n - 1 - edits * 3);
    splice_init(&s, text);
    for (size_t i = 0; i < edits; i++, draw += 3) {
        size_t from = draw[0], to = draw[0] + (draw[1] % 32u);
        struct str with = str_to(text, draw[2]);
        bool fits = to <= text.n && !overlaps(&s, from, to);
        unsigned n_before = s.n;
        bool taken = splice_replace(&s, from, to, with) == 0;
        must(taken == (fits && n_before < SPLICE_MAX_EDITS));
    }
    size_t want_n;
    char *want = edit_plainly(&s, &want_n), *got = malloc(splice_length(&s) + 1);
    must(got && splice_length(&s) == want_n);
    splice_copy(&s, got);
    must(memcmp(got, want, want_n) == 0);
    free(got);
    free(want);
    return 0;
}
