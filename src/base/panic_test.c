/*
 * A broken invariant ends the process by SIGABRT with its place named, after the lines that the
 * thread had logged.
 */
#include "base/log.h"
#include "base/macros.h"
#include "base/tap.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[4096];

/* What a child that breaks an invariant writes to standard error. */
static struct str dying_words(int *ret_status)
{
    int ends[2];

    if (pipe(ends) < 0)
        return STR_NONE;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        log_msg(LOG_INFO, "the line before");
        must(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; n < sizeof(text) && (got = read(ends[0], text + n, sizeof(text) - n)) > 0;)
        n += (size_t)got;
    close(ends[0]);
    waitpid(pid, ret_status, 0);
    return str_at(text, n);
}

static void test_must(void)
{
    int status = 0;
    struct str words = dying_words(&status), line = str_split(&words, '\n');

    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(str_ends(line, STR("\"the line before\"}")));
    CHECK(str_starts(words, STR("panic: ")));
    CHECK(str_find(words, STR("panic_test.c:")) > 0);
    CHECK(str_find(words, STR("invariant broken: 1 + 1 == 3\n")) > 0);
}

int main(void)
{
    TAP_RUN(test_must);
    return tap_done();
}
