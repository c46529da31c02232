/* The table of settings and the parsing of their values. See config/settings_int.h. */
#include "config/settings_int.h"

#include <errno.h>
#include <stdio.h>

#define AT(member) offsetof(struct config, member)
#define MS(n)      ((int64_t)(n)*NS_PER_MS)
#define SECONDS(n) ((int64_t)(n)*NS_PER_S)

const struct setting settings[] = {
    {"SMARTFLOW_BIND", SET_TEXT, AT(bind), 0, 0, "127.0.0.1",
        "Address to listen on; 0.0.0.0 or :: for all."},
    {"PROXY_PORT", SET_PORT, AT(proxy_port), 0, 65535, "7775",
        "Port of the LLM proxy; 0 picks a free one."},
    {"MANAGEMENT_PORT", SET_PORT, AT(management_port), 0, 65535, "7778",
        "Port of health, metrics and administration; 0 picks a free one."},
    {"SMARTFLOW_THREADS", SET_UINT, AT(threads), 0, 256, "0",
        "Event-loop threads; 0 is one a core."},
    {"SMARTFLOW_DATA", SET_TEXT, AT(data_dir), 0, 0, "./data", "The data folder."},
    {"SMARTFLOW_ADMIN_KEY", SET_SECRET, AT(admin_key), 0, 0, "",
        "The administrator's key; one is made and printed at the first start when it is not set."},
    {"SMARTFLOW_MASTER_KEY", SET_SECRET, AT(master_key), 0, 0, "",
        "The vault's master key: 32 bytes in hex or base64. Unset: master.key in the data folder."},
    {"SMARTFLOW_MASTER_KEY_NEXT", SET_SECRET, AT(master_key_next), 0, 0, "",
        "The master key that `smartflow vault rotate-master` goes to."},
    {"SMARTFLOW_SECRET_REFRESH", SET_DURATION, AT(secret_refresh), SECONDS(1), SECONDS(86400),
        "300s", "How long a secret read from HashiCorp Vault or AWS is used without another look."},
    {"SMARTFLOW_METRICS_TOKEN", SET_SECRET, AT(metrics_token), 0, 0, "",
        "When set, /metrics needs it as a bearer token."},
    {"SMARTFLOW_ADMIN_ON_PROXY", SET_BOOL, AT(admin_on_proxy), 0, 0, "true",
        "Serve the administration paths on the proxy port too."},
    {"SMARTFLOW_DEMO", SET_BOOL, AT(demo), 0, 0, "false",
        "Run the built-in demo provider; it also runs when no provider is configured."},
    {"SMARTFLOW_DEMO_KEY", SET_SECRET, AT(demo_key), 0, 0, "",
        "A virtual key that exists from the start."},
    {"SMARTFLOW_PASSTHROUGH_KEYS", SET_BOOL, AT(keys.passthrough), 0, 0, "false",
        "Pass a caller's own provider key on."},
    {"SMARTFLOW_CORE_DUMPS", SET_BOOL, AT(core_dumps), 0, 0, "false",
        "Allow core dumps; they hold prompts and keys."},
    {"SMARTFLOW_TLS_CERT", SET_PATH, AT(tls_cert), 0, 0, "",
        "Certificate chain (PEM) to serve TLS with."},
    {"SMARTFLOW_TLS_KEY", SET_PATH, AT(tls_key), 0, 0, "", "Its private key (PEM)."},
    {"SMARTFLOW_TLS_CLIENT_CA", SET_PATH, AT(tls_client_ca), 0, 0, "",
        "Require client certificates signed by this CA (PEM)."},
    {"SMARTFLOW_UPSTREAM_CA", SET_PATH, AT(upstream_ca), 0, 0, "",
        "CA file (PEM) to verify providers with, instead of the system's roots."},
    {"SMARTFLOW_UPSTREAM_CERT", SET_PATH, AT(upstream_cert), 0, 0, "",
        "Client certificate (PEM) to show to providers."},
    {"SMARTFLOW_UPSTREAM_KEY", SET_PATH, AT(upstream_cert_key), 0, 0, "", "Its private key (PEM)."},
    {"SMARTFLOW_MAX_BODY", SET_BYTES, AT(max_body), 1024, 64 << 20, "64MiB",
        "Largest JSON request body."},
    {"SMARTFLOW_MAX_UPLOAD", SET_BYTES, AT(max_upload), 1024, 1 << 30, "1GiB",
        "Largest multipart or raw request body."},
    {"SMARTFLOW_MAX_HEAD", SET_BYTES, AT(max_head), 1024, 64 << 10, "64KiB",
        "Largest request head."},
    {"SMARTFLOW_MAX_IN_FLIGHT", SET_UINT, AT(max_in_flight), 1, 1 << 20, "16384",
        "Requests in flight; beyond it 503 at once."},
    {"SMARTFLOW_MAX_CONNECTIONS", SET_UINT, AT(max_connections), 1, 1 << 20, "65536",
        "Client connections a thread."},
    {"SMARTFLOW_HEAD_TIMEOUT", SET_DURATION, AT(head_timeout), MS(1), SECONDS(3600), "15s",
        "From a request's first byte to the end of its head."},
    {"SMARTFLOW_IDLE_TIMEOUT", SET_DURATION, AT(idle_timeout), MS(1), SECONDS(86400), "75s",
        "How long an idle connection is kept."},
    {"SMARTFLOW_BODY_TIMEOUT", SET_DURATION, AT(body_timeout), MS(1), SECONDS(3600), "30s",
        "Between two reads of a request body."},
    {"SMARTFLOW_WRITE_TIMEOUT", SET_DURATION, AT(write_timeout), MS(1), SECONDS(86400), "60s",
        "A client that takes no byte of its reply."},
    {"SMARTFLOW_DRAIN_TIMEOUT", SET_DURATION, AT(drain_timeout), 0, SECONDS(86400), "300s",
        "How long SIGTERM waits for calls to end."},
    {"SMARTFLOW_CONNECT_TIMEOUT", SET_DURATION, AT(timeouts.connect), MS(1), SECONDS(3600), "10s",
        "Name look-up, TCP and TLS to a provider."},
    {"SMARTFLOW_FIRST_BYTE_TIMEOUT", SET_DURATION, AT(timeouts.first_byte), MS(1), SECONDS(86400),
        "600s", "From the request to the first byte of a provider's reply."},
    {"SMARTFLOW_BETWEEN_BYTES_TIMEOUT", SET_DURATION, AT(timeouts.between), MS(1), SECONDS(86400),
        "300s", "Between two reads of a provider's reply."},
    {"SMARTFLOW_TOTAL_TIMEOUT", SET_DURATION, AT(timeouts.total), MS(1), SECONDS(86400), "1800s",
        "The whole of a provider's call, streams too."},
    {"DATABASE_URL", SET_SECRET, AT(database_url), 0, 0, "",
        "PostgreSQL (postgres://user:password@host/name) in place of SQLite in the data folder."},
    {"SMARTFLOW_DATABASE_CONNECTIONS", SET_UINT, AT(database_connections), 1, 256, "8",
        "Connections to PostgreSQL at most."},
    {"REDIS_URL", SET_SECRET, AT(redis_url), 0, 0, "",
        "Redis or Valkey (redis[s]://host:port) that makes several processes one gateway."},
    {"SMARTFLOW_REDIS_TIMEOUT", SET_DURATION, AT(redis_timeout), MS(1), MS(250), "50ms",
        "Redis counts as away when it takes longer to answer; no call waits longer for it."},
    {"SMARTFLOW_SHARED_DOWN", SET_WORD, AT(shared_down), 0, 0, "local",
        "While Redis is away: each node grants its share of limits (local), or 503 (closed).",
        "local closed"},
    {"SMARTFLOW_NODE", SET_TEXT, AT(node), 0, 0, "",
        "This node's name; made and kept in the data folder when it is not set."},
    {"SMARTFLOW_JOURNAL", SET_WORD, AT(journal_mode), 0, 0, "batch",
        "The audit journal: on disk within 50 ms (batch), before each reply (strict), or off.",
        "batch strict off"},
    {"SMARTFLOW_LOG_BODY_MAX", SET_BYTES, AT(log_body_max), 0, 64 << 20, "256KiB",
        "Of one prompt or reply, how much is kept on the journal."},
    {"SMARTFLOW_BODY_RETENTION", SET_DURATION, AT(body_retention), 0, SECONDS(3650LL * 86400), "0",
        "How long prompts and replies are kept; 0 is for ever."},
    {"SMARTFLOW_LOG_RETENTION", SET_DURATION, AT(row_retention), 0, SECONDS(3650LL * 86400), "0",
        "How long log rows are kept in the database; 0 is for ever."},
    {"SMARTFLOW_ANALYTICS_RETENTION", SET_DURATION, AT(sums_retention), 0, SECONDS(3650LL * 86400),
        "0", "How long the sums of analytics are kept, in whole weeks; 0 is for ever."},
    {"SMARTFLOW_RESPONSES_RETENTION", SET_DURATION, AT(responses_retention), MS(1),
        SECONDS(3650LL * 86400), "30d",
        "How long /v1/responses are kept here whose model's provider keeps none."},
    {"SMARTFLOW_UNOWNED", SET_WORD, AT(unowned), 0, 0, "auto",
        "Files, batches, responses and conversations of which nobody knows who made them: for "
        "every "
        "key (allow), for none (deny), or for every key until there is a team (auto).",
        "auto allow deny"},
    {"SMARTFLOW_BATCH_POLL", SET_DURATION, AT(batch_poll), MS(100), SECONDS(86400), "60s",
        "How often batches that run are looked at, so that their cost is booked when they end."},
    {"SMARTFLOW_LOSSES", SET_WORD, AT(losses), 0, 0, "declare",
        "Parameters that a translated call's provider does not know: left out and named in "
        "x-smartflow-dropped-params (declare), or 400 (refuse).",
        "declare refuse"},
    {"SMARTFLOW_KEEP_ALIVE", SET_DURATION, AT(keep_alive), MS(10), SECONDS(3600), "15s",
        "How long a provider may be silent until a client whose stream is translated, or held back "
        "for its first token, gets a keep-alive."},
    {"SMARTFLOW_FETCH_IMAGES", SET_BOOL, AT(fetch_images), 0, 0, "true",
        "Fetch pictures and documents that a translated call names by URL, for providers that do "
        "not fetch themselves; never from internal addresses."},
    {"SMARTFLOW_FETCH_ALLOW", SET_TEXT, AT(fetch_allow_text), 0, 0, "",
        "Internal addresses or CIDR blocks that they may be fetched from all the same."},
    {"SMARTFLOW_BUDGET_WAIT", SET_DURATION, AT(keys.limits.budget_wait), 0, SECONDS(600), "10s",
        "How long a call waits where only money held by other calls stands in its way."},
    {"SMARTFLOW_DEFAULT_MAX_TOKENS", SET_UINT, AT(keys.limits.default_output), 1, 1 << 20, "4096",
        "Output tokens that are held for a call that states no maximum."},
    {"SMARTFLOW_BUDGET_STATUS", SET_UINT, AT(keys.limits.budget_status), 402, 429, "429",
        "The status of a call whose budget is used up: 429 or 402."},
    {"SMARTFLOW_ALLOW_UNPRICED", SET_BOOL, AT(keys.limits.allow_unpriced), 0, 0, "false",
        "Let keys with a budget call models whose price is unknown."},
    {"SMARTFLOW_FINISH_OVER_BUDGET", SET_BOOL, AT(keys.limits.finish_over_budget), 0, 0, "false",
        "Let a stream that outgrows its budget go on to its end."},
    {"SMARTFLOW_ROUTING_STRATEGY", SET_WORD, AT(route.rules.strategy), 0, 0, "none",
        "Which provider serves a call that no chain takes, among those with an equivalent model; "
        "none: the one that its model's name leads to.",
        ROUTE_STRATEGY_WORDS},
    {"SMARTFLOW_ROUTING_RETRIES", SET_UINT, AT(route.rules.retries), 0, ROUTE_RETRIES_MAX, "0",
        "Further attempts of a call that no chain takes, after overload and server errors."},
    {"SMARTFLOW_ROUTING_CHAIN_RETRIES", SET_UINT, AT(route.rules.chain_retries), 0,
        ROUTE_RETRIES_MAX, "1", "The same on each target of a chain that does not say."},
    {"SMARTFLOW_ROUTING_BACKOFF", SET_DURATION, AT(route.rules.backoff), 0, SECONDS(60), "250ms",
        "The wait before the first of them, at most (full jitter); doubled each time."},
    {"SMARTFLOW_ROUTING_BACKOFF_MAX", SET_DURATION, AT(route.rules.backoff_max), 0, SECONDS(600),
        "8s", "The longest such wait."},
    {"SMARTFLOW_ROUTING_RETRY_AFTER_MAX", SET_DURATION, AT(route.rules.retry_after_max), 0,
        SECONDS(3600), "10s",
        "What a provider may ask to wait; where it asks for more, it is not tried again."},
    {"SMARTFLOW_ROUTING_FIRST_TOKEN", SET_DURATION, AT(route.rules.first_token), 0, SECONDS(3600),
        "0",
        "How long an attempt may take to its first token, where another may follow; 0: as "
        "the time-outs say."},
    {"SMARTFLOW_ROUTING_BREAKER_FAILURES", SET_UINT, AT(route.rules.breaker_failures), 0, 1000, "3",
        "Failures in a row after which a target is left out; 0 is never."},
    {"SMARTFLOW_ROUTING_BREAKER_COOLDOWN", SET_DURATION, AT(route.rules.breaker_cooldown), MS(1),
        SECONDS(3600), "5s", "For how long."},
    {"SMARTFLOW_ROUTING_AFFINITY", SET_BOOL, AT(route.rules.affinity), 0, 0, "false",
        "Calls that begin alike go to the same target of a chain, whose prompt cache then hits."},
    {"SMARTFLOW_ROUTING_HEDGE", SET_BOOL, AT(route.rules.hedge), 0, 0, "false",
        "A second call where the first takes longer than the target's p99."},
    {"SMARTFLOW_ROUTING_HEDGE_PERCENT", SET_UINT, AT(route.rules.hedge_percent), 0, 100, "2",
        "At most this share of a target's calls gets one."},
    {"SMARTFLOW_LCR", SET_WORD, AT(route.rules.lcr.mode), 0, 0, "off",
        "Lowest-cost routing: by the prompt (auto), always to the efficient model (local), never "
        "(frontier), or off. x-smartflow-lcr says otherwise for a call.",
        "off auto local frontier"},
    {"SMARTFLOW_LCR_EFFICIENT_PROVIDER", SET_TEXT, AT(route.rules.lcr.efficient_provider), 0, 0, "",
        "Whose the efficient model is; empty is as its name says."},
    {"SMARTFLOW_LCR_EFFICIENT_MODEL", SET_TEXT, AT(route.rules.lcr.efficient_model), 0, 0, "",
        "The efficient model; empty is the equivalent of the one asked for."},
    {"SMARTFLOW_ALERTS_ENABLED", SET_BOOL, AT(alert.enabled), 0, 0, "true", "Send alerts."},
    {"SLACK_WEBHOOK_URL", SET_SECRET, AT(alert.urls[ALERT_SLACK]), 0, 0, "",
        "Slack incoming webhook for alerts."},
    {"TEAMS_WEBHOOK_URL", SET_SECRET, AT(alert.urls[ALERT_TEAMS]), 0, 0, "",
        "Microsoft Teams workflow webhook for alerts."},
    {"DISCORD_WEBHOOK_URL", SET_SECRET, AT(alert.urls[ALERT_DISCORD]), 0, 0, "",
        "Discord webhook for alerts."},
    {"SMARTFLOW_ALERT_WEBHOOK_URL", SET_SECRET, AT(alert.urls[ALERT_WEBHOOK]), 0, 0, "",
        "Address that gets alerts as plain JSON."},
    {"SMARTFLOW_ALERT_WEBHOOK_SECRET", SET_SECRET, AT(alert.webhook_secret), 0, 0, "",
        "Signs what goes there (x-smartflow-signature)."},
    {"SMARTFLOW_ALERT_REPEAT", SET_DURATION, AT(alert.repeat), 0, SECONDS(30 * 86400), "15m",
        "An alert of the same kind and subject is told once within this time."},
    {"SMARTFLOW_ALERT_ERROR_PERCENT", SET_UINT, AT(alert.error_percent), 0, 100, "50",
        "Share of a provider's calls that fail within a minute and make an alert; 0 is off."},
    {"SMARTFLOW_SLOW_REQUEST", SET_DURATION, AT(alert.slow), 0, SECONDS(86400), "30s",
        "A call that takes longer makes an alert (of a stream: its first byte); 0 is off."},
    {"SMARTFLOW_EXPORT_CA", SET_PATH, AT(export_ca), 0, 0, "",
        "CA file (PEM) to verify webhooks, collectors and log sinks with, instead of the "
        "system's roots."},
    {"OTEL_EXPORTER_OTLP_ENDPOINT", SET_TEXT, AT(telemetry.traces.endpoint), 0, 0, "",
        "OpenTelemetry collector (http://host:4318) that gets traces, at /v1/traces below it."},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", SET_TEXT, AT(telemetry.traces.traces_endpoint), 0, 0, "",
        "The same as a whole address."},
    {"OTEL_EXPORTER_OTLP_HEADERS", SET_SECRET, AT(telemetry.traces.headers), 0, 0, "",
        "Fields to send there: name=value,name=value; values percent-encoded."},
    {"OTEL_EXPORTER_OTLP_PROTOCOL", SET_WORD, AT(telemetry.traces.protocol), 0, 0, "http/protobuf",
        "How traces are sent.", "http/protobuf"},
    {"OTEL_SERVICE_NAME", SET_TEXT, AT(telemetry.traces.service), 0, 0, "smartflow",
        "The name of this service in traces."},
    {"OTEL_TRACES_SAMPLER", SET_WORD, AT(telemetry.traces.sampler), 0, 0, "parentbased_always_on",
        "Which calls are traced; parentbased_…: what the caller's traceparent says goes first.",
        "always_on always_off traceidratio parentbased_always_on parentbased_always_off "
        "parentbased_traceidratio"},
    {"OTEL_TRACES_SAMPLER_ARG", SET_TEXT, AT(telemetry.traces.sampler_arg), 0, 0, "1",
        "The share of calls for …traceidratio, from 0 to 1."},
    {"SMARTFLOW_SINK_FILE", SET_PATH, AT(telemetry.sinks.file), 0, 0, "",
        "File that gets the line of each call, rotated by size."},
    {"SMARTFLOW_SINK_FILE_SIZE", SET_BYTES, AT(telemetry.sinks.file_size), 64 << 10, 1LL << 40,
        "100MiB", "Size at which that file is rotated."},
    {"SMARTFLOW_SINK_FILE_KEEP", SET_UINT, AT(telemetry.sinks.file_keep), 1, 1000, "5",
        "How many rotated files are kept: name.1 is the newest."},
    {"SMARTFLOW_SINK_SYSLOG", SET_TEXT, AT(telemetry.sinks.syslog), 0, 0, "",
        "Syslog (RFC 5424) for calls: udp://host:514, tcp://host:601, tls://host:6514 or "
        "unix:/dev/log."},
    {"SMARTFLOW_SINK_HEC_URL", SET_TEXT, AT(telemetry.sinks.hec_url), 0, 0, "",
        "Splunk HTTP Event Collector (https://host:8088) for calls."},
    {"SMARTFLOW_SINK_HEC_TOKEN", SET_SECRET, AT(telemetry.sinks.hec_token), 0, 0, "", "Its token."},
    {"SMARTFLOW_SINK_HEC_INDEX", SET_TEXT, AT(telemetry.sinks.hec_index), 0, 0, "",
        "Its index; empty is the token's own."},
    {"SMARTFLOW_SINK_S3_URL", SET_TEXT, AT(telemetry.sinks.s3_url), 0, 0, "",
        "Bucket and prefix in an S3-compatible store for calls: https://host/bucket/prefix, or "
        "https://bucket.s3.region.amazonaws.com/prefix."},
    {"SMARTFLOW_SINK_S3_REGION", SET_TEXT, AT(telemetry.sinks.s3_region), 0, 0, "us-east-1",
        "Its region."},
    {"SMARTFLOW_SINK_S3_ACCESS_KEY_ID", SET_TEXT, AT(telemetry.sinks.s3_key_id), 0, 0, "",
        "Its access key id."},
    {"SMARTFLOW_SINK_S3_SECRET_ACCESS_KEY", SET_SECRET, AT(telemetry.sinks.s3_secret), 0, 0, "",
        "Its secret access key."},
    {"SMARTFLOW_SINK_S3_SESSION_TOKEN", SET_SECRET, AT(telemetry.sinks.s3_token), 0, 0, "",
        "The session token of temporary keys."},
    {"SMARTFLOW_SINK_S3_INTERVAL", SET_DURATION, AT(telemetry.sinks.s3_interval), SECONDS(1),
        SECONDS(86400), "60s", "How often an object is written; sooner when 8 MiB are there."},
};
const unsigned settings_n = ARRAY_LEN(settings);

