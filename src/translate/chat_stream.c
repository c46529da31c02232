/*
 * A provider's stream of chat.completion.chunk events. Numbers of parts: text, refusal and thinking
 * have one each in a choice, since one ends where another begins; calls have those of OpenAI's
 * index, thinking with signatures that of its element.
 *
 * What is kept between events is in c->arena: the arguments of free-form tools that the provider
 * knows as functions, since their text stands inside a JSON object.
 */
#include "translate/chat_int.h"

#include <errno.h>

enum {
    KEY_TEXT,
    KEY_REFUSAL,
    KEY_THINKING,
    KEY_AUDIO,
    KEY_IMAGE,
    KEY_DETAILS = 16,
    KEY_CALLS = 4096
};

#define CALLS_MAX 4096 /* of OpenAI's indexes */

/* A call whose arguments are collected. */
struct wrapped {
    struct wrapped *next;
    unsigned choice, index;
    struct str id, name;
    struct canon_text text;
};

/* The last call of each choice, for providers that do not number them. */
struct last_call {
    struct last_call *next;
    unsigned choice, index;
    uint64_t begun; /* a bit for each of the first indexes */
    struct str id;
    bool any;
};

struct chat_reader {
    bool started;
    bool cited;  /* Perplexity repeats its sources in each event */
    bool spoken; /* reasoning_content came: blocks repeat it, but for their signatures */
    struct wrapped *wrapped;
    struct last_call *calls;
};

struct chunk {
    struct canon_stream *s;
    struct canon_call *c;
    struct chat_reader *r;
    unsigned choice;
};

static struct chat_reader *state(struct canon_stream *s)
{
    if (!s->reader)
        s->reader = arena_new(s->c->arena, struct chat_reader);
    return s->reader;
}

/* --- deltas --- */

static void emit_text(
    struct chunk *k, enum canon_part_kind kind, unsigned key, enum canon_delta field, struct str s)
{
    const struct canon_part part = {.kind = kind};
    const struct canon_event e = {.kind = EVENT_PART_DELTA,
        .choice = k->choice,
        .key = key,
        .part = &part,
        .field = field,
        .text = s};
    if (s.n)
        canon_emit(k->s, &e);
}

static void emit_signature(
    struct chunk *k, unsigned key, enum canon_maker maker, struct str signature)
{
    const struct canon_part part = {.kind = PART_THINKING, .maker = maker};
    const struct canon_event e = {.kind = EVENT_PART_DELTA,
        .choice = k->choice,
        .key = key,
        .part = &part,
        .field = DELTA_SIGNATURE,
        .text = signature};
    if (signature.n)
        canon_emit(k->s, &e);
}

static void emit_whole(struct chunk *k, unsigned key, const struct canon_part *p)
{
    const struct canon_event e = {
        .kind = EVENT_PART_WHOLE, .choice = k->choice, .key = key, .part = p};
    canon_emit(k->s, &e);
}

static void read_block(struct chunk *k, yyjson_val *v)
{
    struct canon_part p = {.kind = PART_REDACTED_THINKING};
    if (str_eq(jr_get_str(v, "type"), STR("redacted_thinking"))) {
        p.maker = canon_sign_in(k->c, CHAT_SIGNER, jr_get_str(v, "data"), &p.text);
        emit_whole(k, KEY_DETAILS, &p);
        return;
    }
    if (!k->r->spoken)
        emit_text(k, PART_THINKING, KEY_THINKING, DELTA_TEXT, jr_get_str(v, "thinking"));
    p.maker = canon_sign_in(k->c, CHAT_SIGNER, jr_get_str(v, "signature"), &p.signature);
    emit_signature(k, KEY_THINKING, p.maker, p.signature);
}

static void read_detail(struct chunk *k, yyjson_val *v)
{
    struct str data = jr_get_str(v, "data"), text = jr_get_str(v, "text");
    enum canon_maker maker = chat_maker_of_format(jr_get_str(v, "format"));
    unsigned key = KEY_DETAILS + (unsigned)MIN(jr_get_u64(v, "index"), 1024u);
    if (!text.p)
        text = jr_get_str(v, "summary");
    emit_text(k, PART_THINKING, key, DELTA_TEXT, text);
    emit_signature(k, key, maker, jr_get_str(v, "signature"));
    if (!data.n)
        return;
    if (maker == MAKER_ANTHROPIC) {
        const struct canon_part p = {.kind = PART_REDACTED_THINKING, .maker = maker, .text = data};
        emit_whole(k, key, &p);
    } else {
        emit_signature(k, key, maker, data);
    }
}

