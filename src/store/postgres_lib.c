/*
 * Loading libpq. See postgres_lib.h.
 */
#include "store/postgres_lib.h"
#include "base/macros.h"
#include "store/store.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

#define LIBRARY "libpq.so.5"

struct pq pq;

static const struct {
    const char *name;
    void **to;
} functions[] = {
#define PQ_ROW(name) {#name, (void **)&pq.name},
    PQ_EACH(PQ_ROW)
#undef PQ_ROW
};

int pq_load(char *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL); /* stays until the end */

    for (unsigned i = 0; library && i < ARRAY_LEN(functions); i++)
        if (!(*functions[i].to = dlsym(library, functions[i].name)))
            library = NULL;
    if (library)
        return 0;
    snprintf(err, STORE_ERR_BYTES,
        "PostgreSQL's client library cannot be used (Debian's package libpq5): %s", dlerror());
    return -ELIBACC;
}
