/*
 * The files of golden cases (tests/golden/README.md says how they are written): cut into cases, and
 * each case into its lines of settings and its sections. All are views of the file's text.
 */
#ifndef SF_TRANSLATE_GOLDEN_CASE_TEST_H
#define SF_TRANSLATE_GOLDEN_CASE_TEST_H

#include "base/macros.h"
#include "base/str.h"

enum golden_part {
    GOLDEN_REQUEST,
    GOLDEN_UPSTREAM,
    GOLDEN_REPLY,
    GOLDEN_STREAM,
    GOLDEN_FAILURE,
    GOLDEN_CLIENT,
    GOLDEN_DROPPED,
    GOLDEN_ERROR,
    GOLDEN_PARTS
};

static const struct str golden_part_names[GOLDEN_PARTS] = {STR_INIT("request"),
    STR_INIT("upstream"), STR_INIT("reply"), STR_INIT("stream"), STR_INIT("failure"),
    STR_INIT("client"), STR_INIT("dropped"), STR_INIT("error")};

#define GOLDEN_SETTINGS 24

struct golden_case {
    struct str name;
    unsigned settings_n;
    struct str keys[GOLDEN_SETTINGS], values[GOLDEN_SETTINGS];
    struct str parts[GOLDEN_PARTS]; /* p NULL: not there */
    const char *wrong;              /* how it is malformed, or NULL */
};

static inline bool golden_is_mark(struct str line)
{
    return str_starts(line, STR("=== ")) || str_starts(line, STR("--- "));
}

/* Takes lines until the next mark. */
static inline struct str golden_take_text(struct str *rest)
{
    const char *from = rest->p, *to = from;
    while (rest->p) {
        struct str look = *rest, line = str_split(&look, '\n');
        if (golden_is_mark(line))
            break;
        *rest = look;
        to = line.p + line.n + (look.p != NULL);
    }
    return str_at(from, (size_t)(to - from));
}

static inline void golden_take_settings(struct golden_case *k, struct str text)
{
    while (text.p) {
        struct str line = str_trim(str_split(&text, '\n'));
        if (line.n == 0 || line.p[0] == '#')
            continue;
        struct str key = str_split(&line, ':');
        if (!line.p || k->settings_n == GOLDEN_SETTINGS)
            k->wrong = "a line before its sections is no setting";
        else {
            k->keys[k->settings_n] = key;
            k->values[k->settings_n++] = str_trim(line);
        }
    }
}

static inline void golden_take_part(struct golden_case *k, struct str mark, struct str text)
{
    struct str name = str_trim(str_from(mark, 4));
    for (unsigned i = 0; i < GOLDEN_PARTS; i++) {
        if (!str_eq(golden_part_names[i], name))
            continue;
        if (k->parts[i].p)
            k->wrong = "a section stands there twice";
        k->parts[i] = str_at(text.p ? text.p : "", text.n);
        return;
    }
    k->wrong = "it has a section of an unknown name";
}

/* The next case of the file's rest; false at the end. */
static inline bool golden_next(struct str *rest, struct golden_case *k)
{
    *k = (struct golden_case){0};
    golden_take_text(rest); /* what stands before the first case */
    if (!rest->p)
        return false;
    struct str mark = str_split(rest, '\n');
    if (!str_starts(mark, STR("=== ")))
        k->wrong = "it begins with a section";
    k->name = str_trim(str_from(mark, 4));
    golden_take_settings(k, golden_take_text(rest));
    while (rest->p && str_starts(*rest, STR("--- "))) {
        mark = str_split(rest, '\n');
        golden_take_part(k, mark, golden_take_text(rest));
    }
    return true;
}

static inline struct str golden_setting(const struct golden_case *k, const char *key)
{
    for (unsigned i = 0; i < k->settings_n; i++)
        if (str_eq(k->keys[i], str_of(key)))
            return k->values[i];
    return STR_NONE;
}

#endif
