/*
 * smartflow audit: looking at the journal from outside, also while the gateway runs. verify checks
 * the chain and its checkpoints, prove makes an inclusion proof, show prints entries. The default
 * place is the journal of the data folder (SMARTFLOW_DATA); the default key is the key ring in it,
 * when this user may read that.
 */
#include "cmd/audit.h"
#include "base/macros.h"
#include "journal/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE  64 /* not 2, which says that something was tampered with */
#define EXIT_NO     3  /* unreadable */
#define PROOF_BYTES ((size_t)1 << 20)

struct audit_options {
    const char *path, *key, *pub, *checkpoints;
    uint64_t from, to;
    bool json;
    char default_path[4096], default_key[4200];
};

void audit_usage(FILE *to)
{
    fputs("  audit verify [PATH] [--key SPEC] [--pub FILE] [--checkpoints FILE]\n"
          "               [--from N] [--to N] [--json]\n"
          "                                         check the journal; exit code 0 clean,\n"
          "                                         1 linkage only or stale, 2 tampered, 3 "
          "unreadable\n"
          "  audit prove SEQ [--dir PATH]           proof that an entry is under its checkpoint\n"
          "  audit show [--from N] [--to N] [--dir PATH]\n"
          "                                         the entries, a line each\n",
        to);
}

/* --- arguments --- */

static bool take_number(const char *text, uint64_t *ret)
{
    return str_u64(str_of(text), ret) == 0 && *ret > 0;
}

static bool take_option(struct audit_options *o, const char *name, const char *value)
{
    if (!strcmp(name, "--key"))
        o->key = value;
    else if (!strcmp(name, "--pub"))
        o->pub = value;
    else if (!strcmp(name, "--checkpoints"))
        o->checkpoints = value;
    else if (!strcmp(name, "--dir"))
        o->path = value;
    else if (!strcmp(name, "--from"))
        return take_number(value, &o->from);
    else if (!strcmp(name, "--to"))
        return take_number(value, &o->to);
    else
        return false;
    return true;
}

static const char *default_path(struct audit_options *o)
{
    const char *data = getenv("SMARTFLOW_DATA");

    snprintf(
        o->default_path, sizeof(o->default_path), "%s/journal", data && *data ? data : "./data");
    return o->default_path;
}

/* *ret_word: the argument that belongs to no option; NULL = none. */
static bool parse(int argc, char **argv, struct audit_options *o, const char **ret_word)
{
    *o = (struct audit_options){0};
    *ret_word = NULL;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--json")) {
            o->json = true;
        } else if (argv[i][0] == '-') {
            if (i + 1 == argc || !take_option(o, argv[i], argv[i + 1])) {
                fprintf(stderr, "smartflow: not understood: %s\n", argv[i]);
                return false;
            }
            i++;
        } else if (!*ret_word) {
            *ret_word = argv[i];
        } else {
            fprintf(stderr, "smartflow: not understood: %s\n", argv[i]);
            return false;
        }
    }
    return true;
}

/* --- verify --- */

/* The key ring beside the chain, if it can be read. */
static const char *default_key(struct audit_options *o)
{
    struct stat st;

    if (stat(o->path, &st) < 0 || !S_ISDIR(st.st_mode))
        return NULL;
    snprintf(o->default_key, sizeof(o->default_key), "file:%s/keys.json", o->path);
    return access(o->default_key + 5, R_OK) == 0 ? o->default_key : NULL;
}

static const char *verdict(int code)
{
    static const char *const words[] = {
        "clean", "not fully checked", "TAMPERED WITH OR DAMAGED", "unreadable"};

    return words[code];
}

struct count {
    const char *name, *text;
    uint64_t n;
    bool always; /* shown also when it is 0 */
};

static unsigned counts_of(const struct journal_check *c, struct count *out)
{
    const struct count all[] = {
        {"entries_checked", "entries checked", c->entries_checked, true},
        {"signed_entries", "with an HMAC", c->signed_entries, true},
        {"unsigned_entries", "without an HMAC", c->unsigned_entries, false},
        {"missing", "missing", c->missing, false},
        {"duplicates", "standing there again", c->duplicates, false},
        {"hmac_mismatches", "whose HMAC does not match", c->hmac_mismatches, false},
        {"prev_hash_breaks", "not linked to the one before", c->prev_hash_breaks, false},
        {"entries_without_seq", "lines that are no entry", c->entries_without_seq, false},
        {"checkpoints_checked", "checkpoints checked", c->checkpoints_checked, true},
        {"checkpoint_failures", "checkpoint failures", c->checkpoint_failures, false},
    };

    memcpy(out, all, sizeof(all));
    return ARRAY_LEN(all);
}

