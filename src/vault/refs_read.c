/*
 * Documents: what was read, when it must be looked at again, and the coroutine that does so. All of
 * it on the thread of the references.
 */
#include "vault/refs_int.h"

#include "base/log.h"
#include "json/scan.h"

#include <errno.h>
#include <stdlib.h>

#define RETRY_NS  (15 * NS_PER_S) /* after a failed renewal or read */
#define LEAST_NS  (100 * NS_PER_MS)
#define FIELD_MAX 256

/* --- references --- */

struct parsed {
    enum ref_store store;
    struct str path, field; /* field empty: the whole */
};

static int parse(struct str ref, struct parsed *ret, char *err)
{
    bool hashicorp = str_starts(ref, STR("vault:"));
    struct str rest = str_from(ref, hashicorp ? 6 : 7);
    size_t hash = rest.n;

    while (hash > 0 && rest.p[hash - 1] != '#')
        hash--;
    *ret = (struct parsed){.store = hashicorp ? REF_HASHICORP : REF_AWS,
        .path = hash ? str_to(rest, hash - 1) : rest,
        .field = hash ? str_from(rest, hash) : STR_NONE};
    bool bad = !ret->path.n || ret->path.n > REF_PATH_MAX || ret->field.n > FIELD_MAX ||
               (hash && !ret->field.n) || ret->path.p[0] == '/' ||
               str_find(ret->path, STR("..")) >= 0 || (hashicorp && !hash);
    for (size_t i = 0; i < ref.n; i++)
        bad |= (unsigned char)ref.p[i] <= ' ' || ref.p[i] == 127;
    if (!bad)
        return 0;
    ref_say(err, hashicorp ? "a reference must be vault:path#field"
                           : "a reference must be aws-sm:name-or-arn or aws-sm:name-or-arn#field");
    return -EINVAL;
}

void ref_doc_free(struct doc *d)
{
    secret_free(&d->body);
    free(d->path);
    free(d->api_path);
    free(d->lease_id);
    free(d);
}

static struct doc *doc_new(struct secret_refs *r, const struct parsed *p)
{
    struct doc *d = calloc(1, sizeof *d);

    if (!d || !(d->path = str_dup(p->path))) {
        free(d);
        return NULL;
    }
    d->store = p->store;
    d->due = NEVER_NS;
    sem_init_n(&d->busy, 1);
    d->next = r->docs;
    r->docs = d;
    r->docs_n++;
    return d;
}

struct doc *ref_doc(struct secret_refs *r, struct str ref, char *err)
{
    struct parsed p;

    if (parse(ref, &p, err) < 0)
        return NULL;
    for (struct doc *d = r->docs; d; d = d->next)
        if (d->store == p.store && str_eq(str_of(d->path), p.path))
            return d;
    struct doc *d = r->docs_n < REFS_DOCS_MAX ? doc_new(r, &p) : NULL;
    if (!d)
        ref_say(err, "more than %d references, or memory is short", REFS_DOCS_MAX);
    return d;
}

/* --- values --- */

bool ref_json_ok(struct str text)
{
    struct json_error e;
    enum json_type top;

    return json_scan(text, NULL, NULL, 0, &top, &e) == 0 && top == JSON_OBJECT;
}

int ref_json_text(struct str object, struct str name, struct secret *ret)
{
    struct str v;

    if (!object.p || json_type_of(object) != JSON_OBJECT)
        return -ENOENT;
    json_members(object, &name, &v, 1);
    if (!v.p)
        return -ENOENT;
    if (json_type_of(v) == JSON_NUMBER)
        return secret_set(ret, v);
    if (json_type_of(v) != JSON_STRING)
        return -EBADMSG;
    char *text = malloc(v.n);
    ptrdiff_t n = text ? json_unescape(v, text) : -ENOMEM;
    int r = n < 0 ? (int)n : secret_set(ret, str_at(text, (size_t)n));
    if (text)
        mem_wipe(text, v.n);
    free(text);
    return r;
}

