/*
 * Objects in an S3-compatible store: gzipped JSON lines under
 *
 *     prefix/2026/11/21/node/2026-11-21T10:40:00.123-1a2b3c4d.jsonl.gz      (: as -)
 *
 * A batch keeps its name over all its tries, so one that was answered too late is written twice to
 * the same object. Compressing happens on the offload pool, once a batch.
 */
#include "telemetry/sinks_int.h"

#include "providers/sigv4.h"
#include "runtime/co.h"
#include "runtime/offload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

struct s3 {
    struct post_target *to;
    struct secret secret, token; /* token: of temporary keys */
    struct str node;
    int64_t interval;
    char region[64], key_id[160];
    struct str lines; /* of the job that runs */
    struct buf packed;
};

static int64_t s3_interval(const void *state)
{
    return ((const struct s3 *)state)->interval;
}

static void s3_close(void *state)
{
    struct s3 *s = state;

    post_target_unref(s->to);
    secret_free(&s->secret);
    secret_free(&s->token);
    buf_free(&s->packed);
    free(s);
}

static const char *unfit(const struct sink_settings *s)
{
    if (!s->s3_key_id.n || !secret_is_set(&s->s3_secret))
        return "it needs SMARTFLOW_SINK_S3_ACCESS_KEY_ID and SMARTFLOW_SINK_S3_SECRET_ACCESS_KEY";
    if (s->s3_key_id.n >= sizeof((struct s3 *)0)->key_id)
        return "the access key id is too long";
    if (!s->s3_region.n || s->s3_region.n >= sizeof((struct s3 *)0)->region)
        return "the region is empty or too long";
    return str_chr(s->s3_url, '?') >= 0 ? "it must have no query" : NULL;
}

static int s3_open(const struct sink_settings *set, const struct post_route *route, struct str node,
    void **ret, char why[static POST_ERR_BYTES])
{
    struct s3 *s;
    int r;

    if (!set->s3_url.n)
        return 0;
    if (unfit(set)) {
        snprintf(why, POST_ERR_BYTES, "%s", unfit(set));
        return -EINVAL;
    }
    if (!(s = calloc(1, sizeof *s)))
        return -ENOMEM;
    memcpy(s->region, set->s3_region.p, set->s3_region.n);
    memcpy(s->key_id, set->s3_key_id.p, set->s3_key_id.n);
    s->interval = set->s3_interval;
    s->node = node;
    buf_init(&s->packed, 64 * MIB);
    r = secret_set(&s->secret, secret_reveal(&set->s3_secret));
    if (r == 0 && secret_is_set(&set->s3_token))
        r = secret_set(&s->token, secret_reveal(&set->s3_token));
    if (r == 0)
        r = post_target_new(str_trim(set->s3_url), route, false, &s->to, why);
    if (r < 0) {
        s3_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* --- packing --- */

int gzip_all(struct str in, struct buf *out)
{
    z_stream z = {.next_in = (Bytef *)in.p, .avail_in = (uInt)in.n};
    size_t room;
    int r;

    if (in.n > UINT32_MAX / 2)
        return -EMSGSIZE;
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    room = deflateBound(&z, in.n);
    r = buf_reserve(out, room);
    if (r == 0) {
        z.next_out = (Bytef *)out->p + out->n;
        z.avail_out = (uInt)room;
        r = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
        out->n += r == 0 ? z.total_out : 0;
    }
    deflateEnd(&z);
    return r;
}

static int pack(void *data)
{
    struct s3 *s = data;

    return gzip_all(s->lines, &s->packed);
}

static int pack_on_pool(struct s3 *s, struct str lines)
{
    buf_clear(&s->packed);
    s->lines = lines;
    co_mask_cancel(); /* the job is on our memory: it is waited for */
    int64_t limit = co_set_deadline(NEVER_NS);
    int r = offload_run(pack, s, NULL, NEVER_NS);
    co_set_deadline(limit);
    co_unmask_cancel();
    return r;
}

/* --- one object --- */

static void object_path(const struct s3 *s, const char *name, struct buf *out)
{
    struct str prefix = post_target_path(s->to);

    while (prefix.n && prefix.p[prefix.n - 1] == '/')
        prefix.n--;
    buf_addstr(out, prefix);
    buf_printf(out, "/%.4s/%.2s/%.2s/", name, name + 5, name + 8);
    uri_encode(out, s->node, false);
    buf_addc(out, '/');
    for (const char *p = name; *p; p++)
        buf_addc(out, *p == ':' ? '-' : *p);
    buf_addstr(out, STR(".jsonl.gz"));
}

static int sign(const struct s3 *s, struct str path, struct buf *fields)
{
    static const struct sigv4_header headers[] = {
        {STR_INIT("content-encoding"), STR_INIT("gzip")},
        {STR_INIT("content-type"), STR_INIT("application/x-ndjson")},
    };
    const struct sigv4_credentials c = {.access_key_id = str_of(s->key_id),
        .secret_key = &s->secret,
        .session_token = secret_reveal(&s->token)};
    const struct sigv4_request r = {.method = STR("PUT"),
        .host = post_target_host(s->to),
        .path = path,
        .headers = headers,
        .n_headers = ARRAY_LEN(headers),
        .body = buf_str(&s->packed),
        .region = str_of(s->region),
        .service = STR("s3"),
        .wall_ns = clock_wall()};

    for (unsigned i = 0; i < ARRAY_LEN(headers); i++)
        buf_printf(fields, STR_FMT ": " STR_FMT "\r\n", STR_ARG(headers[i].name),
            STR_ARG(headers[i].value));
    return sigv4_sign(&c, &r, fields);
}

static enum post_result s3_send(void *state, const struct sink_batch *b, struct post_reply *ret)
{
    _cleanup_(buf_free) struct buf path = {0}, fields = {0};
    struct s3 *s = state;
    int r = b->tries && s->packed.n ? 0 : pack_on_pool(s, b->lines);

    buf_init(&path, 4 * KIB);
    buf_init(&fields, 8 * KIB);
    object_path(s, b->name, &path);
    if (r == 0)
        r = sign(s, buf_str(&path), &fields);
    if (r < 0 || path.err || fields.err) {
        snprintf(ret->why, sizeof ret->why, "the object could not be made: %s", strerror(-r));
        return r == -EAGAIN ? POST_RETRY : POST_REFUSED;
    }
    struct post p = {.method = STR("PUT"),
        .target = buf_str(&path),
        .fields = buf_str(&fields),
        .body = buf_str(&s->packed),
        .timeout = 60 * NS_PER_S};
    enum post_result done = post_send(s->to, &p, ret);
    if (done != POST_RETRY)
        buf_free(&s->packed);
    return done;
}

const struct sink_ops sink_s3 = {
    .name = "s3",
    .variable = "SMARTFLOW_SINK_S3_URL",
    .open = s3_open,
    .send = s3_send,
    .close = s3_close,
    .interval = s3_interval,
    .batch_bytes = 8 * MIB,
};
