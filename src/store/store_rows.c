/*
 * Results. While a result is built its bytes move (they lie in a growing buffer), so the cells hold
 * offsets; rows_finish() makes them pointers. What is counted against STORE_ROWS_BYTES is bytes and
 * cells together, so that a million empty cells are bounded too.
 */
#include "store/store_int.h"
#include <errno.h>
#include <stdlib.h>

#define COLUMNS_MAX 256

struct store_rows {
    unsigned n, columns;
    struct store_value *cells;
    struct str *names;
    char *bytes;
};

unsigned store_rows_n(const struct store_rows *r)
{
    return r->n;
}

unsigned store_columns_n(const struct store_rows *r)
{
    return r->columns;
}

struct str store_column_name(const struct store_rows *r, unsigned column)
{
    must(column < r->columns);
    return r->names[column];
}

const struct store_value *store_cell(const struct store_rows *r, unsigned row, unsigned column)
{
    must(row < r->n && column < r->columns);
    return &r->cells[(size_t)row * r->columns + column];
}

int64_t store_cell_int(const struct store_rows *r, unsigned row, unsigned column)
{
    const struct store_value *v = store_cell(r, row, column);
    return v->type == STORE_INT ? v->n : 0;
}

struct str store_cell_str(const struct store_rows *r, unsigned row, unsigned column)
{
    const struct store_value *v = store_cell(r, row, column);
    return v->type == STORE_TEXT || v->type == STORE_BLOB ? v->s : STR_NONE;
}

void store_rows_free(struct store_rows *r)
{
    if (!r)
        return;
    free(r->cells);
    free(r->names);
    free(r->bytes);
    free(r);
}

/* --- building --- */

void rows_init(struct rows_builder *b)
{
    *b = (struct rows_builder){0};
    buf_init(&b->bytes, STORE_ROWS_BYTES);
}

static void put(struct rows_builder *b, struct str s, struct str *ret)
{
    size_t at = b->bytes.n;
    size_t room = STORE_ROWS_BYTES - MIN(STORE_ROWS_BYTES, b->n_cells * sizeof(*b->cells));
    if (at + s.n > room)
        b->err = -EMSGSIZE;
    else if (buf_addstr(&b->bytes, s) < 0)
        b->err = b->bytes.err == -ENOMEM ? -ENOMEM : -EMSGSIZE;
    *ret = (struct str){(const char *)(uintptr_t)at, s.n};
}

void rows_column(struct rows_builder *b, struct str name)
{
    must(b->n_cells == 0);
    if (b->err)
        return;
    if (!b->names && !(b->names = calloc(COLUMNS_MAX, sizeof(*b->names)))) {
        b->err = -ENOMEM;
        return;
    }
    if (b->columns == COLUMNS_MAX)
        b->err = -EMSGSIZE;
    else
        put(b, name, &b->names[b->columns++]);
}

void rows_cell(struct rows_builder *b, struct store_value v)
{
    if (b->err)
        return;
    struct store_value *more =
        store_vector_room(b->cells, b->n_cells, &b->cap_cells, sizeof(*b->cells));
    if (!more) {
        b->err = -ENOMEM;
        return;
    }
    b->cells = more;
    if (v.type == STORE_TEXT || v.type == STORE_BLOB)
        put(b, v.s, &v.s);
    else if ((b->n_cells + 1) * sizeof(v) + b->bytes.n > STORE_ROWS_BYTES)
        b->err = -EMSGSIZE;
    b->cells[b->n_cells++] = v;
}

static void place(struct str *s, const char *base)
{
    s->p = base + (uintptr_t)s->p;
}

int rows_finish(struct rows_builder *b, struct store_rows **ret)
{
    struct store_rows *r = b->err ? NULL : calloc(1, sizeof *r);
    /* One byte behind the last: values of no length are not NULL. */
    if (!r || buf_addc(&b->bytes, '\0') < 0) {
        free(r);
        return b->err ? b->err : -ENOMEM;
    }
    for (unsigned i = 0; i < b->columns; i++)
        place(&b->names[i], b->bytes.p);
    for (unsigned i = 0; i < b->n_cells; i++)
        if (b->cells[i].type == STORE_TEXT || b->cells[i].type == STORE_BLOB)
            place(&b->cells[i].s, b->bytes.p);
    *r = (struct store_rows){
        .n = b->columns ? b->n_cells / b->columns : 0,
        .columns = b->columns,
        .cells = b->cells,
        .names = b->names,
        .bytes = b->bytes.p,
    };
    *b = (struct rows_builder){0};
    *ret = r;
    return 0;
}

void rows_drop(struct rows_builder *b)
{
    buf_free(&b->bytes);
    free(b->cells);
    free(b->names);
    *b = (struct rows_builder){0};
}
