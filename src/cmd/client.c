/* Talking to a running gateway from the command line. See cmd/client.h. */
#include "cmd/client.h"

#include "base/limits.h"
#include "http/client.h"
#include "net/tls.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include "runtime/offload.h"
#include "json/scan.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define REPLY_BYTES (64 * MIB)

/* --- options --- */

const char *client_plain(const struct client *c, unsigned i)
{
    for (unsigned k = 0; k < c->words_n; k++)
        if (!c->words[k].name && i-- == 0)
            return c->words[k].value;
    return NULL;
}

const char *client_option(const struct client *c, const char *name)
{
    for (unsigned k = 0; k < c->words_n; k++)
        if (c->words[k].name && !strcmp(c->words[k].name, name))
            return c->words[k].value;
    return NULL;
}

bool client_knows(const struct client *c, const char *const *names)
{
    for (unsigned k = 0; k < c->words_n; k++) {
        const char *const *n = names;
        if (!c->words[k].name)
            continue;
        while (*n && strcmp(*n, c->words[k].name))
            n++;
        if (*n)
            continue;
        fprintf(stderr, "smartflow: unknown option '--%s'\n", c->words[k].name);
        return false;
    }
    return true;
}

static bool common_option(struct client *c, const char *name, const char *value)
{
    if (!strcmp(name, "url"))
        c->url = value;
    else if (!strcmp(name, "ca"))
        c->ca = value;
    else
        return false;
    return true;
}

/* --name VALUE, --name=VALUE, --json, or a plain word. 0, or -1 with a message. */
static int take_words(struct client *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        char *name = argv[i], *value;
        bool option = !strncmp(name, "--", 2) && name[2];
        if (option && !strcmp(name, "--json")) {
            c->json = true;
            continue;
        }
        if (c->words_n == ARRAY_LEN(c->words))
            return fputs("smartflow: too many options\n", stderr), -1;
        if (!option) {
            c->words[c->words_n++] = (struct client_word){NULL, name};
            continue;
        }
        if ((value = strchr(name, '=')))
            *value++ = '\0';
        else if (i + 1 < argc)
            value = argv[++i];
        else
            return fprintf(stderr, "smartflow: %s needs a value\n", name), -1;
        if (!common_option(c, name + 2, value))
            c->words[c->words_n++] = (struct client_word){name + 2, value};
    }
    return 0;
}

/* --- where the gateway is --- */

struct place {
    struct http_origin origin;
    struct tls_ctx *tls;
    char host[256], header[300];
};

static int wrong_url(const struct client *c)
{
    fprintf(stderr, "smartflow: --url must be like http://127.0.0.1:7778, not '%s'\n", c->url);
    return -1;
}

static int use_tls(const struct client *c, struct place *p)
{
    struct tls_client_settings set = {.ca_file = c->ca};
    char err[256];

    if (tls_client_ctx(&set, &p->tls, err, sizeof err) == 0)
        return 0;
    fprintf(stderr, "smartflow: TLS: %s\n", err);
    return -1;
}

static int find_place(const struct client *c, struct place *p)
{
    bool tls = !strncmp(c->url, "https://", 8);
    struct str rest = str_of(c->url + (tls ? 8 : 7)), host;
    uint64_t port = tls ? 443 : 80;

    if (!tls && strncmp(c->url, "http://", 7) != 0)
        return wrong_url(c);
    host = str_split(&rest, '/');
    if (rest.n || !host.n || host.n >= sizeof p->host)
        return wrong_url(c);
    snprintf(p->header, sizeof p->header, STR_FMT, STR_ARG(host));
    if (host.p[0] == '[') { /* [::1]:7778 */
        rest = str_from(host, 1);
        host = str_split(&rest, ']');
        rest = rest.n && rest.p[0] == ':' ? str_from(rest, 1) : STR_NONE;
    } else {
        rest = host;
        host = str_split(&rest, ':');
    }
    if (rest.p && (str_u64(rest, &port) < 0 || port == 0 || port > 65535))
        return wrong_url(c);
    snprintf(p->host, sizeof p->host, STR_FMT, STR_ARG(host));
    if (tls && use_tls(c, p) < 0)
        return -1;
    p->origin = (struct http_origin){.host_header = str_of(p->header),
        .target = {.host = str_of(p->host), .port = (uint16_t)port, .tls = p->tls}};
    return 0;
}

/* --- one call --- */

static int read_reply(struct client *c, struct http_call *call, struct error *err)
{
    const struct http_head *head;
    struct str piece;
    ssize_t n = http_call_head(call, &head, err);

    if (n < 0)
        return (int)n;
    int status = head->status;
    while ((n = http_call_read(call, &piece)) > 0)
        if (buf_addstr(&c->reply, piece) < 0)
            return -EMSGSIZE;
    return n < 0 ? (int)n : status;
}

static void print_failure(const struct client *c, int status)
{
    struct str message = json_find(buf_str(&c->reply), STR("error.message"));
    char text[2048];
    ptrdiff_t n = -1;

    if (message.n && message.n < sizeof text && json_type_of(message) == JSON_STRING)
        n = json_unescape(message, text);
    if (n >= 0)
        fprintf(stderr, "smartflow: %.*s (%d)\n", (int)n, text, status);
    else
        fprintf(stderr, "smartflow: the gateway answered %d\n", status);
}

