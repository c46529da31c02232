/* Items of kept conversations: their ids and forms, references, pages. */
#include "gateway/responses_kept.h"

#include "base/tap.h"

#include <errno.h>

#define SEED "0193a5b0-0000-7000-8000-00000000abcd"
#define HEX                                                                                        \
    "0193a5b0000070008000"                                                                         \
    "00000000abcd"

static char text[8192];

static struct str find(void *ctx, struct str id)
{
    return str_eq(id, STR("rs_1")) ? STR("{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[]}")
                                   : STR_NONE;
}

static struct str kept_text(struct buf *b)
{
    size_t n = MIN(b->n, sizeof text - 1);

    if (n)
        memcpy(text, b->p, n);
    text[n] = 0;
    buf_free(b);
    return str_at(text, n);
}

/* The items, or the error. */
static struct str added(const char *input, bool any)
{
    struct buf out;
    struct str id;

    buf_init(&out, 1 << 20);
    int r = kept_add_items(str_of(input), STR(SEED), find, NULL, &any, &out, &id);
    if (r < 0) {
        buf_free(&out);
        return r == -ENOENT ? id : r == -EINVAL ? STR("invalid") : STR("failed");
    }
    return kept_text(&out);
}

static void test_a_text_is_a_message(void)
{
    CHECK_STR(added("\"Hi \\\"you\\\"\"", false),
        STR("{\"id\":\"msg_sf" HEX "i0000\",\"type\":\"message\",\"status\":\"completed\","
            "\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"Hi "
            "\\\"you\\\"\"}]}"));
}

static void test_items_get_what_they_lack(void)
{
    CHECK_STR(added("[{\"role\":\"assistant\",\"content\":\"a\"},"
                    "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
                    "\"arguments\":\"{}\"}]",
                  true),
        STR(",{\"id\":\"msg_sf" HEX "i0000\",\"type\":\"message\",\"status\":\"completed\","
            "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],"
            "\"text\":\"a\"}]},"
            "{\"id\":\"fc_sf" HEX "i0001\",\"type\":\"function_call\",\"status\":\"completed\","
            "\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}"));
    CHECK_STR(
        added("[{\"id\":\"x\",\"status\":\"incomplete\",\"type\":\"message\",\"role\":\"user\","
              "\"content\":[{\"type\":\"input_text\",\"text\":\"1.50\"}],\"n\":1.50}]",
            false),
        STR("{\"id\":\"x\",\"type\":\"message\",\"status\":\"incomplete\",\"role\":\"user\","
            "\"content\":[{\"type\":\"input_text\",\"text\":\"1.50\"}],\"n\":1.50}"));
}

static void test_references(void)
{
    CHECK_STR(added("[{\"type\":\"item_reference\",\"id\":\"rs_1\"}]", false),
        STR("{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[]}"));
    CHECK_STR(added("[{\"type\":\"item_reference\",\"id\":\"rs_2\"}]", false), STR("rs_2"));
}

static void test_neither_text_nor_list(void)
{
    CHECK_STR(added("{\"role\":\"user\"}", false), STR("invalid"));
    CHECK_STR(added("7", false), STR("invalid"));
    CHECK_STR(added("[7,null]", false), STR("7,null")); /* the reader says what is wrong */
    CHECK_STR(added("[]", true), STR(""));
}

/* --- ids --- */

static void test_ids(void)
{
    char room[KEPT_ID_BYTES];

    CHECK(gw_kept_is(STR("resp_sf" HEX)));
    CHECK(gw_kept_is(STR("msg_sf" HEX "i0003")));
    CHECK(!gw_kept_is(STR("resp_68af4030baa48193b0b43b4c2a176a1a0e6967589f080e78")));
    CHECK(!gw_kept_is(STR("resp_sf0193")));
    CHECK(!gw_kept_is(STR("resp_sf0193a5b000007000800000000000ABCD")));
    CHECK(!gw_kept_is(STR("")));
    CHECK_STR(gw_kept_owner_of(STR("fc_sf" HEX "0001"), room), STR("resp_sf" HEX));
    CHECK_STR(gw_kept_owner_of(STR("fc_1"), room), STR(""));
}

/* --- pages --- */

#define ITEMS "[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]"

static struct str page(const char *after, unsigned limit, bool ascending)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    int r = kept_page(STR(ITEMS), str_of(after), limit, ascending, &out);
    if (r == -ENOENT) {
        buf_free(&out);
        return STR("unknown");
    }
    return kept_text(&out);
}

static void test_pages(void)
{
    CHECK_STR(page("", 20, false),
        STR("{\"object\":\"list\",\"data\":[{\"id\":\"c\"},{\"id\":\"b\"},{\"id\":\"a\"}],"
            "\"first_id\":\"c\",\"last_id\":\"a\",\"has_more\":false}"));
    CHECK_STR(
        page("", 2, true), STR("{\"object\":\"list\",\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],"
                               "\"first_id\":\"a\",\"last_id\":\"b\",\"has_more\":true}"));
    CHECK_STR(page("b", 2, true), STR("{\"object\":\"list\",\"data\":[{\"id\":\"c\"}],"
                                      "\"first_id\":\"c\",\"last_id\":\"c\",\"has_more\":false}"));
    CHECK_STR(page("b", 2, false), STR("{\"object\":\"list\",\"data\":[{\"id\":\"a\"}],"
                                       "\"first_id\":\"a\",\"last_id\":\"a\",\"has_more\":false}"));
    CHECK_STR(page("c", 2, true),
        STR("{\"object\":\"list\",\"data\":[],\"first_id\":null,\"last_id\":null,"
            "\"has_more\":false}"));
    CHECK_STR(page("z", 2, true), STR("unknown"));
}

static void test_finding(void)
{
    CHECK_STR(kept_item(STR(ITEMS), STR("b")), STR("{\"id\":\"b\"}"));
    CHECK(!kept_item(STR(ITEMS), STR("z")).p);
    CHECK(!kept_item(STR("{}"), STR("z")).p);
}

int main(void)
{
    TAP_RUN(test_a_text_is_a_message);
    TAP_RUN(test_items_get_what_they_lack);
    TAP_RUN(test_references);
    TAP_RUN(test_neither_text_nor_list);
    TAP_RUN(test_ids);
    TAP_RUN(test_pages);
    TAP_RUN(test_finding);
    return tap_done();
}
