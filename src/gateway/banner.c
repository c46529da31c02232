/* The start of the program as an operator sees it. See gateway/serve_int.h. */
#include "base/log.h"
#include "crypto/random.h"
#include "gateway/serve_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void serve_set_log(const struct config *c)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};

    for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
        if (str_ieq(c->log_level, str_of(levels[i])))
            log_set_level((enum log_level)i);
    log_pretty(str_ieq(c->log_format, STR("pretty")) ||
               (!c->log_format.n && !c->log_file && isatty(STDERR_FILENO)));
    if (log_open(c->log_file) < 0)
        log_msg(LOG_ERROR, "cannot write the log file %s", c->log_file);
}

int serve_data_dir(const struct config *c)
{
    if (mkdir(c->data_dir.p, 0700) == 0 || errno == EEXIST)
        return 0;
    log_msg(LOG_ERROR,
        "cannot make the data folder %s: %s (set SMARTFLOW_DATA to a folder that "
        "can be written)",
        c->data_dir.p, strerror(errno));
    return -EACCES;
}

/* --- keys that are made when none is set --- */

static void make_secret(const char *prefix, struct secret *s)
{
    char text[64];
    size_t n = strlen(prefix);

    memcpy(text, prefix, n);
    random_hex(text + n, 24);
    secret_set(s, str_at(text, n + 48));
    mem_wipe(text, sizeof text);
}

/* The admin key is kept in a file that only its owner reads, so that it is the same next time. */
static bool admin_key_file(struct config *c)
{
    char path[4200], text[128];
    int fd;

    snprintf(path, sizeof path, "%s/admin.key", c->data_dir.p);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text);
        close(fd);
        struct str key = str_trim(str_at(text, n > 0 ? (size_t)n : 0));
        if (key.n >= 16)
            secret_set(&c->admin_key, key);
        else
            log_msg(LOG_ERROR, "%s holds no key: nobody is admin until it is removed", path);
        mem_wipe(text, sizeof text);
        return false;
    }
    make_secret("sk-admin-", &c->admin_key);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        log_msg(LOG_WARN, "the admin key cannot be kept in %s: %s", path, strerror(errno));
        return true;
    }
    struct str key = secret_reveal(&c->admin_key);
    if (write(fd, key.p, key.n) != (ssize_t)key.n)
        log_msg(LOG_WARN, "the admin key could not be kept in %s", path);
    close(fd);
    return true;
}

static bool made_demo_key;

static void adopt_demo(struct config *c, const struct config *was, uint16_t port)
{
    const struct upstream *const_u = route_upstream(&c->route, STR("demo"));
    struct upstream *u = (struct upstream *)const_u;
    const char *why;

    if (!c->demo || !u)
        return;
    struct str url = arena_printf(&c->arena, "http://127.0.0.1:%u", port);
    must(upstream_set_base(u, url, &why) >= 0);
    u->timeouts = c->timeouts;
    u->configured = true;
    if (secret_is_set(&c->demo_key))
        return;
    if (was && secret_is_set(&was->demo_key))
        secret_set(&c->demo_key, secret_reveal(&was->demo_key));
    else
        make_secret("sk-sf-", &c->demo_key);
    made_demo_key = true;
    struct virtual_key k = {.subject = {.name = STR("demo"), .is_active = true}};
    vkey_set_add(c->keys.set, &k, secret_reveal(&c->demo_key));
}

static bool any_provider(const struct config *c)
{
    for (unsigned i = 0; i < c->route.upstreams_n; i++)
        if (c->route.upstreams[i].configured)
            return true;
    return false;
}

bool serve_wants_demo(const struct config *c)
{
    return c->demo || !any_provider(c);
}

static bool made_admin_key;

void serve_adopt(struct config *c, const struct config *was, const uint16_t *ports)
{
    if (!secret_is_set(&c->admin_key)) {
        if (was)
            secret_set(&c->admin_key, secret_reveal(&was->admin_key));
        else
            made_admin_key = admin_key_file(c);
    }
    adopt_demo(c, was, ports[SERVICE_DEMO]);
}

/* --- what is printed --- */

static void print_curl(const struct config *c, const char *base)
{
    struct str key = made_demo_key ? secret_reveal(&c->demo_key) : STR("$SMARTFLOW_DEMO_KEY");

    printf("\nTry it:\n\n"
           "curl %s/v1/chat/completions -H \"Authorization: Bearer " STR_FMT "\" --json "
           "'{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":"
           "\"Hello\"}]}'\n"
           "curl -N %s/v1/messages -H \"x-api-key: " STR_FMT "\" --json "
           "'{\"model\":\"claude-sonnet-4-6\",\"max_tokens\":64,\"stream\":true,\"messages\":"
           "[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n"
           "curl %s/v1/models -H \"Authorization: Bearer " STR_FMT "\"\n\n",
        base, STR_ARG(key), base, STR_ARG(key), base, STR_ARG(key));
}

static void print_providers(const struct config *c)
{
    printf("  providers   ");
    for (unsigned i = 0, n = 0; i < c->route.upstreams_n; i++)
        if (c->route.upstreams[i].configured)
            printf("%s" STR_FMT, n++ ? ", " : "", STR_ARG(c->route.upstreams[i].provider->id));
    printf("\n");
}

void serve_banner(const struct config *c, const uint16_t *ports, bool tls)
{
    char base[256];
    struct str host =
        str_eq(c->bind, STR("0.0.0.0")) || str_eq(c->bind, STR("::")) ? STR("127.0.0.1") : c->bind;
    const char *scheme = tls ? "https" : "http";

    snprintf(base, sizeof base, "%s://" STR_FMT ":%u", scheme, STR_ARG(host), ports[SERVICE_PROXY]);
    printf("Smartflow %s is ready.\n", SF_VERSION);
    if (c->roles & ROLE_PROXY)
        printf("  proxy       %s/v1   (Anthropic: %s/anthropic, Gemini: %s/gemini)\n", base, base,
            base);
    if (c->roles & ROLE_MANAGEMENT)
        printf("  management  %s://" STR_FMT ":%u   (/health, /metrics)\n", scheme, STR_ARG(host),
            ports[SERVICE_MANAGEMENT]);
    print_providers(c);
    printf("  data        %s\n", c->data_dir.p);
    if (made_admin_key)
        printf("  admin key   " STR_FMT "   (kept in %s/admin.key)\n",
            STR_ARG(secret_reveal(&c->admin_key)), c->data_dir.p);
    if (c->demo) {
        printf("\nThe built-in demo provider answers for every model (it only echoes). Set "
               "OPENAI_API_KEY,\nANTHROPIC_API_KEY or another provider's variable for real "
               "ones.\n");
        print_curl(c, base);
    }
    fflush(stdout);
    if (secret_is_set(&c->demo_key) && !made_demo_key)
        log_msg(LOG_WARN, "a demo key exists: whoever has it can spend on every provider here");
}