/* As chat_read_thinking(), but text comes from reasoning_content first: in a stream it comes in
 * pieces, and blocks may follow whole. */
static void read_thinking(struct chunk *k, yyjson_val *delta)
{
    yyjson_val *blocks = yyjson_obj_get(delta, "thinking_blocks"), *one;
    yyjson_val *details = yyjson_obj_get(delta, "reasoning_details");
    struct str text = jr_get_str(delta, "reasoning_content");
    size_t i, n;
    if (yyjson_arr_size(details)) {
        yyjson_arr_foreach(details, i, n, one) read_detail(k, one);
        return;
    }
    if (!text.n)
        text = jr_get_str(delta, "reasoning");
    k->r->spoken |= text.n > 0;
    emit_text(k, PART_THINKING, KEY_THINKING, DELTA_TEXT, text);
    yyjson_arr_foreach(blocks, i, n, one) read_block(k, one);
}

/* Mistral's content may be a list of parts. */
static void read_chunk_part(struct chunk *k, yyjson_val *v)
{
    yyjson_val *thinking = yyjson_obj_get(v, "thinking"), *one;
    size_t i, n;
    if (!str_eq(jr_get_str(v, "type"), STR("thinking"))) {
        emit_text(k, PART_TEXT, KEY_TEXT, DELTA_TEXT, jr_get_str(v, "text"));
        return;
    }
    emit_text(k, PART_THINKING, KEY_THINKING, DELTA_TEXT, jr_str(thinking));
    yyjson_arr_foreach(thinking, i, n, one)
        emit_text(k, PART_THINKING, KEY_THINKING, DELTA_TEXT, jr_get_str(one, "text"));
}

static void read_words(struct chunk *k, yyjson_val *delta)
{
    yyjson_val *content = yyjson_obj_get(delta, "content"), *one;
    size_t i, n;
    emit_text(k, PART_TEXT, KEY_TEXT, DELTA_TEXT, jr_str(content));
    yyjson_arr_foreach(content, i, n, one) read_chunk_part(k, one);
    emit_text(k, PART_REFUSAL, KEY_REFUSAL, DELTA_TEXT, jr_get_str(delta, "refusal"));
}

static void read_made(struct chunk *k, yyjson_val *delta)
{
    yyjson_val *audio = yyjson_obj_get(delta, "audio"), *one;
    struct str id = jr_get_str(audio, "id");
    const struct canon_part p = {.kind = PART_AUDIO, .id = id};
    size_t i, n;
    if (id.n) {
        const struct canon_event e = {
            .kind = EVENT_PART_START, .choice = k->choice, .key = KEY_AUDIO, .part = &p};
        canon_emit(k->s, &e);
    }
    emit_text(k, PART_AUDIO, KEY_AUDIO, DELTA_TEXT, jr_get_str(audio, "transcript"));
    emit_text(k, PART_AUDIO, KEY_AUDIO, DELTA_DATA, jr_get_str(audio, "data"));
    yyjson_arr_foreach(yyjson_obj_get(delta, "images"), i, n, one)
    {
        struct str url = jr_get_str(yyjson_obj_get(one, "image_url"), "url");
        struct canon_part image = {.kind = PART_IMAGE};
        if (!canon_data_url(url, &image.media)) {
            image.media.source = MEDIA_URL;
            image.media.data = url;
        }
        if (url.n)
            emit_whole(k, KEY_IMAGE, &image);
    }
}

static void emit_citations(struct chunk *k, struct canon_citation *t)
{
    for (struct canon_citation *next; t; t = next) {
        next = t->next;
        t->next = NULL;
        const struct canon_part p = {.kind = PART_TEXT, .citations = t};
        const struct canon_event e = {.kind = EVENT_PART_DELTA,
            .choice = k->choice,
            .key = KEY_TEXT,
            .part = &p,
            .field = DELTA_CITATION};
        canon_emit(k->s, &e);
    }
}

