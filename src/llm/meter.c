/*
 * Reading usage out of whole replies and out of the tails of long ones; the meter's beginning and
 * end. Usage objects are read in meter_usage.c, events in meter_stream.c.
 */
#include "llm/meter_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "json/scan.h"

#include <errno.h>

#define TAIL_BYTES    (16 * KIB)
#define IDS_MAX_BYTES 512

void meter_init(struct meter *m, enum endpoint_kind kind)
{
    *m = (struct meter){.kind = kind, .text_due = METER_TEXT_DUE, .text_max = METER_TEXT_MAX};
    buf_init(&m->tail, 2 * TAIL_BYTES);
    buf_init(&m->text, METER_TEXT_MAX);
    buf_init(&m->ids, IDS_MAX_BYTES);
}

void meter_free(struct meter *m)
{
    buf_free(&m->tail);
    buf_free(&m->text);
    buf_free(&m->ids);
}

/* --- ids --- */

/* Of what a provider keeps and can be asked for again; nobody asks for a chat completion or a
 * message by its id. */
static bool has_owner(enum endpoint_kind k)
{
    switch (k) {
    case KIND_RESPONSES:
    case KIND_CONVERSATIONS:
    case KIND_FILES:
    case KIND_UPLOADS:
    case KIND_BATCHES:
    case KIND_MESSAGE_BATCHES:
    case KIND_REALTIME:
        return true;
    default:
        return false;
    }
}

void meter_take_id(struct meter *m, struct str literal)
{
    if (!has_owner(m->kind) || literal.n < 3 || literal.p[0] != '"' ||
        buf_reserve(&m->ids, literal.n - 1) < 0)
        return;
    buf_add(&m->ids, literal.p + 1, literal.n - 2);
    buf_addc(&m->ids, 0);
}

bool meter_next_id(const struct meter *m, size_t *at, struct str *ret_id)
{
    if (*at >= m->ids.n)
        return false;
    *ret_id = str_of(m->ids.p + *at);
    *at += ret_id->n + 1;
    return true;
}

/* --- the model --- */

/* Names are plain and short; another is not worth its memory. */
void meter_take_model(struct meter *m, struct str literal)
{
    if (literal.n < 3 || literal.p[0] != '"' || literal.n - 2 > sizeof m->model ||
        str_chr(literal, '\\') >= 0)
        return;
    m->model_n = literal.n - 2;
    memcpy(m->model, literal.p + 1, m->model_n);
}

/* --- whole replies --- */

/* What images and rerank count besides tokens. */
static void count_units(struct meter *m, struct str json)
{
    if (m->kind == KIND_IMAGES || m->kind == KIND_IMAGE_EDITS) {
        struct str data = json_find(json, STR("data")), key, item;
        size_t at = 1;
        if (json_type_of(data) == JSON_ARRAY)
            while (json_next(data, &at, &key, &item))
                m->usage.images++;
        if (m->usage.images && m->usage.source == USAGE_UNKNOWN)
            m->usage.source = USAGE_REPORTED;
    } else if (m->kind == KIND_RERANK) {
        if (meter_number_at(json, STR("meta.billed_units.search_units"), &m->usage.queries))
            m->usage.source = USAGE_REPORTED;
    }
}

/* The texts of a whole reply that said nothing of usage, for local counting. */
static void collect_reply(struct meter *m, struct str json)
{
    static const struct meter_key chat[] = {
        METER_KEY("content", true, 'c', 'o'), METER_KEY("arguments", true, 'a', 'r')};
    static const struct meter_key others[] = {METER_KEY("text", true, 't', 'e'),
        METER_KEY("thinking", true, 't', 'h'), METER_KEY("arguments", true, 'a', 'r')};

    if (m->kind == KIND_CHAT)
        meter_look(m, json, chat, ARRAY_LEN(chat));
    else
        meter_look(m, json, others, ARRAY_LEN(others));
}

