/*
 * Golden cases: what a client sends, the bytes that the upstream must see, what it answers, and the
 * bytes that the client must get. They are data, in tests/golden/; its README says how they are
 * written. Each stream is run whole, byte by byte, and cut in two at every offset (of large ones at
 * every seventh): the client's bytes must be the same each time.
 *
 *     translate_golden_test [WORD]     only the cases whose file or name holds the word
 */
#include "base/limits.h"
#include "base/tap.h"
#include "http/eventstream.h"
#include "llm/dialect.h"
#include "translate/golden_case_test.h"
#include "translate/jw.h"
#include "translate/stream.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define EVERY_CUT_BYTES ((size_t)8 * 1024)
#define OUT_MAX         (64 * MIB)

static const struct {
    struct str stem;
    const struct wire *wire;
    enum dialect dialect; /* of its errors */
} stems[] = {
    {STR_INIT("chat"), &wire_chat, DIALECT_OPENAI},
    {STR_INIT("responses"), &wire_responses, DIALECT_OPENAI},
    {STR_INIT("messages"), &wire_messages, DIALECT_ANTHROPIC},
    {STR_INIT("vertex"), &wire_messages_vertex, DIALECT_ANTHROPIC},
    {STR_INIT("invoke"), &wire_messages_bedrock, DIALECT_BEDROCK},
    {STR_INIT("gemini"), &wire_gemini, DIALECT_GEMINI},
    {STR_INIT("converse"), &wire_converse, DIALECT_BEDROCK},
    {STR_INIT("cohere"), &wire_cohere, DIALECT_COHERE},
    {STR_INIT("ollama"), &wire_ollama, DIALECT_OPENAI},
    {STR_INIT("replicate"), &wire_replicate, DIALECT_REPLICATE},
    {STR_INIT("completions"), &wire_completions, DIALECT_OPENAI},
};

/* The names of MODEL_… flags, in the order of their bits (llm/prices.h). */
static const char *const flag_names[] = {"vision", "tools", "parallel_tools", "reasoning", "pdf",
    "audio_in", "audio_out", "prompt_cache", "response_schema", "web_search", "prefill",
    "adaptive_thinking", "no_sampling", "max_completion_tokens", "thinking_always",
    "budget_thinking", "system_anywhere", "output_effort", "native_schema", "effort_xhigh",
    "effort_max", "video_in", "no_forced_tools", "no_effort_none", "no_effort_minimal", "no_system",
    "no_strict_tools", "no_tool_images"};

static const char *const setting_names[] = {"provider", "model", "shown", "facts", "max_output",
    "losses", "usage_asked", "now", "estimate", "request_id", "betas", "fault"};

/* The case that runs, and the file's pair of wires. */
static struct golden_case now;
static unsigned client_at, upstream_at;
static const char *file_name;
static bool failed;

/* One run of it. */
struct run {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    struct model_facts facts;
};

#define WRONG(...)                                                                                 \
    do {                                                                                           \
        failed = true;                                                                             \
        tap_fail(file_name, 0, __VA_ARGS__);                                                       \
    } while (0)

/* --- setting up --- */

static uint64_t number(const char *key, uint64_t otherwise)
{
    uint64_t n = otherwise;
    struct str v = golden_setting(&now, key);
    if (v.p && str_u64(v, &n) < 0)
        WRONG("setting %s is no number", key);
    return n;
}

static struct str word(const char *key, struct str otherwise)
{
    struct str v = golden_setting(&now, key);
    return v.p ? v : otherwise;
}

static void set_facts(struct run *r)
{
    struct str flags = golden_setting(&now, "facts");
    bool known = flags.p || golden_setting(&now, "max_output").p;
    if (str_eq(flags, STR("built-in"))) {
        r->c.facts = model_facts_find(r->c.provider, r->c.model);
        if (!r->c.facts)
            WRONG("there are no built-in facts of " STR_FMT, STR_ARG(r->c.model));
        return;
    }
    while (flags.p) {
        struct str flag = str_trim(str_split(&flags, ','));
        unsigned i = 0;
        while (flag.n && i < ARRAY_LEN(flag_names) && !str_eq(flag, str_of(flag_names[i])))
            i++;
        if (i == ARRAY_LEN(flag_names))
            WRONG("no flag is called " STR_FMT, STR_ARG(flag));
        else if (flag.n)
            r->facts.flags |= (uint32_t)1 << i;
    }
    r->facts.max_output = (uint32_t)number("max_output", 0);
    r->facts.mode = MODEL_CHAT;
    r->c.facts = known ? &r->facts : NULL;
}

