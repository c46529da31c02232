/*
 * How demanding a prompt looks, without asking a model: signs that are counted, for the capable
 * model and for the efficient one. One sign alone never makes a prompt demanding, nor do as many on
 * either side; a tool that failed always does.
 */
#include "route/plan.h"

#include "json/scan.h"

#define SIGN       300 /* thousandths each */
#define LONG_TURN  ((size_t)8 << 10)
#define SHORT_TURN ((size_t)160) /* with its JSON around it */
#define MANY_TURNS 8
#define MANY_TOOLS 4
#define LOOKED_AT  ((size_t)16 << 10) /* of a turn, for words */

static const char *const thinking[] = {"prove", "derive", "step by step", "analyze", "analyse",
    "compare", "architecture", "trade-off", "algorithm", "optimi", "root cause", NULL};
static const char *const code[] = {"```", "refactor", "debug", "stack trace", "traceback",
    "implement", "unit test", "select ", "#include", NULL};
static const char *const media[] = {"\"image_url\"", "\"image\"", "\"input_image\"", "\"document\"",
    "\"input_file\"", "\"inlinedata\"", NULL};
static const char *const small_talk[] = {"hello", "good morning", "thank you", "thanks", "what is ",
    "who is ", "when did ", "define ", "translate ", "spell ", "capital of ", NULL};
static const char *const marked_failed[] = {"\"is_error\":true", "\"is_error\": true", NULL};
static const char *const begins_failed[] = {
    "error", "{\\\"error\\\"", "{\"error\"", "traceback", "exception", "fatal", NULL};
static const char *const gemini_result[] = {"\"functionresponse\"", NULL};
static const char *const gemini_error[] = {"\"error\":", "\"error\" :", NULL};

/* --- looking into JSON text --- */

/* Words are in lower case. */
static bool any_word(struct str text, const char *const *words)
{
    text = str_to(text, LOOKED_AT);
    for (size_t at = 0; at < text.n; at++)
        for (unsigned i = 0; words[i]; i++) {
            struct str w = str_of(words[i]);
            if ((text.p[at] | 0x20) == (w.p[0] | 0x20) && str_istarts(str_from(text, at), w))
                return true;
        }
    return false;
}

static bool begins_with(struct str text, const char *const *words)
{
    for (; *words; words++)
        if (str_istarts(text, str_of(*words)))
            return true;
    return false;
}

static unsigned items_of(struct str list)
{
    struct str key, item;
    size_t at = json_type_of(list) == JSON_ARRAY ? json_inside(list) : 0;
    unsigned n = 0;

    while (at && json_next(list, &at, &key, &item))
        n++;
    return n;
}

/* --- turns --- */

/* What the model said itself: then a tool's failure before it is no news. */
static bool is_models(struct str item)
{
    struct str role = json_find(item, STR("role"));

    return str_eq(role, STR("\"assistant\"")) || str_eq(role, STR("\"model\""));
}

/* A tool's result that says it failed: Anthropic marks it, Gemini has it in an object, in OpenAI's
 * dialects the text alone can tell. */
static bool is_failed(struct str item)
{
    struct str role = json_find(item, STR("role")), type = json_find(item, STR("type"));
    struct str text = STR_NONE;

    if (any_word(item, marked_failed))
        return true;
    if (str_eq(role, STR("\"tool\"")))
        text = json_find(item, STR("content"));
    else if (str_eq(type, STR("\"function_call_output\"")))
        text = json_find(item, STR("output"));
    else
        return any_word(item, gemini_result) && any_word(item, gemini_error);
    return begins_with(str_trim(str_from(text, 1)), begins_failed);
}

/* The last item of a list is what is asked now. *ret_failed: a tool failed since the model spoke.
 */
static struct str last_turn(struct str list, bool *ret_failed)
{
    struct str key, item, last = STR_NONE;
    size_t at = json_type_of(list) == JSON_ARRAY ? json_inside(list) : 0;

    *ret_failed = false;
    while (at && json_next(list, &at, &key, &item)) {
        last = item;
        if (json_type_of(item) == JSON_OBJECT)
            *ret_failed = !is_models(item) && (*ret_failed || is_failed(item));
    }
    return last.n ? last : list;
}

/* --- the whole --- */

unsigned route_effort(struct str body)
{
    static const struct str names[] = {STR_INIT("messages"), STR_INIT("input"),
        STR_INIT("contents"), STR_INIT("tools"), STR_INIT("reasoning_effort"),
        STR_INIT("reasoning"), STR_INIT("thinking")};
    struct str v[ARRAY_LEN(names)];
    unsigned hard, easy;
    bool failed;

    if (!body.n)
        return 0;
    json_members(body, names, v, ARRAY_LEN(names));
    struct str talk = v[0].n ? v[0] : v[1].n ? v[1] : v[2], last = last_turn(talk, &failed);
    if (failed)
        return 1000;
    hard = (last.n > LONG_TURN) + (items_of(talk) > MANY_TURNS) + (items_of(v[3]) > MANY_TOOLS) +
           any_word(last, thinking) + any_word(last, code) + any_word(last, media) +
           (v[4].n || v[5].n || v[6].n);
    easy = (last.n < SHORT_TURN) + any_word(last, small_talk);
    return hard < 2 || hard <= easy ? 0 : MIN(hard * SIGN, 1000u);
}
