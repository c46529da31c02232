/* The ids that a body names, however deep and however written. */
#include "gateway/own.h"

#include "base/tap.h"
#include <errno.h>
#include <stdio.h>

static struct arena arena;

/* All ids with a space between. */
static struct str found_by(
    int (*look)(struct str, struct arena *, struct own_ids *), const char *json)
{
    static char out[4096];
    struct own_ids ids = {0};
    int n = 0;

    out[0] = 0;
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 1 << 20);
    int r = look(str_of(json), &arena, &ids);
    if (r < 0)
        return r == -E2BIG ? STR("too many") : STR("failed");
    for (unsigned i = 0; i < ids.n; i++)
        n += snprintf(
            out + n, sizeof out - (size_t)n, "%s" STR_FMT, i ? " " : "", STR_ARG(ids.at[i].id));
    return str_at(out, (size_t)n);
}

static int look_inside(struct str json, struct arena *a, struct own_ids *ids)
{
    struct json_set set;
    struct json_error e;
    enum json_type top;
    unsigned seen;

    json_set_init(&set, NULL, 0);
    own_ids_watch(&set, 1);
    must(json_scan_set(json, &set, NULL, &seen, &top, &e) == 0);
    return seen ? own_ids_inside(json, a, ids) : 0;
}

static struct str found(const char *json)
{
    return found_by(look_inside, json);
}

static void test_lines(void)
{
    const char *line = "{\"custom_id\":\"x\",\"body\":{\"previous_response_id\":\"resp_1\","
                       "\"conversation\":{\"id\":\"conv_2\"},\"a\":{\"file_id\":\"f\"}}}";

    CHECK_STR(found_by(own_ids_line, line), STR("resp_1 conv_2 f"));
    CHECK_STR(found(line), STR("f"));
    CHECK_STR(
        found_by(own_ids_line, "{\"conversation\":\"conv_1\",\"id\":\"msg_1\"}"), STR("conv_1"));
    CHECK_STR(found_by(own_ids_line, "\x89PNG {\"file_id\":\"f\",NaN, \"open"), STR("f"));
    CHECK_STR(found_by(own_ids_line, "{\"file_id\":\"f"), STR(""));
}

static void test_deep(void)
{
    CHECK_STR(found("{\"model\":\"m\",\"input\":\"file_id\"}"), STR(""));
    CHECK_STR(found("{\"input\":[{\"content\":[{\"type\":\"input_file\",\"file_id\" : \"f1\"},"
                    "{\"file\":{\"file_id\":\"f2\"}}]}]}"),
        STR("f1 f2"));
    CHECK_STR(
        found("{\"tools\":[{\"container\":{\"file_ids\":[ \"a\" , \"b\",\"c\"]}}]}"), STR("a b c"));
    CHECK_STR(found("{\"file_ids\":[]}"), STR(""));
    CHECK_STR(found("{\"file_ids\":[1,\"a\"]}"), STR(""));
    CHECK_STR(found("{\"file_id\":{\"type\":\"string\"},\"x\":[\"file_id\",\"y\"]}"), STR(""));
    CHECK_STR(found("{\"file_id\":null,\"FILE_ID\":\"f\",\"file_id\":\"\"}"), STR("f"));
    CHECK_STR(found("{\"x\":\"\\\"file_id\\\":\\\"no\\\"\",\"file_id\":\"f\"}"), STR("f"));
}

static void test_escapes(void)
{
    CHECK_STR(found("{\"\\u0066ile_id\":\"f\"}"), STR("f"));
    CHECK_STR(found("{\"file\\u005Fid\":\"f\\u0031\\/x\"}"), STR("f1/x"));
    CHECK_STR(
        found("{\"\\u0066\\u0069\\u006c\\u0065\\u005f\\u0069\\u0064\\u0073\":[\"f\"]}"), STR("f"));
    CHECK_STR(found("{\"a\":\"\\u00fc\",\"b\":\"c\"}"), STR(""));
}

static void test_google(void)
{
    CHECK_STR(found("{\"contents\":[{\"parts\":[{\"fileData\":{\"fileUri\":"
                    "\"https://g.example/v1beta/files/abc\"}}]}],\"cachedContent\":"
                    "\"projects/p/cachedContents/c1\"}"),
        STR("files/abc cachedContents/c1"));
    CHECK_STR(found("{\"file_uri\":\"https://g/files%2Fabc?alt=media\",\"cached_content\":"
                    "\"cachedContents/c2\"}"),
        STR("files/abc cachedContents/c2"));
    CHECK_STR(found("{\"fileUri\":\"https://youtu.be/x\",\"file_uri\":\"gs://b/o\"}"), STR(""));
    CHECK_STR(found("{\"batch\":{\"inputConfig\":{\"fileName\":\"files/in:download\"}}}"),
        STR("files/in"));
}

static void test_many(void)
{
    static char body[OWN_IDS_MAX * 8 + 64];
    int n = snprintf(body, sizeof body, "{\"file_ids\":[");

    for (unsigned i = 0; i <= OWN_IDS_MAX; i++)
        n += snprintf(body + n, sizeof body - (size_t)n, "%s\"f%u\"", i ? "," : "", i);
    snprintf(body + n, sizeof body - (size_t)n, "]}");
    CHECK_STR(found(body), STR("too many"));
}

int main(void)
{
    TAP_RUN(test_deep);
    TAP_RUN(test_lines);
    TAP_RUN(test_escapes);
    TAP_RUN(test_google);
    TAP_RUN(test_many);
    arena_free(&arena);
    return tap_done();
}
