/*
 * Thinking in OpenAI's chat dialect, which has no place for it, so that many were invented:
 *
 *   reasoning_content   a text: DeepSeek, vLLM, xAI, and what we show
 *   reasoning           the same: Groq, Ollama
 *   reasoning_details   OpenRouter, Vercel: a list with signatures and encrypted data
 *   thinking_blocks     LiteLLM, and what we show: Anthropic's blocks as they are
 *   content[]           Mistral: parts of type "thinking"
 *
 * All are read, in requests and replies. To a client goes reasoning_content, and thinking_blocks
 * where something was signed; a client that gives them back continues with any provider.
 */
#include "translate/chat_int.h"

#include <errno.h>

bool chat_has_kind(const struct canon_part *parts, enum canon_part_kind kind)
{
    for (; parts; parts = parts->next)
        if (parts->kind == kind)
            return true;
    return false;
}

struct str chat_join(
    struct canon_call *c, const struct canon_part *parts, enum canon_part_kind kind, char between)
{
    struct str all = STR_NONE;
    unsigned n = 0;
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (p->kind != kind)
            continue;
        all = p->text.p ? p->text : STR("");
        n++;
    }
    if (n < 2)
        return all;
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, LIMIT_BODY_BYTES);
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (p->kind != kind)
            continue;
        if (between && text.n && p->text.n)
            buf_addc(&text, between);
        buf_addstr(&text, p->text);
    }
    all = arena_dup(c->arena, buf_str(&text));
    if (!all.p)
        canon_no_room(c);
    return all;
}

/* --- reading --- */

static const struct {
    struct str begins;
    enum canon_maker maker;
} formats[] = {
    {STR_INIT("anthropic-"), MAKER_ANTHROPIC},
    {STR_INIT("openai-"), MAKER_OPENAI},
    {STR_INIT("azure-openai-"), MAKER_OPENAI},
    {STR_INIT("google-"), MAKER_GEMINI},
};

enum canon_maker chat_maker_of_format(struct str format)
{
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (str_starts(format, formats[i].begins))
            return formats[i].maker;
    return MAKER_OTHER;
}

static int read_block(struct canon_call *c, yyjson_val *v, struct canon_part ***tail)
{
    bool redacted = str_eq(jr_get_str(v, "type"), STR("redacted_thinking"));
    if (!redacted && !str_eq(jr_get_str(v, "type"), STR("thinking")))
        return 0;
    struct canon_part *p =
        canon_add_part(c, tail, redacted ? PART_REDACTED_THINKING : PART_THINKING);
    if (!p)
        return -ENOMEM;
    if (redacted) {
        p->maker = canon_sign_in(c, CHAT_SIGNER, jr_get_str(v, "data"), &p->text);
        return 0;
    }
    p->text = jr_get_str(v, "thinking");
    p->maker = canon_sign_in(c, CHAT_SIGNER, jr_get_str(v, "signature"), &p->signature);
    return 0;
}

/* An element of reasoning_details; Gemini's signatures of calls are chat_sign_calls()'s. */
static int read_detail(struct canon_call *c, yyjson_val *v, struct canon_part ***tail)
{
    struct str type = jr_get_str(v, "type"), data = jr_get_str(v, "data");
    struct str text = jr_get_str(v, "text"), signature = jr_get_str(v, "signature");
    enum canon_maker maker = chat_maker_of_format(jr_get_str(v, "format"));
    bool encrypted = str_eq(type, STR("reasoning.encrypted"));
    if (!text.p)
        text = jr_get_str(v, "summary");
    if (encrypted ? !data.n || (maker == MAKER_GEMINI && jr_get_str(v, "id").n)
                  : !text.p && !signature.n)
        return 0;
    bool redacted = encrypted && maker == MAKER_ANTHROPIC;
    struct canon_part *p =
        canon_add_part(c, tail, redacted ? PART_REDACTED_THINKING : PART_THINKING);
    if (!p)
        return -ENOMEM;
    p->id = jr_get_str(v, "id");
    p->text = redacted ? data : text.p ? text : STR("");
    p->signature = redacted ? STR_NONE : encrypted ? data : signature;
    p->maker = redacted || p->signature.n ? maker : MAKER_NONE;
    return 0;
}

