/*
 * Who owns an id that a provider made. Two generations of a map, each mirrored by a file of lines
 * "id TAB provider": when the young one is full it becomes the old one, and the oldest is dropped.
 * So memory and disk are bounded, and what was used last is remembered. A line is written before
 * the reply that reveals its id ends, so a restart finds it again.
 *
 * Shared by all threads under one mutex, held for a hash look-up or one small write.
 */
#include "base/arena.h"
#include "base/map.h"
#include "route/route.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define GENERATION_MAX 200000
#define ID_MAX         256
#define ARENA_MAX      ((size_t)128 << 20)

struct generation {
    struct map owners; /* id → provider id (both in the arena) */
    struct arena arena;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct generation *young, *old;
static int fd = -1;
static bool torn; /* the young file's last line may lack its end */
static char path_young[4096], path_old[4096];

static struct generation *generation_new(void)
{
    struct generation *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    map_init(&g->owners);
    arena_init(&g->arena, NULL, 0, ARENA_MAX);
    return g;
}

static void generation_free(struct generation *g)
{
    if (!g)
        return;
    map_free(&g->owners);
    arena_free(&g->arena);
    free(g);
}

static int generation_put(struct generation *g, struct str id, struct str provider)
{
    struct str key = arena_dup(&g->arena, id), value = arena_dup(&g->arena, provider);

    if (!key.p || !value.p)
        return -ENOMEM;
    return map_put(&g->owners, key, (void *)value.p, NULL);
}

static bool clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 127)
            return false;
    return s.n > 0;
}

/* A torn last line (no newline) is left out. */
static void load(struct generation *g, const char *path)
{
    FILE *f = fopen(path, "re");
    char line[ID_MAX + 64];

    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        struct str rest = str_of(line);
        if (!rest.n || rest.p[rest.n - 1] != '\n')
            continue;
        rest.n--;
        struct str id = str_split(&rest, '\t');
        if (clean(id) && clean(rest) && rest.n < 32)
            generation_put(g, id, rest);
    }
    fclose(f);
}

static int open_young(void)
{
    char last = '\n';
    struct stat st;

    fd = open(path_young, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    torn = fstat(fd, &st) < 0 || (st.st_size && pread(fd, &last, 1, st.st_size - 1) != 1) ||
           last != '\n';
    return 0;
}

int affinity_open(const char *dir, char *err, size_t err_n)
{
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        snprintf(err, err_n, "cannot make the data folder %s: %s", dir, strerror(errno));
        return -errno;
    }
    snprintf(path_young, sizeof path_young, "%s/affinity.log", dir);
    snprintf(path_old, sizeof path_old, "%s/affinity.old.log", dir);
    young = generation_new();
    old = generation_new();
    if (!young || !old) {
        snprintf(err, err_n, "out of memory");
        return -ENOMEM;
    }
    load(old, path_old);
    load(young, path_young);
    int r = open_young();
    if (r < 0)
        snprintf(err, err_n, "cannot write %s: %s", path_young, strerror(-r));
    return r;
}

void affinity_close(void)
{
    pthread_mutex_lock(&lock);
    generation_free(young);
    generation_free(old);
    young = old = NULL;
    if (fd >= 0)
        close(fd);
    fd = -1;
    pthread_mutex_unlock(&lock);
}

static void rotate(void)
{
    struct generation *g = generation_new();

    if (!g)
        return;
    generation_free(old);
    old = young;
    young = g;
    if (fd >= 0)
        close(fd);
    rename(path_young, path_old);
    open_young();
}

static void append(struct str id, struct str provider)
{
    char line[ID_MAX + 64];
    int n = snprintf(line, sizeof line, "%s" STR_FMT "\t" STR_FMT "\n", torn ? "\n" : "",
        STR_ARG(id), STR_ARG(provider));

    /* A full disk tears at most this line, which the next start skips; memory still knows the id.
     */
    if (fd >= 0)
        torn = write(fd, line, (size_t)n) != n;
}

static void put_young(struct str id, struct str provider)
{
    if (!young || map_get(&young->owners, id))
        return;
    if (young->owners.n >= GENERATION_MAX)
        rotate();
    if (generation_put(young, id, provider) == 0)
        append(id, provider);
}

void affinity_put(struct str id, struct str provider)
{
    if (!clean(id) || id.n > ID_MAX || !clean(provider) || provider.n >= 32)
        return;
    pthread_mutex_lock(&lock);
    put_young(id, provider);
    pthread_mutex_unlock(&lock);
}

bool affinity_get(struct str id, char out[static 32])
{
    const char *owner = NULL;

    pthread_mutex_lock(&lock);
    if (young)
        owner = map_get(&young->owners, id);
    bool aged = !owner && old && (owner = map_get(&old->owners, id));
    bool known = owner != NULL;
    if (known)
        snprintf(out, 32, "%s", owner);
    if (aged) /* used again: it outlives the next rotation */
        put_young(id, str_of(out));
    pthread_mutex_unlock(&lock);
    return known;
}
