/* The sequencer, with toy wires: the order that writers rely on, whatever readers send. */
#include "base/tap.h"
#include "translate/toy_test.h"

#include <stdio.h>
#include <stdlib.h>

struct run {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    struct canon_stream s;
    struct buf out;
};

static void run_open(struct run *r)
{
    *r = (struct run){0};
    arena_init(&r->arena, NULL, 0, 16 << 20);
    canon_call_init(&r->c, &r->arena, &r->error);
    canon_request_init(&r->q);
    r->c.request = &r->q;
    r->c.now = 99;
    buf_init(&r->out, 16 << 20);
    must(canon_stream_open(&r->s, &r->c, &toy_wire, &toy_wire) == 0);
}

static void run_close(struct run *r)
{
    canon_stream_close(&r->s);
    buf_free(&r->out);
    arena_free(&r->arena);
}

static int feed(struct run *r, const char *data)
{
    return canon_stream_event(&r->s, STR_NONE, str_of(data), &r->out);
}

/* What the writer was given for these events, a line each; with "eof" the body's end. */
static struct str sequence(const char *events)
{
    static char text[8192];
    struct run r;
    run_open(&r);
    for (struct str rest = str_of(events); rest.p;) {
        struct str line = str_split(&rest, '\n');
        int err = str_eq(line, STR("eof")) ? canon_stream_end(&r.s, &r.out)
                                           : canon_stream_event(&r.s, STR_NONE, line, &r.out);
        if (err < 0)
            buf_printf(&r.out, "(%s)", err == -ECONNRESET ? "cut" : "failed");
    }
    size_t n = MIN(r.out.n, sizeof(text));
    memcpy(text, r.out.p ? r.out.p : "", n);
    run_close(&r);
    return str_at(text, n);
}

#define SAME(events, want) CHECK_STR(sequence(events), STR(want))

static void test_text(void)
{
    SAME("start id1\ntext 0 Hel\ntext 0 lo\nfinish stop\ndone",
        "[start id1][+0 text][0:Hel][0:lo][-0][finish stop][end]");
    /* A change of part ends the one before. */
    SAME("start i\nthink 1 hm\nsig 1 S\ntext 0 a\ncall 2 c1 f\nargs 2 {}\ntext 0 b\nfinish "
         "stop\ndone",
        "[start i][+0 thinking][0:hm][0:sig S][-0][+1 text][1:a][-1]"
        "[+2 call c1 f][2:args {}][-2][+3 text][3:b][-3][finish tool_calls][end]");
    /* One key, two kinds. */
    SAME("think 0 a\ntext 0 b\ndone",
        "[start ][+0 thinking][0:a][-0][+1 text][1:b][-1][finish stop][end]");
    SAME("text 0 a;cite 0 U\nprobs 0 {}\nfinish length\ndone",
        "[start ][+0 text][0:a][0:cite U][0:probs {}][-0][finish length][end]");
}

static void test_start_is_late(void)
{
    struct run r;
    run_open(&r);
    CHECK_EQ(feed(&r, "start id9"), 0);
    CHECK_EQ(feed(&r, "begin 0"), 0);
    CHECK_EQ(feed(&r, "text 0 ;ping;usage 12 1"), 0);
    CHECK_EQ(r.out.n, 0);
    CHECK(!r.s.content);
    CHECK_EQ(feed(&r, "text 0 x"), 0);
    CHECK_STR(buf_str(&r.out), STR("[start id9 12][+0 text][0:x]"));
    CHECK(r.s.content && r.s.created == 77);
    run_close(&r);
    /* A part that never says anything is left out, and the next has its number. */
    SAME("begin 0;end 0;begin 1;text 1 a;end 1;finish stop;done",
        "[start ][+0 text][0:a][-0][finish stop][end]");
    SAME("finish stop;done", "[start ][finish stop][end]");
}

static void test_interleaved_calls(void)
{
    /* S7: two calls whose arguments come in turns. */
    SAME("call 1 a f\ncall 2 b g\nargs 1 {\"x\"\nargs 2 {\"y\"\nargs 1 :1}\nargs 2 :2}\n"
         "finish tool_calls\ndone",
        "[start ][+0 call a f][0:args {\"x\"][0:args :1}][-0]"
        "[+1 call b g][1:args {\"y\"][1:args :2}][-1][finish tool_calls][end]");
    /* One after the other: nothing waits. */
    SAME("call 1 a f\nargs 1 {\"x\":\"}\"}\ncall 2 b g\nargs 2 {",
        "[start ][+0 call a f][0:args {\"x\":\"}\"}][-0][+1 call b g][1:args {]");
    SAME("call 1 a f\nargs 1 {\"x\":\"\\\"}\ncall 2 b g",
        "[start ][+0 call a f][0:args {\"x\":\"\\\"}]"); /* not whole: in a string */
    /* Three, and text that came between. */
    SAME("call 1 a f\ncall 2 b g\ntext 0 hm\ncall 3 c h\nargs 3 {}\nargs 2 {}\nargs 1 {}\ndone",
        "[start ][+0 call a f][0:args {}][-0][+1 call b g][1:args {}][-1][+2 text][2:hm][-2]"
        "[+3 call c h][3:args {}][-3][finish tool_calls][end]");
    /* A call ends when its reader says so, whatever its arguments are. */
    SAME("call 1 a f\nargs 1 {\"x\nend 1\ncall 2 b g\nargs 2 {}\nend 2",
        "[start ][+0 call a f][0:args {\"x][-0][+1 call b g][1:args {}][-1]");
    SAME("call 1 a f\ncall 2 b g\nend 2\nargs 1 {}\nend 1\ndone",
        "[start ][+0 call a f][0:args {}][-0][+1 call b g][1:args {}][-1][finish tool_calls][end]");
}

