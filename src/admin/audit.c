/*
 * The record of what administrators do: admin_audit() is the only place that writes it. An act goes
 * onto the journal, and the reply waits until it is on disk there. A row in the store mirrors it
 * for lists; if that fails the act is recorded nevertheless, and the log says so.
 *
 * A journal's entry holds integers and texts alone, and never a secret: of members whose names
 * speak of one the last four characters stay, at any depth.
 */
#include "admin/api_int.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "journal/journal.h"
#include "journal/payload.h"
#include "runtime/loop.h"
#include "store/store.h"
#include "text/utf8.h"
#include "json/scan.h"

#include <errno.h>
#include <stdlib.h>

#define CHANGES_MAX   64         /* members of one change */
#define CHANGES_BYTES (32 * KIB) /* beyond it only its hash is kept */
#define AUDIT_WAIT    (10 * NS_PER_S)
#define DEPTH_MAX     16

/* --- what may be recorded of a change --- */

static bool is_secret_name(struct str name)
{
    static const char *const ends[] = {"key", "token", "secret", "password", "passwd", "credential",
        "credentials", "webhook_url", "authorization"};

    if (name.n && memchr(name.p, '\\', name.n))
        return true; /* an escaped name is not looked into */
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        struct str end = str_of(ends[i]);
        if (name.n < end.n || !str_ieq(str_from(name, name.n - end.n), end))
            continue;
        if (name.n == end.n || name.p[name.n - end.n - 1] == '_' ||
            name.p[name.n - end.n - 1] == '-')
            return true;
    }
    return false;
}

/* A string literal of which only the end is told. */
static void put_hint(struct buf *out, struct str literal)
{
    char text[64];
    struct str inside = literal.n > 1 ? str_at(literal.p + 1, literal.n - 2) : STR_NONE;
    bool plain = inside.n >= 12 && !memchr(inside.p + inside.n - 5, '\\', 5);
    struct str tail = plain ? str_from(inside, inside.n - 4) : STR("");

    memcpy(text, "\xe2\x80\xa6", 3);
    memcpy(text + 3, tail.p, tail.n);
    struct str shown = str_at(text, 3 + tail.n);
    buf_addjson(out, utf8_valid(shown) ? shown : str_to(shown, 3));
}

static void put_redacted(struct buf *out, struct str name, struct str value, unsigned depth)
{
    enum json_type t = json_type_of(value);
    bool object = t == JSON_OBJECT;
    size_t at = json_inside(value);
    struct str key, item;

    if (is_secret_name(name) && t != JSON_NULL) {
        put_hint(out, t == JSON_STRING ? value : STR(""));
        return;
    }
    if ((!object && t != JSON_ARRAY) || depth == 0) {
        buf_addstr(out, depth ? value : STR("\"…\""));
        return;
    }
    buf_addc(out, object ? '{' : '[');
    for (bool first = true; json_next(value, &at, &key, &item); first = false) {
        if (!first)
            buf_addc(out, ',');
        if (object) {
            buf_addc(out, '"');
            buf_addstr(out, key);
            buf_addstr(out, STR("\":"));
        }
        put_redacted(out, object ? key : name, item, depth - 1);
    }
    buf_addc(out, object ? '}' : ']');
}

struct change {
    struct str name, value; /* raw */
};

static int by_name(const void *a, const void *b)
{
    struct str x = ((const struct change *)a)->name, y = ((const struct change *)b)->name;
    int c = memcmp(x.p, y.p, MIN(x.n, y.n));

    return c ? c : (x.n > y.n) - (x.n < y.n);
}

static unsigned collect(struct str json, struct change *at)
{
    size_t pos = json_inside(json);
    unsigned n = 0;

    while (n < CHANGES_MAX && json_next(json, &pos, &at[n].name, &at[n].value))
        n++;
    qsort(at, n, sizeof *at, by_name);
    return n;
}

/* Integers stay, strings stay, and all else becomes the text of its JSON. */
static void put_value(struct buf *out, const struct change *ch)
{
    _cleanup_(buf_free) struct buf text = {0};
    uint64_t ignored;

    buf_init(&text, MIB + 4 * KIB);
    put_redacted(&text, ch->name, ch->value, DEPTH_MAX);
    struct str v = buf_str(&text);
    enum json_type t = json_type_of(v);
    if (t == JSON_STRING ||
        (t == JSON_NUMBER && json_u64(v, &ignored) == 0 && ignored <= INT64_MAX))
        buf_addstr(out, v);
    else
        buf_addjson(out, v);
}