static void check_settings(void)
{
    for (unsigned i = 0; i < now.settings_n; i++) {
        unsigned k = 0;
        while (k < ARRAY_LEN(setting_names) && !str_eq(now.keys[i], str_of(setting_names[k])))
            k++;
        if (k == ARRAY_LEN(setting_names))
            WRONG("no setting is called " STR_FMT, STR_ARG(now.keys[i]));
    }
}

static void run_open(struct run *r)
{
    *r = (struct run){0};
    arena_init(&r->arena, NULL, 0, 256 * MIB);
    canon_call_init(&r->c, &r->arena, &r->error);
    canon_request_init(&r->q);
    r->c.provider = word("provider", stems[upstream_at].stem);
    r->c.model = word("model", STR("target-model"));
    r->c.model_shown = word("shown", STR("asked-model"));
    r->c.request_id = word("request_id", STR("req_golden"));
    r->c.now = (int64_t)number("now", 1700000000);
    r->c.input_estimate = number("estimate", 10);
    r->c.usage_asked = str_eq(golden_setting(&now, "usage_asked"), STR("yes"));
    r->c.losses =
        str_eq(golden_setting(&now, "losses"), STR("refuse")) ? LOSSES_REFUSE : LOSSES_DECLARE;
    r->c.betas = golden_setting(&now, "betas");
    r->c.request = &r->q;
    set_facts(r);
}

static void run_close(struct run *r)
{
    arena_free(&r->arena);
}

/* --- comparing --- */

/* Shows the line in which two texts part, around that place. */
static void show_difference(const char *what, struct str got, struct str want)
{
    size_t at = 0, least = MIN(got.n, want.n), line = 1;
    while (at < least && got.p[at] == want.p[at])
        line += got.p[at++] == '\n';
    size_t from = at > 100 ? at - 100 : 0;
    WRONG("%s: differs at byte %zu, line %zu", what, at, line);
    struct str g = str_to(str_from(got, from), 300), w = str_to(str_from(want, from), 300);
    tap_fail(file_name, 0, "   got: %s" STR_FMT, from ? "..." : "", STR_ARG(g));
    tap_fail(file_name, 0, "wanted: %s" STR_FMT, from ? "..." : "", STR_ARG(w));
}

static void compare(const char *what, struct str got, struct str want)
{
    if (!str_eq(got, want))
        show_difference(what, got, want);
}

static struct str minified(struct run *r, const char *what, struct str text)
{
    const char *why;
    yyjson_val *v = jr_parse(&r->arena, text, &why);
    if (!v) {
        WRONG("%s: %s", what, why);
        tap_fail(file_name, 0, "it is: " STR_FMT, STR_ARG(str_to(text, 400)));
    }
    return v ? jr_raw(&r->arena, v) : STR_NONE;
}

static void compare_json(struct run *r, const char *what, struct str got, struct str want)
{
    struct str g = minified(r, what, got), w = minified(r, "the case's own JSON", str_trim(want));
    if (g.p && w.p)
        compare(what, g, w);
}

/* --- requests --- */

static int read_request(struct run *r)
{
    struct str body = str_trim(now.parts[GOLDEN_REQUEST]);
    if (!body.p || !body.n)
        return 0;
    int err = stems[client_at].wire->read_request(&r->c, body, &r->q);
    if (err < 0)
        return err;
    if (r->q.include_usage)
        r->c.usage_asked = true;
    if (!golden_setting(&now, "shown").p && r->q.model.n)
        r->c.model_shown = r->q.model;
    if (!golden_setting(&now, "model").p && r->q.model.n)
        r->c.model = r->q.model;
    return 0;
}

static void check_error(struct run *r, int err)
{
    struct str want = str_trim(now.parts[GOLDEN_ERROR]), status = str_split(&want, ' ');
    uint64_t n = 0;
    str_u64(status, &n);
    if (err == 0)
        WRONG("it passes, but is to fail with " STR_FMT, STR_ARG(now.parts[GOLDEN_ERROR]));
    else if (r->error.status != (int)n || (want.p && !str_eq(str_trim(want), r->error.param)))
        WRONG("the error is %d " STR_FMT " (" STR_FMT ")", r->error.status, STR_ARG(r->error.param),
            STR_ARG(r->error.message));
}