int setting_bool(struct str v, bool *ret)
{
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};

    for (unsigned i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_ieq(v, str_of(yes[i])))
            return *ret = true, 0;
        if (str_ieq(v, str_of(no[i])))
            return *ret = false, 0;
    }
    return -EINVAL;
}

/* A number with a unit from a table; the first unit is the one without a name. */
struct unit {
    const char *name;
    int64_t factor;
};

static int parse_unit(struct str v, const struct unit *units, unsigned n, int64_t *ret)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < v.n && v.p[digits] >= '0' && v.p[digits] <= '9')
        digits++;
    if (str_u64(str_to(v, digits), &number) < 0)
        return -EINVAL;
    struct str unit = str_trim(str_from(v, digits));
    for (unsigned i = 0; i < n; i++) {
        if (!str_ieq(unit, str_of(units[i].name)))
            continue;
        return __builtin_mul_overflow(number, units[i].factor, ret) ? -ERANGE : 0;
    }
    return -EINVAL;
}

static int parse_bytes(struct str v, int64_t *ret)
{
    static const struct unit units[] = {{"", 1}, {"b", 1}, {"k", 1024}, {"kb", 1000}, {"kib", 1024},
        {"m", 1 << 20}, {"mb", 1000000}, {"mib", 1 << 20}, {"g", 1 << 30}, {"gb", 1000000000},
        {"gib", 1 << 30}};
    return parse_unit(v, units, ARRAY_LEN(units), ret);
}

