/* The canonical form: errors, losses, lists, and the values that writers share. */
#include "base/macros.h"
#include "base/tap.h"
#include "translate/canon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct error error;
static struct canon_call c;
static struct canon_request q;
static struct canon_message **tail;

static void reset(void)
{
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 64 << 20);
    error = (struct error){0};
    canon_call_init(&c, &arena, &error);
    c.provider = STR("anthropic");
    canon_request_init(&q);
    tail = &q.messages;
}

/* Appends a message. Its parts are words: "t:text", "c:id:name", "r:id", "k:thinking",
 * "s:signature" of thinking without text, "t!:…" text with a cache mark. */
static void say(enum canon_role role, const char *words)
{
    struct canon_message *m = canon_add_message(&c, &tail, role);
    struct canon_part **parts = &m->parts;
    for (struct str rest = str_of(words); rest.p;) {
        struct str word = str_split(&rest, ' '), kind = str_split(&word, ':');
        static const enum canon_part_kind kinds[] = {['t'] = PART_TEXT,
            ['c'] = PART_TOOL_CALL,
            ['r'] = PART_TOOL_RESULT,
            ['k'] = PART_THINKING,
            ['s'] = PART_THINKING,
            ['i'] = PART_IMAGE};
        struct canon_part *p = canon_add_part(&c, &parts, kinds[(int)kind.p[0]]);
        p->cache = kind.n > 1 ? CACHE_1H : CACHE_NONE;
        if (kind.p[0] == 'c' || kind.p[0] == 'r')
            p->id = str_split(&word, ':');
        if (kind.p[0] == 'c')
            p->name = word;
        else if (kind.p[0] == 's')
            p->signature = word;
        else
            p->text = str_at(word.p ? word.p : "", word.n);
    }
}

/* The alternating form of what was said, in the words of say(). */
static struct str alternated(void)
{
    static char text[4096];
    size_t n = 0;
    for (const struct canon_message *m = canon_alternate(&c, &q); m; m = m->next) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s(", m->role == ROLE_USER ? "U" : "A");
        for (const struct canon_part *p = m->parts; p; p = p->next) {
            char kind = "tRidavcrk?"[p->kind];
            struct str what = p->id.n ? p->id : p->text.n ? p->text : p->signature;
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%c%s" STR_FMT,
                p == m->parts ? "" : " ", kind, p->cache ? "!" : "", STR_ARG(what));
        }
        n += (size_t)snprintf(text + n, sizeof(text) - n, ")");
    }
    return str_at(text, n);
}

static void test_errors(void)
{
    reset();
    CHECK_EQ(canon_fail(&c, STR("messages[2].content"), "It is %s.", "odd"), -EREMOTEIO);
    CHECK_EQ(canon_fail(&c, STR("other"), "later"), -EREMOTEIO);
    CHECK_EQ(canon_bad_reply(&c, "x"), -EREMOTEIO);
    CHECK_EQ(error.status, 400);
    CHECK_STR(error.param, STR("messages[2].content"));
    CHECK_STR(error.message, STR("It is odd."));
    CHECK_STR(error.code, STR("invalid_request_error"));
    reset();
    CHECK_EQ(canon_bad_reply(&c, "it is empty"), -EREMOTEIO);
    CHECK_EQ(error.status, 502);
    CHECK_STR(error.code, STR("upstream_bad_response"));
    CHECK(str_ends(error.message, STR("it is empty.")));
    reset();
    arena.max = arena.total; /* nothing more to be had */
    arena.p = arena.end = NULL;
    CHECK(canon_add_message(&c, &tail, ROLE_USER) == NULL);
    CHECK_EQ(error.status, 413);
}

static void test_losses(void)
{
    char name[16];
    reset();
    CHECK_EQ(canon_lost_names(&c).n, 0);
    CHECK_EQ(canon_drop(&c, STR("seed"), "it has none"), 0);
    CHECK_EQ(canon_drop(&c, STR("logit_bias"), "it has none"), 0);
    CHECK_EQ(canon_drop(&c, STR("seed"), "it has none"), 0);
    CHECK_EQ(c.lost_n, 2);
    CHECK_STR(canon_lost_names(&c), STR("seed, logit_bias"));
    CHECK_EQ(error.status, 0);
    /* A name of the client's is no way into the head of the reply. */
    CHECK_EQ(canon_drop(&c, STR("x\r\nset-cookie: a,\"b\" \xc3\xa4"), "unknown"), 0);
    CHECK_STR(canon_lost_names(&c), STR("seed, logit_bias, x__set-cookie:_a__b____"));
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        CHECK_EQ(canon_drop(&c, str_of(name), "unknown"), 0);
    }
    CHECK_EQ(c.lost_n, CANON_LOSSES_MAX);
    CHECK(str_ends(canon_lost_names(&c), STR(", p27, others")));
    reset();
    c.losses = LOSSES_REFUSE;
    CHECK_EQ(canon_drop(&c, STR("seed"), "it has none"), -EREMOTEIO);
    CHECK_EQ(error.status, 400);
    CHECK_STR(error.param, STR("seed"));
    CHECK_STR(error.message, STR("'seed' cannot be passed on to anthropic: it has none."));
}

