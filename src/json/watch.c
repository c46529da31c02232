/*
 * Notes where wanted members stand while json_scan() passes over them. Only the top object and the
 * objects directly in it are watched. A name is compared only with wanted names of its length,
 * which are found among all of them at once.
 *
 * The first occurrence of a member keeps the span; a later one only sets the duplicate flag. A name
 * that differs in case alone is another member here, and only sets a flag, too: which of the two
 * counts is for readers to say who do not tell them apart.
 *
 * Words are names that are noticed wherever they stand.
 */
#include "json/scan_int.h"

static void set_want(struct json_set *s, size_t i, struct str path)
{
    const char *dot = memchr(path.p, '.', path.n);
    size_t first = dot ? (size_t)(dot - path.p) : path.n;

    must(path.n <= UINT8_MAX);
    s->names[0][i] = path.p;
    s->lengths[0][i] = (uint8_t)first;
    s->names[1][i] = dot ? dot + 1 : NULL;
    s->lengths[1][i] = dot ? (uint8_t)(path.n - first - 1) : 0;
}

void json_set_init(struct json_set *s, const struct json_want *wants, size_t n)
{
    must(n <= JSON_MAX_WANTS);
    memset(s, 0, offsetof(struct json_set, words)); /* those are counted */
    s->n = (unsigned)n;
    for (size_t i = 0; i < n; i++)
        set_want(s, i, wants[i].path);
}

void json_set_add(struct json_set *s, const struct json_word *words, size_t n, uint8_t mark)
{
    must(n <= JSON_MAX_WORDS - s->words_n);
    for (size_t i = 0; i < n; i++) {
        struct str name = words[i].name;
        must(name.n && name.n < 31);
        s->words[s->words_n] = words[i];
        s->marks[s->words_n] = mark;
        s->words_by[name.p[0] & 31] |= (uint64_t)1 << s->words_n++;
        s->word_lengths[name.p[0] & 31] |=
            words[i].prefix ? ~(uint32_t)0 << name.n : (uint32_t)1 << name.n;
    }
}

void watch_begin(struct watch *w, const struct json_set *set, struct json_span *spans)
{
    w->set = set;
    w->spans = spans;
    w->open[0] = w->open[1] = w->inside = w->parents = 0;
    w->marks = 0;
    for (size_t i = 0; i < set->n; i++)
        spans[i] = (struct json_span){.type = JSON_NONE};
}

unsigned watch_marks_of(const struct json_set *set, struct str key)
{
    unsigned marks = 0;

    for (uint64_t left = set->words_by[key.p[0] & 31]; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        const struct json_word *w = &set->words[i];
        if (w->prefix ? str_istarts(key, w->name) : str_ieq(key, w->name))
            marks |= set->marks[i];
    }
    return marks;
}

static struct str wanted_name(const struct watch *w, unsigned level, unsigned i)
{
    return str_at(w->set->names[level][i], w->set->lengths[level][i]);
}

/* The wants whose name of this level has n bytes. */
static uint64_t of_length(const struct watch *w, unsigned level, size_t n)
{
    const uint8_t *have = w->set->lengths[level];

    if (n > UINT8_MAX)
        return 0;
#ifdef __SSE2__
    _Static_assert(JSON_MAX_WANTS == 32, "two vectors");
    __m128i want = _mm_set1_epi8((char)n);
    unsigned low = (unsigned)_mm_movemask_epi8(
        _mm_cmpeq_epi8(want, _mm_loadu_si128((const __m128i *)(const void *)have)));
    unsigned high = (unsigned)_mm_movemask_epi8(
        _mm_cmpeq_epi8(want, _mm_loadu_si128((const __m128i *)(const void *)(have + 16))));
    return low | (uint64_t)high << 16;
#else
    uint64_t found = 0;
    for (unsigned i = 0; i < w->set->n; i++)
        found |= (uint64_t)(have[i] == n) << i;
    return found;
#endif
}

/* The first part of a path with two parts was met. */
static void meet_parent(struct watch *w, unsigned i)
{
    if (w->parents >> i & 1)
        w->spans[i].duplicate = true;
    w->parents |= 1ull << i;
    w->inside |= 1ull << i;
}

static void meet_member(struct watch *w, unsigned i, unsigned level, uint32_t at)
{
    struct json_span *span = &w->spans[i];
    if (span->type != JSON_NONE) {
        span->duplicate = true;
        return;
    }
    span->key = at;
    w->open[level] |= 1ull << i;
}

static bool is_ascii(struct str s)
{
    uint8_t all = 0;
    for (size_t i = 0; i < s.n; i++)
        all |= (uint8_t)s.p[i];
    return all < 0x80;
}

void watch_key(struct watch *w, unsigned level, struct str key, bool escaped, uint32_t at)
{
    uint64_t left = level == 0 ? (1ull << w->set->n) - 1 : w->inside;
    w->open[level] = 0;
    if (level == 0)
        w->inside = 0;
    bool plain = left && key.n && !escaped && is_ascii(key);
    if (plain) /* then what it stands for has its length */
        left &= of_length(w, level, key.n);
    for (; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        struct str name = wanted_name(w, level, i);
        if (plain && (key.p[0] | 0x20) != (name.p[0] | 0x20))
            continue;
        if (escaped ? !escaped_eq(key, name) : !str_eq(key, name)) {
            w->spans[i].other_case |= folded_eq(key, name);
            continue;
        }
        if (level == 0 && w->set->names[1][i])
            meet_parent(w, i);
        else
            meet_member(w, i, level, at);
    }
}

void watch_value(struct watch *w, unsigned level, enum json_type type, uint32_t at)
{
    for (uint64_t left = w->open[level]; left; left &= left - 1) {
        struct json_span *span = &w->spans[__builtin_ctzll(left)];
        span->type = type;
        span->value = at;
    }
}

void watch_end(struct watch *w, unsigned level, const struct json_span *end)
{
    for (uint64_t left = w->open[level]; left; left &= left - 1) {
        struct json_span *span = &w->spans[__builtin_ctzll(left)];
        bool container = span->type == JSON_ARRAY || span->type == JSON_OBJECT;
        span->end = end->end;
        span->escaped = span->type == JSON_STRING && end->escaped;
        span->items = container ? end->items : 0;
    }
    w->open[level] = 0;
}
