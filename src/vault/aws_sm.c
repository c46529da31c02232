/*
 * AWS Secrets Manager: GetSecretValue, a POST signed with Signature Version 4. Region: that of the
 * ARN, else AWS_REGION or AWS_DEFAULT_REGION. Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
 * and, for temporary ones, AWS_SESSION_TOKEN, each also as a file (…_FILE), read at each look.
 */
#include "vault/refs_int.h"

#include "crypto/encode.h"
#include "providers/sigv4.h"
#include "json/scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct credentials {
    struct secret id, key, session;
};

static void credentials_free(struct credentials *c)
{
    secret_free(&c->id);
    secret_free(&c->key);
    secret_free(&c->session);
}

static int get_credentials(struct secret_refs *r, struct credentials *c, char *err)
{
    int a = ref_setting(r, "AWS_ACCESS_KEY_ID", &c->id, err);
    int b = a < 0 ? a : ref_setting(r, "AWS_SECRET_ACCESS_KEY", &c->key, err);
    int s = b < 0 ? b : ref_setting(r, "AWS_SESSION_TOKEN", &c->session, err);

    if (s < 0)
        return s;
    if (a && b && !refs_is_one(secret_reveal(&c->id)) && !refs_is_one(secret_reveal(&c->key)))
        return 0;
    ref_say(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (themselves, or as files) to "
                 "read from Secrets Manager");
    return -EINVAL;
}

/* arn:aws:secretsmanager:eu-central-1:123456789012:secret:name-AbCdEf */
static struct str region_of(struct secret_refs *r, struct str name)
{
    struct str rest = name, part = STR_NONE;

    if (str_starts(name, STR("arn:")))
        for (unsigned i = 0; i < 4; i++)
            part = str_split(&rest, ':');
    if (!part.n)
        part = ref_env(r, "AWS_REGION");
    if (!part.n)
        part = ref_env(r, "AWS_DEFAULT_REGION");
    for (size_t i = 0; i < part.n; i++)
        if (!isalnum((unsigned char)part.p[i]) && part.p[i] != '-')
            return STR_NONE;
    return part.n > 40 ? STR_NONE : part;
}

static int set_host(struct secret_refs *r, struct ref_host *h, struct str region, char *err)
{
    struct str url = ref_env(r, "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
               ca = ref_env(r, "AWS_CA_BUNDLE");
    char own[128];

    if (!url.n)
        url = ref_env(r, "AWS_ENDPOINT_URL");
    if (!url.n) {
        int n = snprintf(own, sizeof own, "https://secretsmanager." STR_FMT ".amazonaws.com%s",
            STR_ARG(region), str_starts(region, STR("cn-")) ? ".cn" : "");
        url = str_at(own, (size_t)n);
    }
    return ref_host_set(r, h, url, ca.n ? ca.p : NULL, err);
}

static int sign(const struct credentials *c, const struct ref_host *h, struct str region,
    struct str body, struct buf *fields)
{
    static const struct sigv4_header headers[] = {
        {STR_INIT("content-type"), STR_INIT("application/x-amz-json-1.1")},
        {STR_INIT("x-amz-target"), STR_INIT("secretsmanager.GetSecretValue")}};
    struct sigv4_credentials who = {secret_reveal(&c->id), &c->key, secret_reveal(&c->session)};
    struct sigv4_request rq = {.method = STR("POST"),
        .host = h->at.origin.host_header,
        .path = STR("/"),
        .headers = headers,
        .n_headers = ARRAY_LEN(headers),
        .body = body,
        .region = region,
        .service = STR("secretsmanager"),
        .wall_ns = clock_wall()};

    for (unsigned i = 0; i < ARRAY_LEN(headers); i++)
        http_put(fields, headers[i].name, headers[i].value);
    return sigv4_sign(&who, &rq, fields);
}

/* SecretBinary comes in base64. */
static int take_binary(struct doc *d, struct str reply)
{
    _cleanup_(secret_free) struct secret text = {0};
    int r = ref_json_text(reply, STR("SecretBinary"), &text);

    if (r < 0)
        return r;
    struct str b64 = secret_reveal(&text);
    char *raw = malloc(BASE64_MAX_BYTES(b64.n));
    if (!raw)
        return -ENOMEM;
    ssize_t n = base64_decode(b64, raw);
    r = n < 0 ? -EBADMSG : secret_set(&d->body, str_at(raw, (size_t)n));
    mem_wipe(raw, BASE64_MAX_BYTES(b64.n));
    free(raw);
    return r;
}

/* {"__type":"ResourceNotFoundException",…}, perhaps with a name space before '#'. */
static int say_refusal(struct str reply, int status, char *err)
{
    _cleanup_(secret_free) struct secret type = {0};
    struct str word = STR("?");

    if (ref_json_ok(reply) && ref_json_text(reply, STR("__type"), &type) == 0) {
        word = secret_reveal(&type);
        ptrdiff_t hash = str_chr(word, '#');
        word = str_to(str_from(word, hash < 0 ? 0 : (size_t)hash + 1), 48);
    }
    for (size_t i = 0; i < word.n; i++)
        if (!isalnum((unsigned char)word.p[i]))
            word = STR("?");
    ref_say(err, "AWS Secrets Manager refused: " STR_FMT " (status %d)", STR_ARG(word), status);
    return str_starts(word, STR("ResourceNotFound")) ? -ENOENT : -EACCES;
}

static int take_reply(struct doc *d, int status, const struct secret *reply, char *err)
{
    struct str text = secret_reveal(reply);

    if (status < 0)
        return status;
    if (status != 200)
        return say_refusal(text, status, err);
    int r = ref_json_ok(text) ? ref_json_text(text, STR("SecretString"), &d->body) : -EBADMSG;
    if (r == -ENOENT)
        r = take_binary(d, text);
    if (r < 0)
        ref_say(err, "AWS Secrets Manager: the reply is not a secret's");
    return r;
}

static void free_wiped(struct buf *b)
{
    if (b->p)
        mem_wipe(b->p, b->cap);
    buf_free(b);
}

int aws_read(struct secret_refs *r, struct doc *d, char *err)
{
    _cleanup_(credentials_free) struct credentials c = {0};
    _cleanup_(secret_free) struct secret reply = {0};
    _cleanup_(ref_host_free) struct ref_host h = {0};
    _cleanup_(buf_free) struct buf body = {0};
    _cleanup_(free_wiped) struct buf fields = {0};
    struct str region = region_of(r, str_of(d->path));

    if (!region.n) {
        ref_say(err, "set AWS_REGION, or name the secret by its ARN");
        return -EINVAL;
    }
    int e = get_credentials(r, &c, err);
    if (e < 0 || (e = set_host(r, &h, region, err)) < 0)
        return e;
    buf_init(&body, 4 * KIB);
    buf_init(&fields, 16 * KIB);
    buf_addstr(&body, STR("{\"SecretId\":"));
    buf_addjson(&body, str_of(d->path));
    buf_addc(&body, '}');
    if (body.err || sign(&c, &h, region, buf_str(&body), &fields) < 0) {
        ref_say(err, "the request to AWS Secrets Manager could not be signed");
        return -EINVAL;
    }
    int status = ref_http(&h, STR("POST"), STR("/"), buf_str(&fields), buf_str(&body), &reply, err);
    return take_reply(d, status, &reply, err);
}
