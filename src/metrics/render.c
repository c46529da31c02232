/*
 * The Prometheus text format 0.0.4. Rendering walks the published lists without a lock, so that it
 * never holds up a thread that counts. A histogram's count is the sum of its buckets, so the two
 * always agree, whatever is added meanwhile.
 */
#include "base/macros.h"
#include "metrics/metrics_int.h"

static const char *const type_names[] = {"counter", "gauge", "histogram"};

/* Help texts escape the backslash and the line end; label values also the quote. */
static void add_escaped(struct buf *out, struct str s, bool is_value)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\n')
            buf_addstr(out, STR("\\n"));
        else if (c == '\\' || (c == '"' && is_value))
            buf_add(out, (char[]){'\\', c}, 2);
        else
            buf_addc(out, c);
    }
}

/* value ÷ scale, exactly, without needless zeros. */
static void add_decimal(struct buf *out, uint64_t value, uint64_t scale)
{
    uint64_t rest = value % scale;

    buf_addu64(out, value / scale);
    if (rest == 0)
        return;
    buf_addc(out, '.');
    while (rest) {
        scale /= 10;
        buf_addc(out, (char)('0' + rest / scale));
        rest %= scale;
    }
}

static void add_signed(struct buf *out, int64_t value, uint64_t scale)
{
    if (value < 0)
        buf_addc(out, '-');
    add_decimal(out, value < 0 ? -(uint64_t)value : (uint64_t)value, scale);
}

/* The labels of a series, each followed by a comma when more is to come. */
static void add_labels(struct buf *out, const struct metric *m, bool more)
{
    const char *const *names = m->family->labels;
    size_t at = 0;

    for (unsigned i = 0; i < METRIC_LABELS && names[i]; i++) {
        size_t n = (unsigned char)m->key[at];
        buf_addstr(out, str_of(names[i]));
        buf_addstr(out, STR("=\""));
        add_escaped(out, str_at(m->key + at + 1, n), true);
        buf_addc(out, '"');
        at += 1 + n;
        if (at < m->key_n || more)
            buf_addc(out, ',');
    }
}

static void add_name(struct buf *out, const struct metric *m, struct str suffix)
{
    buf_addstr(out, str_of(m->family->name));
    buf_addstr(out, suffix);
    if (m->key_n) {
        buf_addc(out, '{');
        add_labels(out, m, false);
        buf_addc(out, '}');
    }
    buf_addc(out, ' ');
}

static void add_bucket(
    struct buf *out, const struct metric *m, size_t i, uint64_t count, uint64_t scale)
{
    const struct metric_family *f = m->family;

    buf_addstr(out, str_of(f->name));
    buf_addstr(out, STR("_bucket{"));
    add_labels(out, m, true);
    buf_addstr(out, STR("le=\""));
    if (i < f->n_buckets)
        add_signed(out, f->buckets[i], scale);
    else
        buf_addstr(out, STR("+Inf"));
    buf_addstr(out, STR("\"} "));
    buf_addu64(out, count);
    buf_addc(out, '\n');
}

static void add_histogram(struct buf *out, const struct metric *m, uint64_t scale)
{
    uint64_t cells[METRIC_BUCKETS + 2], count = 0;
    size_t n = m->family->n_buckets;

    cells_sum(m->cell, m->n_cells, cells);
    for (size_t i = 0; i <= n; i++)
        add_bucket(out, m, i, count += cells[i], scale);
    add_name(out, m, STR("_sum"));
    add_decimal(out, cells[n + 1], scale);
    buf_addc(out, '\n');
    add_name(out, m, STR("_count"));
    buf_addu64(out, count);
    buf_addc(out, '\n');
}

static void add_series(struct buf *out, const struct metric *m, uint64_t scale)
{
    enum metric_type type = m->family->type;

    if (m->is_other && metric_value(m) == 0)
        return;
    if (type == METRIC_HISTOGRAM) {
        add_histogram(out, m, scale);
        return;
    }
    int64_t value = metric_value(m);
    add_name(out, m, STR_NONE);
    if (type == METRIC_COUNTER)
        add_decimal(out, (uint64_t)value, scale);
    else
        add_signed(out, value, scale);
    buf_addc(out, '\n');
}

static void add_family(struct buf *out, const struct metric_registered *r)
{
    const struct metric_family *f = r->family;

    buf_printf(out, "# HELP %s ", f->name);
    add_escaped(out, str_of(f->help), false);
    buf_printf(out, "\n# TYPE %s %s\n", f->name, type_names[f->type]);
    for (struct metric *m = atomic_load_explicit(&r->first, memory_order_acquire); m;
         m = atomic_load_explicit(&m->next, memory_order_acquire))
        add_series(out, m, r->scale);
}

int metrics_render(struct buf *out)
{
    for (struct metric_registered *r = metrics_first_family(); r && out->err == 0;
         r = atomic_load_explicit(&r->next, memory_order_acquire))
        add_family(out, r);
    return out->err;
}
