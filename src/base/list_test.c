/*
 * The ring list: order, removal while walking, nodes outside of any list.
 */
#include "base/list.h"
#include "base/tap.h"

struct item {
    int id;
    struct list node;
};

static void test_order(void)
{
    struct list head;
    struct item a = {.id = 1}, b = {.id = 2}, c = {.id = 3}, d = {.id = 4};
    int seen = 0;

    list_init(&head);
    CHECK(list_empty(&head) && list_pop_front(&head) == NULL);
    list_push_back(&head, &b.node);
    list_push_back(&head, &d.node);
    list_push_front(&head, &a.node);
    list_insert_before(&d.node, &c.node);
    list_each(&head, it) seen = seen * 10 + list_entry(it, struct item, node)->id;
    CHECK_EQ(seen, 1234);
    CHECK(list_pop_front(&head) == &a.node && list_empty(&a.node));
    list_remove(&c.node);
    list_remove(&c.node); /* in no list any more: nothing happens */
    seen = 0;
    list_each(&head, it) seen = seen * 10 + list_entry(it, struct item, node)->id;
    CHECK_EQ(seen, 24);
}

static void test_remove_while_walking(void)
{
    struct list head;
    struct item items[6];
    int left = 0;

    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].id = i;
        list_push_back(&head, &items[i].node);
    }
    list_each(&head, it) if (list_entry(it, struct item, node)->id % 2) list_remove(it);
    list_each(&head, it) left = left * 10 + list_entry(it, struct item, node)->id;
    CHECK_EQ(left, 24); /* 0, 2, 4 */
    list_each(&head, it) list_remove(it);
    CHECK(list_empty(&head));
}

int main(void)
{
    TAP_RUN(test_order);
    TAP_RUN(test_remove_while_walking);
    return tap_done();
}
