/*
 * The shared store over a server that answers nonsense, at each step of the first words and to the
 * script: the link ends, the caller is served by what the node knows. And the URLs that are taken.
 */
#include "store/shared_test.h"

static char url[96];
static struct shared *node;

static int reserve(struct shared *s, const char *name, int64_t amount, int64_t limit)
{
    struct shared_row row = {.name = str_of(name), .amount = amount, .limit = limit};
    unsigned which;
    return shared_reserve(s, &row, 1, &which);
}

static int64_t part(struct shared *s, const char *name)
{
    int64_t used, held;
    shared_part(s, str_of(name), &used, &held);
    return used + held;
}

static void test_url(void)
{
    static const struct {
        const char *url, *host, *user, *password;
        unsigned port, db;
    } good[] = {
        {"redis://h", "h", "", "", 6379, 0},
        {"redis://h:7000/4", "h", "", "", 7000, 4},
        {"redis://[::1]:7/", "::1", "", "", 7, 0},
        {"redis://[::1]", "::1", "", "", 6379, 0},
        {"REDIS://u:p%25@h", "h", "u", "p%", 6379, 0},
        {"redis://:p@q@h", "h", "", "p@q", 6379, 0},
        {"redis://secret@h", "h", "", "secret", 6379, 0},
    };
    static const char *const bad[] = {"", "h", "http://h", "redis://", "redis://h:0", "redis://h:x",
        "redis://h:70000", "redis://h/x", "redis://[::1", "redis://[::1]x", "redis://u:%zz@h",
        "redis://u:%4@h", "redis://:1"};
    char err[256];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct redis r = {0};
        CHECK_EQ(redis_url_parse(&r, str_of(good[i].url), err, sizeof err), 0);
        CHECK_STR(str_of(r.host), str_of(good[i].host));
        CHECK_STR(secret_reveal(&r.user), str_of(good[i].user));
        CHECK_STR(secret_reveal(&r.password), str_of(good[i].password));
        CHECK_EQ(r.port, good[i].port);
        CHECK_EQ(r.db, good[i].db);
        free(r.host);
        secret_free(&r.user);
        secret_free(&r.password);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct redis r = {0};
        CHECK_EQ(redis_url_parse(&r, str_of(bad[i]), err, sizeof err), -EINVAL);
        free(r.host);
        secret_free(&r.user);
        secret_free(&r.password);
    }
}

/* --- a server that answers nonsense ----------------------------------------------------------- */

/* Answers each command as a good Redis would, until the first script with keys: that gets `odd`. */
struct fake {
    int listener;
    uint16_t port;
    const char *odd, *odd_to;
    pthread_t thread;
    atomic_bool stop;
};

static const char *fake_answer(struct fake *f, const struct resp *resp)
{
    static const char *const answers[][2] = {{"PING", "+PONG\r\n"},
        {"TIME", "*2\r\n$2\r\n17\r\n$1\r\n0\r\n"}, {"SET", "+OK\r\n"}, {"GET", "$2\r\nab\r\n"},
        {"INCR", ":7\r\n"}, {"ZADD", ":1\r\n"}, {"ZREMRANGEBYSCORE", ":0\r\n"}, {"ZCARD", ":1\r\n"},
        {"EVALSHA", "*2\r\n:0\r\n:0\r\n"}};
    struct str name = resp->n > 1 ? resp->items[1].s : STR_NONE;
    bool keys = str_eq(name, STR("EVALSHA")) && resp->n > 3 && !str_eq(resp->items[3].s, STR("0"));
    if (keys ? str_eq(str_of(f->odd_to), STR("keys")) : str_eq(name, str_of(f->odd_to)))
        return f->odd;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        if (str_eq(name, str_of(answers[i][0])))
            return answers[i][1];
    return "+OK\r\n";
}

static void fake_serve(struct fake *f, int fd)
{
    struct resp resp;
    char bytes[4096];
    must(resp_init(&resp) == 0);
    for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) > 0;) {
        must(resp_feed(&resp, bytes, (size_t)n) == 0);
        while (resp_next(&resp) == 1) {
            const char *answer = fake_answer(f, &resp);
            if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
                break;
        }
    }
    resp_free(&resp);
    close(fd);
}

