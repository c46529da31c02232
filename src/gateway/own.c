/*
 * The stage that knows whose things are. See gateway/own.h.
 *
 * What a call names is looked up in memory and, where it is not there, in the store. What belongs
 * to another team is told of in the words for what does not exist, and so is what nobody knows,
 * where such things are for nobody (SMARTFLOW_UNOWNED). A call without a virtual key runs on its
 * caller's own account at the provider, which looks after itself.
 */
#include "gateway/own.h"

#include "crypto/digest.h"
#include "gateway/parts.h"
#include "gateway/responses_kept.h"

#include <errno.h>

/* --- who may --- */

/* A rotated key goes on with what its predecessor made, where there is no team. */
static bool is_mine(const struct virtual_key *k, const struct owned *o)
{
    if (o->team.n || k->team_id.n)
        return o->team.n && str_eq(o->team, k->team_id);
    return o->key.n && (str_eq(o->key, k->subject.id) || str_eq(o->key, k->rotated_from));
}

bool gw_own_is_mine(const struct exchange *x, const struct owned *o)
{
    return !x->key || is_mine(x->key, o);
}

bool gw_own_allows_unknown(const struct exchange *x)
{
    switch (config_current()->unowned) {
    case UNOWNED_ALLOW:
        return true;
    case UNOWNED_DENY:
        return false;
    default:
        return !(x->key && x->key->team_id.n) && !own_teams_exist();
    }
}

/* --- refusals --- */

/* In the words of the providers, for what is not there. */
static int not_found(struct exchange *x, const struct own_id *id)
{
    int n = (int)MIN(id->id.n, 200);

    if (id->param.n)
        x->error.param = id->param;
    x->error.type = x->dialect == DIALECT_OPENAI ? STR("invalid_request_error") : STR_NONE;
    if (str_eq(id->what, STR("file")) && x->dialect != DIALECT_GEMINI)
        return exchange_failf(x, 404, STR("not_found"), "No such File object: %.*s", n, id->id.p);
    if (str_eq(id->what, STR("requested entity")) || x->dialect == DIALECT_GEMINI)
        return exchange_fail(x, 404, STR("not_found"), STR("Requested entity was not found."));
    return exchange_failf(x, 404, STR("not_found"), "No " STR_FMT " found with id '%.*s'.",
        STR_ARG(id->what), n, id->id.p);
}

static int unavailable(struct exchange *x)
{
    x->error.retry_after_s = 1;
    return exchange_fail(x, 503, STR("ownership_unavailable"),
        STR("It cannot be looked up at the moment whose this is; try again shortly."));
}

/* --- the check --- */

/* What stands deep in a body under the name of a file's id may be anything: of what nobody knows
 * only what looks like a file's id counts as one. */
static bool looks_like_file(struct str id)
{
    return str_starts(id, STR("file-")) || str_starts(id, STR("file_")) ||
           str_starts(id, STR("files/")) || str_starts(id, STR("cachedContents/"));
}

static int check_unknown(struct exchange *x, const struct own_id *id)
{
    if ((id->inside && !looks_like_file(id->id)) || gw_own_allows_unknown(x))
        return 0;
    return not_found(x, id);
}

static void note(struct exchange *x, const struct own_id *id, const struct owned *o)
{
    const struct owned **to = id->inside ? &x->part : &x->owned;

    if (!*to)
        *to = o;
}

/* *ret: the thing itself, in the arena; NULL where nobody knows it. */
static int check_id(
    struct exchange *x, const struct own_id *id, struct arena *a, const struct owned **ret)
{
    const struct owned *o = *ret = owned_get(id->id, a);
    int r = o ? 0 : own_load(id->id, a, ret);

    o = *ret;
    if ((o && gw_own_is_mine(x, o)) || !x->key)
        return 0;
    if (r < 0)
        return unavailable(x);
    if (o && owned_is_known(o))
        return not_found(x, id);
    return check_unknown(x, id);
}

static int check_one(struct exchange *x, const struct own_id *id)
{
    const struct owned *o;
    int r = check_id(x, id, &x->arena, &o);

    if (r == 0 && o && (gw_own_is_mine(x, o) || x->key))
        note(x, id, o);
    return r;
}

int gw_own_check_line(struct exchange *x, struct str line)
{
    const struct owned *o;
    struct own_ids ids = {0};
    struct arena a;
    char first[2048];

    arena_init(&a, first, sizeof first, 4 * MIB);
    int r = own_ids_line(line, &a, &ids);
    if (r < 0)
        r = exchange_failf(x, 400, STR("invalid_request_error"),
            "A line of a batch must not name more than %d files.", OWN_IDS_MAX);
    for (unsigned i = 0; r == 0 && i < ids.n; i++)
        r = check_id(x, &ids.at[i], &a, &o);
    arena_free(&a);
    return r;
}