/* The text is gone when they come, so offsets cannot be counted over. */
static void read_annotations(struct chunk *k, yyjson_val *delta)
{
    yyjson_val *list = yyjson_obj_get(delta, "annotations");
    if (yyjson_arr_size(list))
        emit_citations(k, chat_read_annotations(&k->s->pool, list, STR_NONE));
}

/* --- calls --- */

static struct last_call *last_call(struct chunk *k)
{
    struct last_call *l = k->r->calls;
    while (l && l->choice != k->choice)
        l = l->next;
    if (l)
        return l;
    l = arena_new(k->c->arena, struct last_call);
    if (!l)
        return NULL;
    l->choice = k->choice;
    l->next = k->r->calls;
    k->r->calls = l;
    return l;
}

/* OpenAI's number of the call; where a provider gives none, or the same one to each, ids part
 * them. */
static unsigned index_of(struct chunk *k, struct last_call *l, yyjson_val *v, struct str id)
{
    yyjson_val *index = yyjson_obj_get(v, "index");
    bool begins = id.n && !(l->any && str_eq(id, l->id));
    unsigned n = l->index;
    if (yyjson_is_raw(index))
        n = (unsigned)MIN(jr_get_u64(v, "index"), (uint64_t)CALLS_MAX);
    else if (begins && l->any)
        n++;
    if (begins) {
        l->id = arena_dup(k->c->arena, id);
        l->any = true;
    }
    l->index = n;
    return n;
}

static struct wrapped *find_wrapped(struct chunk *k, unsigned index, struct str id)
{
    struct wrapped *found = NULL;
    for (struct wrapped *x = k->r->wrapped; x; x = x->next)
        if (x->choice == k->choice && x->index == index && (!id.n || str_eq(id, x->id)))
            found = x;
    return found;
}

static int collect(struct chunk *k, struct wrapped *x, struct str piece)
{
    if (x->text.n + piece.n > STREAM_KEPT_MAX)
        return canon_bad_reply(k->c, "the arguments of a tool call are too long");
    return canon_gather(k->c, &x->text, piece);
}

static int begin_wrapped(struct chunk *k, unsigned index, struct str id, struct str name)
{
    struct wrapped **tail = &k->r->wrapped, *x = arena_new(k->c->arena, struct wrapped);
    if (!x)
        return canon_no_room(k->c);
    while (*tail)
        tail = &(*tail)->next;
    x->choice = k->choice;
    x->index = index;
    x->id = arena_dup(k->c->arena, id);
    x->name = arena_dup(k->c->arena, name);
    *tail = x;
    return x->id.p && x->name.p ? 0 : canon_no_room(k->c);
}

/* The free-form calls of the choice, now that their arguments are whole. */
static void emit_wrapped(struct chunk *k, bool all_choices)
{
    for (struct wrapped *x = k->r->wrapped; x; x = x->next) {
        if (!x->name.n || (!all_choices && x->choice != k->choice))
            continue;
        k->choice = x->choice;
        struct str all = canon_text_str(&x->text), input = chat_unwrap(&k->s->pool, all);
        const struct canon_part p = {.kind = PART_TOOL_CALL,
            .is_custom = true,
            .id = x->id,
            .name = x->name,
            .text = input.p ? input : all};
        emit_whole(k, KEY_CALLS + x->index, &p);
        x->name = STR_NONE;
    }
}

static void emit_input(struct chunk *k, unsigned index, yyjson_val *arguments)
{
    const struct canon_event e = {.kind = EVENT_PART_DELTA,
        .choice = k->choice,
        .key = KEY_CALLS + index,
        .field = DELTA_INPUT,
        .text = yyjson_is_obj(arguments) ? jr_raw(&k->s->pool, arguments) : jr_str(arguments)};
    if (e.text.n)
        canon_emit(k->s, &e);
}

static void emit_call(struct chunk *k, unsigned index, struct str id, struct str name, bool custom)
{
    struct canon_part p = {.kind = PART_TOOL_CALL, .name = name, .is_custom = custom};
    p.id = chat_split_id(id, &p.signature);
    p.maker = p.signature.n ? MAKER_GEMINI : MAKER_NONE;
    const struct canon_event e = {
        .kind = EVENT_PART_START, .choice = k->choice, .key = KEY_CALLS + index, .part = &p};
    canon_emit(k->s, &e);
}