static int read_list(struct canon_call *c, yyjson_val *list, struct canon_part ***tail,
    int (*read)(struct canon_call *, yyjson_val *, struct canon_part ***))
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        int r = read(c, one, tail);
        if (r < 0)
            return r;
    }
    return 0;
}

int chat_read_thinking(struct canon_call *c, yyjson_val *message, struct canon_part ***tail)
{
    yyjson_val *blocks = yyjson_obj_get(message, "thinking_blocks");
    yyjson_val *details = yyjson_obj_get(message, "reasoning_details");
    if (yyjson_arr_size(blocks))
        return read_list(c, blocks, tail, read_block);
    if (yyjson_arr_size(details))
        return read_list(c, details, tail, read_detail);
    struct str text = jr_get_str(message, "reasoning_content");
    if (!text.n)
        text = jr_get_str(message, "reasoning");
    if (!text.n)
        return 0;
    struct canon_part *p = canon_add_part(c, tail, PART_THINKING);
    if (!p)
        return -ENOMEM;
    p->text = text;
    return 0;
}

static void sign_call(struct canon_part *parts, struct str id, struct str signature)
{
    for (struct canon_part *p = parts; p; p = p->next) {
        if (p->kind != PART_TOOL_CALL || !str_eq(p->id, id) || p->signature.n)
            continue;
        p->signature = signature;
        p->maker = MAKER_GEMINI;
        return;
    }
}

/* What chat_write_thinking() wrote for a text that Gemini had signed. */
static void sign_text(struct canon_part *parts)
{
    struct canon_part *text = NULL;
    for (struct canon_part *p = parts; p; p = p->next)
        if (p->kind == PART_TEXT)
            text = p;
    for (struct canon_part *p = parts; p && text; p = p->next) {
        if (p->kind != PART_THINKING || p->maker != MAKER_GEMINI || p->text.n || text->signature.n)
            continue;
        text->signature = p->signature;
        text->maker = MAKER_GEMINI;
        p->signature = STR_NONE;
        p->maker = MAKER_NONE;
    }
}

void chat_sign_calls(yyjson_val *message, struct canon_part *parts)
{
    yyjson_val *details = yyjson_obj_get(message, "reasoning_details"), *one;
    size_t i, n;
    yyjson_arr_foreach(details, i, n, one)
    {
        struct str data = jr_get_str(one, "data");
        if (data.n && chat_maker_of_format(jr_get_str(one, "format")) == MAKER_GEMINI)
            sign_call(parts, jr_get_str(one, "id"), data);
    }
    sign_text(parts);
}

/* --- writing to a client --- */

void chat_write_block(struct canon_call *c, const struct canon_part *p, struct jw *w)
{
    jw_open(w, '{');
    if (p->kind == PART_REDACTED_THINKING) {
        jw_member_str(w, "type", STR("redacted_thinking"));
        jw_member_str(w, "data", canon_sign_out(c, CHAT_SIGNER, p->maker, p->text));
    } else {
        jw_member_str(w, "type", STR("thinking"));
        jw_member_str(w, "thinking", p->kind == PART_THINKING && p->text.p ? p->text : STR(""));
        if (p->signature.n)
            jw_member_str(w, "signature", canon_sign_out(c, CHAT_SIGNER, p->maker, p->signature));
    }
    jw_close(w, '}');
}

static bool is_sealed(const struct canon_part *p)
{
    switch (p->kind) {
    case PART_REDACTED_THINKING:
        return true;
    case PART_THINKING:
    case PART_TEXT:
        return p->signature.n > 0;
    default:
        return false;
    }
}

