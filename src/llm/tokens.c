/*
 * Local token counts. Which family of ranks a model uses is a table by name; the texts of a request
 * are found by walking its JSON. See llm/tokens.h.
 */
#include "llm/tokens.h"

#include "base/buf.h"
#include "base/limits.h"
#include "text/bpe.h"
#include "json/scan.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Of a request, beyond it texts are estimated: a peer must not occupy a thread for seconds. */
#define EXACT_BYTES (4 * MIB)

enum family { FAMILY_NONE, FAMILY_CL100K, FAMILY_O200K, FAMILIES };

static const char *const files[FAMILIES] = {
    [FAMILY_CL100K] = "cl100k_base.bpe",
    [FAMILY_O200K] = "o200k_base.bpe",
};

static const struct {
    const char *begins;
    enum family family;
} models[] = {
    {"gpt-4o", FAMILY_O200K},
    {"gpt-4.1", FAMILY_O200K},
    {"gpt-4.5", FAMILY_O200K},
    {"gpt-5", FAMILY_O200K},
    {"gpt-oss", FAMILY_O200K},
    {"chatgpt-4o", FAMILY_O200K},
    {"codex-", FAMILY_O200K},
    {"o1", FAMILY_O200K},
    {"o3", FAMILY_O200K},
    {"o4-", FAMILY_O200K},
    {"gpt-4", FAMILY_CL100K},
    {"gpt-3.5", FAMILY_CL100K},
    {"text-embedding-", FAMILY_CL100K},
};

static char share[4096];
static pthread_once_t once[FAMILIES] = {PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT, PTHREAD_ONCE_INIT};
static struct bpe *ranks[FAMILIES];
static atomic_bool opened[FAMILIES];

void tokens_set_share(const char *dir)
{
    snprintf(share, sizeof share, "%s", dir);
}

static void open_family(enum family f)
{
    char path[4200];

    snprintf(path, sizeof path, "%s/%s", share, files[f]);
    if (!share[0] || bpe_open(path, &ranks[f]) < 0)
        ranks[f] = NULL;
    atomic_store(&opened[f], true);
}

static void open_cl100k(void)
{
    open_family(FAMILY_CL100K);
}

static void open_o200k(void)
{
    open_family(FAMILY_O200K);
}

static const struct bpe *bpe_of(enum family f)
{
    pthread_once(&once[f], f == FAMILY_CL100K ? open_cl100k : open_o200k);
    return ranks[f];
}

static enum family family_of(struct str model)
{
    for (unsigned i = 0; i < ARRAY_LEN(models); i++)
        if (str_starts(model, str_of(models[i].begins)))
            return models[i].family;
    return FAMILY_NONE;
}

/* Other models' counts are estimated with the newest ranks. */
static enum family ranks_for(struct str model)
{
    enum family f = family_of(model);

    return f ? f : FAMILY_O200K;
}

bool tokens_ready(struct str model)
{
    return atomic_load(&opened[ranks_for(model)]);
}

uint64_t tokens_count(struct str model, struct str text, bool *ret_exact)
{
    const struct bpe *b = bpe_of(ranks_for(model));
    int64_t n = b ? bpe_count(b, text) : -ENOENT;

    if (ret_exact)
        *ret_exact = n >= 0 && family_of(model);
    return n >= 0 ? (uint64_t)n : (text.n + 3) / 4;
}

uint64_t tokens_count_begun(struct str model, struct str text, size_t *ret_used)
{
    const struct bpe *b = bpe_of(ranks_for(model));
    int64_t n = b ? bpe_count_begun(b, text, ret_used) : -ENOENT;

    if (n >= 0)
        return (uint64_t)n;
    *ret_used = text.n & ~(size_t)3;
    return text.n / 4;
}

/* --- requests --- */

/* What OpenAI's chat format adds: three tokens a message, and three to begin the answer. */
#define TOKENS_A_MESSAGE 3
#define TOKENS_A_REPLY   3
#define TOKENS_A_PICTURE 765 /* a 1024 by 1024 picture in high detail */

struct texts {
    struct str model;
    struct buf one;   /* the text being counted */
    uint64_t tokens;  /* of all so far */
    size_t bytes;     /* counted by ranks so far */
    unsigned message; /* tokens that each item of "messages" or "input" adds */
};

/* What is not text: pictures, sound and files. */
static bool is_picture(struct str key)
{
    static const char *const names[] = {"image_url", "input_image", "inlineData", "inline_data",
        "file_data", "fileData", "input_audio"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(key, str_of(names[i])))
            return true;
    return false;
}

/* Each text is counted alone, as tokenisers see them. */
static void take_string(struct texts *t, struct str literal)
{
    if (t->bytes + literal.n > EXACT_BYTES || buf_reserve(&t->one, literal.n) < 0) {
        t->tokens += literal.n / 4;
        return;
    }
    ptrdiff_t n = json_unescape(literal, t->one.p);
    if (n <= 0)
        return;
    t->bytes += literal.n;
    t->tokens += tokens_count(t->model, str_at(t->one.p, (size_t)n), NULL);
}

/* Members whose strings are marks, not text. */
static bool is_mark(struct str key)
{
    return str_eq(key, STR("type")) || str_eq(key, STR("id")) || str_eq(key, STR("tool_call_id")) ||
           str_eq(key, STR("tool_use_id")) || str_eq(key, STR("cache_control")) ||
           str_eq(key, STR("signature")) || str_eq(key, STR("media_type")) ||
           str_eq(key, STR("toolUseId")) || str_eq(key, STR("cachePoint"));
}

static void walk(struct texts *t, struct str key, struct str v, int depth)
{
    size_t at = 1;
    struct str k, item;

    if (depth > 16 || is_mark(key))
        return;
    if (is_picture(key) || (str_eq(key, STR("source")) && json_type_of(v) == JSON_OBJECT)) {
        t->tokens += TOKENS_A_PICTURE;
        return;
    }
    switch (json_type_of(v)) {
    case JSON_STRING:
        take_string(t, v);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        while (json_next(v, &at, &k, &item)) {
            if (depth == 1 && (str_eq(key, STR("messages")) || str_eq(key, STR("input"))))
                t->tokens += t->message;
            walk(t, k, item, depth + 1);
        }
        break;
    default:
        break;
    }
}

static bool is_text_member(struct str key)
{
    static const char *const names[] = {"messages", "input", "prompt", "system", "instructions",
        "contents", "systemInstruction", "tools", "query", "documents", "functions", "toolConfig"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(key, str_of(names[i])))
            return true;
    return false;
}

uint64_t tokens_of_request(struct str model, enum endpoint_kind kind, struct str body)
{
    bool chat = kind == KIND_CHAT || kind == KIND_MESSAGES || kind == KIND_RESPONSES ||
                kind == KIND_CONVERSE || kind == KIND_CONVERSE_STREAM || kind == KIND_INVOKE ||
                kind == KIND_INVOKE_STREAM;
    struct texts t = {.model = model, .message = chat ? TOKENS_A_MESSAGE : 0};
    size_t at = 1;
    struct str key, v;

    body = str_trim(body);
    if (json_type_of(body) != JSON_OBJECT)
        return 0;
    buf_init(&t.one, EXACT_BYTES);
    while (json_next(body, &at, &key, &v))
        if (is_text_member(key))
            walk(&t, key, v, 1);
    if (kind == KIND_CHAT)
        t.tokens += TOKENS_A_REPLY;
    buf_free(&t.one);
    return t.tokens;
}
