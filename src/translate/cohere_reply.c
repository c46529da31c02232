/*
 * Replies of Cohere's v2 chat. A plan for calls of tools is text that stands before them; citations
 * belong to a block of the content, and count characters.
 */
#include "translate/cohere_int.h"

/* --- usage --- */

/* What is charged, where it says so: tokens that Cohere adds itself are not. */
void cohere_read_usage(yyjson_val *v, struct usage *u)
{
    yyjson_val *billed = yyjson_obj_get(v, "billed_units"), *tokens = yyjson_obj_get(v, "tokens");
    yyjson_val *from = yyjson_obj_get(billed, "input_tokens") ? billed : tokens;
    uint64_t cached = jr_get_u64(v, "cached_tokens");

    if (!yyjson_is_obj(v))
        return;
    u->source = USAGE_REPORTED;
    u->input = jr_get_u64(from, "input_tokens");
    u->output = jr_get_u64(from, "output_tokens");
    u->cache_read = MIN(cached, u->input);
    u->input -= u->cache_read;
    u->queries = jr_get_u64(billed, "search_units");
}

/* --- finish --- */

enum canon_finish cohere_finish_in(struct str reason)
{
    static const struct {
        struct str word;
        enum canon_finish finish;
    } table[] = {
        {STR_INIT("COMPLETE"), FINISH_STOP},
        {STR_INIT("STOP_SEQUENCE"), FINISH_STOP_SEQUENCE},
        {STR_INIT("MAX_TOKENS"), FINISH_LENGTH},
        {STR_INIT("TOOL_CALL"), FINISH_TOOL_CALLS},
        {STR_INIT("ERROR_TOXIC"), FINISH_FILTER},
        {STR_INIT("ERROR_LIMIT"), FINISH_CONTEXT},
        {STR_INIT("ERROR"), FINISH_ERROR},
        {STR_INIT("TIMEOUT"), FINISH_ERROR},
    };

    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (str_eq(table[i].word, reason))
            return table[i].finish;
    return FINISH_STOP;
}

int cohere_error_status(struct str reason)
{
    return str_eq(reason, STR("TIMEOUT")) ? 504 : 502;
}

/* --- citations --- */

/* Where the n-th character begins. */
static size_t byte_of(struct str text, uint64_t n)
{
    size_t i = 0;

    while (i < text.n && n) {
        i++;
        while (i < text.n && ((unsigned char)text.p[i] & 0xc0) == 0x80)
            i++;
        n--;
    }
    return i;
}

struct canon_citation *cohere_read_citation(struct arena *a, yyjson_val *v, struct str text)
{
    yyjson_val *source = yyjson_arr_get_first(yyjson_obj_get(v, "sources"));
    yyjson_val *document = yyjson_obj_get(source, "document");
    struct canon_citation *t = arena_new(a, struct canon_citation);

    if (!t)
        return NULL;
    t->from = t->to = -1;
    if (text.p) {
        t->from = (int64_t)byte_of(text, jr_get_u64(v, "start"));
        t->to = (int64_t)byte_of(text, jr_get_u64(v, "end"));
    }
    t->url = jr_get_str(document, "url");
    t->title = jr_get_str(document, "title");
    if (!t->title.n)
        t->title = jr_get_str(source, "id");
    t->quote = jr_get_str(document, "text");
    t->raw = jr_raw(a, v);
    t->maker = MAKER_OTHER;
    return t;
}

static bool is_thinking(yyjson_val *item)
{
    return str_eq(jr_get_str(item, "type"), STR("thinking"));
}

/* The text that a citation's content_index means; a plan, which is the first text, is cited by
 * type. */
static struct canon_part *cited_part(
    struct canon_part *parts, yyjson_val *content, yyjson_val *v, bool has_plan)
{
    uint64_t index = jr_get_u64(v, "content_index"), nth = has_plan ? 1 : 0;
    yyjson_val *item;
    size_t i, max;

    if (str_eq(jr_get_str(v, "type"), STR("PLAN"))) {
        nth = 0;
    } else {
        yyjson_arr_foreach(content, i, max, item)
        {
            if (i < index)
                nth += !is_thinking(item);
        }
        if (is_thinking(yyjson_arr_get(content, index)))
            return NULL;
    }
    for (struct canon_part *p = parts; p; p = p->next)
        if (p->kind == PART_TEXT && nth-- == 0)
            return p;
    return NULL;
}

static void read_citations(
    struct canon_call *c, yyjson_val *message, struct canon_part *parts, bool has_plan)
{
    yyjson_val *content = yyjson_obj_get(message, "content"), *v;
    size_t i, max;

    yyjson_arr_foreach(yyjson_obj_get(message, "citations"), i, max, v)
    {
        struct canon_part *p = cited_part(parts, content, v, has_plan);
        struct canon_citation *t = p ? cohere_read_citation(c->arena, v, p->text) : NULL;
        struct canon_citation **tail = p ? &p->citations : NULL;
        if (!t)
            continue;
        while (*tail)
            tail = &(*tail)->next;
        *tail = t;
    }
}

