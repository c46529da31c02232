/*
 * What the demo provider says. The answer depends on the prompt and the directions alone: the tool
 * calls that the prompt provokes, else a text. Tokens are words, in prompts and in answers, so that
 * a stream and a plain reply report the same numbers and a test can count them.
 */
#include "demo/demo_int.h"

#include "crypto/digest.h"
#include "crypto/encode.h"
#include <stdlib.h>

void answer_free(struct answer *a)
{
    if (!a)
        return;
    buf_free(&a->text);
    for (unsigned i = 0; i < a->n_calls; i++)
        buf_free(&a->args[i]);
    free(a);
}

/* --- pieces of a text: runs of words with the white space before them --- */

static bool space_at(struct str s, size_t i)
{
    return s.p[i] == ' ' || (s.p[i] >= '\t' && s.p[i] <= '\r');
}

/* The length of the first n words; what follows the last word of all belongs to it. */
static size_t words_span(struct str s, uint64_t n, uint64_t all)
{
    size_t i = 0;
    if (n >= all)
        return s.n;
    for (; n > 0; n--) {
        while (i < s.n && space_at(s, i))
            i++;
        while (i < s.n && !space_at(s, i))
            i++;
    }
    return i;
}

struct str answer_piece(struct str *rest, uint64_t *words_left, size_t *pieces_left)
{
    uint64_t take = *pieces_left > 1 ? *words_left / *pieces_left : *words_left;
    if (*pieces_left > 1 && take == 0)
        take = 1;
    size_t n = *pieces_left > 1 ? words_span(*rest, take, *words_left) : rest->n;
    struct str piece = str_to(*rest, n);
    *rest = str_from(*rest, n);
    *words_left -= MIN(take, *words_left);
    *pieces_left -= *pieces_left > 0;
    return piece;
}

/* --- texts --- */

static bool is_credential(const struct http_field *f)
{
    static const char *const names[] = {"token", "secret", "key", "password", "signature"};
    if (f->id == HTTP_AUTHORIZATION || f->id == HTTP_PROXY_AUTHORIZATION || f->id == HTTP_COOKIE)
        return true;
    if (f->id == HTTP_SEC_WEBSOCKET_KEY || f->id == HTTP_IDEMPOTENCY_KEY)
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (has_folded(f->name, str_of(names[i])))
            return true;
    return false;
}

/* A credential shows only enough of its digest to tell two apart. */
static void echo_headers(struct demo_call *c, struct buf *out)
{
    const struct http_fields *f = &c->rq->head.fields;
    char hex[SHA256_HEX], shown[32];
    buf_addc(out, '{');
    for (unsigned i = 0; i < f->n; i++) {
        struct str value = f->at[i].value;
        if (is_credential(&f->at[i])) {
            sha256_hex(value, hex);
            memcpy(shown, "sha256:", 7);
            memcpy(shown + 7, hex, 12);
            value = str_at(shown, 19);
        }
        buf_addstr(out, i ? STR(",") : STR(""));
        buf_addjson(out, f->at[i].name);
        buf_addc(out, ':');
        buf_addjson(out, value);
    }
    buf_addc(out, '}');
}

static void sized_text(struct buf *out, size_t n)
{
    static const struct str lorem =
        STR_INIT("lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor ");
    if (buf_reserve(out, n) < 0)
        return;
    for (size_t left = n; left > 0;) {
        size_t part = MIN(left, lorem.n);
        buf_addstr(out, str_to(lorem, part));
        left -= part;
    }
    if (n > 0 && out->p[out->n - 1] == ' ')
        out->p[out->n - 1] = '.';
}

static void saw(struct buf *out, unsigned n, const char *what)
{
    if (n > 0)
        buf_printf(out, "I see %u %s%s. ", n, what, n > 1 ? "s" : "");
}

static void user_text(struct demo_call *c, struct buf *out)
{
    const struct prompt *p = &c->prompt;
    saw(out, p->images, "image");
    saw(out, p->audios, "audio clip");
    saw(out, p->files, "file");
    if (p->after_tool) {
        buf_addstr(out, STR("The tool said: "));
        buf_addstr(out, buf_str(&p->tool_result));
        return;
    }
    buf_addstr(out, STR("You said: "));
    buf_addstr(out, buf_str(&p->user));
}

static void json_text(struct demo_call *c, struct buf *out)
{
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, DEMO_OUT_MAX);
    if (c->prompt.schema.p) {
        sample_json(out, c->prompt.schema);
        return;
    }
    user_text(c, &text);
    buf_addstr(out, STR("{\"answer\": "));
    buf_addjson(out, buf_str(&text));
    buf_addc(out, '}');
}