void chat_write_thinking(struct canon_call *c, const struct canon_part *parts, struct jw *w)
{
    struct str text = chat_join(c, parts, PART_THINKING, 0);
    bool sealed = false;
    for (const struct canon_part *p = parts; p; p = p->next)
        sealed |= is_sealed(p);
    if (text.n)
        jw_member_str(w, "reasoning_content", text);
    if (!sealed)
        return;
    jw_key(w, "thinking_blocks");
    jw_open(w, '[');
    for (const struct canon_part *p = parts; p; p = p->next)
        if (is_sealed(p) || (p->kind == PART_THINKING && p->text.n))
            chat_write_block(c, p, w);
    jw_close(w, ']');
}

/* --- writing to a provider --- */

static struct str format_of(enum canon_maker m)
{
    switch (m) {
    case MAKER_ANTHROPIC:
        return STR("anthropic-claude-v1");
    case MAKER_OPENAI:
        return STR("openai-responses-v1");
    case MAKER_GEMINI:
        return STR("google-gemini-v1");
    default:
        return STR("unknown");
    }
}

static void put_detail(const struct canon_part *p, const char *type, const char *member,
    struct str value, unsigned *i, struct jw *w)
{
    jw_open(w, '{');
    jw_member_str(w, "type", str_of(type));
    jw_member_str(w, member, value);
    if (member[0] == 't' && p->signature.n)
        jw_member_str(w, "signature", p->signature);
    if (p->id.n)
        jw_member_str(w, "id", p->id);
    jw_member_str(w, "format", format_of(p->maker));
    jw_member_int(w, "index", (*i)++);
    jw_close(w, '}');
}

/* OpenRouter's elements for one part. */
static void put_details(const struct canon_part *p, unsigned *i, struct jw *w)
{
    bool calls = p->kind == PART_TOOL_CALL && p->signature.n && p->maker == MAKER_GEMINI;
    if (p->kind == PART_REDACTED_THINKING)
        put_detail(p, "reasoning.encrypted", "data", p->text, i, w);
    else if (calls)
        put_detail(p, "reasoning.encrypted", "data", p->signature, i, w);
    if (p->kind != PART_THINKING)
        return;
    if (p->maker == MAKER_ANTHROPIC || !p->signature.n) {
        put_detail(p, "reasoning.text", "text", p->text.p ? p->text : STR(""), i, w);
        return;
    }
    if (p->text.n)
        put_detail(p, "reasoning.summary", "summary", p->text, i, w);
    put_detail(p, "reasoning.encrypted", "data", p->signature, i, w);
}

static void write_details(const struct canon_part *parts, struct jw *w)
{
    unsigned i = 0;
    jw_key(w, "reasoning_details");
    jw_open(w, '[');
    for (const struct canon_part *p = parts; p; p = p->next)
        put_details(p, &i, w);
    jw_close(w, ']');
}

static bool has_thoughts(const struct canon_part *parts)
{
    for (; parts; parts = parts->next)
        if ((parts->kind == PART_THINKING && (parts->text.n || parts->signature.n)) ||
            parts->kind == PART_REDACTED_THINKING ||
            (parts->kind == PART_TOOL_CALL && parts->signature.n))
            return true;
    return false;
}

int chat_write_history(struct canon_call *c, const struct chat_quirks *k,
    const struct canon_part *parts, bool of_tools, struct jw *w)
{
    struct str text = chat_join(c, parts, PART_THINKING, 0);
    switch (k->history) {
    case HISTORY_DETAILS:
        if (has_thoughts(parts))
            write_details(parts, w);
        return 0;
    case HISTORY_OF_TOOLS: /* the others' it would not look at */
        if (of_tools && text.n)
            jw_member_str(w, "reasoning_content", text);
        return 0;
    case HISTORY_CONTENT:
    case HISTORY_REASONING:
        if (text.n)
            jw_member_str(
                w, k->history == HISTORY_CONTENT ? "reasoning_content" : "reasoning", text);
        return 0;
    case HISTORY_CHUNKS: /* it stands in the content */
        return 0;
    default:
        return text.n ? canon_drop(
                            c, STR("messages[].thinking"), "the provider takes no thinking back")
                      : 0;
    }
}