static void print_json(const struct journal_check *c, int code, const char *err)
{
    struct count counts[16];
    struct buf text;
    unsigned n = counts_of(c, counts);

    buf_init(&text, 8192);
    buf_printf(&text, "{\"result\":%d,\"from_seq\":%" PRIu64 ",\"to_seq\":%" PRIu64, code,
        c->from_seq, c->to_seq);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&text, ",\"%s\":%" PRIu64, counts[i].name, counts[i].n);
    buf_printf(&text, ",\"first_bad_seq\":%" PRIu64 ",\"first_bad\":", c->first_bad_seq);
    buf_addjson(&text, str_of(c->first_bad));
    buf_printf(&text, ",\"error\":");
    buf_addjson(&text, str_of(err));
    printf(STR_FMT "}\n", STR_ARG(buf_str(&text)));
    buf_free(&text);
}

static void print_report(
    const struct audit_options *o, const struct journal_check *c, int code, const char *err)
{
    struct count counts[16];
    unsigned n = counts_of(c, counts);

    printf("%s: %s\n", o->path, verdict(code));
    if (err[0])
        printf("  %s\n", err);
    if (code == EXIT_NO)
        return;
    printf("  seq %" PRIu64 " to %" PRIu64 "\n", c->from_seq, c->to_seq);
    for (unsigned i = 0; i < n; i++)
        if (counts[i].always || counts[i].n)
            printf("  %10" PRIu64 " %s\n", counts[i].n, counts[i].text);
    if (c->first_bad[0])
        printf("  first: %s\n", c->first_bad);
    if (code == 1 && !o->key)
        puts("  without the key only the links and the checkpoints could be checked (--key)");
    else if (code == 1)
        puts("  unsigned entries, no public key, or too many entries behind the last checkpoint");
}

static int verify(int argc, char **argv)
{
    struct audit_options o;
    struct journal_check check;
    const char *word;
    char err[256];

    if (!parse(argc, argv, &o, &word))
        return EXIT_USAGE;
    if (word)
        o.path = word;
    if (!o.path)
        o.path = default_path(&o);
    if (!o.key)
        o.key = default_key(&o);
    struct journal_verify_settings s = {.path = o.path,
        .keys = o.key,
        .checkpoint_key = o.pub,
        .checkpoints = o.checkpoints,
        .from = o.from,
        .to = o.to};
    int code = journal_verify(&s, &check, err, sizeof(err));
    if (o.json)
        print_json(&check, code, err);
    else
        print_report(&o, &check, code, err);
    return code;
}

/* --- prove and show --- */

static int prove(int argc, char **argv)
{
    struct audit_options o;
    const char *word;
    uint64_t seq;
    struct buf out;

    if (!parse(argc, argv, &o, &word) || !word || !take_number(word, &seq))
        return EXIT_USAGE;
    if (!o.path)
        o.path = default_path(&o);
    buf_init(&out, PROOF_BYTES);
    int r = journal_prove(o.path, seq, &out);
    if (r == 0)
        printf(STR_FMT "\n", STR_ARG(buf_str(&out)));
    else if (r == -ENOENT)
        fprintf(stderr, "smartflow: %s: no checkpoint covers entry %" PRIu64 " yet\n", o.path, seq);
    else
        fprintf(stderr, "smartflow: %s: %s\n", o.path, strerror(-r));
    buf_free(&out);
    return r < 0 ? EXIT_NO : 0;
}

static int show(int argc, char **argv)
{
    struct audit_options o;
    struct journal_reader *reader;
    struct journal_entry e;
    const char *word;

    if (!parse(argc, argv, &o, &word) || word)
        return EXIT_USAGE;
    if (!o.path)
        o.path = default_path(&o);
    int r = journal_reader_open(o.path, o.from, &reader);
    if (r < 0) {
        fprintf(stderr, "smartflow: %s: %s\n", o.path, strerror(-r));
        return EXIT_NO;
    }
    while ((r = journal_reader_next(reader, &e)) == 1 && (!o.to || e.seq <= o.to))
        printf(STR_FMT "\n", STR_ARG(e.line));
    journal_reader_close(reader);
    if (r < 0)
        fprintf(stderr, "smartflow: %s: damaged; see `smartflow audit verify`\n", o.path);
    return r < 0 ? EXIT_NO : 0;
}

int audit_command(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"verify", verify}, {"prove", prove}, {"show", show}};
    int code = EXIT_USAGE;

    for (size_t i = 0; argc > 0 && i < ARRAY_LEN(commands); i++)
        if (!strcmp(argv[0], commands[i].name))
            code = commands[i].run(argc - 1, argv + 1);
    if (code == EXIT_USAGE)
        audit_usage(stderr);
    return code;
}