static void compose(struct demo_call *c, struct buf *out)
{
    if (c->dir.echo == ECHO_HEADERS)
        echo_headers(c, out);
    else if (c->dir.echo == ECHO_BODY)
        buf_addstr(out, c->body);
    else if (c->dir.size >= 0)
        sized_text(out, MIN((size_t)c->dir.size, DEMO_SIZE_MAX));
    else if (c->prompt.wants_json)
        json_text(c, out);
    else
        user_text(c, out);
}

/* --- where the text ends --- */

static void cut_at_stop(struct answer *a, struct str literal)
{
    _cleanup_(buf_free) struct buf stop;
    buf_init(&stop, LIMIT_BODY_BYTES);
    add_decoded(&stop, literal);
    ptrdiff_t at = stop.n ? str_find(buf_str(&a->text), buf_str(&stop)) : -1;
    if (at < 0)
        return;
    a->text.n = (size_t)at;
    a->finish = FINISH_SEQUENCE;
    a->stop_text = literal;
}

static void stop_sequences(struct answer *a, struct str stop)
{
    struct str key, item;
    if (json_type_of(stop) == JSON_STRING)
        cut_at_stop(a, stop);
    if (json_type_of(stop) != JSON_ARRAY)
        return;
    for (size_t at = json_inside(stop); json_next(stop, &at, &key, &item);)
        cut_at_stop(a, item);
}

/* Longer than asked: cut. In fewer words than the chunks that are asked for: filled up. */
static void fit_text(struct demo_call *c, struct answer *a)
{
    uint64_t words = count_words(buf_str(&a->text)), chunks = 0, max = c->prompt.max_tokens;
    if (c->dir.chunks > 0)
        chunks = MIN((uint64_t)c->dir.chunks, (uint64_t)1000000);
    for (; words < chunks && c->dir.size < 0; words++)
        buf_addstr(&a->text, STR(" token"));
    if (max && words > max) {
        a->text.n = words_span(buf_str(&a->text), max, words);
        a->finish = FINISH_LENGTH;
        words = max;
    }
    a->tokens_out = words;
    a->pieces = MIN(words, chunks ? chunks : DEMO_PIECES);
    if (a->text.n && a->pieces == 0)
        a->pieces = 1;
}

static void say(struct demo_call *c, struct answer *a)
{
    compose(c, &a->text);
    stop_sequences(a, c->prompt.stop);
    fit_text(c, a);
}

/* --- tool calls --- */

static void call_tool(struct answer *a, const struct demo_tool *t)
{
    struct buf *args = &a->args[a->n_calls];
    buf_init(args, MIB);
    if (t->custom)
        buf_addstr(args, STR("demo input"));
    else if (t->schema.p)
        sample_json(args, t->schema);
    else
        buf_addstr(args, STR("{}"));
    a->calls[a->n_calls++] = *t;
    a->tokens_out += 1 + count_words(buf_str(args));
    a->finish = FINISH_TOOLS;
}

/* "use tools" calls all of them, "use tool NAME" that one, "use tool" the first. */
static void call_tools(
    struct answer *a, const struct prompt *p, const struct demo_tool *t, unsigned n)
{
    bool all = has_folded(buf_str(&p->user), STR("use tools")) && p->choice != TOOLS_NAMED;
    unsigned one = 0;
    for (unsigned i = n; i-- > 0;) {
        bool named = p->choice == TOOLS_NAMED ? str_eq(t[i].name, p->choice_name)
                                              : str_find(buf_str(&p->user), t[i].name) >= 0;
        one = named ? i : one;
    }
    if (p->choice == TOOLS_NAMED && !str_eq(t[one].name, p->choice_name))
        return;
    for (unsigned i = all ? 0 : one; i < (all ? n : one + 1); i++)
        call_tool(a, &t[i]);
}

static bool tools_wanted(const struct prompt *p)
{
    if (!p->tools.p || p->after_tool || p->choice == TOOLS_NONE)
        return false;
    return p->choice != TOOLS_AUTO || has_folded(buf_str(&p->user), STR("use tool"));
}

struct answer *answer_make(struct demo_call *c)
{
    struct answer *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    buf_init(&a->text, DEMO_OUT_MAX);
    if (tools_wanted(&c->prompt)) {
        struct demo_tool *t = calloc(DEMO_CALLS, sizeof(*t));
        unsigned n = t ? tools_read(c->prompt.tools, t, DEMO_CALLS) : 0;
        if (n > 0)
            call_tools(a, &c->prompt, t, n);
        free(t);
    }
    if (a->n_calls == 0)
        say(c, a);
    a->tokens_in = c->prompt.words;
    a->tokens_thought = c->prompt.thinking ? 4 : 0;
    a->tokens_out += a->tokens_thought;
    if (c->dir.usage_in >= 0)
        a->tokens_in = (uint64_t)c->dir.usage_in;
    if (c->dir.usage_out >= 0)
        a->tokens_out = (uint64_t)c->dir.usage_out;
    return a;
}
