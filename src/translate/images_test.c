/* Pictures between OpenAI's form, Imagen's, Gemini's and Replicate's. */
#include "translate/images.h"

#include "translate/call_test.h"

#include <errno.h>

static struct images_reply got;

static void begin(const char *model)
{
    t_begin(model);
    call.provider = STR("gemini");
    call.now = 1700000000;
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
                    "\"output_compression\":80,\"quality\":\"auto\",\"style\":null,"
                    "\"partial_images\":2,\"stream\":true}",
                  "imagen-4", IMAGES_IMAGEN),
        STR("{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":{\"sampleCount\":2,"
            "\"aspectRatio\":\"1:1\",\"outputOptions\":{\"mimeType\":\"image/jpeg\","
            "\"compressionQuality\":80}}}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
    CHECK_STR(asked("{\"prompt\":\"a\",\"size\":\"1792x1024\",\"quality\":\"hd\",\"user\":\"u\","
                    "\"output_format\":\"webp\",\"response_format\":\"url\"}",
                  "imagen-4", IMAGES_IMAGEN),
        STR("{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":{\"sampleCount\":1,"
            "\"aspectRatio\":\"16:9\"}}"));
    CHECK_STR(canon_lost_names(&call), STR("quality, size, output_format, response_format, user"));
}

/* Vertex AI's Imagen takes a seed, without a watermark; the Gemini API's takes none. */
static void test_imagen_seed(void)
{
    static const char body[] = "{\"prompt\":\"a\",\"seed\":7}";
    struct images_request q;

    CHECK_STR(asked(body, "imagen-4", IMAGES_IMAGEN),
        STR("{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":{\"sampleCount\":1}}"));
    CHECK_STR(canon_lost_names(&call), STR("seed"));
    begin("imagen-4");
    call.provider = STR("vertex");
    CHECK_EQ(images_read_request(&call, str_of(body), &q), 0);
    CHECK_EQ(images_write_request(&call, &q, IMAGES_IMAGEN, &out), 0);
    CHECK_STR(buf_str(&out), STR("{\"instances\":[{\"prompt\":\"a\"}],\"parameters\":{"
                                 "\"sampleCount\":1,\"seed\":7,\"addWatermark\":false}}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
}

static void test_gemini(void)
{
    CHECK_STR(asked("{\"prompt\":\"a \\\"cat\\\"\",\"n\":1,\"size\":\"auto\",\"seed\":7}",
                  "gemini-2.5-flash-image", IMAGES_GEMINI),
        STR("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a \\\"cat\\\"\"}]}],"
            "\"generationConfig\":{\"responseModalities\":[\"TEXT\",\"IMAGE\"],\"seed\":7}}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
    CHECK_STR(asked("{\"prompt\":\"a\",\"size\":\"1024x1536\",\"output_format\":\"webp\","
                    "\"output_compression\":9,\"background\":\"transparent\",\"user\":\"u\"}",
                  "gemini-3-pro-image", IMAGES_GEMINI),
        STR("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"a\"}]}],"
            "\"generationConfig\":{\"responseModalities\":[\"TEXT\",\"IMAGE\"],"
            "\"imageConfig\":{\"aspectRatio\":\"2:3\"}}}"));
    CHECK_STR(
        canon_lost_names(&call), STR("background, size, output_format, output_compression, user"));
    CHECK_STR(asked("{\"prompt\":\"a\",\"n\":2}", "gemini-3-pro-image", IMAGES_GEMINI), STR("n"));
    CHECK_EQ(error.status, 400);
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
        {"{\"prompt\":\"a\",\"n\":5}", "n"}, /* Imagen's own limit */
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

/* The client's reply to a request, or the error's code. */
static struct str answered_to(const char *body, const char *reply, enum images_form form)
{
    struct images_request q;

    begin("m");
    if (images_read_request(&call, str_of(body), &q) < 0)
        return error.param;
    int err = images_read_reply(&call, form, str_of(reply), &got);
    if (err == -EINPROGRESS)
        return STR("not over");
    if (err < 0 || images_write_reply(&call, &q, &got, &out) < 0)
        return error.code;
    return buf_str(&out);
}

static struct str answered(const char *reply, enum images_form form)
{
    return answered_to("{\"prompt\":\"a\"}", reply, form);
}

static void test_imagen_replies(void)
{
    CHECK_STR(
        answered("{\"predictions\":[{\"mimeType\":\"image/png\",\"bytesBase64Encoded\":\"aQ==\","
                 "\"prompt\":\"A cat.\"},{\"raiFilteredReason\":\"no\"}]}",
            IMAGES_IMAGEN),
        STR("{\"created\":1700000000,\"data\":[{\"b64_json\":\"aQ==\",\"revised_prompt\":\"A cat."
            "\"}],\"output_format\":\"png\"}"));
    CHECK_EQ(got.usage.images, 1);
    CHECK_EQ(got.usage.source, USAGE_REPORTED);
    CHECK_STR(answered("{\"predictions\":[{\"raiFilteredReason\":\"no\"}]}", IMAGES_IMAGEN),
        STR("content_policy_violation"));
    CHECK_EQ(error.status, 400);
    CHECK_EQ(got.usage.images, 0);
    CHECK_STR(answered("{}", IMAGES_IMAGEN), STR("upstream_bad_response"));
    CHECK_STR(answered("[]", IMAGES_IMAGEN), STR("upstream_bad_response"));
}

#define PICTURE "{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"aQ==\"}}"
#define DRAFT   "{\"thought\":true,\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"eA==\"}}"

static void test_gemini_replies(void)
{
    CHECK_STR(answered("{\"candidates\":[{\"content\":{\"parts\":[" DRAFT ",{\"text\":\"Here:\"}"
                       "," PICTURE "]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{"
                       "\"promptTokenCount\":7,\"candidatesTokenCount\":1290,"
                       "\"thoughtsTokenCount\":10,\"totalTokenCount\":1307}}",
                  IMAGES_GEMINI),
        STR("{\"created\":1700000000,\"data\":[{\"b64_json\":\"aQ==\"}],\"output_format\":\"png\","
            "\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"image_tokens\":0,"
            "\"text_tokens\":7},\"output_tokens\":1300,\"total_tokens\":1307}}"));
    CHECK_EQ(got.usage.images, 1);
    CHECK_EQ(got.usage.output, 1300);
    CHECK_STR(answered("{\"candidates\":[{\"finishReason\":\"IMAGE_SAFETY\"}]}", IMAGES_GEMINI),
        STR("content_policy_violation"));
    CHECK_STR(answered("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}", IMAGES_GEMINI),
        STR("content_policy_violation"));
    CHECK_STR(answered("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"I cannot.\"}]},"
                       "\"finishReason\":\"STOP\"}]}",
                  IMAGES_GEMINI),
        STR("upstream_bad_response"));
    CHECK_STR(error.message, STR("The model made no picture. It says: I cannot."));
    CHECK_STR(answered("{}", IMAGES_GEMINI), STR("upstream_bad_response"));
}

/* A client that wants events gets one a picture, as no provider has drafts. */
static void test_events(void)
{
    CHECK_STR(answered_to("{\"prompt\":\"a\",\"stream\":true,\"size\":\"1024x1024\"}",
                  "{\"predictions\":[{\"mimeType\":\"image/jpeg\",\"bytesBase64Encoded\":\"aQ==\"}"
                  ",{\"bytesBase64Encoded\":\"ag==\"}]}",
                  IMAGES_IMAGEN),
        STR("event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\","
            "\"b64_json\":\"aQ==\",\"created_at\":1700000000,\"size\":\"1024x1024\","
            "\"quality\":\"auto\",\"background\":\"auto\",\"output_format\":\"jpeg\"}\n\n"
            "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\","
            "\"b64_json\":\"ag==\",\"created_at\":1700000000,\"size\":\"1024x1024\","
            "\"quality\":\"auto\",\"background\":\"auto\",\"output_format\":\"png\"}\n\n"));
}

static void test_replicate_replies(void)
{
    CHECK_STR(answered("{\"status\":\"succeeded\",\"output\":[\"https://r/1.png\","
                       "\"data:image/webp;base64,aQ==\"]}",
                  IMAGES_REPLICATE),
        STR("{\"created\":1700000000,\"data\":[{\"url\":\"https://r/1.png\"},"
            "{\"b64_json\":\"aQ==\"}]}"));
    CHECK_EQ(got.usage.images, 2);
    CHECK_STR(canon_lost_names(&call), STR(""));
    CHECK_STR(answered_to("{\"prompt\":\"a\",\"response_format\":\"b64_json\"}",
                  "{\"status\":\"succeeded\",\"output\":[\"https://r/1.png\"]}", IMAGES_REPLICATE),
        STR("{\"created\":1700000000,\"data\":[{\"url\":\"https://r/1.png\"}]}"));
    CHECK_STR(canon_lost_names(&call), STR("response_format"));
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
    TAP_RUN(test_imagen);
    TAP_RUN(test_imagen_seed);
    TAP_RUN(test_gemini);
    TAP_RUN(test_replicate);
    TAP_RUN(test_refusals);
    TAP_RUN(test_imagen_replies);
    TAP_RUN(test_gemini_replies);
    TAP_RUN(test_events);
    TAP_RUN(test_replicate_replies);
    t_end();
    return tap_done();
}