/* Whether a call begins here; *id is made where the provider gives none. */
static bool begins(struct chunk *k, struct last_call *l, unsigned index, struct str *id)
{
    uint64_t bit = index < 64 ? (uint64_t)1 << index : 0;
    bool known = l->begun & bit;
    l->begun |= bit;
    if (!id->n && !known)
        *id = arena_printf(&k->s->pool, "call_" STR_FMT "_%u", STR_ARG(k->c->request_id), index);
    return id->n > 0;
}

static int read_function(
    struct chunk *k, struct last_call *l, unsigned index, struct str id, yyjson_val *function)
{
    yyjson_val *arguments = yyjson_obj_get(function, "arguments");
    struct str name = chat_name_in(k->c, jr_get_str(function, "name"));
    struct wrapped *x = find_wrapped(k, index, id);
    bool starts = name.n && begins(k, l, index, &id);
    if (!x && starts && chat_is_wrapped(k->c, name)) {
        if (begin_wrapped(k, index, id, name) < 0)
            return -ENOMEM;
        x = find_wrapped(k, index, id);
    }
    if (x)
        return collect(k, x, jr_str(arguments));
    if (starts)
        emit_call(k, index, id, name, false);
    emit_input(k, index, arguments);
    return 0;
}

static int read_call(struct chunk *k, struct last_call *l, yyjson_val *v)
{
    yyjson_val *custom = yyjson_obj_get(v, "custom");
    struct str id = jr_get_str(v, "id"), name = jr_get_str(custom, "name");
    unsigned index = index_of(k, l, v, id);
    if (!yyjson_is_obj(custom))
        return read_function(k, l, index, id, yyjson_obj_get(v, "function"));
    if (name.n && begins(k, l, index, &id))
        emit_call(k, index, id, chat_name_in(k->c, name), true);
    const struct canon_part part = {.kind = PART_TOOL_CALL, .is_custom = true};
    const struct canon_event e = {.kind = EVENT_PART_DELTA,
        .choice = k->choice,
        .key = KEY_CALLS + index,
        .part = &part,
        .field = DELTA_TEXT,
        .text = jr_get_str(custom, "input")};
    if (e.text.n)
        canon_emit(k->s, &e);
    return 0;
}

static int read_calls(struct chunk *k, yyjson_val *delta)
{
    yyjson_val *list = yyjson_obj_get(delta, "tool_calls"), *one;
    yyjson_val *old = yyjson_obj_get(delta, "function_call");
    size_t i, n;
    if (!yyjson_arr_size(list) && !yyjson_is_obj(old))
        return 0;
    struct last_call *l = last_call(k);
    if (!l)
        return canon_no_room(k->c);
    yyjson_arr_foreach(list, i, n, one)
    {
        int r = read_call(k, l, one);
        if (r < 0)
            return r;
    }
    return yyjson_is_obj(old) && !yyjson_arr_size(list) ? read_function(k, l, 0, STR(""), old) : 0;
}

/* --- choices --- */

static void emit_error(struct chunk *k, yyjson_val *root)
{
    struct error e;
    chat_read_error_value(&k->s->pool, 200, root, &e);
    if (e.status < 400)
        e.status = 502;
    if (!e.message.n)
        e.message = STR("The provider's stream holds an error.");
    canon_emit(k->s, &(const struct canon_event){.kind = EVENT_ERROR, .error = &e});
}

static void finish(struct chunk *k, yyjson_val *v)
{
    struct str word = jr_get_str(v, "finish_reason");
    struct str native = jr_get_str(v, "native_finish_reason");
    const struct last_call *l = k->r->calls;
    if (!word.n) /* some say "" until they are done */
        return;
    while (l && l->choice != k->choice)
        l = l->next;
    if (yyjson_is_obj(yyjson_obj_get(v, "error"))) {
        emit_error(k, v);
        return;
    }
    emit_wrapped(k, false);
    const struct canon_event e = {.kind = EVENT_FINISH,
        .choice = k->choice,
        .finish = chat_read_finish(word, l != NULL),
        .native_finish = native.n ? native : word};
    canon_emit(k->s, &e);
}

