/* Pictures between OpenAI's form, Imagen's and Replicate's. */
#include "translate/images.h"

#include "base/limits.h"
#include "base/tap.h"

#include <errno.h>

static struct arena arena;
static struct error error;
static struct canon_call call;
static struct buf out;

static void begin(const char *model)
{
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 16 * MIB);
    error = (struct error){0};
    canon_call_init(&call, &arena, &error);
    call.provider = STR("p");
    call.model = str_of(model);
    call.now = 1700000000;
    buf_clear(&out);
}

/* The body for a provider, or the field at fault. */
static struct str asked(const char *body, const char *model, enum images_form form)
{
    struct images_request q;

    begin(model);
    if (images_read_request(&call, str_of(body), &q) < 0 ||
        images_write_request(&call, &q, form, &out) < 0)
        return error.param;
    return buf_str(&out);
}

static void test_imagen(void)
{
    CHECK_STR(asked("{\"model\":\"m\",\"prompt\":\"a cat\"}", "imagen-4", IMAGES_IMAGEN),
        STR("{\"instances\":[{\"prompt\":\"a cat\"}],\"parameters\":{\"sampleCount\":1}}"));
    CHECK_STR(asked("{\"prompt\":\"a\",\"n\":2,\"size\":\"1024x1024\",\"output_format\":\"jpeg\","
                    "\"output_compression\":80,\"seed\":7}",
                  "imagen-4", IMAGES_IMAGEN),
        STR("{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":{\"sampleCount\":2,"
            "\"aspectRatio\":\"1:1\",\"outputOptions\":{\"mimeType\":\"image/jpeg\","
            "\"compressionQuality\":80},\"seed\":7,\"addWatermark\":false}}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
    CHECK_STR(asked("{\"prompt\":\"a\",\"size\":\"1792x1024\",\"quality\":\"hd\",\"user\":\"u\","
                    "\"output_format\":\"webp\",\"response_format\":\"url\"}",
                  "imagen-4", IMAGES_IMAGEN),
        STR("{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":{\"sampleCount\":1,"
            "\"aspectRatio\":\"16:9\"}}"));
    CHECK_STR(canon_lost_names(&call), STR("quality, size, output_format, response_format, user"));
}

static void test_replicate(void)
{
    CHECK_STR(asked("{\"prompt\":\"a\",\"n\":2,\"size\":\"1024x1536\",\"output_format\":\"jpeg\","
                    "\"output_compression\":80}",
                  "black-forest-labs/flux-schnell", IMAGES_REPLICATE),
        STR("{\"input\":{\"prompt\":\"a\",\"num_outputs\":2,\"aspect_ratio\":\"3:4\","
            "\"output_format\":\"jpg\",\"output_quality\":80}}"));
    CHECK_STR(asked("{\"prompt\":\"a\",\"size\":\"auto\"}", "a/b:00ff", IMAGES_REPLICATE),
        STR("{\"version\":\"00ff\",\"input\":{\"prompt\":\"a\"}}"));
}

static void test_refusals(void)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"7", ""},
        {"{}", "prompt"},
        {"{\"prompt\":\"a\",\"n\":0}", "n"},
        {"{\"prompt\":\"a\",\"n\":11}", "n"},
        {"{\"prompt\":\"a\",\"n\":\"1\"}", "n"},
        {"{\"prompt\":\"a\",\"size\":\"big\"}", "size"},
        {"{\"prompt\":\"a\",\"size\":\"0x7\"}", "size"},
        {"{\"prompt\":\"a\",\"size\":\"99999x1\"}", "size"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_STR(asked(rows[i].body, "m", IMAGES_IMAGEN), str_of(rows[i].param));
        CHECK_EQ(error.status, 400);
    }
}

/* The client's reply, or the error's code. */
static struct str answered(const char *reply, enum images_form form)
{
    struct images_reply r;

    begin("m");
    int err = images_read_reply(&call, form, str_of(reply), &r);
    if (err == -EINPROGRESS)
        return STR("not over");
    if (err < 0 || images_write_reply(&call, &r, &out) < 0)
        return error.code;
    return buf_str(&out);
}

static void test_imagen_replies(void)
{
    CHECK_STR(
        answered("{\"predictions\":[{\"mimeType\":\"image/png\",\"bytesBase64Encoded\":\"aQ==\","
                 "\"prompt\":\"A cat.\"},{\"raiFilteredReason\":\"no\"}]}",
            IMAGES_IMAGEN),
        STR("{\"created\":1700000000,\"data\":[{\"b64_json\":\"aQ==\",\"revised_prompt\":\"A cat."
            "\"}]}"));
    CHECK_STR(answered("{\"predictions\":[{\"raiFilteredReason\":\"no\"}]}", IMAGES_IMAGEN),
        STR("content_policy_violation"));
    CHECK_EQ(error.status, 400);
    CHECK_STR(answered("{}", IMAGES_IMAGEN), STR("upstream_bad_response"));
    CHECK_STR(answered("[]", IMAGES_IMAGEN), STR("upstream_bad_response"));
}

static void test_replicate_replies(void)
{
    CHECK_STR(answered("{\"status\":\"succeeded\",\"output\":[\"https://r/1.png\","
                       "\"data:image/webp;base64,aQ==\"]}",
                  IMAGES_REPLICATE),
        STR("{\"created\":1700000000,\"data\":[{\"url\":\"https://r/1.png\"},"
            "{\"b64_json\":\"aQ==\"}]}"));
    CHECK_STR(
        answered("{\"status\":\"succeeded\",\"output\":\"https://r/1.png\"}", IMAGES_REPLICATE),
        STR("{\"created\":1700000000,\"data\":[{\"url\":\"https://r/1.png\"}]}"));
    CHECK_STR(answered("{\"status\":\"processing\"}", IMAGES_REPLICATE), STR("not over"));
    CHECK_STR(answered("{\"status\":\"failed\",\"error\":\"NSFW\"}", IMAGES_REPLICATE),
        STR("upstream_bad_response"));
    CHECK_STR(error.message, STR("NSFW"));
    CHECK_STR(answered("{\"status\":\"succeeded\",\"output\":[7]}", IMAGES_REPLICATE),
        STR("upstream_bad_response"));
    CHECK_STR(answered("{\"status\":\"succeeded\",\"output\":\"plain text\"}", IMAGES_REPLICATE),
        STR("upstream_bad_response"));
}

int main(void)
{
    buf_init(&out, MIB);
    TAP_RUN(test_imagen);
    TAP_RUN(test_replicate);
    TAP_RUN(test_refusals);
    TAP_RUN(test_imagen_replies);
    TAP_RUN(test_replicate_replies);
    buf_free(&out);
    arena_free(&arena);
    return tap_done();
}