static void test_calls(void)
{
    /* S2: an id that is said again begins nothing. */
    SAME("call 1 a f\ncall 1 a f\nargs 1 {}\ncall 1  \nfinish stop\ndone",
        "[start ][+0 call a f][0:args {}][-0][finish tool_calls][end]");
    /* Another id at the same place is another call. */
    SAME("call 0 a f\nargs 0 {}\ncall 0 b f\nargs 0 {}\nfinish stop\ndone",
        "[start ][+0 call a f][0:args {}][-0][+1 call b f][1:args {}][-1][finish tool_calls][end]");
    SAME("call 0 a f\nfinish tool_calls\ndone",
        "[start ][+0 call a f][0:args {}][-0][finish tool_calls][end]");
    SAME("custom 0 a f\nfinish tool_calls\ndone",
        "[start ][+0 call a f][-0][finish tool_calls][end]");
    SAME("args 0 {}", "(failed)");
    SAME("text 0 a\ncall 1 id", "[start ][+0 text][0:a](failed)");
    SAME("whole 0 a f {\"x\":1}\nwhole 1 b g {}\nfinish stop\ndone",
        "[start ][+0 call a f][0:args {\"x\":1}][-0][+1 call b g][1:args {}][-1]"
        "[finish tool_calls][end]");
    SAME("whole 0 a f {}\nwhole 0 b g {}\ntext 0 t\nfinish length\neof",
        "[start ][+0 call a f][0:args {}][-0][+1 call b g][1:args {}][-1]"
        "[+2 text][2:t][-2][finish length][end]");
}

static void test_whole(void)
{
    SAME("text 0 a\nimage 1 QUJD\nredacted 2 XYZ\ntext 0 b\nfinish stop;usage 1 2",
        "[start ][+0 text][0:a][-0][+1 image image/png][1:data QUJD][-1]"
        "[+2 redacted XYZ][-2][+3 text][3:b][-3][finish stop][usage 1 2]");
    /* Whole parts wait behind a call, too. */
    SAME("call 1 a f\nimage 2 QUJD\nredacted 3 R\nwhole 4 b g {}\nargs 1 {}",
        "[start ][+0 call a f][0:args {}][-0][+1 image image/png][1:data QUJD][-1]"
        "[+2 redacted R][-2][+3 call b g][3:args {}][-3]");
}

static void test_late_usage(void)
{
    /* S8: FINISH waits for the usage that comes behind it. */
    SAME("text 0 a\nfinish stop", "[start ][+0 text][0:a][-0]");
    SAME("text 0 a\nfinish stop\nusage 5 7", "[start ][+0 text][0:a][-0][finish stop][usage 5 7]");
    SAME("text 0 a\nfinish stop\nusage 5 7\ndone\nusage 9 9",
        "[start ][+0 text][0:a][-0][finish stop][usage 5 7][end]");
    SAME("text 0 a\nfinish stop\ndone", "[start ][+0 text][0:a][-0][finish stop][end]");
    /* Usage with each chunk: the last counts, and is no reason to go on before the end. */
    SAME("usage 5 0;text 0 a\nusage 5 1;text 0 b\nfinish stop;usage 5 2\ndone",
        "[start  5][+0 text][0:a][0:b][-0][finish stop][usage 5 2][end]");
    SAME("usage 5 2\ntext 0 a\nusage 0 9\nfinish stop\ndone",
        "[start  5][+0 text][0:a][-0][finish stop][usage 5 9][end]");
    /* The later report of the input replaces the earlier as a whole. */
    SAME("usage 100 1\ntext 0 a\nusage 0 2 100\nfinish stop\ndone",
        "[start  100][+0 text][0:a][-0][finish stop][usage 100 2][end]");
    /* What comes behind FINISH while it waits is not lost. */
    SAME("text 0 a\nfinish stop\ntext 0 b\nfinish length\ndone",
        "[start ][+0 text][0:a][-0][+1 text][1:b][-1][finish stop][end]");
}

