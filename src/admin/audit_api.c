/*
 * The audit: acts of administrators as a list, the journal as it is written for whoever wants to
 * check it, and the checks themselves. What reads the journal's files does so on the offload pool,
 * a piece at a time.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "journal/journal.h"
#include "runtime/co.h"
#include "runtime/offload.h"
#include "store/store.h"
#include "json/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE_BYTES (512 * KIB)
#define LINE_BYTES  (1 * MIB)

/* Data lies on this call's memory, so the job is waited for whatever happens to the client. */
static int on_pool(int (*work)(void *), void *data)
{
    co_mask_cancel();
    int r = offload_run(work, data, NULL, NEVER_NS);
    co_unmask_cancel();
    return r;
}

/* --- acts --- */

static const struct field_row act_fields[] = {
    {"seq", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Its number on the journal.", NULL},
    {"chain_id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "Whose journal: the node's.", NULL},
    {"timestamp", FIELD_TIME, 0, 0, 0, 0, NULL, NULL, "When.", NULL},
    {"event", FIELD_TEXT, 0, 0, 0, 32, NULL, NULL, "The kind of the entry.", "\"key_event\""},
    {"action", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "What was done.", "\"vkey.create\""},
    {"actor", FIELD_TEXT, 0, 0, 0, 128, NULL, NULL, "By whom.", "\"admin\""},
    {"role", FIELD_WORD, 0, 0, 0, 0, user_role_words, NULL, "In which role.", NULL},
    {"target", FIELD_TEXT, 0, 0, 0, 256, NULL, NULL, "To what.", NULL},
    {"address", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "From where.", NULL},
    {"request_id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "In which call.", NULL},
    {"changes", FIELD_OBJECT, 0, 0, 0, 0, NULL, NULL, "The fields given, without secrets.", NULL},
};
static const struct admin_schema act_schema = {"Act", act_fields, ARRAY_LEN(act_fields), 0};

struct acts_query {
    int64_t start, end;
    struct str actor, action, target;
};
#define AT(member) offsetof(struct acts_query, member)
static const struct field_row acts_query_fields[] = {
    {"start", FIELD_TIME, 0, AT(start), 0, 0, NULL, NULL, "Not before this time.", NULL},
    {"end", FIELD_TIME, 0, AT(end), 0, 0, NULL, NULL, "Before this time.", NULL},
    {"actor", FIELD_TEXT, 0, AT(actor), 1, 128, NULL, NULL, "Only by this actor.", NULL},
    {"action", FIELD_TEXT, 0, AT(action), 1, 64, NULL, NULL, "Only this action.", NULL},
    {"target", FIELD_TEXT, 0, AT(target), 1, 256, NULL, NULL, "Only to this target.", NULL},
};
#undef AT
static const struct admin_schema acts_query = {
    NULL, acts_query_fields, ARRAY_LEN(acts_query_fields), sizeof(struct acts_query)};

static void put_act(struct buf *b, const struct store_rows *r, unsigned i)
{
    put_open(b, NULL, '{');
    put_int(b, "seq", store_cell_int(r, i, 1));
    put_str(b, "chain_id", store_cell_str(r, i, 0));
    put_time(b, "timestamp", store_cell_int(r, i, 2));
    put_str(b, "event", store_cell_str(r, i, 3));
    put_str(b, "action", store_cell_str(r, i, 4));
    put_str(b, "actor", store_cell_str(r, i, 5));
    put_str(b, "role", store_cell_str(r, i, 6));
    put_str(b, "target", store_cell_str(r, i, 7));
    put_str(b, "address", store_cell_str(r, i, 8));
    put_str(b, "request_id", store_cell_str(r, i, 9));
    put_raw(b, "changes", store_cell_str(r, i, 10));
    put_close(b, '}');
}

/* A cursor is "at:chain:seq" of the last act shown; the next is an older one. */
static bool read_cursor(struct str text, struct store_value v[static 3])
{
    uint64_t at, seq;
    struct str first = str_split(&text, ':'), chain = str_split(&text, ':');

    if (!text.p || str_u64(first, &at) < 0 || str_u64(text, &seq) < 0 || at > INT64_MAX ||
        seq > INT64_MAX)
        return false;
    v[0] = store_int((int64_t)at);
    v[1] = store_text(chain);
    v[2] = store_int((int64_t)seq);
    return true;
}

static int acts_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct acts_query *q = c->query;
    char err[STORE_ERR_BYTES] = "";
    struct store_value v[9] = {store_int(INT64_MAX), store_text(STR("")), store_int(0),
        store_int(q->start), store_int(q->end ? q->end : INT64_MAX), store_text(q->actor),
        store_text(q->action), store_text(q->target), store_int((int64_t)p->limit + 1)};
    (void)ctx;

    if (p->cursor.n && !read_cursor(p->cursor, v))
        return admin_bad(c, "cursor", "cursor is not of this list.");
    int r = store_query(c->env->store,
        "SELECT chain, seq, at, event, action, actor, role, target, address, request_id, changes "
        "FROM admin_acts WHERE (at < ?1 OR (at = ?1 AND (chain < ?2 OR (chain = ?2 AND seq < "
        "?3)))) "
        "AND at >= ?4 AND at < ?5 AND (?6 = '' OR actor = ?6) AND (?7 = '' OR action = ?7) "
        "AND (?8 = '' OR target = ?8) ORDER BY at DESC, chain DESC, seq DESC LIMIT ?9",
        v, ARRAY_LEN(v), &rows, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    unsigned n = MIN(store_rows_n(rows), p->limit);
    for (unsigned i = 0; i < n; i++)
        put_act(p->items, rows, i);
    if (store_rows_n(rows) > n)
        p->next = arena_printf(&c->arena, "%" PRId64 ":" STR_FMT ":%" PRId64,
            store_cell_int(rows, n - 1, 2), STR_ARG(store_cell_str(rows, n - 1, 0)),
            store_cell_int(rows, n - 1, 1));
    return 0;
}

static int acts(struct admin_call *c)
{
    return c->env->store ? admin_list(c, acts_page, NULL) : admin_store_fail(c, -EHOSTDOWN, NULL);
}

/* --- the journal as it is --- */

static int no_journal(struct admin_call *c)
{
    return admin_fail(c, 503, "journal_unavailable", "There is no journal on this node.");
}

struct range {
    int64_t from, to;
};
static const struct field_row range_fields[] = {
    {"from", FIELD_INT, FIELD_CREATE, offsetof(struct range, from), 1, INT64_MAX, NULL, NULL,
        "The first entry, by number; the first of all when not given.", "1"},
    {"to", FIELD_INT, FIELD_CREATE, offsetof(struct range, to), 1, INT64_MAX, NULL, NULL,
        "The last entry; the newest when not given.", NULL},
};
static const struct admin_schema range_query = {
    NULL, range_fields, ARRAY_LEN(range_fields), sizeof(struct range)};

struct export_job {
    struct journal_reader *reader;
    uint64_t to;
    struct buf piece;
    bool end;
};

static int read_piece(void *data)
{
    struct export_job *x = data;
    struct journal_entry e;
    int r = 1;

    while (x->piece.n < PIECE_BYTES && (r = journal_reader_next(x->reader, &e)) == 1) {
        if (e.seq > x->to) {
            r = 0;
            break;
        }
        buf_addstr(&x->piece, e.line);
        buf_addc(&x->piece, '\n');
    }
    x->end = r == 0;
    return r < 0 ? r : x->piece.err;
}

static int export_begin(struct admin_call *c)
{
    _cleanup_(buf_free) struct buf fields = {0};

    buf_init(&fields, LIMIT_HEAD_BYTES);
    buf_addstr(&c->fields,
        STR("content-disposition: attachment; filename=\"smartflow-journal.jsonl\"\r\n"));
    admin_reply_fields(c, STR("application/x-ndjson"), &fields);
    c->replied = true;
    return http_reply_begin(c->rq, 200, buf_str(&fields), HTTP_LENGTH_UNKNOWN);
}

static int export_pieces(struct admin_call *c, struct export_job *x)
{
    int r = 0;

    for (bool first = true; r == 0 && !x->end; first = false) {
        buf_clear(&x->piece);
        r = on_pool(read_piece, x);
        if (r == 0 && first)
            r = export_begin(c);
        if (r == 0 && x->piece.n)
            r = http_reply_write(c->rq, buf_str(&x->piece));
    }
    return r;
}

static int export_lines(struct admin_call *c)
{
    const struct range *q = c->query;
    struct export_job x = {.to = q->to ? (uint64_t)q->to : UINT64_MAX};

    if (!c->env->journal || !c->env->journal_dir)
        return no_journal(c);
    if (q->to && q->from > q->to)
        return admin_bad(c, "from", "from must not be greater than to.");
    int r = journal_reader_open(c->env->journal_dir, q->from ? (uint64_t)q->from : 1, &x.reader);
    if (r < 0)
        return r == -ENOENT ? no_journal(c) : r;
    buf_init(&x.piece, PIECE_BYTES + LINE_BYTES);
    r = export_pieces(c, &x);
    buf_free(&x.piece);
    journal_reader_close(x.reader);
    if (!c->replied)
        return r;
    if (r < 0)
        http_reply_abort(c->rq);
    else
        http_reply_end(c->rq, STR_NONE);
    return 0;
}

/* --- proving --- */

struct verify_body {
    struct str chain_id;
    int64_t from, to;
};
static const struct field_row verify_fields[] = {
    {"chain_id", FIELD_TEXT, FIELD_CREATE, offsetof(struct verify_body, chain_id), 0, 64, NULL,
        NULL, "This node's chain; each node checks its own.", NULL},
    {"from", FIELD_INT, FIELD_CREATE, offsetof(struct verify_body, from), 0, INT64_MAX, NULL, NULL,
        "The first entry.", NULL},
    {"to", FIELD_INT, FIELD_CREATE, offsetof(struct verify_body, to), 0, INT64_MAX, NULL, NULL,
        "The last entry.", NULL},
};
static const struct admin_schema verify_body = {
    "Verify", verify_fields, ARRAY_LEN(verify_fields), sizeof(struct verify_body)};

static const struct field_row check_fields[] = {
    {"valid", FIELD_BOOL, 0, 0, 0, 0, NULL, NULL, "Whether nothing was tampered with.", NULL},
    {"result", FIELD_TEXT, 0, 0, 0, 16, NULL, NULL, "clean, warn, tampered or unreadable.", NULL},
    {"from_seq", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "The first entry that was read.", NULL},
    {"to_seq", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "The last.", NULL},
    {"entries_checked", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "How many.", NULL},
    {"hmac_mismatches", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Entries that were changed.", NULL},
    {"prev_hash_breaks", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Places where the chain is cut.", NULL},
    {"missing", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Numbers that are not there.", NULL},
    {"duplicates", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Numbers that are there twice.", NULL},
    {"first_bad", FIELD_TEXT, 0, 0, 0, 0, NULL, NULL, "What is wrong first.", NULL},
};
static const struct admin_schema check_schema = {
    "Chain_check", check_fields, ARRAY_LEN(check_fields), 0};

struct verify_job {
    struct journal_verify_settings set;
    struct journal_check check;
    char keys[4096], err[256];
    int verdict;
};

static int verify_work(void *data)
{
    struct verify_job *j = data;

    j->verdict = journal_verify(&j->set, &j->check, j->err, sizeof j->err);
    return 0;
}

static void put_check(struct admin_call *c, const struct verify_job *j)
{
    static const char *const words[] = {"clean", "warn", "tampered", "unreadable"};
    const struct journal_check *k = &j->check;
    struct buf *b = &c->out;
    int verdict = j->verdict < 0 || j->verdict > 3 ? 3 : j->verdict;

    put_open(b, NULL, '{');
    put_bool(b, "valid", verdict < 2);
    put_str(b, "result", str_of(words[verdict]));
    put_str_or_null(b, "chain_id", c->env->node);
    put_int(b, "from_seq", (int64_t)k->from_seq);
    put_int(b, "to_seq", (int64_t)k->to_seq);
    put_int(b, "entries_checked", (int64_t)k->entries_checked);
    put_int(b, "unsigned_entries", (int64_t)k->unsigned_entries);
    put_int(b, "signed", (int64_t)k->signed_entries);
    put_int(b, "missing", (int64_t)k->missing);
    put_int(b, "duplicates", (int64_t)k->duplicates);
    put_int(b, "hmac_mismatches", (int64_t)k->hmac_mismatches);
    put_int(b, "prev_hash_breaks", (int64_t)k->prev_hash_breaks);
    put_int(b, "entries_without_seq", (int64_t)k->entries_without_seq);
    put_int(b, "checkpoints_checked", (int64_t)k->checkpoints_checked);
    put_int(b, "checkpoint_failures", (int64_t)k->checkpoint_failures);
    if (k->first_bad_seq)
        put_int(b, "first_bad_seq", (int64_t)k->first_bad_seq);
    else
        put_null(b, "first_bad_seq");
    put_str_or_null(b, "first_bad", str_of(k->first_bad[0] ? k->first_bad : j->err));
    put_close(b, '}');
}

static int verify(struct admin_call *c)
{
    const struct verify_body *body = c->body;
    struct verify_job *j = arena_new(&c->arena, struct verify_job);

    if (!c->env->journal || !c->env->journal_dir)
        return no_journal(c);
    if (body->chain_id.n && !str_eq(body->chain_id, c->env->node))
        return admin_bad(c, "chain_id", "chain_id must be this node's, " STR_FMT ": ask the other.",
            STR_ARG(c->env->node));
    if (body->to && body->from > body->to)
        return admin_bad(c, "from", "from must not be greater than to.");
    if (!j)
        return -ENOMEM;
    snprintf(j->keys, sizeof j->keys, "%s/keys.json", c->env->journal_dir);
    j->set = (struct journal_verify_settings){.path = c->env->journal_dir,
        .keys = j->keys,
        .from = (uint64_t)body->from,
        .to = (uint64_t)body->to};
    int r = on_pool(verify_work, j);
    if (r == 0)
        put_check(c, j);
    return r;
}

struct proof_query {
    int64_t seq;
};
static const struct field_row proof_fields[] = {
    {"seq", FIELD_INT, FIELD_REQUIRED, offsetof(struct proof_query, seq), 1, INT64_MAX, NULL, NULL,
        "The number of the entry.", "1"},
};
static const struct admin_schema proof_query = {
    NULL, proof_fields, ARRAY_LEN(proof_fields), sizeof(struct proof_query)};

struct proof_job {
    const char *dir;
    uint64_t seq;
    struct buf *out;
};

static int proof_work(void *data)
{
    struct proof_job *j = data;

    return journal_prove(j->dir, j->seq, j->out);
}

static int proof(struct admin_call *c)
{
    const struct proof_query *q = c->query;
    struct proof_job j = {c->env->journal_dir, (uint64_t)q->seq, &c->out};

    if (!c->env->journal || !c->env->journal_dir)
        return no_journal(c);
    int r = on_pool(proof_work, &j);
    if (r == -ENOENT || r == -ENODATA || r == -EAGAIN)
        return admin_fail(c, 404, "not_found",
            "Entry %lld is not there, or not under a checkpoint yet.", (long long)q->seq);
    return r;
}

/* --- checkpoints: the lines of a file, oldest first; a cursor is an offset into it --- */

struct lines_job {
    char path[4096];
    int64_t from, next; /* next 0: the end was reached */
    unsigned limit;
    struct buf *out; /* items */
};

static int lines_work(void *data)
{
    struct lines_job *j = data;
    FILE *f = fopen(j->path, "re");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = 0;
    unsigned items = 0;

    if (!f)
        return errno == ENOENT ? 0 : -errno;
    if (fseeko(f, j->from, SEEK_SET) < 0)
        n = -1;
    while (n >= 0 && items < j->limit && (n = getline(&line, &cap, f)) > 0) {
        struct json_error err;
        enum json_type top;
        struct str text = str_trim(str_at(line, (size_t)n));
        if (json_scan(text, NULL, NULL, 0, &top, &err) == 0 && top == JSON_OBJECT)
            put_raw(j->out, NULL, text);
        items++;
        j->next = ftello(f);
    }
    if (n <= 0 || getc(f) == EOF)
        j->next = 0;
    free(line);
    fclose(f);
    return 0;
}

static int checkpoints_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    struct lines_job *j = arena_new(&c->arena, struct lines_job);
    uint64_t from = 0;
    (void)ctx;

    if (!j)
        return -ENOMEM;
    if (p->cursor.n && (str_u64(p->cursor, &from) < 0 || from > INT64_MAX))
        return admin_bad(c, "cursor", "cursor is not of this list.");
    snprintf(j->path, sizeof j->path, "%s/checkpoints.jsonl", c->env->journal_dir);
    j->from = (int64_t)from;
    j->limit = p->limit;
    j->out = p->items;
    int r = on_pool(lines_work, j);
    if (r == 0 && j->next)
        p->next = arena_printf(&c->arena, "%" PRId64, j->next);
    return r;
}

static int checkpoints(struct admin_call *c)
{
    if (!c->env->journal || !c->env->journal_dir)
        return no_journal(c);
    return admin_list(c, checkpoints_page, NULL);
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/audit/logs",
        .may = MAY_VIEW,
        .handle = acts,
        .query = &acts_query,
        .reply = &act_schema,
        .name = "logs",
        .list = true,
        .flags = ADMIN_EXTRAS,
        .tag = "Audit",
        .summary = "Acts of administrators, newest first"},
    {.method = HTTP_GET,
        .path = "/api/audit/export",
        .may = MAY_VIEW,
        .handle = export_lines,
        .query = &range_query,
        .media = "application/x-ndjson",
        .tag = "Audit",
        .summary = "The journal of this node as it is written, for a verifier"},
    {.method = HTTP_POST,
        .path = "/api/admin/audit/verify_chain",
        .may = MAY_VIEW,
        .handle = verify,
        .body = &verify_body,
        .reply = &check_schema,
        .name = "verification",
        .flags = ADMIN_BODY_OPTIONAL | ADMIN_UNRECORDED | ADMIN_EXTRAS,
        .tag = "Audit",
        .summary = "Verify the journal of this node"},
    {.method = HTTP_GET,
        .path = "/api/admin/audit/checkpoints",
        .may = MAY_VIEW,
        .handle = checkpoints,
        .name = "checkpoints",
        .list = true,
        .tag = "Audit",
        .summary = "The signed checkpoints of this node's journal, oldest first"},
    {.method = HTTP_GET,
        .path = "/api/admin/audit/proof",
        .may = MAY_VIEW,
        .handle = proof,
        .query = &proof_query,
        .name = "proof",
        .tag = "Audit",
        .summary = "Prove that an entry lies under its checkpoint"},
};
const struct admin_rows admin_audit_rows = {rows, ARRAY_LEN(rows)};