/* The top members are found in one walk that skips what they hold; only usage is read further. */
void meter_reply(struct meter *m, struct str json)
{
    enum {
        USAGE,
        USAGE_METADATA,
        MODEL,
        MODEL_VERSION,
        TIER,
        ID,
        OUTPUT_FILE,
        ERROR_FILE,
        FILE_MADE,
        MEMBERS
    };
    static const struct str names[MEMBERS] = {
        [USAGE] = STR_INIT("usage"),
        [USAGE_METADATA] = STR_INIT("usageMetadata"),
        [MODEL] = STR_INIT("model"),
        [MODEL_VERSION] = STR_INIT("modelVersion"),
        [TIER] = STR_INIT("service_tier"),
        [ID] = STR_INIT("id"),
        [OUTPUT_FILE] = STR_INIT("output_file_id"),
        [ERROR_FILE] = STR_INIT("error_file_id"),
        [FILE_MADE] = STR_INIT("file"),
    };
    struct str v[MEMBERS];

    json = str_trim(json);
    json_members(json, names, v, MEMBERS);
    struct str usage = v[meter_is_gemini(m) ? USAGE_METADATA : USAGE];
    meter_usage_object(m, usage);
    meter_take_model(m, v[meter_is_gemini(m) ? MODEL_VERSION : MODEL]);
    bool claude = m->kind == KIND_MESSAGES || m->kind == KIND_INVOKE;
    if (claude && json_type_of(usage) == JSON_OBJECT)
        meter_tier(m, usage);
    if (meter_is_converse(m) && json_type_of(json) == JSON_OBJECT)
        meter_tier_word(m, json_find(json, STR("serviceTier.type")));
    meter_tier_word(m, v[TIER]);
    count_units(m, json);
    if (m->usage.source == USAGE_UNKNOWN)
        collect_reply(m, json);
    meter_take_id(m, v[ID]);
    if (m->kind == KIND_BATCHES) {
        meter_take_id(m, v[OUTPUT_FILE]);
        meter_take_id(m, v[ERROR_FILE]);
    } else if (m->kind == KIND_UPLOADS && json_type_of(v[FILE_MADE]) == JSON_OBJECT) {
        meter_take_id(m, json_find(v[FILE_MADE], STR("id")));
    }
}

/* --- tails --- */

void meter_piece(struct meter *m, struct str bytes)
{
    if (bytes.n > TAIL_BYTES) {
        bytes = str_from(bytes, bytes.n - TAIL_BYTES);
        buf_clear(&m->tail);
    } else if (m->tail.n + bytes.n > 2 * TAIL_BYTES) {
        buf_drop(&m->tail, m->tail.n - TAIL_BYTES);
    }
    buf_addstr(&m->tail, bytes);
}

/* The last balanced object that follows key, in a text whose beginning is missing. */
static struct str last_object(struct str text, struct str key)
{
    for (size_t end = text.n; end >= key.n; end--) {
        struct str at = str_at(text.p + end - key.n, key.n);
        if (!str_eq(at, key))
            continue;
        struct str rest = str_trim(str_from(text, end));
        if (!rest.n || rest.p[0] != ':')
            continue;
        rest = str_trim(str_from(rest, 1));
        int depth = 0;
        bool in_string = false;
        for (size_t i = 0; i < rest.n; i++) {
            char c = rest.p[i];
            if (in_string)
                c == '\\' ? (void)i++ : c == '"' ? (void)(in_string = false) : (void)0;
            else if (c == '"')
                in_string = true;
            else if (c == '{' || c == '[')
                depth++;
            else if ((c == '}' || c == ']') && --depth == 0)
                return str_to(rest, i + 1);
        }
        return STR_NONE;
    }
    return STR_NONE;
}

void meter_pieces_end(struct meter *m)
{
    if (m->usage.source == USAGE_UNKNOWN && m->tail.n)
        meter_usage_object(
            m, last_object(buf_str(&m->tail),
                   meter_is_gemini(m) ? STR("\"usageMetadata\"") : STR("\"usage\"")));
    buf_free(&m->tail);
}