static int send_call(struct client *c, const struct place *p, const char *method,
    const char *target, struct str body)
{
    static const struct http_timeouts times = {.total = 60 * NS_PER_S};
    _cleanup_(buf_free) struct buf fields = {0};
    struct iovec iov = {(char *)body.p, body.n};
    struct http_client_request rq = {.method = str_of(method),
        .target = str_of(target),
        .body = &iov,
        .body_n = body.p ? 1 : 0,
        .body_length = body.n,
        .has_body = body.p != NULL};
    struct http_call *call;
    struct error err = {0};
    char errbuf[512];

    buf_init(&fields, 64 * KIB);
    http_put(&fields, STR("accept"), STR("application/json"));
    if (body.p)
        http_put(&fields, STR("content-type"), STR("application/json"));
    if (c->key)
        buf_printf(&fields, "authorization: Bearer %s\r\n", c->key);
    rq.fields = buf_str(&fields);
    int r = http_call_start(&p->origin, &rq, &times, &call, &err, errbuf);
    if (r == 0) {
        r = read_reply(c, call, &err);
        http_call_end(call);
    }
    if (r < 0)
        fprintf(stderr, "smartflow: cannot reach %s: " STR_FMT "\n", c->url,
            STR_ARG(err.message.n ? err.message : str_of(strerror(-r))));
    return r;
}

int client_call(struct client *c, const char *method, const char *target, struct str body)
{
    struct place p = {0};
    int r = find_place(c, &p);

    buf_clear(&c->reply);
    if (r == 0)
        r = send_call(c, &p, method, target, body);
    if (p.tls)
        tls_ctx_unref(p.tls);
    if (r >= 0 && (r < 200 || r > 299)) {
        print_failure(c, r);
        r = -1;
    }
    return r < 0 ? -1 : 0;
}

void client_encode(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
            strchr("-._~", ch))
            buf_addc(out, (char)ch);
        else
            buf_printf(out, "%%%02X", ch);
    }
}

/* --- printing --- */

/* A value as a person reads it, without bytes that steer a terminal. The length is returned. */
static size_t plain_text(struct str value, char *out, size_t max)
{
    char *text = malloc(value.n + 1);
    struct str s = value;
    size_t n = 0;

    if (!text || !value.p || json_type_of(value) == JSON_NULL) {
        free(text);
        out[0] = '-';
        return 1;
    }
    if (json_type_of(value) == JSON_STRING) {
        ptrdiff_t k = json_unescape(value, text);
        s = k < 0 ? STR("?") : str_at(text, (size_t)k);
    }
    for (; n < s.n && n < max; n++)
        out[n] = (unsigned char)s.p[n] < ' ' || s.p[n] == 127 ? ' ' : s.p[n];
    free(text);
    return n;
}

static void print_item(const struct client_column *columns, struct str item)
{
    char text[1024];

    for (; columns->name; columns++) {
        bool last = !columns[1].name;
        size_t n = plain_text(json_find(item, str_of(columns->name)), text, sizeof text);
        if (!last && n > columns->width)
            n = columns->width;
        printf("%-*.*s%s", last ? 0 : (int)columns->width, (int)n, text, last ? "\n" : "  ");
    }
}

void client_table(
    const struct client_column *columns, struct str items, bool heading, bool backwards)
{
    struct str key, list[1000];
    unsigned n = 0;

    for (size_t at = json_inside(items);
         n < ARRAY_LEN(list) && json_next(items, &at, &key, &list[n]);)
        n++;
    for (const struct client_column *c = columns; heading && c->name; c++)
        printf("%-*s%s", c[1].name ? (int)c->width : 0, c->title, c[1].name ? "  " : "\n");
    for (unsigned i = 0; i < n; i++)
        print_item(columns, list[backwards ? n - 1 - i : i]);
    fflush(stdout);
}

void client_members(struct str object)
{
    struct str key, value;
    char text[4096];

    for (size_t at = json_inside(object); json_next(object, &at, &key, &value);) {
        size_t n = plain_text(value, text, sizeof text);
        printf("%-24.*s %.*s\n", STR_ARG(key), (int)n, text);
    }
}

void client_print_json(const struct client *c)
{
    fwrite(c->reply.p, 1, c->reply.n, stdout);
    putchar('\n');
    fflush(stdout);
}

/* --- the loop --- */

struct running {
    struct client *client;
    int (*command)(struct client *c);
    int result;
};

static void run(void *arg)
{
    struct running *r = arg;

    r->result = r->command(r->client);
    http_client_close_idle();
    loop_stop(loop_self());
}

static int in_loop(struct running *r)
{
    struct loop *l;

    signal(SIGPIPE, SIG_IGN);
    if (loop_new(0, &l) < 0 || offload_start(1) < 0)
        return 1;
    loop_bind(l);
    if (co_spawn("command", run, r, NULL) == 0)
        loop_run(l);
    offload_stop();
    loop_free(l);
    return r->result;
}

int client_main(int argc, char **argv, int (*command)(struct client *c))
{
    const char *url = getenv("SMARTFLOW_URL");
    struct client *c = calloc(1, sizeof *c);
    struct running r = {.client = c, .command = command, .result = 1};

    if (!c)
        return 1;
    c->url = url && *url ? url : "http://127.0.0.1:7778";
    c->key = getenv("SMARTFLOW_ADMIN_KEY");
    buf_init(&c->reply, REPLY_BYTES);
    int result = take_words(c, argc, argv) < 0 ? 2 : in_loop(&r);
    buf_free(&c->reply);
    free(c);
    return result;
}
