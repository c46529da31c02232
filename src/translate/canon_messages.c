/*
 * Messages as dialects want them that know only turns of user and assistant: neighbours of one role
 * are joined, what says nothing is left out, results of tools come first in their turn.
 */
#include "translate/canon.h"

#include "base/macros.h"

#include <errno.h>

struct joined {
    struct canon_message *list, **tail;
    struct canon_message *last;
    struct canon_part **results, **others; /* where the next of each goes, in last */
    struct canon_part *latest;             /* that was added to last */
};

static bool says_nothing(const struct canon_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
    case PART_THINKING:
        return p->text.n == 0 && p->signature.n == 0;
    default:
        return false;
    }
}

static int join_part(struct canon_call *c, struct joined *j, const struct canon_part *p)
{
    bool result = p->kind == PART_TOOL_RESULT;
    if (says_nothing(p)) { /* a mark on it is meant for all before it */
        if (p->cache && j->latest && j->latest->cache < p->cache)
            j->latest->cache = p->cache;
        return 0;
    }
    struct canon_part *copy = arena_alloc(c->arena, sizeof(*copy));
    if (!copy)
        return canon_no_room(c);
    *copy = *p;
    struct canon_part ***at = result ? &j->results : &j->others;
    bool behind = result && j->others == j->results;
    copy->next = **at;
    **at = copy;
    *at = &copy->next;
    if (behind) /* no other part yet: they begin behind the results */
        j->others = &copy->next;
    j->latest = copy;
    return 0;
}

static bool says_something(const struct canon_message *m)
{
    for (const struct canon_part *p = m->parts; p; p = p->next)
        if (!says_nothing(p))
            return true;
    return false;
}

static int join_message(struct canon_call *c, struct joined *j, const struct canon_message *m)
{
    int r = 0;
    if (!j->last || j->last->role != m->role) {
        j->last = canon_add_message(c, &j->tail, m->role);
        if (!j->last)
            return -ENOMEM;
        j->last->name = m->name;
        j->results = j->others = &j->last->parts;
        j->latest = NULL;
    }
    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        r = join_part(c, j, p);
    return r;
}

struct canon_message *canon_alternate(struct canon_call *c, const struct canon_request *q)
{
    struct joined j = {0};
    j.tail = &j.list;
    for (const struct canon_message *m = q->messages; m; m = m->next) {
        if (m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER || !says_something(m))
            continue;
        if (join_message(c, &j, m) < 0)
            return NULL;
    }
    return j.list;
}
