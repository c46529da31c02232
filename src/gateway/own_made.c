/*
 * What replies made. The meter finds the ids of OpenAI's and Anthropic's things while a reply
 * passes; the names of Google's are read here. New things belong to the caller; the files that a
 * batch wrote to whoever made the batch. Nothing here suspends: what is new waits in a queue to be
 * written (route/owned.h).
 */
#include "gateway/own.h"

struct owned gw_own_record(const struct exchange *x, struct str id, enum owned_kind kind)
{
    const struct virtual_key *k = x->key;
    struct owned o = {.id = id,
        .kind = kind,
        .provider = x->upstream->provider->id,
        .upstream_key = x->upstream_key ? x->upstream_key->id : STR_NONE,
        .created_at = x->started_wall};

    if (!k)
        return o;
    o.org = k->org_id;
    o.team = k->team_id;
    o.user = k->user_id;
    o.key = k->subject.id;
    if (owned_is_batch(&o))
        o.customer = str_to(x->end_user, OWNED_TEXT_BYTES);
    return o;
}

static void made(const struct exchange *x, struct str id, enum owned_kind kind)
{
    struct owned o = gw_own_record(x, id, kind);

    owned_put(&o, true);
}

void gw_own_made_response(struct exchange *x, struct str id)
{
    made(x, id, OWNED_RESPONSE);
}

/* --- batches --- */

static struct str text_of(struct str literal)
{
    return json_type_of(literal) == JSON_STRING ? str_at(literal.p + 1, literal.n - 2) : STR_NONE;
}

void own_made_outputs(const struct owned *batch, struct str object)
{
    const struct str ids[] = {
        own_batch_file(batch->kind, object), text_of(json_find(object, STR("error_file_id")))};
    struct owned o = *batch;

    o.kind = OWNED_OUTPUT;
    o.batch = batch->id;
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        o.id = ids[i];
        if (o.id.n)
            owned_put(&o, true);
    }
}

/* Of a batch that is shown: its files, and that it may have ended. */
static void batch_shown(struct exchange *x, struct str object)
{
    bool google = x->match.endpoint->kind == KIND_GEMINI_BATCHES;
    struct str name = json_find(object, google ? STR("name") : STR("id"));
    const struct owned *o = owned_get(text_of(name), &x->arena);

    if (!o || !owned_is_batch(o))
        return;
    own_made_outputs(o, object);
    if (own_batch_ended(o->kind, object))
        own_book_ask(o->id);
}

static void batches_shown(struct exchange *x, struct str body)
{
    bool google = x->match.endpoint->kind == KIND_GEMINI_BATCHES;
    struct str list, key, item;

    if (json_type_of(body) != JSON_OBJECT)
        return;
    list = json_find(body, google ? STR("operations") : STR("data"));
    if (json_type_of(list) != JSON_ARRAY) {
        batch_shown(x, body);
        return;
    }
    for (size_t at = json_inside(list); json_next(list, &at, &key, &item);)
        if (json_type_of(item) == JSON_OBJECT)
            batch_shown(x, item);
}

/* --- Google --- */

static void gemini_made(struct exchange *x, struct str body)
{
    static const struct {
        struct str prefix;
        enum owned_kind kind;
    } kinds[] = {
        {STR_INIT("files/"), OWNED_THING},
        {STR_INIT("cachedContents/"), OWNED_THING},
        {STR_INIT("batches/"), OWNED_GEMINI_BATCH},
        {STR_INIT("operations/"), OWNED_THING},
    };
    struct str object = body, file;

    if (x->rq->head.method != HTTP_POST && x->rq->head.method != HTTP_PUT)
        return;
    if (json_type_of(body) != JSON_OBJECT)
        return;
    file = json_find(body, STR("file"));
    if (json_type_of(file) == JSON_OBJECT)
        object = file;
    struct str name = text_of(json_find(object, STR("name")));
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_starts(name, kinds[i].prefix))
            made(x, name, kinds[i].kind);
}

/* --- all --- */

static enum owned_kind kind_of(enum endpoint_kind k)
{
    switch (k) {
    case KIND_RESPONSES:
        return OWNED_RESPONSE;
    case KIND_BATCHES:
        return OWNED_BATCH;
    case KIND_MESSAGE_BATCHES:
        return OWNED_MESSAGE_BATCH;
    default:
        return OWNED_THING;
    }
}

static void ids_made(struct exchange *x)
{
    enum endpoint_kind k = x->match.endpoint->kind;
    struct str id;
    size_t at = 0;

    while (meter_next_id(&x->meter, &at, &id)) {
        made(x, id, kind_of(k));
        if (k == KIND_BATCHES) /* it comes first; its files are looked for where it is shown */
            return;
    }
}

void gw_own_made(struct exchange *x, struct str body)
{
    const struct endpoint *e = x->match.endpoint;

    if (!x->upstream)
        return;
    if (e->flags & EP_CREATES)
        ids_made(x);
    if (!body.n)
        return;
    body = str_trim(body);
    switch (e->kind) {
    case KIND_GEMINI_OTHER:
    case KIND_GEMINI_UPLOAD:
        gemini_made(x, body);
        break;
    case KIND_GEMINI_BATCHES:
        gemini_made(x, body);
        batches_shown(x, body);
        break;
    case KIND_BATCHES:
    case KIND_MESSAGE_BATCHES:
        batches_shown(x, body);
        break;
    default:
        break;
    }
}