static void *fake_run(void *arg)
{
    struct fake *f = arg;
    while (!atomic_load(&f->stop)) {
        int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            fake_serve(f, fd);
        else
            usleep(1000);
    }
    return NULL;
}

static void fake_begin(struct fake *f, const char *odd_to, const char *odd)
{
    *f = (struct fake){.odd = odd, .odd_to = odd_to};
    f->listener = net_listen(STR("127.0.0.1"), 0, false, 8, &f->port);
    must(f->listener >= 0 && pthread_create(&f->thread, NULL, fake_run, f) == 0);
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", f->port);
}

static void fake_end(struct fake *f)
{
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    close(f->listener);
}

static const char *const odd_rows[] = {
    "+OK\r\n",
    ":1\r\n",
    "$3\r\nabc\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*1\r\n:0\r\n",
    "*2\r\n:0\r\n:0\r\n",
    "*5\r\n:0\r\n:0\r\n:0\r\n:0\r\n$1\r\n0\r\n",
    "*5\r\n:9\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
    "*5\r\n:-1\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
    "*5\r\n:1\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
    "*5\r\n:1\r\n:2\r\n:0\r\n:0\r\n:0\r\n",
    "*5\r\n:0\r\n:0\r\n:0\r\n:9223372036854775807\r\n:0\r\n",
    "*8\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
    "*2\r\n*2\r\n:0\r\n:0\r\n:0\r\n",
    "*5\r\n*0\r\n:0\r\n:0\r\n:0\r\n:0\r\n",
    "*2\r\n:4\r\n:1\r\n",
    "*100000000\r\n:1\r\n",
    "$100000000000\r\n",
    "$-7\r\n",
    "-ERR no\r\n",
    "-\x01\x02\r\n",
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "+OK\r\n+OK\r\n+OK\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
};

static void odd_answer(void)
{
    struct shared *s = node;
    must(shared_start(s) == 0);
    WAIT_FOR(shared_is_up(s));
    int64_t start = clock_now();
    CHECK_EQ(
        reserve(s, "b:{o}:odd", 6, 10), 0); /* by this node alone, without a delay to speak of */
    CHECK(clock_now() - start < 2 * SHARED_WAIT_NS);
    CHECK(s->redis->outage > 1);
    CHECK_EQ(reserve(s, "b:{o}:odd", 6, 10), -EDQUOT);
    CHECK_EQ(part(s, "b:{o}:odd"), 6);
    shared_stop(s);
}

static void test_odd_rows(void)
{
    for (size_t i = 0; i < ARRAY_LEN(odd_rows); i++) {
        struct fake f;
        fake_begin(&f, "keys", odd_rows[i]);
        node = node_open_at(url, "alpha", SHARED_DOWN_LOCAL);
        in_loop(odd_answer);
        shared_close(node);
        fake_end(&f);
    }
}

static bool saw_down;

static void saw(void *ctx, bool up, const char *why)
{
    saw_down |= !up && why[0];
}

static void odd_hello(void)
{
    struct shared *s = node;
    saw_down = false;
    shared_on_link(s, saw, NULL);
    must(shared_start(s) == 0);
    WAIT_FOR(saw_down);
    CHECK(!shared_is_up(s));
    CHECK_EQ(reserve(s, "b:{o}:odd", 6, 10), 0);
    shared_stop(s);
}

static void test_odd_hello(void)
{
    static const char *const to[] = {"TIME", "SET", "GET", "INCR", "ZADD", "ZCARD", "EVALSHA"};
    static const char *const odd[] = {"-ERR no\r\n", "$1\r\nx\r\n*0\r\n", "{\r\n", "*0\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(to); i++)
        for (size_t k = 0; k < ARRAY_LEN(odd); k++) {
            struct fake f;
            if (!strcmp(to[i], "GET") && odd[k][0] == '$')
                continue; /* which is a good one */
            if (!strcmp(to[i], "EVALSHA") && odd[k][0] == '*')
                continue;
            fake_begin(&f, to[i], odd[k]);
            node = node_open_at(url, "alpha", SHARED_DOWN_LOCAL);
            in_loop(odd_hello);
            shared_close(node);
            fake_end(&f);
        }
}

int main(void)
{
    TAP_RUN(test_url);
    TAP_RUN(test_odd_rows);
    TAP_RUN(test_odd_hello);
    return tap_done();
}
