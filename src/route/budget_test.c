/* Daily budgets: sums by day, shared or not. */
#include "route/budget.h"

#include "base/tap.h"
#include "route/route.h"

#define DAY (24 * 3600 * NS_PER_S)

static const struct route_budget budgets[] = {{STR_INIT("openai"), 1000}, {STR_INIT("groq"), 0}};
static const struct route_rules rules = {.budgets = budgets, .budgets_n = 2};

static void test_names(void)
{
    char room[ROUTE_COUNTER_BYTES];
    int64_t end;

    CHECK_STR(
        route_budget_counter(STR("openai"), 10 * DAY + 5, room, &end), STR("pb:{openai}:d10"));
    CHECK_EQ(end, 11 * DAY);
}

static void test_days(void)
{
    int64_t wall = 100 * DAY + 7;

    route_budget_use(NULL);
    CHECK(!route_budget_spent(&rules, STR("openai"), wall));
    CHECK(route_budget_spent(&rules, STR("groq"), wall)); /* a budget of nothing */
    CHECK(!route_budget_spent(&rules, STR("xai"), wall)); /* none */
    route_budget_add(STR("openai"), 600, wall);
    route_budget_add(STR("openai"), 0, wall);
    CHECK_EQ(route_budget_used(STR("openai"), wall), 600);
    CHECK(!route_budget_spent(&rules, STR("openai"), wall));
    route_budget_add(STR("openai"), 400, wall + 1);
    CHECK(route_budget_spent(&rules, STR("openai"), wall));
    CHECK(!route_budget_spent(&rules, STR("openai"), wall + DAY)); /* a new day */
    route_budget_add(STR("openai"), 5, wall + DAY);
    CHECK_EQ(route_budget_used(STR("openai"), wall + DAY), 5);
    route_budget_add(STR("nobody"), 5, wall);
    CHECK_EQ(route_budget_used(STR("nobody"), wall), 0);
}

static void test_shared(void)
{
    struct shared_settings set = {.node = STR("n"), .prefix = STR("sf")};
    char err[256], room[ROUTE_COUNTER_BYTES];
    struct shared *s = NULL;
    int64_t wall = clock_wall(), end, used, held;

    CHECK_EQ(shared_open(&set, &s, err, sizeof err), 0);
    route_budget_use(s);
    route_budget_add(STR("openai"), 700, wall);
    struct str name = route_budget_counter(STR("openai"), wall, room, &end);
    shared_part(s, name, &used, &held);
    CHECK_EQ(used, 700);
    /* what was there before the start, or came from elsewhere */
    shared_seed(s, name, 1200, end);
    route_budget_refresh(&rules);
    CHECK_EQ(route_budget_used(STR("openai"), wall), 1200);
    CHECK(route_budget_spent(&rules, STR("openai"), wall));
    route_budget_use(NULL);
    shared_close(s);
}

int main(void)
{
    TAP_RUN(test_names);
    TAP_RUN(test_days);
    TAP_RUN(test_shared);
    return tap_done();
}