static void report_error(const struct run *r, const char *what, int err)
{
    WRONG("%s fails: %d, %d " STR_FMT ": " STR_FMT, what, err, r->error.status,
        STR_ARG(r->error.param), STR_ARG(r->error.message));
}

/* Of a request that must pass, losses are all named in the case. */
static void check_losses(struct run *r, bool strict)
{
    struct str want = now.parts[GOLDEN_DROPPED];
    if (want.p || strict)
        compare("dropped", canon_lost_names(&r->c), want.p ? str_trim(want) : STR(""));
}

static void run_request(struct run *r)
{
    _cleanup_(buf_free) struct buf out;
    buf_init(&out, OUT_MAX);
    int err = read_request(r);
    if (err == 0 && (now.parts[GOLDEN_UPSTREAM].p || now.parts[GOLDEN_ERROR].p))
        err = stems[upstream_at].wire->write_request(&r->c, &r->q, &out);
    if (now.parts[GOLDEN_ERROR].p) {
        check_error(r, err);
        return;
    }
    if (err < 0) {
        report_error(r, "the request", err);
        return;
    }
    if (!now.parts[GOLDEN_UPSTREAM].p)
        return;
    compare_json(r, "upstream", buf_str(&out), now.parts[GOLDEN_UPSTREAM]);
    bool later = now.parts[GOLDEN_REPLY].p && now.parts[GOLDEN_DROPPED].p;
    if (!later)
        check_losses(r, true);
}

/* --- replies --- */

static void run_reply(struct run *r)
{
    _cleanup_(buf_free) struct buf out;
    struct canon_reply reply = {0};
    buf_init(&out, OUT_MAX);
    int err = stems[upstream_at].wire->read_reply(&r->c, str_trim(now.parts[GOLDEN_REPLY]), &reply);
    if (err == 0)
        err = stems[client_at].wire->write_reply(&r->c, &reply, &out);
    if (err < 0) {
        report_error(r, "the reply", err);
        return;
    }
    compare_json(r, "client", buf_str(&out), now.parts[GOLDEN_CLIENT]);
    check_losses(r, false);
}

/* Within one dialect the provider's words stay, but for what its clients look for. */
static void word_error(struct run *r, struct error *e)
{
    const struct wire *client = stems[client_at].wire;
    if (client != stems[upstream_at].wire)
        wire_word_error(stems[client_at].dialect, client, &r->c, e);
    else if (client->word_error)
        client->word_error(&r->c, e);
}

/* The provider's error, "429 type" and its body below, in the client's dialect. */
static void run_failure(struct run *r)
{
    _cleanup_(buf_free) struct buf out;
    struct str body = now.parts[GOLDEN_FAILURE], line = str_trim(str_split(&body, '\n'));
    struct str status = str_split(&line, ' ');
    struct error e = {0};
    uint64_t n = 0;
    str_u64(status, &n);
    buf_init(&out, OUT_MAX);
    stems[upstream_at].wire->read_error(&r->c, (int)n, str_trim(line), str_trim(body), &e);
    struct str fault = golden_setting(&now, "fault");
    if (fault.p)
        compare("fault",
            str_of(wire_fault_name(wire_fault_of(e.status, e.code, e.type, e.message))), fault);
    word_error(r, &e);
    dialect_error_body(stems[client_at].dialect, &e, r->c.request_id, &out);
    compare_json(r, "client", buf_str(&out), now.parts[GOLDEN_CLIENT]);
}

/* --- streams --- */

/* "name TAB json" as a frame; '!' before the name makes it an exception. */
static void put_frame(struct buf *out, struct str line)
{
    struct str data = line, name = str_split(&data, '\t');
    bool exception = str_starts(name, STR("!"));
    name = str_from(name, exception);
    if (str_starts(name, STR(":")))
        name = str_from(name, 1);
    const struct eventstream_header headers[] = {
        {exception ? STR(":exception-type") : STR(":event-type"), EVENTSTREAM_STRING, name},
        {STR(":content-type"), EVENTSTREAM_STRING, STR("application/json")},
        {STR(":message-type"), EVENTSTREAM_STRING, exception ? STR("exception") : STR("event")},
    };
    if (!data.p)
        WRONG("a frame has no tab behind its name: " STR_FMT, STR_ARG(str_to(line, 80)));
    eventstream_write(out, headers, ARRAY_LEN(headers), data);
}

