/*
 * Calls of tools and their results. A turn of the assistant is a run of its messages; the results
 * of a turn's calls stand behind it and before the next turn. Ids need to differ within a turn
 * alone, since some providers begin anew with each answer.
 */
#include "translate/canon.h"

#include "base/macros.h"
#include "base/map.h"

struct turn {
    struct map open;  /* id → struct canon_part of a call that has no result yet */
    struct map known; /* id → the same, of all calls of the turn */
    const struct canon_message *first;
    bool speaking; /* the last message was the assistant's */
};

int canon_choose_one(struct canon_call *c, struct canon_tool_choice *t, struct str name)
{
    struct str *names = arena_new(c->arena, struct str);
    if (!names)
        return canon_no_room(c);
    *names = name;
    t->mode = TOOLS_ONE;
    t->names = names;
    t->names_n = 1;
    return 0;
}

struct str canon_tool_name(const struct canon_request *q, struct str id)
{
    struct str found = STR_NONE;
    for (const struct canon_message *m = q->messages; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next)
            if (p->kind == PART_TOOL_CALL && str_eq(p->id, id))
                found = p->name;
    return found;
}

bool canon_has_tool_parts(const struct canon_request *q)
{
    for (const struct canon_message *m = q->messages; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next)
            if (p->kind == PART_TOOL_CALL || p->kind == PART_TOOL_RESULT)
                return true;
    return false;
}

/* The first call, in the order of the messages, that has no result. */
static int fail_orphan(struct canon_call *c, const struct turn *t)
{
    for (const struct canon_message *m = t->first; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next)
            if (p->kind == PART_TOOL_CALL && map_get(&t->open, p->id) == p)
                return canon_fail(c, STR("messages"),
                    "The tool call '" STR_FMT "' has no result before the next turn.",
                    (int)MIN(p->id.n, 128u), p->id.p);
    return canon_no_room(c);
}

static int begin_turn(struct canon_call *c, struct turn *t, const struct canon_message *m)
{
    if (t->speaking)
        return 0;
    if (t->open.n)
        return fail_orphan(c, t);
    map_free(&t->known);
    map_init(&t->known);
    t->first = m;
    t->speaking = true;
    return 0;
}

static int take_call(struct canon_call *c, struct turn *t, struct canon_part *p)
{
    if (map_get(&t->known, p->id))
        return canon_fail(c, STR("messages"),
            "Two tool calls of one turn have the id '" STR_FMT "'.", (int)MIN(p->id.n, 128u),
            p->id.p);
    if (map_put(&t->known, p->id, p, NULL) < 0 || map_put(&t->open, p->id, p, NULL) < 0)
        return canon_no_room(c);
    return 0;
}

static int take_result(struct canon_call *c, struct turn *t, struct canon_part *p)
{
    struct canon_part *call = map_get(&t->known, p->id);
    if (call && map_del(&t->open, p->id)) {
        if (!p->name.n)
            p->name = call->name;
        return 0;
    }
    return canon_fail(c, STR("messages"),
        call ? "The tool call '" STR_FMT "' has two results."
             : "The tool result for '" STR_FMT "' answers no call of the turn before it.",
        (int)MIN(p->id.n, 128u), p->id.p);
}

static int take_message(struct canon_call *c, struct turn *t, const struct canon_message *m)
{
    int r = 0;
    if (m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER)
        return 0;
    if (m->role == ROLE_ASSISTANT)
        r = begin_turn(c, t, m);
    else
        t->speaking = false;
    for (struct canon_part *p = m->parts; p && r == 0; p = p->next) {
        if (p->kind == PART_TOOL_CALL)
            r = take_call(c, t, p);
        else if (p->kind == PART_TOOL_RESULT)
            r = take_result(c, t, p);
    }
    return r;
}

int canon_check_tools(struct canon_call *c, const struct canon_request *q)
{
    struct turn t = {0};
    int r = 0;
    if (!canon_has_tool_parts(q))
        return 0;
    map_init(&t.open);
    map_init(&t.known);
    for (const struct canon_message *m = q->messages; m && r == 0; m = m->next)
        r = take_message(c, &t, m);
    if (r == 0 && t.open.n)
        r = fail_orphan(c, &t);
    map_free(&t.open);
    map_free(&t.known);
    return r;
}
