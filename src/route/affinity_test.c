/* Owners of ids: kept over restarts, torn files, generations, many threads. */
#include "route/route.h"

#include "base/macros.h"
#include "base/tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/sf-affinity-XXXXXX";
static char young[64], old[64];

static bool start(void)
{
    char err[128];

    return affinity_open(dir, err, sizeof err) == 0;
}

static bool fresh(void)
{
    affinity_close();
    unlink(young);
    unlink(old);
    return start();
}

static bool restart(void)
{
    affinity_close();
    return start();
}

static struct str owner(const char *id)
{
    static char out[32];

    return affinity_get(str_of(id), out) ? str_of(out) : STR("-");
}

static void test_persists(void)
{
    struct stat st;

    CHECK(fresh());
    CHECK_STR(owner("file-1"), STR("-"));
    affinity_put(STR("file-1"), STR("openai"));
    affinity_put(STR("file-2"), STR("groq"));
    affinity_put(STR("file-1"), STR("groq")); /* the first owner stands */
    CHECK_STR(owner("file-1"), STR("openai"));
    CHECK(restart());
    CHECK_STR(owner("file-1"), STR("openai"));
    CHECK_STR(owner("file-2"), STR("groq"));
    CHECK_STR(owner("file-3"), STR("-"));
    CHECK(stat(young, &st) == 0 && (st.st_mode & 077) == 0);
}

/* What cannot stand in a line of the file is not taken. */
static void test_hostile_ids(void)
{
    char big[300];

    CHECK(fresh());
    memset(big, 'x', sizeof big);
    affinity_put(STR(""), STR("openai"));
    affinity_put(STR("a b"), STR("openai"));
    affinity_put(STR("a\tb"), STR("openai"));
    affinity_put(STR("a\nb\topenai\nc"), STR("openai"));
    affinity_put(STR("a\0b"), STR("openai"));
    affinity_put(str_at(big, 257), STR("openai"));
    affinity_put(STR("p"), str_at(big, 32));
    affinity_put(STR("q"), STR("open\nai"));
    affinity_put(str_at(big, 256), str_at(big, 31));
    CHECK(restart());
    CHECK_STR(owner(""), STR("-"));
    CHECK_STR(owner("a b"), STR("-"));
    CHECK_STR(owner("c"), STR("-"));
    CHECK_STR(owner("p"), STR("-"));
    CHECK_STR(owner("q"), STR("-"));
    char out[32];
    CHECK(affinity_get(str_at(big, 256), out));
    CHECK_STR(str_of(out), str_at(big, 31));
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    must(f);
    fputs(text, f);
    fclose(f);
}

/* A line without its end is left out, and the next one does not join it. */
static void test_torn_line(void)
{
    affinity_close();
    unlink(old);
    write_file(young, "file-1\topenai\nfile-2\tgro");
    CHECK(start());
    CHECK_STR(owner("file-1"), STR("openai"));
    CHECK_STR(owner("file-2"), STR("-"));
    affinity_put(STR("file-3"), STR("groq"));
    affinity_put(STR("file-4"), STR("groq"));
    CHECK(restart());
    CHECK_STR(owner("file-1"), STR("openai"));
    CHECK_STR(owner("file-3"), STR("groq"));
    CHECK_STR(owner("file-4"), STR("groq"));
}

static void test_odd_files(void)
{
    affinity_close();
    write_file(old, "\n\t\n\topenai\nx\t\nno-tab\nok\tgroq\n");
    write_file(young, "a\tb\tc\n"
                      "x1\tthis-provider-name-is-far-too-long-to-be-one\n");
    CHECK(start());
    CHECK_STR(owner("ok"), STR("groq"));
    CHECK_STR(owner("x"), STR("-"));
    CHECK_STR(owner("no-tab"), STR("-"));
    CHECK_STR(owner("x1"), STR("-"));
}

/* Of two generations, what was used last survives. */
static void test_rotation(void)
{
    char id[32];
    struct stat st;

    CHECK(fresh());
    affinity_put(STR("used"), STR("openai"));
    affinity_put(STR("unused"), STR("openai"));
    for (int i = 0; i < 200000; i++) {
        snprintf(id, sizeof id, "g1-%d", i);
        affinity_put(str_of(id), STR("groq"));
    }
    CHECK(stat(old, &st) == 0);
    CHECK_STR(owner("used"), STR("openai")); /* from the old generation into the young */
    CHECK_STR(owner("g1-0"), STR("groq"));
    for (int i = 0; i < 200000; i++) {
        snprintf(id, sizeof id, "g2-%d", i);
        affinity_put(str_of(id), STR("groq"));
    }
    CHECK_STR(owner("unused"), STR("-"));
    CHECK_STR(owner("used"), STR("openai"));
    CHECK_STR(owner("g2-199999"), STR("groq"));
    CHECK(restart());
    CHECK_STR(owner("used"), STR("openai"));
    CHECK_STR(owner("g2-199999"), STR("groq"));
}

enum { THREADS = 4, IDS = 500 };

static void *work(void *arg)
{
    long t = (long)arg;
    char id[32], out[32];
    long missing = 0;

    for (int i = 0; i < IDS; i++) {
        snprintf(id, sizeof id, "t%ld-%d", t, i);
        affinity_put(str_of(id), STR("openai"));
        missing += !affinity_get(str_of(id), out);
        snprintf(id, sizeof id, "shared-%d", i);
        affinity_put(str_of(id), STR("groq"));
        missing += !affinity_get(str_of(id), out);
    }
    return (void *)missing;
}

static void test_threads(void)
{
    pthread_t t[THREADS];
    char id[32];

    CHECK(fresh());
    for (long i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *missing;
        pthread_join(t[i], &missing);
        CHECK_EQ((long)missing, 0);
    }
    CHECK(restart());
    for (int i = 0; i < IDS; i++) {
        snprintf(id, sizeof id, "t3-%d", i);
        CHECK_STR(owner(id), STR("openai"));
        snprintf(id, sizeof id, "shared-%d", i);
        CHECK_STR(owner(id), STR("groq"));
    }
}

static void test_closed(void)
{
    affinity_close();
    affinity_put(STR("x"), STR("openai"));
    CHECK_STR(owner("x"), STR("-"));
    affinity_close();
}

static void test_cannot_open(void)
{
    char err[128] = "";

    affinity_close();
    CHECK(affinity_open("/proc/nothing/here", err, sizeof err) < 0);
    CHECK(strstr(err, "/proc/nothing/here") != NULL);
    affinity_close();
}

int main(void)
{
    must(mkdtemp(dir));
    snprintf(young, sizeof young, "%s/affinity.log", dir);
    snprintf(old, sizeof old, "%s/affinity.old.log", dir);
    TAP_RUN(test_persists);
    TAP_RUN(test_hostile_ids);
    TAP_RUN(test_torn_line);
    TAP_RUN(test_odd_files);
    TAP_RUN(test_rotation);
    TAP_RUN(test_threads);
    TAP_RUN(test_closed);
    TAP_RUN(test_cannot_open);
    unlink(young);
    unlink(old);
    rmdir(dir);
    return tap_done();
}