static int parse_duration(struct str v, int64_t *ret)
{
    static const struct unit units[] = {{"", NS_PER_S}, {"ms", NS_PER_MS}, {"s", NS_PER_S},
        {"m", 60 * NS_PER_S}, {"min", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S},
        {"d", 86400 * NS_PER_S}};
    return parse_unit(v, units, ARRAY_LEN(units), ret);
}

static int parse_number(enum setting_type t, struct str v, int64_t *ret)
{
    uint64_t u = 0;
    int r;

    if (t == SET_BYTES)
        return parse_bytes(v, ret);
    if (t == SET_DURATION)
        return parse_duration(v, ret);
    r = str_u64(v, &u);
    *ret = (int64_t)MIN(u, (uint64_t)INT64_MAX);
    return r;
}

static const char *type_words(enum setting_type t)
{
    switch (t) {
    case SET_BOOL:
        return "true or false";
    case SET_BYTES:
        return "a size such as 64KiB or 10MiB";
    case SET_DURATION:
        return "a duration such as 250ms, 15s or 10m";
    case SET_PORT:
        return "a port number from 0 to 65535";
    default:
        return "a whole number";
    }
}

static void store_number(void *at, enum setting_type t, int64_t n)
{
    switch (t) {
    case SET_PORT:
        *(uint16_t *)at = (uint16_t)n;
        break;
    case SET_UINT:
        *(unsigned *)at = (unsigned)n;
        break;
    default:
        *(int64_t *)at = n;
    }
}

