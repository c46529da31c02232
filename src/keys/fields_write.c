/* Writing records as JSON, by their tables of fields. See keys/record.h. */
#include "base/clock.h"
#include "keys/fields_int.h"

static const void *member_of(const struct field_row *f, const void *record)
{
    return (const char *)record + f->offset;
}

static void write_texts(const struct str_list *l, struct buf *out)
{
    buf_addc(out, '[');
    for (unsigned i = 0; i < l->n; i++) {
        if (i)
            buf_addc(out, ',');
        buf_addjson(out, l->at[i]);
    }
    buf_addc(out, ']');
}

static void write_budgets(const struct budget_list *l, struct buf *out)
{
    buf_addc(out, '[');
    for (unsigned i = 0; i < l->n; i++) {
        const struct budget *b = &l->at[i];
        buf_printf(out, "%s{\"period\":\"%s\",\"limit_usd\":", i ? "," : "",
            budget_period_words[b->period]);
        money_write(b->limit_nano, out);
        buf_printf(out, ",\"soft\":%s,\"model\":", b->soft ? "true" : "false");
        b->model.n ? buf_addjson(out, b->model) : buf_addstr(out, STR("null"));
        buf_addstr(out, STR(",\"tag\":"));
        b->tag.n ? buf_addjson(out, b->tag) : buf_addstr(out, STR("null"));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

static void write_cap(const struct budget_list *l, struct buf *out)
{
    for (unsigned i = 0; i < l->n; i++)
        if (budget_is_cap(&l->at[i])) {
            money_write(l->at[i].limit_nano, out);
            return;
        }
    buf_addstr(out, STR("null"));
}

static void write_time(int64_t wall, struct buf *out)
{
    char text[25];

    if (!wall) {
        buf_addstr(out, STR("null"));
        return;
    }
    clock_rfc3339(wall, text);
    buf_printf(out, "\"%s\"", text);
}

static void write_text(struct str s, const struct field_row *f, struct buf *out)
{
    if (!s.n && f->min == 0)
        buf_addstr(out, STR("null"));
    else
        buf_addjson(out, s);
}

void field_write_value(const struct field_row *f, const void *record, struct buf *out)
{
    const void *from = member_of(f, record);
    const struct str *text = from;

    switch (f->type) {
    case FIELD_TEXT:
        write_text(*text, f, out);
        return;
    case FIELD_WORD:
        buf_addjson(out, str_of(f->words[*(const uint32_t *)from]));
        return;
    case FIELD_BOOL:
        buf_addstr(out, *(const bool *)from ? STR("true") : STR("false"));
        return;
    case FIELD_INT: {
        int64_t n = *(const int64_t *)from;
        if (n == 0 && f->min > 0)
            buf_addstr(out, STR("null"));
        else
            buf_printf(out, "%lld", (long long)n);
        return;
    }
    case FIELD_TIME:
        write_time(*(const int64_t *)from, out);
        return;
    case FIELD_TEXTS:
        write_texts(from, out);
        return;
    case FIELD_OBJECT:
        buf_addstr(out, text->n ? *text : STR("{}"));
        return;
    case FIELD_ITEMS:
        buf_addstr(out, text->n ? *text : STR("[]"));
        return;
    case FIELD_BUDGETS:
        write_budgets(from, out);
        return;
    case FIELD_CAP:
        write_cap(from, out);
        return;
    }
}

void fields_write(const struct field_row *rows, unsigned n, const void *record, struct buf *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (out->n && out->p[out->n - 1] != '{')
            buf_addc(out, ',');
        buf_printf(out, "\"%s\":", rows[i].name);
        field_write_value(&rows[i], record, out);
    }
}
