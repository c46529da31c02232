/*
 * The log: lines as JSON and for a terminal, levels, rotation, threads, forks, and a reader that
 * does not read.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/log_test_XXXXXX";
static char path[64], rotated[64];

static struct str slurp(const char *file)
{
    static char text[4 << 20];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0, at = 0;

    while (fd >= 0 && (n = read(fd, text + at, sizeof(text) - (size_t)at)) > 0)
        at += n;
    close(fd);
    return str_at(text, (size_t)at);
}

static void fresh_log(void)
{
    log_flush();
    unlink(path);
    log_open(path);
}

/* The line without its time stamp, which must look like one. */
static struct str after_ts(struct str line)
{
    if (!str_starts(line, STR("{\"ts\":\"20")) || line.n < 32)
        return STR_NONE;
    return str_from(line, 32);
}

static void log_sample(void)
{
    struct logline l;

    if (!log_begin(&l, LOG_INFO, "an \"event\""))
        return;
    log_str(&l, "s", STR("x\ny\x1b[31m"));
    log_int(&l, "i", INT64_MIN);
    log_int(&l, "j", 42);
    log_bool(&l, "b", true);
    log_raw(&l, "r", STR("{\"a\":\n[1]}"));
    log_end(&l);
}

static void test_json_line(void)
{
    fresh_log();
    log_sample();
    CHECK_EQ(slurp(path).n, 0); /* gathered, not written */
    log_flush();
    CHECK_STR(after_ts(slurp(path)),
        STR(",\"level\":\"info\",\"event\":\"an \\\"event\\\"\",\"s\":\"x\\ny\\u001b[31m\","
            "\"i\":-9223372036854775808,\"j\":42,\"b\":true,\"r\":{\"a\": [1]}}\n"));
}

static void test_pretty_line(void)
{
    fresh_log();
    log_pretty(true);
    log_sample();
    struct logline l;
    CHECK(log_begin(&l, LOG_WARN, "next"));
    log_str(&l, "word", STR("plain"));
    log_str(&l, "c1", STR("\xc2\x9b\x7f"));
    log_end(&l);
    log_pretty(false);
    struct str text = slurp(path), first = str_split(&text, '\n');
    CHECK_STR(str_from(first, 12), STR(" INFO  an \"event\"  s=\"x\\ny\\u001b[31m\"  "
                                       "i=-9223372036854775808  j=42  b=true  r={\"a\": [1]}"));
    CHECK_STR(str_from(text, 12), STR(" WARN  next  word=plain  c1=\"???\"\n"));
}

static void test_levels(void)
{
    struct logline l;

    fresh_log();
    CHECK(!log_on(LOG_DEBUG) && log_on(LOG_INFO));
    CHECK(!log_begin(&l, LOG_DEBUG, "no"));
    log_set_level(LOG_ERROR);
    log_msg(LOG_WARN, "no");
    log_msg(LOG_ERROR, "yes %d", 7); /* written at once */
    log_set_level(LOG_INFO);
    CHECK_STR(after_ts(slurp(path)), STR(",\"level\":\"error\",\"event\":\"yes 7\"}\n"));
}

static void test_flush_at_size(void)
{
    fresh_log();
    for (int i = 0; i < 250; i++)
        log_msg(LOG_INFO, "a line of some length, number %d", i);
    size_t n = slurp(path).n;
    CHECK(n >= 16384 && n < 17000);
    log_flush();
    CHECK(slurp(path).n > 250 * 80);
}

static void test_too_long(void)
{
    struct logline l;
    char *big = malloc(2 << 20);

    fresh_log();
    CHECK(big != NULL);
    memset(big, 'x', 2 << 20);
    log_msg(LOG_INFO, "before");
    bool begun = log_begin(&l, LOG_INFO, "big");
    if (begun) {
        log_str(&l, "text", str_at(big, 2 << 20));
        log_end(&l);
    }
    free(big);
    CHECK(begun);
    log_msg(LOG_INFO, "after");
    log_flush();
    struct str text = slurp(path);
    CHECK(str_ends(str_split(&text, '\n'), STR("\"before\"}")));
    CHECK(str_find(str_split(&text, '\n'), STR("\"log line dropped\"")) > 0);
    CHECK(str_ends(str_split(&text, '\n'), STR("\"after\"}")));
}