/* As nearly every event of a stream is. */
static bool is_only_words(yyjson_val *delta)
{
    return yyjson_obj_size(delta) == 1 && yyjson_is_str(yyjson_obj_get(delta, "content"));
}

static int read_choice(struct chunk *k, yyjson_val *v)
{
    yyjson_val *delta = yyjson_obj_get(v, "delta"), *logprobs = yyjson_obj_get(v, "logprobs");
    k->choice = (unsigned)jr_get_u64(v, "index");
    if (!yyjson_is_obj(logprobs) && is_only_words(delta)) {
        read_words(k, delta);
        finish(k, v);
        return 0;
    }
    read_thinking(k, delta);
    read_words(k, delta);
    if (yyjson_is_obj(logprobs) && jr_get_str(delta, "content").n)
        emit_text(k, PART_TEXT, KEY_TEXT, DELTA_LOGPROBS, jr_raw(&k->s->pool, logprobs));
    read_annotations(k, delta);
    read_made(k, delta);
    int r = read_calls(k, delta);
    if (r == 0)
        finish(k, v);
    return r;
}

/* Perplexity's sources, once: with the event that finishes. */
static void read_sources(struct chunk *k, yyjson_val *root, yyjson_val *choice)
{
    if (k->r->cited || !jr_get_str(choice, "finish_reason").n)
        return;
    struct canon_citation *t = chat_read_sources(&k->s->pool, root, STR_NONE);
    k->choice = (unsigned)jr_get_u64(choice, "index");
    k->r->cited = t != NULL;
    emit_citations(k, t);
}

static int read_choices(struct chunk *k, yyjson_val *root)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(yyjson_obj_get(root, "choices"), i, n, one)
    {
        read_sources(k, root, one);
        int r = read_choice(k, one);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- events --- */

static void read_frame(struct chunk *k, yyjson_val *root)
{
    struct canon_event e = {.kind = EVENT_START, .id = jr_get_str(root, "id")};
    if (k->r->started || !e.id.n) /* Azure's first event has none */
        return;
    k->r->started = true;
    jr_get_int(root, "created", &e.created);
    canon_emit(k->s, &e);
}

static void read_usage(struct chunk *k, yyjson_val *root)
{
    yyjson_val *o = yyjson_obj_get(root, "usage");
    struct usage u = {.tier = chat_tier(jr_get_str(root, "service_tier"))};
    if (!yyjson_is_obj(o))
        o = yyjson_obj_get(yyjson_obj_get(root, "x_groq"), "usage");
    if (!yyjson_is_obj(o)) /* Moonshot */
        o = yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(root, "choices")), "usage");
    chat_read_usage(o, &u);
    if (u.source != USAGE_UNKNOWN)
        canon_emit(k->s, &(const struct canon_event){.kind = EVENT_USAGE, .usage = &u});
}

static bool is_error(struct str event, yyjson_val *root)
{
    yyjson_val *e = yyjson_obj_get(root, "error");
    if (yyjson_is_obj(e))
        return yyjson_obj_size(e) > 0;
    bool object = str_eq(jr_get_str(root, "object"), STR("error"));
    return jr_str(e).n > 0 || object || str_eq(event, STR("error"));
}

int chat_read_event(struct canon_stream *s, struct str event, struct str data)
{
    struct chunk k = {.s = s, .c = s->c, .r = state(s)};
    const char *why;
    data = str_trim(data);
    if (!k.r)
        return canon_no_room(s->c);
    if (data.n == 0)
        return 0;
    if (str_eq(data, STR("[DONE]"))) {
        emit_wrapped(&k, true);
        canon_emit(s, &(const struct canon_event){.kind = EVENT_END});
        return 0;
    }
    yyjson_val *root = jr_parse(&s->pool, data, &why);
    if (!yyjson_is_obj(root))
        return canon_bad_reply(s->c, root ? "an event is no JSON object" : why);
    if (is_error(event, root)) {
        emit_error(&k, root);
        return 0;
    }
    read_frame(&k, root);
    int r = read_choices(&k, root);
    if (r == 0)
        read_usage(&k, root);
    return r;
}