/* --- logprobs --- */

struct str cohere_logprobs(struct arena *a, yyjson_val *list)
{
    _cleanup_(buf_free) struct buf text = {0};
    struct jw w = {.out = &text};
    yyjson_val *v;
    size_t i, max;

    if (!yyjson_arr_size(list))
        return STR_NONE;
    buf_init(&text, 64 * MIB);
    jw_open(&w, '{');
    jw_key(&w, "content");
    jw_open(&w, '[');
    yyjson_arr_foreach(list, i, max, v)
    {
        yyjson_val *values = yyjson_obj_get(v, "logprobs");
        if (yyjson_arr_size(values) != 1) /* a piece of several tokens has no one probability */
            return STR_NONE;
        jw_open(&w, '{');
        jw_member_str(&w, "token", jr_get_str(v, "text"));
        jw_member_raw(&w, "logprob", jr_raw(a, yyjson_arr_get_first(values)));
        jw_member_raw(&w, "bytes", STR("null"));
        jw_member_raw(&w, "top_logprobs", STR("[]"));
        jw_close(&w, '}');
    }
    jw_close(&w, ']');
    jw_close(&w, '}');
    return text.err ? STR_NONE : arena_dup(a, buf_str(&text));
}

/* --- the reply --- */

/* The thinking of a content, or its texts. */
static int read_content(
    struct canon_call *c, yyjson_val *list, bool thinking, struct canon_part ***tail)
{
    yyjson_val *v;
    size_t i, max;

    yyjson_arr_foreach(list, i, max, v)
    {
        if (is_thinking(v) != thinking)
            continue;
        struct canon_part *p = canon_add_part(c, tail, thinking ? PART_THINKING : PART_TEXT);
        if (!p)
            return -ENOMEM;
        p->text = jr_get_str(v, thinking ? "thinking" : "text");
    }
    return 0;
}

static int read_calls(struct canon_call *c, yyjson_val *list, struct canon_part ***tail)
{
    yyjson_val *v;
    size_t i, max;
    const char *why;

    yyjson_arr_foreach(list, i, max, v)
    {
        yyjson_val *what = yyjson_obj_get(v, "function");
        struct canon_part *p = canon_add_part(c, tail, PART_TOOL_CALL);
        if (!p)
            return -ENOMEM;
        yyjson_val *args = jr_parse(c->arena, jr_get_str(what, "arguments"), &why);
        p->id = jr_get_str(v, "id");
        if (!p->id.n)
            p->id = native_call_id(c, c->arena, (unsigned)i);
        p->name = cohere_name_in(c, jr_get_str(what, "name"));
        native_call(c, c->arena, p, yyjson_is_obj(args) ? jr_raw(c->arena, args) : STR("{}"));
    }
    return 0;
}

static int read_message(struct canon_call *c, yyjson_val *message, struct canon_choice *choice)
{
    yyjson_val *content = yyjson_obj_get(message, "content");
    struct str plan = jr_get_str(message, "tool_plan");
    struct canon_part **tail = &choice->parts;
    int r = read_content(c, content, true, &tail);

    if (r == 0 && plan.n) {
        if (!canon_add_text(c, &tail, plan))
            return -ENOMEM;
    }
    if (r == 0)
        r = read_content(c, content, false, &tail);
    if (r == 0)
        read_citations(c, message, choice->parts, plan.n > 0);
    return r == 0 ? read_calls(c, yyjson_obj_get(message, "tool_calls"), &tail) : r;
}

int cohere_read_reply(struct canon_call *c, struct str body, struct canon_reply *r)
{
    const char *why = "it is no object";
    yyjson_val *root = jr_parse(c->arena, body, &why), *message = yyjson_obj_get(root, "message");
    struct canon_choice *choice = arena_new(c->arena, struct canon_choice);

    *r = (struct canon_reply){.choices = choice, .id = jr_get_str(root, "id")};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, why);
    if (!yyjson_is_obj(message))
        return canon_bad_reply(c, "it has no message");
    if (!choice)
        return canon_no_room(c);
    choice->native_finish = jr_get_str(root, "finish_reason");
    choice->finish = cohere_finish_in(choice->native_finish);
    if (choice->finish == FINISH_ERROR) {
        native_error(c, cohere_error_status(choice->native_finish), STR("upstream_failed"),
            STR("The provider ended the answer with an error."), c->error);
        return -EREMOTEIO;
    }
    choice->logprobs = cohere_logprobs(c->arena, yyjson_obj_get(root, "logprobs"));
    cohere_read_usage(yyjson_obj_get(root, "usage"), &r->usage);
    return read_message(c, message, choice);
}