static void test_rotation(void)
{
    fresh_log();
    log_msg(LOG_ERROR, "one");
    rename(path, rotated);
    log_msg(LOG_ERROR, "two"); /* still the old file */
    CHECK_EQ(log_open(path), 0);
    log_msg(LOG_ERROR, "three");
    struct str old = slurp(rotated);
    CHECK(str_find(old, STR("one")) > 0 && str_find(old, STR("two")) > 0);
    struct str new = slurp(path);
    CHECK(str_find(new, STR("three")) > 0 && str_find(new, STR("two")) < 0);
    unlink(rotated);
    CHECK(log_open("/nonexistent/x.log") < 0);
    log_msg(LOG_ERROR, "four"); /* a failed reopening keeps the file */
    CHECK(str_find(slurp(path), STR("four")) > 0);
}

#define THREADS 4
#define LINES   2000

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_msg(LOG_INFO, "thread %d line %d", (int)(intptr_t)arg, i);
    return NULL; /* the thread's end writes the rest */
}

/* Lines of several threads never mix and none is lost, while the file is reopened meanwhile. */
static void test_threads(void)
{
    pthread_t t[THREADS];
    size_t n = 0;

    fresh_log();
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, log_many, (void *)i), 0);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(log_open(path), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (struct str text = slurp(path); text.n; n++) {
        struct str line = str_split(&text, '\n');
        CHECK(str_starts(line, STR("{\"ts\":\"")) && str_ends(line, STR("\"}")));
        CHECK_EQ(str_find(str_from(line, 1), STR("{\"ts\"")), -1);
    }
    CHECK_EQ(n, THREADS * LINES);
}

/* A child neither repeats its parent's lines nor finds the log locked. */
static void test_fork(void)
{
    fresh_log();
    log_msg(LOG_INFO, "parent");
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        log_msg(LOG_INFO, "child");
        log_flush();
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    log_flush();
    struct str text = slurp(path);
    CHECK(str_ends(str_split(&text, '\n'), STR("\"child\"}")));
    CHECK(str_ends(str_split(&text, '\n'), STR("\"parent\"}")));
    CHECK_EQ(text.n, 0);
}

/* A pipe that nobody empties costs a bounded wait, then lines; what follows starts a new line. */
static void test_stuck_reader(void)
{
    int ends[2], saved = dup(STDERR_FILENO);
    static char text[1 << 20];

    CHECK(saved >= 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    dup2(ends[1], STDERR_FILENO);
    log_open(NULL);
    for (int i = 0; i < 1000; i++)
        log_msg(LOG_INFO, "a line to fill the pipe with %d", i);
    log_flush();
    ssize_t filled = read(ends[0], text, sizeof(text));
    log_msg(LOG_ERROR, "free again");
    ssize_t n = read(ends[0], text + filled, sizeof(text) - (size_t)filled);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
    CHECK(filled > 16384 && filled <= 65536);
    CHECK(n > 0);
    struct str all = str_at(text, (size_t)(filled + n)), last = str_to(all, all.n - 1);
    while (str_chr(last, '\n') >= 0)
        str_split(&last, '\n');
    CHECK_STR(after_ts(last), STR(",\"level\":\"error\",\"event\":\"free again\"}"));
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(rotated, sizeof(rotated), "%s/log.1", dir);
    TAP_RUN(test_json_line);
    TAP_RUN(test_pretty_line);
    TAP_RUN(test_levels);
    TAP_RUN(test_flush_at_size);
    TAP_RUN(test_too_long);
    TAP_RUN(test_rotation);
    TAP_RUN(test_threads);
    TAP_RUN(test_fork);
    TAP_RUN(test_stuck_reader);
    unlink(path);
    rmdir(dir);
    return tap_done();
}