/* The section as the wire has it. A last line "<cut>" means that the body breaks off there. */
static void wire_bytes(enum wire_framing framing, struct str text, struct buf *out)
{
    text = str_trim(text);
    bool cut = str_ends(text, STR("<cut>"));
    if (cut)
        text.n -= 5;
    if (framing != FRAMES_EVENTSTREAM) {
        buf_addstr(out, text);
        struct str end = str_find(text, STR("\r\n")) < 0 ? STR("\n\n") : STR("\r\n\r\n");
        if (!cut && text.n)
            buf_addstr(out, framing == FRAMES_SSE ? end : STR("\n"));
        return;
    }
    while (text.p) {
        struct str line = str_split(&text, '\n');
        if (str_trim(line).n)
            put_frame(out, line);
    }
}

/* Frames for a client as lines, to compare them. */
static void frames_as_lines(struct buf *out)
{
    _cleanup_(buf_free) struct buf lines;
    struct str in = buf_str(out), event, data;
    struct canon_frames *f;
    int r;
    buf_init(&lines, OUT_MAX);
    must(canon_frames_new(FRAMES_EVENTSTREAM, &f) == 0);
    while ((r = canon_frames_next(f, &in, &event, &data)) > 0) {
        buf_addstr(&lines, event);
        buf_addc(&lines, '\t');
        buf_addstr(&lines, data);
        buf_addc(&lines, '\n');
    }
    if (r < 0)
        WRONG("client: its frames cannot be read");
    canon_frames_free(f);
    buf_clear(out);
    buf_addstr(out, buf_str(&lines));
}

static int feed(struct canon_stream *s, struct canon_frames *f, struct str piece, struct buf *out)
{
    struct str event, data;
    int r;
    while ((r = canon_frames_next(f, &piece, &event, &data)) > 0) {
        r = canon_stream_event(s, event, data, out);
        if (r < 0 || s->failed)
            return r;
    }
    return r;
}

static int end_feed(struct canon_stream *s, struct canon_frames *f, struct buf *out)
{
    struct str event, data;
    int r = canon_frames_end(f, &event, &data);
    if (r > 0)
        r = canon_stream_event(s, event, data, out);
    return r < 0 ? r : canon_stream_end(s, out);
}

/* How the gateway tells the client what went wrong behind the first token. */
static void tell_failure(struct run *r, struct canon_stream *s, struct buf *out)
{
    struct error e = {.status = 502,
        .code = STR("upstream_closed"),
        .message = STR("The provider's stream broke off before its end.")};
    if (s->failed)
        e = s->error;
    else if (r->error.status)
        e = r->error;
    if (!e.status)
        e.status = 502;
    if (s->failed)
        word_error(r, &e);
    canon_stream_fail(s, &e, out);
}

/* Lines of a stream may end in CR LF; files of cases do not. */
static void drop_returns(struct buf *text)
{
    size_t to = 0;
    for (size_t i = 0; i < text->n; i++)
        if (text->p[i] != '\r' || i + 1 == text->n || text->p[i + 1] != '\n')
            text->p[to++] = text->p[i];
    text->n = to;
}

/* The body in pieces: a first of so many bytes, then of step. */
static void run_stream(struct str body, size_t first, size_t step, struct buf *out)
{
    struct run r;
    struct canon_stream s;
    struct canon_frames *f;
    int err = 0;
    run_open(&r);
    if (read_request(&r) < 0)
        WRONG("the request of this stream cannot be read");
    must(canon_stream_open(&s, &r.c, stems[upstream_at].wire, stems[client_at].wire) == 0);
    must(canon_frames_new(stems[upstream_at].wire->framing, &f) == 0);
    for (size_t at = 0, n = first; at < body.n && err == 0 && !s.failed; at += n, n = step)
        err = feed(&s, f, str_to(str_from(body, at), n), out);
    if (err == 0 && !s.failed)
        err = end_feed(&s, f, out);
    if (err < 0 || s.failed)
        tell_failure(&r, &s, out);
    canon_frames_free(f);
    canon_stream_close(&s);
    run_close(&r);
    if (stems[client_at].wire->framing == FRAMES_EVENTSTREAM)
        frames_as_lines(out);
    drop_returns(out);
}

static void compare_cut(struct str body, struct str want, size_t first, size_t step)
{
    _cleanup_(buf_free) struct buf out;
    char what[64];
    buf_init(&out, OUT_MAX);
    run_stream(body, first, step, &out);
    snprintf(what, sizeof(what), "client, cut at byte %zu%s", first,
        step == 1 ? " and each behind it" : "");
    compare(what, buf_str(&out), want);
}

