/* Lists without what belongs to others: every provider's spelling, and what speaks of the page. */
#include "gateway/own.h"

#include "base/tap.h"
#include <stdio.h>

/* Ids with an 'm' behind their dash are mine. */
static bool keep(void *ctx, struct str id)
{
    (void)ctx;
    ptrdiff_t dash = str_chr(id, '-');

    return dash >= 0 && (size_t)dash + 1 < id.n && id.p[dash + 1] == 'm';
}

static struct own_page page;

static bool becomes_at_most(unsigned max, const char *list, const char *want)
{
    _cleanup_(buf_free) struct buf out = {0};

    buf_init(&out, 4096);
    if (own_filter(str_of(list), keep, NULL, max, &out, &page) < 0)
        return !want;
    if (want && str_eq(buf_str(&out), str_of(want)))
        return true;
    printf("# got " STR_FMT "\n", STR_ARG(buf_str(&out)));
    return false;
}

static bool becomes(const char *list, const char *want)
{
    return becomes_at_most(0, list, want);
}

static void test_openai(void)
{
    CHECK(becomes("{\"object\":\"list\",\"data\":[{\"id\":\"f-m1\"},{\"id\":\"f-x\"}, "
                  "{\"a\":[1],\"id\":\"f-m2\"}],\"has_more\":true,\"first_id\":\"f-m1\","
                  "\"last_id\":\"f-m2\"}",
        "{\"object\":\"list\",\"data\":[{\"id\":\"f-m1\"},{\"a\":[1],\"id\":\"f-m2\"}],"
        "\"has_more\":true,\"first_id\":\"f-m1\",\"last_id\":\"f-m2\"}"));
    CHECK_EQ(page.seen, 3);
    CHECK_EQ(page.kept, 2);
    CHECK(page.more);
    CHECK_STR(page.last, STR("f-m2"));
}

static void test_ids_of_the_page(void)
{
    const char *all = "{\"last_id\":\"f-y\",\"data\":[{\"id\":\"f-x\"},{\"id\":\"f-m\"},"
                      "{\"id\":\"f-y\"}],\"first_id\":\"f-x\",\"has_more\":false}";

    CHECK(becomes(all, "{\"last_id\":\"f-m\",\"data\":[{\"id\":\"f-m\"}],\"first_id\":\"f-m\","
                       "\"has_more\":false}"));
    CHECK_STR(page.first, STR("f-x"));
    CHECK_STR(page.last, STR("f-y"));
    CHECK(becomes("{\"data\":[{\"id\":\"f-x\"}],\"first_id\":\"f-x\",\"last_id\":\"f-x\"}",
        "{\"data\":[],\"first_id\":null,\"last_id\":null}"));
    CHECK_EQ(page.kept, 0);
    CHECK(!page.more);
}

static void test_at_most(void)
{
    const char *all = "{\"data\":[{\"id\":\"f-m1\"},{\"id\":\"f-x\"},{\"id\":\"f-m2\"},"
                      "{\"id\":\"f-m3\"}],\"has_more\":false,\"last_id\":\"f-m3\"}";

    CHECK(becomes_at_most(2, all,
        "{\"data\":[{\"id\":\"f-m1\"},{\"id\":\"f-m2\"}],\"has_more\":true,\"last_id\":\"f-m2\"}"));
    CHECK(becomes_at_most(3, all,
        "{\"data\":[{\"id\":\"f-m1\"},{\"id\":\"f-m2\"},{\"id\":\"f-m3\"}],\"has_more\":false,"
        "\"last_id\":\"f-m3\"}"));
}

static void test_google(void)
{
    CHECK(becomes("{\"files\":[{\"name\":\"files/-x\"},{\"name\":\"files/-m\",\"uri\":\"u\"}],"
                  "\"nextPageToken\":\"t1\"}",
        "{\"files\":[{\"name\":\"files/-m\",\"uri\":\"u\"}],\"nextPageToken\":\"t1\"}"));
    CHECK(page.more);
    CHECK_STR(page.token, STR("t1"));
    CHECK(becomes("{}", "{}"));
    CHECK(!page.more);
}

static void test_odd_shapes(void)
{
    CHECK(becomes(" [ {\"id\":\"f-x\"}, {\"id\":\"f-m\"} ] ", "[{\"id\":\"f-m\"} ]") ||
          becomes(" [ {\"id\":\"f-x\"}, {\"id\":\"f-m\"} ] ", "[{\"id\":\"f-m\"}]"));
    CHECK(becomes("{\"d\\u0061ta\":[{\"id\":\"f-x\"}],\"x\":[{\"id\":\"f-x\"},1,\"f-x\",[],null]}",
        "{\"d\\u0061ta\":[],\"x\":[]}"));
    CHECK(becomes("{\"data\":[{\"id\":\"f-x\"}],\"data\":[{\"id\":\"f-m\"},{\"id\":\"f-y\"}]}",
        "{\"data\":[],\"data\":[{\"id\":\"f-m\"}]}"));
    CHECK(becomes("{\"l\\u0061st_id\":\"f-x\"}", "{\"l\\u0061st_id\":null}"));
    /* an id with escapes is nobody's, one that is no text is none */
    CHECK(becomes("[{\"id\":\"f-\\u006d\"},{\"id\":7},{\"id\":\"\"},{\"no\":1}]", "[]"));
    CHECK(becomes("{\"data\":[{\"id\":\"f-m\"}", NULL));
    CHECK(becomes("\"f-x\"", NULL));
    CHECK(becomes("", NULL));
}

static unsigned asked;

static void ask(void *ctx, struct str id)
{
    (void)ctx;
    (void)id;
    asked++;
}

static void test_ids(void)
{
    CHECK_EQ(own_filter_ids(
                 STR("{\"data\":[{\"id\":\"a\"},{\"x\":1},{\"name\":\"b\"}],\"y\":[]}"), ask, NULL),
        0);
    CHECK_EQ(asked, 2);
    CHECK_EQ(own_filter_ids(STR("[{\"id\":\"a\"}]"), ask, NULL), 0);
    CHECK_EQ(asked, 3);
    CHECK(own_filter_ids(STR("[{\"id\":"), ask, NULL) < 0);
}

int main(void)
{
    TAP_RUN(test_openai);
    TAP_RUN(test_ids_of_the_page);
    TAP_RUN(test_at_most);
    TAP_RUN(test_google);
    TAP_RUN(test_odd_shapes);
    TAP_RUN(test_ids);
    return tap_done();
}
