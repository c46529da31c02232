/*
 * Whose things are: files, batches, responses, conversations and the like belong to the team that
 * made them (route/owned.h), in calls by id, in ids inside bodies, and in lists. And what a batch
 * cost is booked when it ends.
 *
 *   own.c         the stage: the ids that a call names, and whether it may
 *   own_ids.c     finding them in path, query and body
 *   own_made.c    remembering what a reply made
 *   own_upload.c  the lines of a file that is uploaded for a batch
 *   own_filter.c  taking foreign things out of a list's page
 *   own_list.c    lists: pages on which nothing is left are followed by the next
 *   own_store.c   the table behind the memory: written behind, read on a miss
 *   own_book.c    booking of batches; own_read.c: asking for one; own_usage.c: what it used;
 *                 own_entry.c: what goes on the journal
 */
#ifndef SF_GATEWAY_OWN_H
#define SF_GATEWAY_OWN_H

#include "gateway/gateway_int.h"
#include "route/owned.h"
#include "store/store.h"

/* --- own.c --- */

/* Refuses calls that name what belongs to others: 404, in the words for what does not exist.
 * Fills x->owned and x->part. May suspend (the store). */
extern const struct stage stage_own;
int gw_own_check(struct exchange *x); /* the same, for messages of a session */
/* What a line of a batch's file names: 0, or x->error. May suspend. */
int gw_own_check_line(struct exchange *x, struct str line);
/* The credential of the next attempt: that of the account in which the thing lies; for new things
 * and lists always the same one of the owner's. */
const struct upstream_key *gw_own_key(struct exchange *x, const struct upstream *u);
/* Whether this caller may use it. */
bool gw_own_is_mine(const struct exchange *x, const struct owned *o);
/* Whether things of which nobody knows whose they are may be used by this caller. */
bool gw_own_allows_unknown(const struct exchange *x);

/* --- own_ids.c --- */

#define OWN_IDS_MAX 256

struct own_id {
    struct str id;    /* decoded */
    struct str what;  /* "file", "batch", …: for words */
    struct str param; /* the member that named it; empty = the path */
    bool inside;      /* deep in the body, where it may be another thing of that name */
};

struct own_ids {
    struct own_id *at; /* in the arena */
    unsigned n, room;
};

/* All that the call names. 0, or x->error. */
int own_ids_find(struct exchange *x, struct own_ids *ret);
/* Those in a JSON text alone (valid, any depth). -E2BIG: more than OWN_IDS_MAX; -ENOMEM. */
int own_ids_inside(struct str json, struct arena *a, struct own_ids *ids);
/* The names of members that tell whether there may be any. */
void own_ids_watch(struct json_set *set, uint8_t mark);

/* The same of a line of a batch's file, valid or not; and which response and conversation the call
 * in it goes on with. */
int own_ids_line(struct str line, struct arena *a, struct own_ids *ids);

/* --- own_upload.c --- */

/* A form with a file. *ret NULL: nothing in it needs to be looked at. 0, or x->error. */
struct own_upload;
int own_upload_begin(struct exchange *x, struct own_upload **ret);
void own_upload_free(struct own_upload *u);
static inline void own_upload_freep(struct own_upload **u)
{
    own_upload_free(*u);
}
/* The next bytes of the form, before they are passed on: 0, or x->error. May suspend. */
int own_upload_look(struct exchange *x, struct own_upload *u, struct str bytes);
/* Whether this begins an upload in parts whose lines could not be looked at: 0, or x->error. */
int own_upload_refused(struct exchange *x);

/* --- own_made.c --- */

/* What the reply made belongs to the caller. body: decoded JSON, or empty where it is not held. */
void gw_own_made(struct exchange *x, struct str body);
/* One response of a WebSocket's. */
void gw_own_made_response(struct exchange *x, struct str id);
/* The caller's record of id, its texts views. */
struct owned gw_own_record(const struct exchange *x, struct str id, enum owned_kind kind);
/* The files that a batch wrote, in its object's text. */
void own_made_outputs(const struct owned *batch, struct str object);

/* --- own_filter.c --- */