static void run_streams(void)
{
    _cleanup_(buf_free) struct buf body, want, whole;
    enum wire_framing to = stems[client_at].wire->framing;
    buf_init(&body, OUT_MAX);
    buf_init(&want, OUT_MAX);
    buf_init(&whole, OUT_MAX);
    wire_bytes(stems[upstream_at].wire->framing, now.parts[GOLDEN_STREAM], &body);
    wire_bytes(to == FRAMES_EVENTSTREAM ? FRAMES_LINES : to, now.parts[GOLDEN_CLIENT], &want);
    drop_returns(&want);
    run_stream(buf_str(&body), body.n, 1, &whole);
    compare("client", buf_str(&whole), buf_str(&want));
    if (failed)
        return;
    compare_cut(buf_str(&body), buf_str(&want), 1, 1);
    size_t stride = body.n > EVERY_CUT_BYTES ? 7 : 1;
    for (size_t cut = 1; cut < body.n && !failed; cut += stride)
        compare_cut(buf_str(&body), buf_str(&want), cut, body.n);
}

/* --- a case --- */

static void check_sections(void)
{
    const struct str *p = now.parts;
    int answers =
        (p[GOLDEN_REPLY].p != NULL) + (p[GOLDEN_STREAM].p != NULL) + (p[GOLDEN_FAILURE].p != NULL);
    if (answers > 1)
        WRONG("it has more than one of reply, stream and failure");
    if ((answers == 1) != (p[GOLDEN_CLIENT].p != NULL))
        WRONG("what comes back and what the client gets belong together");
    if ((p[GOLDEN_UPSTREAM].p || p[GOLDEN_ERROR].p) && !p[GOLDEN_REQUEST].p)
        WRONG("it has no request");
    if (!p[GOLDEN_UPSTREAM].p && !p[GOLDEN_ERROR].p && !answers)
        WRONG("it checks nothing");
}

static void run_case(void)
{
    struct run r;
    failed = false;
    if (now.wrong)
        WRONG("%s", now.wrong);
    check_settings();
    check_sections();
    if (failed)
        return;
    run_open(&r);
    run_request(&r);
    if (!failed && now.parts[GOLDEN_REPLY].p)
        run_reply(&r);
    if (!failed && now.parts[GOLDEN_FAILURE].p)
        run_failure(&r);
    run_close(&r);
    if (!failed && now.parts[GOLDEN_STREAM].p)
        run_streams();
}

/* --- files --- */

static int stem_at(struct str stem)
{
    for (unsigned i = 0; i < ARRAY_LEN(stems); i++)
        if (str_eq(stems[i].stem, stem))
            return (int)i;
    return -1;
}

static void no_such_pair(void)
{
    WRONG("the file's name is not <client>-<upstream>.cases of known wires");
}

static void run_file(const char *name, struct str wanted)
{
    char path[512], title[512];
    struct str upstream = str_of(name), client = str_split(&upstream, '-');
    upstream = str_split(&upstream, '.');
    struct str stem = str_split(&upstream, '-'); /* "chat-gemini-files.cases" is one, too */
    int from = stem_at(client), to = stem_at(stem);
    size_t n;
    file_name = name;
    if (from < 0 || to < 0) {
        tap_run(name, no_such_pair);
        return;
    }
    client_at = (unsigned)from;
    upstream_at = (unsigned)to;
    snprintf(path, sizeof(path), "golden/%s", name);
    char *text = tap_read(path, &n);
    for (struct str rest = str_at(text, n); golden_next(&rest, &now);) {
        snprintf(title, sizeof(title), "%s: " STR_FMT, name, STR_ARG(now.name));
        if (!wanted.n || str_find(str_of(title), wanted) >= 0)
            tap_run(title, run_case);
    }
    free(text);
}

static int is_cases(const struct dirent *d)
{
    return str_ends(str_of(d->d_name), STR(".cases"));
}

int main(int argc, char **argv)
{
    char path[512];
    struct dirent **found;
    const char *root = getenv("SF_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/tests/golden", root ? root : ".");
    int n = scandir(path, &found, is_cases, alphasort);
    for (int i = 0; i < n; i++) {
        run_file(found[i]->d_name, str_of(argc > 1 ? argv[1] : NULL));
        free(found[i]);
    }
    if (n >= 0)
        free(found);
    return tap_done();
}