static void test_alternation(void)
{
    reset();
    CHECK(canon_alternate(&c, &q) == NULL);
    say(ROLE_SYSTEM, "t:be");
    say(ROLE_USER, "t:a");
    say(ROLE_DEVELOPER, "t:so");
    say(ROLE_USER, "t:b");
    say(ROLE_ASSISTANT, "t: c:1:f");
    say(ROLE_ASSISTANT, "c:2:g");
    say(ROLE_USER, "r:1");
    say(ROLE_USER, "t:c");
    say(ROLE_USER, "r:2 t:d");
    say(ROLE_ASSISTANT, "t:");
    say(ROLE_USER, "t:e");
    CHECK_STR(alternated(), STR("U(ta tb)A(c1 c2)U(r1 r2 tc td te)"));
    CHECK(q.messages->next->parts->next == NULL); /* the request is as it was */
    reset();
    say(ROLE_ASSISTANT, "k:hm s:SIG k: t: t:x");
    say(ROLE_USER, "t: i:");
    CHECK_STR(alternated(), STR("A(khm kSIG tx)U(i)"));
}

static void test_cache_marks(void)
{
    /* The mark of a text that is left out moves to what stands before it. */
    reset();
    say(ROLE_USER, "t:a t!: t:b");
    say(ROLE_USER, "t!:");
    say(ROLE_USER, "t!:c");
    CHECK_STR(alternated(), STR("U(t!a tb t!c)"));
    reset();
    say(ROLE_USER, "t!: t:b");
    CHECK_STR(alternated(), STR("U(tb)"));
}

static void test_tools_match(void)
{
    reset();
    CHECK(!canon_has_tool_parts(&q));
    CHECK_EQ(canon_check_tools(&c, &q), 0);
    say(ROLE_USER, "t:a");
    say(ROLE_ASSISTANT, "c:1:f c:2:g");
    say(ROLE_ASSISTANT, "t:x c:3:h");
    say(ROLE_USER, "r:2");
    say(ROLE_SYSTEM, "t:s");
    say(ROLE_USER, "t:b r:1");
    say(ROLE_USER, "r:3");
    say(ROLE_ASSISTANT, "c:1:again"); /* ids may come again */
    say(ROLE_USER, "r:1");
    CHECK(canon_has_tool_parts(&q));
    CHECK_EQ(canon_check_tools(&c, &q), 0);
    CHECK_EQ(canon_check_tools(&c, &q), 0);
    struct canon_message *m = q.messages->next->next->next;
    CHECK_STR(m->parts->name, STR("g"));
    CHECK_STR(m->next->next->parts->next->name, STR("f"));
    CHECK_STR(canon_tool_name(&q, STR("3")), STR("h"));
    CHECK_STR(canon_tool_name(&q, STR("1")), STR("again"));
    CHECK_EQ(canon_tool_name(&q, STR("9")).n, 0);
}

static void check_unmatched(
    const char *first, const char *second, const char *third, const char *message)
{
    reset();
    say(ROLE_ASSISTANT, first);
    say(ROLE_USER, second);
    if (third)
        say(ROLE_ASSISTANT, third);
    CHECK_EQ(canon_check_tools(&c, &q), -EREMOTEIO);
    CHECK_EQ(error.status, 400);
    CHECK_STR(error.message, str_of(message));
    CHECK_STR(error.param, STR("messages"));
}

static void test_tools_do_not_match(void)
{
    check_unmatched("c:1:f c:2:g c:3:h", "r:3 r:1", "t:x",
        "The tool call '2' has no result before the next turn.");
    check_unmatched(
        "c:1:f", "t:never", NULL, "The tool call '1' has no result before the next turn.");
    check_unmatched(
        "t:a", "r:7", NULL, "The tool result for '7' answers no call of the turn before it.");
    check_unmatched("c:1:f", "r:1 r:1", NULL, "The tool call '1' has two results.");
    check_unmatched("c:1:f c:1:g", "r:1", NULL, "Two tool calls of one turn have the id '1'.");
    reset(); /* a result long after */
    say(ROLE_ASSISTANT, "c:1:f");
    say(ROLE_USER, "r:1");
    say(ROLE_ASSISTANT, "t:x");
    say(ROLE_USER, "r:1");
    CHECK_EQ(canon_check_tools(&c, &q), -EREMOTEIO);
}