int ref_pick(const struct doc *d, struct str ref, struct secret *ret, char *err)
{
    struct str body = secret_reveal(&d->body);
    struct parsed p;
    int r = parse(ref, &p, err);

    if (r < 0)
        return r;
    if (!p.field.n)
        r = secret_set(ret, body);
    else
        r = ref_json_ok(body) ? ref_json_text(body, p.field, ret) : -EBADMSG;
    if (r == 0 && !secret_is_set(ret))
        r = -ENODATA;
    if (r < 0)
        ref_say(err,
            r == -ENOENT    ? "the secret has no field '" STR_FMT "'"
            : r == -ENODATA ? "the secret's field '" STR_FMT "' is empty"
                            : "the secret's field '" STR_FMT "' is no text",
            STR_ARG(p.field));
    return r;
}

/* --- reading --- */

static void set_due(struct secret_refs *r, struct doc *d)
{
    int64_t refresh = r->refresh ? r->refresh : 300 * NS_PER_S, in = refresh;

    if (d->lease > 0)
        in = d->lease_id ? d->lease * 2 / 3 : MIN(in, d->lease * 2 / 3);
    d->due = loop_now() + MAX(in, LEAST_NS);
}

static int read_now(struct secret_refs *r, struct doc *d)
{
    d->err[0] = 0;
    d->result = d->store == REF_HASHICORP ? hashicorp_read(r, d, d->err) : aws_read(r, d, d->err);
    if (d->result < 0 && !d->err[0])
        ref_say(d->err, "it took longer than 10 s");
    if (d->result < 0) {
        d->due = loop_now() + RETRY_NS;
        return d->result;
    }
    d->read_at = clock_now();
    set_due(r, d);
    return 0;
}

int ref_read(struct secret_refs *r, struct doc *d, int64_t since)
{
    int e = sem_take(&d->busy, loop_now() + REF_DEADLINE);

    if (e < 0)
        return e;
    bool leased = d->lease_id && d->due > loop_now(); /* another read would be another lease */
    if (!d->read_at || d->result < 0 || (d->read_at < since && !leased))
        e = read_now(r, d);
    sem_give(&d->busy);
    return e;
}

/* --- keeping --- */

static void complain(const struct doc *d)
{
    struct logline l;

    if (!log_begin(&l, LOG_WARN, "a secret could not be read again; what was read last stays"))
        return;
    log_str(&l, "secret", str_of(d->path));
    log_str(&l, "cause", str_of(d->err));
    log_end(&l);
}

/* Returns whether its fields are others now. */
static bool keep_one(struct secret_refs *r, struct doc *d)
{
    _cleanup_(secret_free) struct secret was = {0};
    int64_t old = co_set_deadline(loop_now() + REF_DEADLINE);
    bool renewed = false;

    if (sem_take(&d->busy, loop_now() + REF_DEADLINE) == 0) {
        (void)secret_set(&was, secret_reveal(&d->body));
        renewed = d->lease_id && hashicorp_renew(r, d, d->err) == 0;
        if (renewed)
            set_due(r, d);
        else if (read_now(r, d) < 0)
            complain(d);
        sem_give(&d->busy);
    }
    co_set_deadline(old);
    return !renewed && secret_is_set(&was) && !secret_eq(&d->body, secret_reveal(&was));
}

static int64_t next_due(const struct secret_refs *r)
{
    int64_t due = r->token.due;

    for (const struct doc *d = r->docs; d; d = d->next)
        due = MIN(due, d->due);
    return due;
}

void ref_keep(void *refs)
{
    struct secret_refs *r = refs;

    while (!co_cancelled()) {
        bool changed = false;
        event_reset(&r->more);
        int64_t old = co_set_deadline(loop_now() + REF_DEADLINE);
        hashicorp_keep_token(r);
        co_set_deadline(old);
        for (struct doc *d = r->docs; d && !co_cancelled(); d = d->next)
            if (d->due <= loop_now())
                changed |= keep_one(r, d);
        http_client_close_idle();
        if (changed && r->changed)
            r->changed(r->ctx);
        if (next_due(r) > loop_now())
            (void)event_wait(&r->more, next_due(r));
    }
}
