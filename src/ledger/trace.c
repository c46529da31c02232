/*
 * Reading a call's entries. The first stands where the row says, further attempts soon behind it;
 * the outcome may stand far from them, so it is looked up by itself. See ledger/trace.h.
 */
#include "ledger/trace.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/macros.h"
#include "http/sse.h"
#include "journal/journal.h"
#include "runtime/co.h"
#include "runtime/offload.h"
#include "json/scan.h"

#include <errno.h>

#define LOOK_BEHIND 4096 /* entries behind the first, in which further attempts are looked for */
#define PROOF_BYTES ((size_t)256 << 10)

void trace_init(struct trace *t)
{
    *t = (struct trace){0};
    buf_init(&t->attempts, TRACE_ATTEMPTS_MAX * (JOURNAL_PAYLOAD_BYTES + 64));
    buf_init(&t->outcome, JOURNAL_PAYLOAD_BYTES);
    buf_init(&t->line, JOURNAL_PAYLOAD_BYTES + 4 * KIB);
    buf_init(&t->proof, PROOF_BYTES);
}

void trace_free(struct trace *t)
{
    buf_free(&t->attempts);
    buf_free(&t->outcome);
    buf_free(&t->line);
    buf_free(&t->proof);
}

/* --- entries --- */

struct job {
    const char *dir;
    uint64_t open_seq, seq;
    struct str id;
    struct trace *out;
};

static bool is_of_call(struct str payload, struct str id)
{
    struct str v = json_find(payload, STR("id"));

    return v.n == id.n + 2 && str_eq(str_at(v.p + 1, id.n), id);
}

static int add_attempt(struct buf *out, const struct journal_entry *e)
{
    return buf_printf(out, "%s{\"seq\":%llu,\"payload\":" STR_FMT "}", out->n > 1 ? "," : "",
        (unsigned long long)e->seq, STR_ARG(e->payload));
}

static int read_attempts(struct job *job)
{
    struct journal_reader *reader;
    struct journal_entry e;
    unsigned found = 0;
    int r = job->open_seq ? journal_reader_open(job->dir, job->open_seq, &reader) : -ENOENT;

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    uint64_t last = MIN(job->seq, job->open_seq + LOOK_BEHIND);
    while (r == 0 && found < TRACE_ATTEMPTS_MAX && journal_reader_next(reader, &e) == 1 &&
           e.seq < last)
        if (is_of_call(e.payload, job->id)) {
            r = add_attempt(&job->out->attempts, &e);
            found++;
        }
    journal_reader_close(reader);
    return r;
}

static int read_outcome(struct job *job)
{
    struct journal_reader *reader;
    struct journal_entry e;
    struct trace *t = job->out;
    int r = journal_reader_open(job->dir, job->seq, &reader);

    if (r < 0)
        return r;
    r = journal_reader_next(reader, &e);
    if (r == 1 && (e.seq != job->seq || !is_of_call(e.payload, job->id)))
        r = 0;
    if (r == 1)
        r = buf_addstr(&t->outcome, e.payload) < 0 || buf_addstr(&t->line, e.line) < 0 ? -ENOBUFS
                                                                                       : 1;
    journal_reader_close(reader);
    return r == 1 ? 0 : r < 0 ? r : -ENOENT;
}

static int work(void *data)
{
    struct job *job = data;

    buf_addc(&job->out->attempts, '[');
    int r = read_attempts(job);
    buf_addc(&job->out->attempts, ']');
    if (r == 0)
        r = read_outcome(job);
    if (r == 0 && journal_prove(job->dir, job->seq, &job->out->proof) < 0)
        buf_clear(&job->out->proof); /* no checkpoint covers it yet */
    return r;
}

static struct str text_member(struct str object, struct str name)
{
    struct str v = json_find(object, name);

    return v.n > 1 && v.p[0] == '"' ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

int trace_read(const char *dir, uint64_t open_seq, uint64_t seq, struct str id, struct trace *ret)
{
    struct job job = {dir, open_seq, seq, id, ret};

    co_mask_cancel(); /* what the job works on lies here */
    int r = co_self() ? offload_run(work, &job, NULL, NEVER_NS) : work(&job);
    co_unmask_cancel();
    struct str line = buf_str(&ret->line);
    ret->entry_hmac = text_member(line, STR("entry_hmac"));
    ret->prev_hash = text_member(line, STR("prev_hash"));
    ret->key_id = text_member(line, STR("key_id"));
    return r;
}

/* --- streams --- */

static int add_text(struct buf *out, struct str literal)
{
    if (literal.n < 2 || literal.p[0] != '"')
        return 0;
    int r = buf_reserve(out, literal.n);
    ptrdiff_t n = r < 0 ? 0 : json_unescape(literal, out->p + out->n);
    if (n > 0)
        out->n += (size_t)n;
    return r;
}

static struct str first_item(struct str array)
{
    size_t at = json_inside(array);
    struct str key, item = STR_NONE;

    return at && json_next(array, &at, &key, &item) ? item : STR_NONE;
}

static int add_parts(struct buf *out, struct str parts)
{
    size_t at = json_inside(parts);
    struct str key, part;
    int r = 0;

    while (r == 0 && at && json_next(parts, &at, &key, &part))
        r = add_text(out, json_find(part, STR("text")));
    return r;
}

/* OpenAI's chat and completions, its responses, Anthropic's messages, Gemini. */
static int add_event(struct buf *out, struct str data)
{
    struct json_error err;
    enum json_type top;

    if (json_scan(data, NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT)
        return 0;
    struct str choice = first_item(json_find(data, STR("choices")));
    struct str candidate = first_item(json_find(data, STR("candidates")));
    struct str type = text_member(data, STR("type"));
    if (choice.n) {
        int r = add_text(out, json_find(choice, STR("delta.content")));
        return r < 0 ? r : add_text(out, json_find(choice, STR("text")));
    }
    if (candidate.n)
        return add_parts(out, json_find(candidate, STR("content.parts")));
    if (str_eq(type, STR("response.output_text.delta")))
        return add_text(out, json_find(data, STR("delta")));
    if (str_eq(type, STR("content_block_delta")))
        return add_text(out, json_find(data, STR("delta.text")));
    return 0;
}

int trace_assemble(struct str events, struct buf *out)
{
    struct sse_event e;
    struct sse s;
    int r, err = 0;

    sse_init(&s, LIMIT_SSE_EVENT_BYTES);
    while (err == 0 && (r = sse_next(&s, &events, &e)) == 1)
        err = add_event(out, e.data);
    sse_free(&s);
    return err;
}