static void test_cut_off(void)
{
    /* S11: no end marker for the client. */
    SAME("start i\neof", "(cut)");
    SAME("text 0 a\neof", "[start ][+0 text][0:a](cut)");
    SAME("call 0 a f\nargs 0 {\neof", "[start ][+0 call a f][0:args {](cut)");
    /* All was said but the end marker. */
    SAME("text 0 a\nfinish stop\neof", "[start ][+0 text][0:a][-0][finish stop][end]");
    SAME("text 0 a\nfinish stop\ndone\neof", "[start ][+0 text][0:a][-0][finish stop][end]");
    SAME("text 0 a\ndone", "[start ][+0 text][0:a][-0][finish stop][end]");
    SAME("done", "(failed)");
    SAME("start a\nusage 1 1\ndone\neof", "(failed)(failed)");
}

static void test_errors(void)
{
    struct run r;
    SAME("start i\nerror no\ntext 0 a\neof", "(cut)");
    SAME("text 0 a\nerror no\ntext 0 b", "[start ][+0 text][0:a]");
    SAME("text 0 a\nnonsense\ntext 0 b\neof", "[start ][+0 text][0:a](failed)(failed)(failed)");
    run_open(&r);
    CHECK_EQ(feed(&r, "text 0 a"), 0);
    CHECK_EQ(feed(&r, "error too much"), 0);
    CHECK(r.s.failed && r.s.error.status == 529);
    CHECK_STR(r.s.error.message, STR("too much"));
    CHECK_STR(r.s.error.code, STR("overloaded"));
    CHECK_EQ(canon_stream_fail(&r.s, &r.s.error, &r.out), 0);
    CHECK_EQ(canon_stream_fail(&r.s, &r.s.error, &r.out), 0); /* once */
    CHECK_STR(buf_str(&r.out), STR("[start ][+0 text][0:a][error too much]"));
    run_close(&r);
    run_open(&r);
    CHECK_EQ(feed(&r, "nonsense"), -EREMOTEIO);
    CHECK_EQ(r.error.status, 502);
    CHECK_STR(r.error.code, STR("upstream_bad_response"));
    run_close(&r);
}

static void test_choices(void)
{
    struct run r;
    SAME("text 0 a;choice 1;text 0 A\ntext 0 b;choice 1;text 0 B\nfinish stop;choice 1;finish "
         "length\n"
         "usage 1 2\ndone",
        "[start ][+0 text][0:a][c1 +0 text][c1 0:A][0:b][c1 0:B][-0][c1 -0][finish stop]"
        "[c1 finish length][usage 1 2][end]");
    /* Usage behind the first of two is not the end. */
    run_open(&r);
    r.q.n = 2;
    CHECK_EQ(feed(&r, "text 0 a;finish stop;usage 1 1"), 0);
    CHECK_STR(buf_str(&r.out), STR("[start ][+0 text][0:a][-0]"));
    CHECK_EQ(canon_stream_end(&r.s, &r.out), -ECONNRESET);
    CHECK_EQ(feed(&r, "choice 1;text 0 b;finish length;usage 1 2"), 0);
    CHECK(str_ends(buf_str(&r.out), STR("[finish stop][c1 finish length][usage 1 2]")));
    CHECK(r.s.finished);
    CHECK_EQ(canon_stream_end(&r.s, &r.out), 0);
    CHECK(str_ends(buf_str(&r.out), STR("[end]")));
    run_close(&r);
    run_open(&r);
    CHECK_EQ(feed(&r, "choice 1;call 0 a f;args 0 {};finish stop"), 0);
    char many[4096] = "";
    for (int i = 2; i < 140; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "choice %d;text 0 x;", i);
    CHECK_EQ(feed(&r, many), -EREMOTEIO);
    run_close(&r);
}

static void test_bounds(void)
{
    struct run r;
    char *piece = malloc(70000);
    must(piece);
    snprintf(piece, 70000, "text 5 ");
    memset(piece + 7, 'x', 65000);
    piece[65007] = '\0';
    run_open(&r);
    int err = feed(&r, "call 1 a f");
    for (int i = 0; i < 16 && err == 0; i++)
        err = feed(&r, piece);
    CHECK_EQ(err, 0);
    CHECK_EQ(feed(&r, piece), -EREMOTEIO);
    CHECK_EQ(r.error.status, 502);
    run_close(&r);
    /* What was kept counts no more when it went out. */
    run_open(&r);
    for (int k = 0; k < 40 && err >= 0; k++) {
        char begin[64];
        snprintf(begin, sizeof(begin), "call %d c%d f", 100 + k, k);
        CHECK_EQ(feed(&r, begin), 0);
        CHECK_EQ(feed(&r, piece), 0);
        snprintf(begin, sizeof(begin), "args %d {}", 100 + k);
        CHECK_EQ(feed(&r, begin), 0);
    }
    CHECK(r.out.n > 40 * 65000);
    run_close(&r);
    free(piece);
}