static void set_number(struct loader *l, const struct setting *s, const struct found *f, void *at)
{
    int64_t n;

    if (parse_number(s->type, f->value, &n) < 0) {
        loader_problem(l, f->line, "%s must be %s, not '" STR_FMT "'", s->name, type_words(s->type),
            STR_ARG(f->value));
        return;
    }
    if (n < s->min || n > s->max) {
        loader_problem(l, f->line, "%s is out of range: '" STR_FMT "' (default %s)", s->name,
            STR_ARG(f->value), s->initial);
        return;
    }
    store_number(at, s->type, n);
}

static void set_word(struct loader *l, const struct setting *s, const struct found *f, void *at)
{
    struct str rest = str_of(s->words);

    for (unsigned i = 0; rest.n; i++) {
        if (!str_ieq(str_split(&rest, ' '), f->value))
            continue;
        *(unsigned *)at = i;
        return;
    }
    loader_problem(l, f->line, "%s must be one of: %s; not '" STR_FMT "'", s->name, s->words,
        STR_ARG(f->value));
}

static void set(struct loader *l, const struct setting *s, const struct found *f)
{
    void *at = (char *)l->c + s->offset;

    switch (s->type) {
    case SET_TEXT:
        *(struct str *)at = arena_dup(&l->c->arena, f->value);
        break;
    case SET_PATH:
        if (f->value.n)
            *(const char **)at = arena_dup(&l->c->arena, f->value).p;
        break;
    case SET_SECRET:
        if (f->value.n)
            secret_set(at, f->value);
        break;
    case SET_BOOL:
        if (setting_bool(f->value, at) < 0)
            loader_problem(l, f->line, "%s must be true or false, not '" STR_FMT "'", s->name,
                STR_ARG(f->value));
        break;
    case SET_WORD:
        set_word(l, s, f, at);
        break;
    default:
        set_number(l, s, f, at);
    }
}