struct own_page {
    unsigned seen, kept;
    bool more;              /* has_more, or a token of the next page */
    struct str first, last; /* ids of all that was seen, views of the text */
    struct str token;       /* Gemini's, raw */
};
typedef bool own_keep_fn(void *ctx, struct str id);
/* Of every array at the top (or the whole, if it is one) only those objects stay whose "id" or
 * "name" keep() wants, at most max of them (0 = all); first_id, last_id and has_more say what is
 * left. Appends to out. -EBADMSG when it is no JSON object or array. */
int own_filter(struct str body, own_keep_fn *keep, void *ctx, unsigned max, struct buf *out,
    struct own_page *ret);
/* Calls f with each id that own_filter() would ask for. */
int own_filter_ids(struct str body, void (*f)(void *ctx, struct str id), void *ctx);

/* --- own_list.c --- */

/* A list of things that have owners, for a caller to whom not all belong. */
bool gw_own_filters(const struct exchange *x);
/* Its page without what is not the caller's, into out, which stays empty where all of it is: 0, or
 * x->error. Asks for further pages. */
int gw_own_list(struct exchange *x, struct str body, struct buf *out);

/* --- own_store.c --- */

/* Takes over the file of an older version; a plain thread. 0 or -errno, logged. */
int own_open(struct str data_dir);
int own_start(void); /* on the first loop */
void own_stop(void); /* on the same, suspends: writes what waits */
/* From the store into memory. 0; *ret NULL: surely nobody's; -EHOSTDOWN: not known. Suspends. */
int own_load(struct str id, struct arena *a, const struct owned **ret);
/* Those of the ids that are not in memory. 0, -EHOSTDOWN. */
int own_load_many(const struct str *ids, size_t n);
bool own_teams_exist(void);

/* --- own_book.c --- */

int own_book_start(void); /* on the first loop */
void own_book_stop(void);
/* A caller saw that it ended: soon. Any thread. */
void own_book_ask(struct str id);
#define OWN_BOOK_RUNS 1
/* Now, on any loop; suspends. 0: nothing is left to be booked; OWN_BOOK_RUNS: it has not ended. */
int own_book_now(struct str id);

/* --- own_entry.c --- */

struct own_usage;
/* Each model's entry of the batch that is booked at this time, and its charge. appended: which are
 * on the journal already, by this process; again: others may be, by one before. 0, or an error: to
 * be tried again. */
int own_append(
    const struct owned *batch, int64_t at, struct own_usage *sums, bool again, uint32_t *appended);

/* --- own_read.c --- */

enum own_read { OWN_READ_ENDED = 1, OWN_READ_RUNS };
/* Asks the provider for a batch and, when it ended, for its results. Or an error: to be tried
 * again; last_try: then by what is known. Suspends. */
int own_read(const struct owned *o, bool last_try, struct own_usage *sums, unsigned *ret_skipped);

/* --- own_usage.c --- */

#define OWN_MODELS_MAX 16

struct own_model {
    char model[128];
    struct usage usage;
    int64_t nano; /* -1: something in it has no price */
    unsigned calls;
};

struct own_usage {
    struct own_model at[OWN_MODELS_MAX]; /* what is beyond is added to the last */
    unsigned n;
};

/* Whether a batch's object says that nothing more will come. */
bool own_batch_ended(enum owned_kind kind, struct str object);
/* The id of the file that holds its results, a view of the object; empty: there is none. */
struct str own_batch_file(enum owned_kind kind, struct str object);
struct prices_overlay;
/* Lines of the results of the batch with this object, which must stay, in pieces of any size. */
struct own_lines {
    struct own_usage *sums;
    const struct prices_overlay *prices;
    struct str provider;
    struct str model; /* empty: each line names its own */
    enum owned_kind kind;
    struct buf line;
    bool skip;        /* the line is too long */
    unsigned skipped; /* such lines */
};
void own_lines_init(struct own_lines *l, struct own_usage *sums, enum owned_kind kind,
    struct str object, struct str provider, const struct prices_overlay *prices);
void own_lines_add(struct own_lines *l, struct str piece);
void own_lines_end(struct own_lines *l); /* frees */
/* What the object itself says: of the whole (OpenAI's, for where the results cannot be read), or
 * with the results in it (Google's). */
void own_usage_of_object(struct own_usage *sums, enum owned_kind kind, struct str object,
    struct str provider, const struct prices_overlay *prices);

#endif