/* Twenty thousand calls and results in one turn take no time. */
static void test_many_calls(void)
{
    enum { CALLS = 20000 };
    reset();
    for (int i = 0; i < 2 * CALLS; i++) {
        bool call = i < CALLS;
        struct str word = arena_printf(&arena, call ? "c:%d:f" : "r:%d", i % CALLS);
        say(call ? ROLE_ASSISTANT : ROLE_USER, word.p);
    }
    CHECK_EQ(canon_check_tools(&c, &q), 0);
    say(ROLE_USER, "r:19999");
    CHECK_EQ(canon_check_tools(&c, &q), -EREMOTEIO);
    CHECK_STR(error.message, STR("The tool call '19999' has two results."));
}

static void test_budgets(void)
{
    CHECK_EQ(canon_budget_of(EFFORT_UNSET, 8000), -1);
    CHECK_EQ(canon_budget_of(EFFORT_NONE, 8000), -1);
    CHECK_EQ(canon_budget_of(EFFORT_MINIMAL, 8000), 1024);
    CHECK_EQ(canon_budget_of(EFFORT_LOW, 8000), 1024);
    CHECK_EQ(canon_budget_of(EFFORT_MEDIUM, 8000), 2048);
    CHECK_EQ(canon_budget_of(EFFORT_HIGH, 8000), 4096);
    CHECK_EQ(canon_budget_of(EFFORT_XHIGH, 8000), 7999);
    CHECK_EQ(canon_budget_of(EFFORT_XHIGH, -1), 8192);
    CHECK_EQ(canon_budget_of(EFFORT_MAX, 100000), 16384);
    CHECK_EQ(canon_budget_of(EFFORT_MAX, 1024), -1);
    CHECK_EQ(canon_budget_of(EFFORT_MAX, 1025), 1024);
    static const struct {
        int64_t budget;
        const char *name;
    } back[] = {{-1, ""}, {0, "none"}, {1, "minimal"}, {1999, "minimal"}, {2000, "low"},
        {4999, "low"}, {5000, "medium"}, {9999, "medium"}, {10000, "high"}, {64000, "high"}};
    for (unsigned i = 0; i < ARRAY_LEN(back); i++)
        CHECK_STR(canon_effort_name(canon_effort_of(back[i].budget)), str_of(back[i].name));
    for (unsigned e = EFFORT_NONE; e <= EFFORT_MAX; e++)
        CHECK_EQ(canon_effort_parse(canon_effort_name((enum canon_effort)e)), e);
    CHECK_EQ(canon_effort_parse(STR("extreme")), EFFORT_UNSET);
    CHECK_EQ(canon_effort_parse(STR("")), EFFORT_UNSET);
}

static void test_max_tokens(void)
{
    struct model_facts facts = {.max_output = 64000};
    reset();
    CHECK_EQ(canon_max_tokens(&c, &q), 4096);
    c.facts = &facts;
    CHECK_EQ(canon_max_tokens(&c, &q), 64000);
    q.max_tokens = 7;
    CHECK_EQ(canon_max_tokens(&c, &q), 7);
    facts.max_output = 0;
    q.max_tokens = -1;
    CHECK_EQ(canon_max_tokens(&c, &q), 4096);
}

static void test_media(void)
{
    struct canon_media m = {.source = MEDIA_URL};
    CHECK(canon_data_url(STR("data:image/png;base64,QUJD"), &m));
    CHECK_EQ(m.source, MEDIA_BASE64);
    CHECK_STR(m.mime, STR("image/png"));
    CHECK_STR(m.data, STR("QUJD"));
    CHECK(canon_data_url(STR("DATA:text/plain;charset=utf-8;BASE64,QQ=="), &m));
    CHECK_STR(m.mime, STR("text/plain"));
    CHECK(canon_data_url(STR("data:;base64,"), &m));
    CHECK(m.mime.n == 0 && m.data.n == 0);
    CHECK(!canon_data_url(STR("https://x/data:image/png;base64,QUJD"), &m));
    CHECK(!canon_data_url(STR("data:text/plain,hello"), &m));
    CHECK(!canon_data_url(STR("data:image/png;base64"), &m));
    CHECK(!canon_data_url(STR(""), &m));
    CHECK_STR(canon_mime_of(STR("a.b/Report.PDF")), STR("application/pdf"));
    CHECK_STR(canon_mime_of(STR(".jpeg")), STR("image/jpeg"));
    CHECK_EQ(canon_mime_of(STR("png")).n, 0);
    CHECK_EQ(canon_mime_of(STR("x.")).n, 0);
    CHECK_EQ(canon_mime_of(STR("")).n, 0);
}

int main(void)
{
    arena_init(&arena, NULL, 0, 1 << 20);
    TAP_RUN(test_errors);
    TAP_RUN(test_losses);
    TAP_RUN(test_alternation);
    TAP_RUN(test_cache_marks);
    TAP_RUN(test_tools_match);
    TAP_RUN(test_tools_do_not_match);
    TAP_RUN(test_many_calls);
    TAP_RUN(test_budgets);
    TAP_RUN(test_max_tokens);
    TAP_RUN(test_media);
    arena_free(&arena);
    return tap_done();
}
