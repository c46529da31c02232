/*
 * Nothing here can fail but for the memory of a path. See merkle_int.h.
 */
#include "base/macros.h"
#include "journal/merkle_int.h"

#include <errno.h>

static struct str raw(const uint8_t *hash)
{
    return str_at((const char *)hash, SHA256_BYTES);
}

void merkle_leaf(struct str data, uint8_t out[static SHA256_BYTES])
{
    struct str parts[] = {str_at("\0", 1), data};

    sha256_parts(parts, ARRAY_LEN(parts), out);
}

void merkle_node(const uint8_t left[static SHA256_BYTES], const uint8_t right[static SHA256_BYTES],
    uint8_t out[static SHA256_BYTES])
{
    struct str parts[] = {STR("\1"), raw(left), raw(right)};

    sha256_parts(parts, ARRAY_LEN(parts), out);
}

void merkle_add(struct merkle *m, const uint8_t leaf[static SHA256_BYTES])
{
    uint8_t hash[SHA256_BYTES];
    unsigned level = 0;

    memcpy(hash, leaf, sizeof(hash));
    for (; m->count >> level & 1; level++)
        merkle_node(m->peak[level], hash, hash);
    must(level < MERKLE_LEVELS);
    memcpy(m->peak[level], hash, sizeof(hash));
    m->count++;
}

void merkle_root(const struct merkle *m, uint8_t out[static SHA256_BYTES])
{
    bool any = false;

    for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
        if (!(m->count >> level & 1))
            continue;
        if (any)
            merkle_node(m->peak[level], out, out);
        else
            memcpy(out, m->peak[level], SHA256_BYTES);
        any = true;
    }
    if (!any)
        sha256(STR_NONE, out);
}

/* The greatest power of two below n, n >= 2. */
static size_t split_at(size_t n)
{
    size_t k = 1;

    while (2 * k < n)
        k *= 2;
    return k;
}

static void root_of(const uint8_t (*leaves)[SHA256_BYTES], size_t n, uint8_t *out)
{
    struct merkle m = {0};

    for (size_t i = 0; i < n; i++)
        merkle_add(&m, leaves[i]);
    merkle_root(&m, out);
}

int merkle_path(const uint8_t (*leaves)[SHA256_BYTES], size_t n, size_t index, struct buf *out)
{
    uint8_t siblings[64][SHA256_BYTES];
    size_t depth = 0;

    must(index < n);
    while (n > 1) {
        size_t k = split_at(n);
        if (index < k) {
            root_of(leaves + k, n - k, siblings[depth++]);
            n = k;
        } else {
            root_of(leaves, k, siblings[depth++]);
            leaves += k;
            index -= k;
            n -= k;
        }
    }
    int r = 0;
    while (depth > 0 && r == 0)
        r = buf_add(out, siblings[--depth], SHA256_BYTES);
    return r;
}

/* RFC 9162 section 2.1.3.2, which is how a path of RFC 6962 is followed without recursion. */
bool merkle_check(const uint8_t leaf[static SHA256_BYTES], size_t index, size_t n, struct str path,
    const uint8_t root[static SHA256_BYTES])
{
    uint8_t hash[SHA256_BYTES];
    size_t at = index, last = n - 1;

    if (index >= n || path.n % SHA256_BYTES != 0)
        return false;
    memcpy(hash, leaf, sizeof(hash));
    for (; path.n; path = str_from(path, SHA256_BYTES)) {
        const uint8_t *other = (const uint8_t *)path.p;
        if (last == 0)
            return false;
        if (at % 2 || at == last) {
            merkle_node(other, hash, hash);
            while (at % 2 == 0 && at != 0) {
                at /= 2;
                last /= 2;
            }
        } else {
            merkle_node(hash, other, hash);
        }
        at /= 2;
        last /= 2;
    }
    return last == 0 && memcmp(hash, root, sizeof(hash)) == 0;
}