void admin_changes_text(struct str json, struct buf *out)
{
    struct change *list = calloc(CHANGES_MAX, sizeof *list);
    struct json_error err;
    enum json_type top;
    unsigned n = 0;

    if (list && json_scan(json, NULL, NULL, 0, &top, &err) == 0 && top == JSON_OBJECT)
        n = collect(json, list);
    buf_addc(out, '{');
    for (unsigned i = 0; i < n; i++) {
        if (i && str_eq(list[i].name, list[i - 1].name))
            continue;
        if (out->p[out->n - 1] != '{')
            buf_addc(out, ',');
        buf_addc(out, '"');
        buf_addstr(out, list[i].name);
        buf_addstr(out, STR("\":"));
        put_value(out, &list[i]);
    }
    buf_addc(out, '}');
    free(list);
}

/* --- the entry --- */

void admin_address(const struct admin_call *c, char out[static 64])
{
    net_addr_text(&c->client, out);
    char *port = strrchr(out, ':');
    if (port)
        *port = '\0';
}

struct act {
    int64_t at;
    const char *event, *action;
    struct str target, changes; /* changes: an object as a journal may hold it */
    char address[64];
};

static void too_much(struct str json, struct buf *out)
{
    char hex[SHA256_HEX];

    sha256_hex(json, hex);
    buf_clear(out);
    buf_printf(out, "{\"sha256\":\"%s\"}", hex);
}

static int write_payload(struct admin_call *c, const struct act *a, struct buf *out)
{
    _cleanup_(buf_free) struct buf text = {0};

    buf_init(&text, JOURNAL_PAYLOAD_BYTES);
    put_open(&text, NULL, '{');
    put_str(&text, "event", str_of(a->event));
    put_str(&text, "action", str_of(a->action));
    put_str(&text, "actor", c->who.actor);
    put_str(&text, "role", str_of(user_role_words[c->who.role]));
    put_str(&text, "target", a->target);
    put_str(&text, "address", str_of(a->address));
    put_str(&text, "request_id", str_of(c->id));
    put_int(&text, "at", a->at);
    put_raw(&text, "changes", a->changes);
    put_close(&text, '}');
    return text.err ? text.err : payload_canonical(buf_str(&text), out);
}

static int unrecorded(struct admin_call *c, int r)
{
    log_msg(LOG_ERROR, "%s: an administrator's act could not be put on the journal: %s", c->id,
        strerror(-r));
    c->error = (struct error){0};
    return admin_fail(c, 503, "journal_unavailable",
        "This was done, but could not be put on record. The journal needs attention.");
}

static void mirror(struct admin_call *c, const struct act *a, uint64_t seq)
{
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v[] = {store_text(c->env->node), store_int((int64_t)seq),
        store_int(a->at), store_text(str_of(a->event)), store_text(str_of(a->action)),
        store_text(c->who.actor), store_text(str_of(user_role_words[c->who.role])),
        store_text(a->target), store_text(str_of(a->address)), store_text(str_of(c->id)),
        store_text(a->changes)};
    int r = c->env->store
                ? store_exec(c->env->store,
                      "INSERT INTO admin_acts (chain, seq, at, event, action, actor, role, "
                      "target, address, request_id, changes) VALUES (?1, ?2, ?3, ?4, ?5, "
                      "?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (chain, seq) DO NOTHING",
                      v, ARRAY_LEN(v), NULL, err)
                : 0;

    if (r < 0)
        log_msg(LOG_WARN, "%s: the act is on the journal, but not in the store's list: %s", c->id,
            *err ? err : strerror(-r));
}

static int record(struct admin_call *c, const struct act *a)
{
    _cleanup_(buf_free) struct buf payload = {0};
    struct journal_ticket ticket;

    if (!c->env->journal) { /* switched off: the store's list is all there is */
        mirror(c, a, (uint64_t)a->at);
        return 0;
    }
    buf_init(&payload, JOURNAL_PAYLOAD_BYTES);
    int r = write_payload(c, a, &payload);
    if (r == 0)
        r = journal_append(c->env->journal, JOURNAL_OTHER, buf_str(&payload), &ticket);
    if (r == 0)
        r = journal_wait(c->env->journal, &ticket, clock_now() + AUDIT_WAIT);
    if (r == 0)
        mirror(c, a, journal_seq_of(c->env->journal, &ticket));
    return r;
}

bool admin_can_audit(struct admin_call *c)
{
    if (c->env->journal ? journal_is_well(c->env->journal)
                        : c->config->journal_mode == JOURNAL_MODE_OFF)
        return true;
    admin_fail(c, 503, "journal_unavailable",
        "Nothing can be changed while the journal cannot take a record of it.");
    return false;
}

int admin_audit(struct admin_call *c, const char *event, const char *action, struct str target,
    struct str changes)
{
    _cleanup_(buf_free) struct buf text = {0};
    struct act a = {.at = clock_wall(), .event = event, .action = action, .target = target};

    buf_init(&text, 2 * MIB);
    admin_changes_text(changes, &text);
    if (text.err || text.n > CHANGES_BYTES)
        too_much(changes, &text);
    a.changes = buf_str(&text);
    admin_address(c, a.address);
    c->audited = true;
    int r = record(c, &a);
    return r < 0 ? unrecorded(c, r) : 0;
}
