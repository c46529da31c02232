/*
 * Tools in OpenAI's chat dialect: their declarations and the choice among them, the calls that
 * stand in messages, and what some providers do not take of it: long or foreign ids and names, and
 * free-form ("custom") tools, which become functions of one text. Nothing is kept between request
 * and reply: names are found again in the request's tools, and ids that were changed are those of
 * earlier turns, which no reply names.
 */
#include "translate/chat.h"
#include "translate/chat_int.h"

#include "crypto/digest.h"

#include <errno.h>

#define NAME_MAX_BYTES 64
#define ID_BYTES_MAX   40 /* OpenAI refuses longer ones */
#define SHORT_ID_BYTES 9

int chat_fail_at(
    struct canon_call *c, const struct chat_at *at, const char *member, const char *why)
{
    struct str place = arena_printf(c->arena, "messages[%u]", at->message);
    if (at->list)
        place = arena_printf(c->arena, STR_FMT ".%s[%u]", STR_ARG(place), at->list, at->index);
    if (member)
        place = arena_printf(c->arena, STR_FMT ".%s", STR_ARG(place), member);
    return canon_fail(c, place, STR_FMT " %s", STR_ARG(place), why);
}

/* --- calls in messages --- */

struct str chat_arguments(struct arena *a, yyjson_val *v, bool *ret_bad)
{
    const char *why;
    *ret_bad = false;
    if (yyjson_is_obj(v)) /* some write the object itself */
        return jr_raw(a, v);
    struct str text = str_trim(jr_str(v));
    if (text.n == 0)
        return STR("{}");
    yyjson_val *root = jr_parse(a, text, &why);
    *ret_bad = !yyjson_is_obj(root);
    return *ret_bad ? STR("{}") : jr_raw(a, root);
}

struct str chat_split_id(struct str id, struct str *ret_signature)
{
    const struct str mark = STR("__thought__");
    ptrdiff_t at = str_find(id, mark);
    *ret_signature = at > 0 ? str_from(id, (size_t)at + mark.n) : STR_NONE;
    return at > 0 ? str_to(id, (size_t)at) : id;
}

/* What is wrong with a call, or NULL. */
static const char *call_fault(yyjson_val *v, yyjson_val *what, bool is_custom, const char **member)
{
    *member = NULL;
    if (!yyjson_is_obj(v))
        return "has to be an object";
    *member = "id";
    if (!jr_get_str(v, "id").n)
        return "has to be a text";
    *member = is_custom ? "custom" : "function";
    if (!yyjson_is_obj(what))
        return "has to be an object";
    *member = is_custom ? "custom.name" : "function.name";
    if (!jr_get_str(what, "name").n)
        return "has to be a text";
    *member = is_custom ? "custom.input" : "function.arguments";
    yyjson_val *input = yyjson_obj_get(what, is_custom ? "input" : "arguments");
    if (input && !yyjson_is_str(input) && !yyjson_is_null(input))
        return "has to be a text";
    return NULL;
}

static int lost_arguments(struct canon_call *c, const struct chat_at *at)
{
    if (!at)
        return 0;
    struct str name = arena_printf(
        c->arena, "messages[%u].tool_calls[%u].function.arguments", at->message, at->index);
    return canon_drop(c, name, "they are no JSON object");
}

/* Gemini's signature: of clients that have it from us in the id, of those that have it from
 * Google's own endpoint in extra_content.google.thought_signature (ai.google.dev, OpenAI
 * compatibility). */
static void read_signature(yyjson_val *v, struct canon_part *p)
{
    yyjson_val *google = yyjson_obj_get(yyjson_obj_get(v, "extra_content"), "google");

    p->id = chat_split_id(jr_get_str(v, "id"), &p->signature);
    if (!p->signature.n)
        p->signature = jr_get_str(google, "thought_signature");
    p->maker = p->signature.n ? MAKER_GEMINI : MAKER_NONE;
}

int chat_read_call(
    struct canon_call *c, const struct chat_at *at, yyjson_val *v, struct canon_part ***tail)
{
    const char *member;
    yyjson_val *custom = yyjson_obj_get(v, "custom");
    bool bad = false, is_custom = yyjson_is_obj(custom);
    yyjson_val *what = is_custom ? custom : yyjson_obj_get(v, "function");
    if (at) {
        const char *why = call_fault(v, what, is_custom, &member);
        if (why)
            return chat_fail_at(c, at, member, why);
    } else if (!yyjson_is_obj(what)) {
        return 1;
    }
    struct canon_part *p = canon_add_part(c, tail, PART_TOOL_CALL);
    if (!p)
        return -ENOMEM;
    read_signature(v, p);
    p->name = jr_get_str(what, "name");
    p->is_custom = is_custom;
    if (is_custom)
        p->text = jr_get_str(what, "input");
    else
        p->raw = chat_arguments(c->arena, yyjson_obj_get(what, "arguments"), &bad);
    return bad ? lost_arguments(c, at) : 0;
}

