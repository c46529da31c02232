/*
 * Conversations: an object and the list of its items, which grows when a Response is created in it.
 * The list is kept as text, items with commas between, oldest first.
 */
#include "demo/openai_int.h"

bool conversation_add(struct str id, struct str items)
{
    _cleanup_(buf_free) struct buf object, all;
    buf_init(&object, MIB);
    buf_init(&all, STORE_BYTES);
    if (!store_get(STORE_CONVERSATION, id, &object, &all))
        return false;
    if (all.n && items.n)
        buf_addstr(&all, STR(","));
    buf_addstr(&all, items);
    return all.err == 0 && store_put(STORE_CONVERSATION, id, buf_str(&object), buf_str(&all)) == 0;
}

static void put_conversation(struct demo_call *c, struct buf *out, struct str id)
{
    struct str metadata = json_find(c->body, STR("metadata"));
    buf_addstr(out, STR("{\"id\":"));
    buf_addjson(out, id);
    buf_printf(out, ",\"object\":\"conversation\",\"created_at\":%d,\"metadata\":", DEMO_CREATED);
    buf_addstr(out, json_type_of(metadata) == JSON_OBJECT ? metadata : STR("{}"));
    buf_addstr(out, STR("}"));
}

static void create(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf items;
    char id[48];
    buf_init(&items, STORE_BYTES);
    new_id("conv_", id);
    response_items(json_find(c->body, STR("items")), &items, id);
    put_conversation(c, &c->out, str_of(id));
    (void)store_put(STORE_CONVERSATION, str_of(id), buf_str(&c->out), buf_str(&items));
    demo_json(c);
}

/* --- items --- */

static void add_items(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf items;
    char id[48];
    buf_init(&items, STORE_BYTES);
    new_id("item_", id);
    response_items(json_find(c->body, STR("items")), &items, id);
    if (!conversation_add(c->match.id, buf_str(&items)))
        demo_not_found(c, "conversation");
    else
        response_item_list(c, buf_str(&items));
}

/* conversations/{id}/items/{item} */
static struct str item_id(const struct demo_call *c)
{
    struct str rest = c->match.rest;
    for (unsigned i = 0; i < 3; i++)
        (void)str_split(&rest, '/');
    return rest;
}

/* Gets one item, or deletes it: then kept has the others. */
static bool find_item(struct str items, struct str id, struct buf *found, struct buf *kept)
{
    _cleanup_(buf_free) struct buf list;
    struct str key, item;
    buf_init(&list, STORE_BYTES + KIB);
    buf_addstr(&list, STR("["));
    buf_addstr(&list, items);
    buf_addstr(&list, STR("]"));
    struct str all = buf_str(&list);
    for (size_t at = json_inside(all); json_next(all, &at, &key, &item);) {
        if (literal_is(json_find(item, STR("id")), id)) {
            buf_addstr(found, item);
            continue;
        }
        buf_addstr(kept, kept->n ? STR(",") : STR(""));
        buf_addstr(kept, item);
    }
    return found->n > 0;
}

static void one_item(struct demo_call *c, struct str object, struct str items)
{
    _cleanup_(buf_free) struct buf found, kept;
    buf_init(&found, STORE_BYTES);
    buf_init(&kept, STORE_BYTES);
    if (!find_item(items, item_id(c), &found, &kept)) {
        demo_not_found(c, "item in conversation");
        return;
    }
    if (c->rq->head.method == HTTP_DELETE) {
        (void)store_put(STORE_CONVERSATION, c->match.id, object, buf_str(&kept));
        put_str(c, object);
    } else {
        put_str(c, buf_str(&found));
    }
    demo_json(c);
}

static void by_id(struct demo_call *c, struct str object, struct str items)
{
    struct str id = c->match.id;
    if (c->rq->head.method == HTTP_DELETE) {
        (void)store_delete(STORE_CONVERSATION, id);
        put(c, "{\"id\":");
        put_json(c, id);
        put(c, ",\"object\":\"conversation.deleted\",\"deleted\":true}");
    } else if (c->rq->head.method == HTTP_POST) {
        put_conversation(c, &c->out, id);
        (void)store_put(STORE_CONVERSATION, id, buf_str(&c->out), items);
    } else {
        put_str(c, object);
    }
    demo_json(c);
}

void openai_conversations(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf object, items;
    buf_init(&object, MIB);
    buf_init(&items, STORE_BYTES);
    bool post = c->rq->head.method == HTTP_POST;
    if (!c->match.id.n)
        create(c);
    else if (!store_get(STORE_CONVERSATION, c->match.id, &object, &items))
        demo_not_found(c, "conversation");
    else if (str_ends(c->match.rest, STR("/items")) && post)
        add_items(c);
    else if (str_ends(c->match.rest, STR("/items")))
        response_item_list(c, buf_str(&items));
    else if (item_id(c).n)
        one_item(c, buf_str(&object), buf_str(&items));
    else
        by_id(c, buf_str(&object), buf_str(&items));
}