static void test_reply(void)
{
    struct run r;
    struct canon_reply reply;
    run_open(&r);
    CHECK_EQ(canon_stream_reply(&r.s, &reply), -EINVAL);
    r.s.collect = true;
    r.s.to = NULL;
    CHECK_EQ(feed(&r, "start id;usage 3 0;think 1 hm;think 1 mm;sig 1 SIG"), 0);
    CHECK_EQ(feed(&r, "text 0 Hel;cite 0 U1;probs 0 {\"content\":[{\"t\":1}]}"), 0);
    CHECK_EQ(feed(&r, "text 0 lo;cite 0 U2;probs 0 {\"content\":[{\"t\":2},{\"t\":3}]}"), 0);
    CHECK_EQ(feed(&r, "call 2 a f;call 3 b g;args 3 {\"y\":2};args 2 {\"x\":;args 2 1}"), 0);
    CHECK_EQ(feed(&r, "image 4 QUJD;redacted 5 R;finish stop;usage 3 9;done"), 0);
    CHECK_EQ(canon_stream_reply(&r.s, &reply), 0);
    CHECK_STR(reply.id, STR("id"));
    CHECK_EQ(reply.created, 77);
    CHECK_EQ(reply.usage.output, 9);
    const struct canon_choice *ch = reply.choices;
    CHECK(ch && !ch->next && ch->finish == FINISH_TOOL_CALLS);
    CHECK_STR(ch->logprobs, STR("{\"content\":[{\"t\":1},{\"t\":2},{\"t\":3}]}"));
    const struct canon_part *p = ch->parts;
    CHECK(p->kind == PART_THINKING && p->maker == MAKER_ANTHROPIC);
    CHECK_STR(p->text, STR("hmmm"));
    CHECK_STR(p->signature, STR("SIG"));
    p = p->next;
    CHECK_STR(p->text, STR("Hello"));
    CHECK_STR(p->citations->url, STR("U1"));
    CHECK_STR(p->citations->next->url, STR("U2"));
    p = p->next;
    CHECK_STR(p->raw, STR("{\"x\":1}"));
    CHECK_STR(p->id, STR("a"));
    p = p->next;
    CHECK_STR(p->raw, STR("{\"y\":2}"));
    p = p->next;
    CHECK(p->kind == PART_IMAGE);
    CHECK_STR(p->media.data, STR("QUJD"));
    p = p->next;
    CHECK(p->kind == PART_REDACTED_THINKING && !p->next);
    CHECK_STR(p->text, STR("R"));
    /* And the reply written as a stream again. */
    CHECK_EQ(canon_replay(&r.c, &reply, &toy_wire, &r.out), 0);
    CHECK_STR(buf_str(&r.out),
        STR("[start id 3][+0 thinking][0:hmmm][0:sig SIG][-0][+1 text][1:Hello][1:cite U1]"
            "[1:cite U2][-1][+2 call a f][2:args {\"x\":1}][-2][+3 call b g][3:args {\"y\":2}][-3]"
            "[+4 image image/png][4:data QUJD][-4][+5 redacted R][-5]"
            "[+6 text][6:probs {\"content\":[{\"t\":1},{\"t\":2},{\"t\":3}]}][-6]"
            "[finish tool_calls][usage 3 9][end]"));
    run_close(&r);
}

static void test_reply_cut(void)
{
    struct run r;
    struct canon_reply reply;
    run_open(&r);
    r.s.collect = true;
    CHECK_EQ(feed(&r, "text 0 Hel"), 0);
    CHECK_EQ(feed(&r, "call 1 a f;args 1 {\"x\""), 0);
    CHECK_EQ(canon_stream_reply(&r.s, &reply), 0);
    CHECK_STR(reply.choices->parts->text, STR("Hel"));
    CHECK(!reply.choices->parts->next->raw.p); /* no JSON: as it came */
    CHECK_STR(reply.choices->parts->next->text, STR("{\"x\""));
    CHECK_EQ(reply.choices->finish, FINISH_UNSET);
    run_close(&r);
}

int main(void)
{
    TAP_RUN(test_text);
    TAP_RUN(test_start_is_late);
    TAP_RUN(test_interleaved_calls);
    TAP_RUN(test_calls);
    TAP_RUN(test_whole);
    TAP_RUN(test_late_usage);
    TAP_RUN(test_cut_off);
    TAP_RUN(test_errors);
    TAP_RUN(test_choices);
    TAP_RUN(test_bounds);
    TAP_RUN(test_reply);
    TAP_RUN(test_reply_cut);
    return tap_done();
}