/* --- ids and names --- */

static bool is_word(struct str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char b = s.p[i], low = b | 0x20;
        if (!(low >= 'a' && low <= 'z') && !(b >= '0' && b <= '9') && !(b && strchr(also, b)))
            return false;
    }
    return s.n > 0;
}

/* n letters and digits that follow from s alone. */
static void digest_word(struct str s, char *out, size_t n)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t sum[SHA256_BYTES];
    sha256(s, sum);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[sum[i] % 62];
}

bool chat_takes_id(const struct chat_quirks *k, struct str id)
{
    if (k->flags & CHAT_SHORT_IDS)
        return id.n == SHORT_ID_BYTES && is_word(id, "");
    return id.n <= ID_BYTES_MAX;
}

struct str chat_id_out(struct canon_call *c, const struct chat_quirks *k, struct str id)
{
    char word[ID_BYTES_MAX];
    bool is_short = k->flags & CHAT_SHORT_IDS;
    size_t n = is_short ? SHORT_ID_BYTES : 24;
    if (chat_takes_id(k, id))
        return id;
    digest_word(id, word, n);
    return arena_printf(c->arena, "%s%.*s", is_short ? "" : "call_", (int)n, word);
}

static bool is_plain_name(struct str name)
{
    return name.n <= NAME_MAX_BYTES && is_word(name, "_-");
}

struct str chat_name_out(struct canon_call *c, struct str name)
{
    char word[8];
    if (is_plain_name(name))
        return name;
    size_t keep = MIN(name.n, NAME_MAX_BYTES - 1 - sizeof word);
    digest_word(name, word, sizeof word);
    struct str made =
        arena_printf(c->arena, "%.*s_%.*s", (int)keep, name.p, (int)sizeof word, word);
    for (size_t i = 0; i < MIN(made.n, keep); i++)
        if (!is_word(str_at(made.p + i, 1), "_-"))
            ((char *)made.p)[i] = '_';
    return made;
}

/* Whether shown is what chat_name_out() made of name, without making it. */
static bool is_shown_as(struct str name, struct str shown)
{
    char word[8];
    if (is_plain_name(name))
        return false; /* it was shown as it is */
    if (shown.n < sizeof word)
        return false;
    digest_word(name, word, sizeof word);
    return memcmp(shown.p + shown.n - sizeof word, word, sizeof word) == 0;
}

struct str chat_name_in(const struct canon_call *c, struct str shown)
{
    const struct canon_tool *t = c->request ? c->request->tools : NULL;
    for (; t; t = t->next)
        if (is_shown_as(t->name, shown))
            return t->name;
    return shown;
}

/* --- free-form tools as functions --- */

bool chat_is_wrapped(const struct canon_call *c, struct str name)
{
    if (chat_quirks_of(c->provider)->flags & CHAT_CUSTOM_TOOLS)
        return false;
    const struct canon_tool *t = c->request ? c->request->tools : NULL;
    for (; t; t = t->next)
        if (t->is_custom && str_eq(t->name, name))
            return true;
    return false;
}

bool chat_renames(const struct canon_call *c)
{
    if (c->request->legacy_functions)
        return true;
    for (const struct canon_tool *t = c->request->tools; t; t = t->next)
        if (!t->native.p && (!is_plain_name(t->name) || chat_is_wrapped(c, t->name)))
            return true;
    return false;
}

struct str chat_unwrap(struct arena *a, struct str arguments)
{
    const char *why;
    return jr_get_str(jr_parse(a, arguments, &why), "input");
}

static struct str wrap(struct canon_call *c, struct str input)
{
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, LIMIT_BODY_BYTES);
    buf_addstr(&text, STR("{\"input\":"));
    buf_addjson(&text, input);
    buf_addc(&text, '}');
    return arena_dup(c->arena, buf_str(&text));
}

void chat_write_call(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_part *p, struct jw *w)
{
    bool custom = p->is_custom && (k->flags & CHAT_CUSTOM_TOOLS);
    struct str input = p->is_custom && !custom ? wrap(c, p->text) : p->raw;
    jw_open(w, '{');
    jw_member_str(w, "id", chat_id_out(c, k, p->id));
    jw_member_str(w, "type", custom ? STR("custom") : STR("function"));
    jw_key(w, custom ? "custom" : "function");
    jw_open(w, '{');
    jw_member_str(w, "name", chat_name_out(c, p->name));
    if (custom)
        jw_member_str(w, "input", p->text.p ? p->text : STR(""));
    else
        jw_member_str(w, "arguments", input.p ? input : STR("{}"));
    jw_close(w, '}');
    jw_close(w, '}');
}