/* Its path names one thing. */
static bool is_by_id(const struct exchange *x)
{
    const struct endpoint *e = x->match.endpoint;

    return (e->flags & EP_BY_ID) || e->kind == KIND_GEMINI_BATCHES || e->kind == KIND_GEMINI_OTHER;
}

/* What a batch cost is in its results: it is booked before these can be deleted. Google forgets a
 * batch also while it runs, and nobody could say any more what it cost. */
static int book_before(struct exchange *x)
{
    const struct owned *o = x->owned;
    int r;

    if (x->rq->head.method != HTTP_DELETE || !o || !is_by_id(x))
        return 0;
    struct str batch = owned_is_batch(o) ? o->id : o->kind == OWNED_OUTPUT ? o->batch : STR_NONE;
    if (!batch.n || (r = own_book_now(batch)) == 0)
        return 0;
    if (r == OWN_BOOK_RUNS && o->kind != OWNED_GEMINI_BATCH)
        return 0; /* the provider refuses it */
    if (r == OWN_BOOK_RUNS)
        return exchange_fail(x, 400, STR("batch_runs"),
            STR("This batch still runs; it can be deleted when it has ended. Cancel it first."));
    x->error.retry_after_s = 5;
    return exchange_fail(x, 503, STR("batch_not_booked"),
        STR("What this batch cost could not be booked yet; try again shortly."));
}

int gw_own_check(struct exchange *x)
{
    struct own_ids ids = {0};
    int r = own_ids_find(x, &ids);

    for (unsigned i = 0; r == 0 && i < ids.n; i++)
        if (!gw_kept_is(ids.at[i].id)) /* looked up when it is needed (responses_serve.c) */
            r = check_one(x, &ids.at[i]);
    return r == 0 && ids.n ? book_before(x) : r;
}

/* Responses that lie here are answered here; they know whose they are. */
static int own(struct exchange *x)
{
    int r = gw_kept_serve(x);

    if (r == 0)
        r = own_upload_refused(x);
    return r ? r : gw_own_check(x);
}

const struct stage stage_own = {
    .name = "own",
    .on_request = own,
};

/* --- credentials --- */

static bool is_kept_thing(const struct exchange *x)
{
    const uint64_t kinds = KIND_BIT(KIND_FILES) | KIND_BIT(KIND_UPLOADS) | KIND_BIT(KIND_BATCHES) |
                           KIND_BIT(KIND_CONVERSATIONS) | KIND_BIT(KIND_MESSAGE_BATCHES) |
                           KIND_BIT(KIND_GEMINI_UPLOAD) | KIND_BIT(KIND_GEMINI_OTHER) |
                           KIND_BIT(KIND_GEMINI_BATCHES);
    return (kinds & KIND_BIT(x->match.endpoint->kind)) != 0;
}

/* Of each owner always the same among those that work, so that all its things lie in one account
 * and a list finds them: rendezvous hashing. */
static const struct upstream_key *steady_key(const struct exchange *x, const struct upstream *u)
{
    struct str owner = x->key->team_id.n ? x->key->team_id : x->key->subject.id;
    const struct upstream_key *best = NULL;
    uint32_t most = 0;
    bool good = false;

    for (unsigned i = 0; i < u->keys->n; i++) {
        const struct upstream_key *k = &u->keys->at[i];
        const struct str seed[] = {owner, STR_INIT("\n"), k->id};
        uint8_t hash[SHA256_BYTES];
        uint32_t score;
        bool works = upstream_key_state(k) == UPSTREAM_KEY_GOOD;
        sha256_parts(seed, ARRAY_LEN(seed), hash);
        memcpy(&score, hash, sizeof score);
        if (best && (works < good || (works == good && score <= most)))
            continue;
        best = k;
        most = score;
        good = works;
    }
    return best;
}

const struct upstream_key *gw_own_key(struct exchange *x, const struct upstream *u)
{
    const struct owned *all[] = {x->owned, x->part};

    if (!u->keys || u->keys->n < 2)
        return upstream_pick(u);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        if (!all[i] || !all[i]->upstream_key.n || !str_eq(all[i]->provider, u->provider->id))
            continue;
        const struct upstream_key *k = upstream_key_by_id(u, all[i]->upstream_key);
        if (k) {
            x->can_send_again = false; /* another account does not have it */
            return k;
        }
    }
    return x->key && is_kept_thing(x) ? steady_key(x, u) : upstream_pick(u);
}
