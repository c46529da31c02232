/*
 * A stream of puts, gets and deletes over 256 one-byte keys, compared with a plain array.
 */
#include "base/macros.h"
#include "base/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char keys[256] = {0};

static void check_all(const struct map *m, void *const model[256])
{
    size_t at = 0, live = 0, seen = 0;
    struct str key;
    void *value;

    for (size_t i = 0; i < 256; i++)
        live += model[i] != NULL;
    for (; map_next(m, &at, &key, &value); seen++)
        must(model[key.n] == value);
    must(seen == live && m->n == live && m->used <= m->cap && m->n <= m->used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(map_free) struct map m;
    void *model[256] = {0}, *old;

    map_init(&m);
    for (size_t i = 0; i + 1 < size; i += 2) {
        unsigned k = data[i + 1];
        struct str key = str_at(keys, k); /* keys differ by their length */
        if (data[i] % 3 == 0) {
            must(map_put(&m, key, (void *)(data + i), &old) == 0 && old == model[k]);
            model[k] = (void *)(data + i);
        } else if (data[i] % 3 == 1) {
            must(map_del(&m, key) == model[k]);
            model[k] = NULL;
        }
        must(map_get(&m, key) == model[k]);
    }
    check_all(&m, model);
    return 0;
}