void loader_settings(struct loader *l)
{
    bool *from_file = arena_zalloc(&l->c->arena, settings_n * sizeof *from_file);

    for (unsigned i = 0; i < settings_n; i++) {
        const struct setting *s = &settings[i];
        struct found initial = {str_of(s->name), str_of(s->initial), 0};
        const struct found *f = loader_get(l, str_of(s->name));
        set(l, s, &initial);
        if (f && f->value.n) /* NAME= in an environment file means the default */
            set(l, s, f);
        if (from_file)
            from_file[i] = f && f->value.n && f->line;
    }
    l->c->from_file = from_file;
}

bool setting_is_known(struct str name)
{
    static const char *const others[] = {"SMARTFLOW_CORS_ORIGINS", "SMARTFLOW_TRUSTED_PROXIES",
        "SMARTFLOW_LOG_LEVEL", "SMARTFLOW_LOG_FORMAT", "SMARTFLOW_LOG_FILE", "SMARTFLOW_CONFIG",
        "SMARTFLOW_SHARE", "SMARTFLOW_MODEL_ALIASES", "SMARTFLOW_DEFAULT_PROVIDER",
        "SMARTFLOW_ROLES", "SMARTFLOW_PRICES", "SMARTFLOW_PROVIDER_BUDGETS",
        "SMARTFLOW_LCR_THRESHOLD", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy",
        "http_proxy", "no_proxy"};
    const struct provider *p;
    unsigned n;

    for (unsigned i = 0; i < settings_n; i++)
        if (str_eq(name, str_of(settings[i].name)))
            return true;
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        if (str_eq(name, str_of(others[i])))
            return true;
    p = provider_table(&n);
    for (unsigned i = 0; i < n; i++) {
        if (str_eq(name, p[i].key_env) || str_eq(name, p[i].base_env) ||
            str_eq(name, p[i].token_env))
            return true;
        for (const struct str *e = p[i].extra_env; e && e->n; e++)
            if (str_eq(name, *e))
                return true;
    }
    return false;
}
