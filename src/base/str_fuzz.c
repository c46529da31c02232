/*
 * Globs against a plain dynamic-programming reference; splitting against the bytes it came from.
 */
#include "base/macros.h"
#include "base/str.h"

#define MOST 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* can[j]: the pattern so far matches the first j bytes of s. */
static bool reference_glob(struct str pattern, struct str s)
{
    bool can[MOST + 1] = {true};

    for (size_t i = 0; i < pattern.n; i++) {
        bool star = pattern.p[i] == '*';
        bool next[MOST + 1] = {star && can[0]};
        for (size_t j = 1; j <= s.n; j++)
            next[j] = star ? can[j] || next[j - 1] : can[j - 1] && s.p[j - 1] == pattern.p[i];
        memcpy(can, next, sizeof(can));
    }
    return can[s.n];
}

static void check_split(struct str s)
{
    size_t pieces = 0, bytes = 0, commas = 0;

    for (size_t i = 0; i < s.n; i++)
        commas += s.p[i] == ',';
    for (struct str rest = s; rest.p; pieces++) {
        struct str piece = str_split(&rest, ',');
        must(str_chr(piece, ',') < 0);
        bytes += piece.n;
    }
    must(!s.p || (pieces == commas + 1 && bytes + commas == s.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str all = str_at((const char *)data + 1, size - 1);
    size_t cut = data[0];

    struct str pattern = str_to(all, cut), s = str_to(str_from(all, cut), MOST);
    must(str_glob(pattern, s) == reference_glob(pattern, s));
    check_split(all);
    return 0;
}
