/*
 * What happens before the writer starts. The newest line of checkpoints.jsonl says where to begin;
 * from there every entry is verified, the tree is built up again and the rings' positions are
 * noted. A damaged end (nothing that was ever said to be synced) is cut. Then what the rings hold
 * beyond the chain is appended, behind an entry `recovery` that says what was found:
 *
 *     {event, expected_seq, lost_bytes, lost_ring_bytes, replayed, ts}
 *
 * expected_seq stands there only when the chain ends before an entry that was once synced.
 * Everything can be interrupted at any point and done again: positions on the chain decide.
 */
#include "crypto/encode.h"
#include "journal/files_int.h"
#include "journal/journal_int.h"
#include "journal/payload.h"
#include "json/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BYTES (4 * CHECKPOINT_BYTES) /* of checkpoints.jsonl: the last lines */

struct walk {
    struct journal *j;
    struct journal_recovery *found;
    struct public_keys keys;
    uint64_t expected_seq, lost_ring_bytes;
    uint64_t certain; /* up to here nothing can be a torn write */
    char *err;
    size_t err_n;
    struct buf hashed;
};

static int bad(struct walk *w, uint64_t seq, const char *why)
{
    snprintf(w->err, w->err_n, "seq %llu: %s", (unsigned long long)seq, why);
    return -EBADMSG;
}

static void begin_behind(struct walk *w, const struct checkpoint *c)
{
    struct chain *ch = &w->j->chain;

    ch->end.seq = c->to;
    memcpy(ch->end.link, c->head_hmac, sizeof(c->head_hmac));
    ch->tree_from = c->to + 1;
    ch->tree.count = 0;
    ch->others = 0;
    for (unsigned i = 0; i < c->n_rings; i++)
        ch->ring_end[i] = c->ring_end[i];
    ch->n_rings = MAX(ch->n_rings, c->n_rings);
}

/* The key in force by its id; a chain that names a key which is not in the ring cannot go on. */
static int take_key(struct walk *w, struct str id)
{
    const struct chain_key *key = keyring_find(&w->j->keys, id);

    if (!key)
        return bad(w, w->j->chain.end.seq, "its key is not in keys.json");
    w->j->key = (unsigned)(key - w->j->keys.keys);
    return 0;
}

/* --- the newest checkpoint --- */

/* Cuts what is no whole line, then lines that cannot be read. Returns 1 with *ret, or 0: none. */
static int last_line(int fd, off_t size, struct checkpoint *ret, off_t *ret_size)
{
    off_t from = size > (off_t)TAIL_BYTES ? size - (off_t)TAIL_BYTES : 0;
    struct lines l;
    struct str line;
    bool first = from > 0, any = false;
    int r;

    *ret_size = 0;
    lines_init(&l, fd, from, TAIL_BYTES);
    while ((r = lines_next(&l, size, &line)) == 1) {
        struct checkpoint c;
        if (!first && checkpoint_read(line, &c) < 0)
            break;
        if (!first) {
            *ret = c;
            any = true;
        }
        first = false;
        *ret_size = l.offset;
    }
    lines_free(&l);
    return r < 0 ? r : any;
}

static int open_checkpoints(struct walk *w, struct checkpoint *ret)
{
    struct journal *j = w->j;
    struct stat st;

    j->checkpoints_fd =
        openat(j->dir, CHECKPOINTS_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (j->checkpoints_fd < 0 || fstat(j->checkpoints_fd, &st) < 0)
        return -errno;
    int r = last_line(j->checkpoints_fd, st.st_size, ret, &j->checkpoints_size);
    if (r < 0)
        return r;
    if (j->checkpoints_size < st.st_size && ftruncate(j->checkpoints_fd, j->checkpoints_size) < 0)
        return -errno;
    if (r == 1 && checkpoint_verify(ret, &w->keys) < 0)
        return bad(w, ret->to, "the signature of its checkpoint does not match");
    return r;
}

/* --- entries --- */

static bool is_key_event(struct str payload, struct str *ret_new)
{
    if (!str_eq(json_find(payload, STR("event")), STR("\"key_event\"")))
        return false;
    struct str value = json_find(payload, STR("new"));
    *ret_new = value.n > 2 ? str_at(value.p + 1, value.n - 2) : STR_NONE;
    return value.n > 2;
}

/* An entry `checkpoint`, whose line may have to be written again. */
static int meet_checkpoint(struct walk *w, const struct journal_entry *e, uint64_t at)
{
    struct chain *ch = &w->j->chain;
    struct checkpoint c;
    uint8_t root[SHA256_BYTES];

    if (checkpoint_read(e->payload, &c) < 0 || c.to != e->seq - 1)
        return bad(w, e->seq, "a checkpoint that cannot be read");
    if (c.from != ch->tree_from && c.to + 1 == ch->tree_from) { /* reading began here */
        memcpy(ch->ring_end, c.ring_end, sizeof(c.ring_end));   /* the line's are not signed */
        return 0;
    }
    if (c.from != ch->tree_from)
        return bad(w, e->seq, "the checkpoint begins elsewhere");
    merkle_root(&ch->tree, root);
    if (memcmp(root, c.root, sizeof(root)) != 0 || checkpoint_verify(&c, &w->keys) < 0)
        return bad(w, e->seq, "the checkpoint does not match its entries");
    c.segment = w->j->segment_first;
    c.offset = at;
    ch->tree.count = 0;
    ch->tree_from = e->seq;
    ch->others = 0;
    int r = checkpoint_text(&c, w->j->s.chain, true, &w->j->lines);
    return r < 0 ? r : buf_addc(&w->j->lines, '\n');
}

static const char *check_entry(struct walk *w, const struct journal_entry *e, uint8_t *leaf)
{
    struct chain *ch = &w->j->chain;
    const struct chain_key *key = keyring_find(&w->j->keys, e->key_id);
    uint8_t mac[SHA256_BYTES];
    char hex[2 * SHA256_BYTES];

    if (e->seq != ch->end.seq + 1)
        return "another number is expected here";
    if (!str_eq(e->prev_hash, str_of(ch->end.link)))
        return "prev_hash does not match the entry before";
    if (!key)
        return "its key is not in keys.json";
    buf_clear(&w->hashed);
    if (entry_hashed(e->line, &w->hashed) < 0)
        return "too long";
    hmac_key_sign(&key->hmac, str_from(buf_str(&w->hashed), HASHED_PREFIX), mac);
    hex_encode(str_at((const char *)mac, sizeof(mac)), hex);
    if (!str_eq(e->entry_hmac, str_at(hex, sizeof(hex))))
        return "entry_hmac does not match";
    sha256(buf_str(&w->hashed), leaf);
    return NULL;
}

static int take_entry(
    struct walk *w, const struct journal_entry *e, const uint8_t *leaf, uint64_t at)
{
    struct chain *ch = &w->j->chain;
    struct entry_origin from;
    struct str new_key = e->key_id;
    bool checkpoint = checkpoint_is_payload(e->payload);
    int r = checkpoint ? meet_checkpoint(w, e, at) : 0;

    if (r == 0)
        r = take_key(w, is_key_event(e->payload, &new_key) ? new_key : e->key_id);
    if (r < 0)
        return r;
    merkle_add(&ch->tree, leaf);
    ch->end.seq = e->seq;
    memcpy(ch->end.link, e->entry_hmac.p, e->entry_hmac.n);
    ch->end.link[e->entry_hmac.n] = '\0';
    if (!checkpoint && ch->others++ == 0)
        ch->tree_since = clock_now();
    if (entry_origin(e->payload, &from) && from.ring < RINGS_MAX) {
        ch->ring_end[from.ring] = from.end;
        ch->n_rings = MAX(ch->n_rings, (unsigned)from.ring + 1);
    }
    return 0;
}

/* --- segments --- */

/* Verifies from an offset to the end; *ret_good is where the last good line ends. 0, -EBADMSG, …;
 * 1: what follows is damaged, but was never synced. */
static int read_segment(struct walk *w, int fd, off_t from, off_t size, off_t *ret_good)
{
    struct journal *j = w->j;
    uint8_t leaf[SHA256_BYTES];
    struct lines l;
    struct str line;
    int r;

    lines_init(&l, fd, from, ENTRY_BYTES);
    *ret_good = from;
    while ((r = lines_next(&l, size, &line)) == 1) {
        struct journal_entry e;
        uint64_t seq = j->chain.end.seq + 1;
        const char *why = entry_read(line, &e) ? check_entry(w, &e, leaf) : "not an entry";
        if (why) {
            r = seq <= w->certain ? bad(w, seq, why) : 1;
            break;
        }
        r = take_entry(w, &e, leaf, (uint64_t)*ret_good);
        if (r < 0)
            break;
        *ret_good = l.offset;
    }
    lines_free(&l);
    if (r == -EMSGSIZE)
        r = j->chain.end.seq < w->certain ? bad(w, j->chain.end.seq + 1, "not an entry") : 1;
    return r;
}

/* hinted: `from` is what the checkpoint's line says, which is not signed. When it leads to nothing
 * that can be read: -ESTALE. */
static int walk_segment(struct walk *w, uint64_t first, off_t from, bool hinted, bool last)
{
    struct journal *j = w->j;
    char name[SEGMENT_NAME];
    struct stat st;
    off_t good = from;

    segment_name(first, name);
    int fd = openat(j->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    j->segment_first = first;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && st.st_size < from)
        r = -ESTALE;
    if (r == 0)
        r = read_segment(w, fd, from, st.st_size, &good);
    close(fd);
    if (hinted && good == from && st.st_size > from && (r == 1 || r == -EBADMSG))
        r = -ESTALE;
    if (r < 0)
        return r;
    if (good < st.st_size && !last)
        return bad(w, j->chain.end.seq + 1, "damaged in the middle of the chain");
    w->found->lost_bytes += (uint64_t)(st.st_size - good);
    return last ? segment_open(j, first, good) : 0;
}

static int walk_segments(struct walk *w, const uint64_t *list, size_t n, const struct checkpoint *c)
{
    size_t i = 0;

    if (n == 0)
        return c ? bad(w, c->to, "there are checkpoints, but no chain") : segment_open(w->j, 1, 0);
    if (!c && list[0] != 1)
        return bad(w, 1, "the chain's first segment is missing, and there is no checkpoint");
    while (c && i < n && list[i] != c->segment)
        i++;
    if (i == n)
        return -ESTALE;
    for (size_t start = i; i < n; i++) {
        if (i > start && list[i] != w->j->chain.end.seq + 1)
            return bad(w, w->j->chain.end.seq + 1, "a segment is missing here");
        bool hinted = i == start && c;
        int r = walk_segment(w, list[i], hinted ? (off_t)c->offset : 0, hinted, i + 1 == n);
        if (r < 0)
            return r;
    }
    return 0;
}

static int walk_from(struct walk *w, const struct checkpoint *c)
{
    struct chain *ch = &w->j->chain;
    uint64_t *list = NULL;
    size_t n = 0;
    int r = segment_list(w->j->dir, &list, &n);

    *ch = (struct chain){.tree_from = 1, .end = {.link = GENESIS}};
    buf_clear(&w->j->lines);
    w->found->lost_bytes = 0;
    if (c) {
        begin_behind(w, c);
        if (r == 0 && take_key(w, str_of(c->hmac_key)) < 0)
            r = -ESTALE;
    }
    w->found->checked_from = ch->end.seq + 1;
    if (r == 0)
        r = walk_segments(w, list, n, c);
    free(list);
    return r;
}

/* Where the newest checkpoint's line does not lead to what follows it, all is read, and the lines
 * are made again. */
static int read_chain(struct walk *w)
{
    struct journal *j = w->j;
    struct checkpoint c = {0};
    int has = open_checkpoints(w, &c);

    if (has < 0)
        return has;
    w->certain = MAX(atomic_load(&j->head->synced_seq), has ? c.to : 0);
    int r = walk_from(w, has ? &c : NULL);
    if (r != -ESTALE)
        return r;
    r = walk_from(w, NULL);
    if (r == 0 && j->chain.end.seq < c.to)
        r = bad(w, c.to, "the chain ends before its checkpoint does");
    if (r == 0 && ftruncate(j->checkpoints_fd, 0) < 0)
        r = -errno;
    j->checkpoints_size = 0;
    return r;
}

/* --- rings --- */

static int open_rings(struct walk *w)
{
    struct journal *j = w->j;
    char name[32];
    uint64_t end;
    int r = file_numbers_end(j->dir, STR("ring-"), &end);

    if (r < 0)
        return r;
    j->n_rings = j->s.threads + 1;
    end = MIN(MAX(end, j->n_rings), RINGS_MAX);
    for (unsigned i = 0; i < end; i++) {
        snprintf(name, sizeof(name), "ring-%u", i);
        if (i > j->s.threads && faccessat(j->dir, name, F_OK, 0) < 0)
            continue;
        if ((r = ring_open(j->dir, i, &j->rings[i])) < 0)
            return r;
        uint64_t records;
        w->lost_ring_bytes += ring_recover(&j->rings[i], j->chain.ring_end[i], &records);
        w->found->replayed += records;
        j->n_rings = MAX(j->n_rings, i + 1);
    }
    j->chain.n_rings = MAX(j->chain.n_rings, j->n_rings);
    return 0;
}

static int add_recovery(struct walk *w)
{
    struct payload p;
    struct buf text;

    buf_init(&text, 1024);
    payload_begin(&p, &text);
    payload_str(&p, "event", STR("recovery"));
    if (w->expected_seq)
        payload_int(&p, "expected_seq", (int64_t)w->expected_seq);
    payload_int(&p, "lost_bytes", (int64_t)w->found->lost_bytes);
    payload_int(&p, "lost_ring_bytes", (int64_t)w->lost_ring_bytes);
    payload_int(&p, "replayed", (int64_t)w->found->replayed);
    payload_int(&p, "ts", clock_wall());
    payload_end(&p);
    int r = group_add(w->j, NULL, buf_str(&text));
    buf_free(&text);
    return r;
}

/* What a killed process left in the rings. Rings of threads that are no more are needed no more. */
static int replay(struct walk *w)
{
    struct journal *j = w->j;
    bool more = true;
    int r = 0;

    if (w->found->lost_bytes || w->lost_ring_bytes || w->found->replayed || w->expected_seq)
        r = add_recovery(w);
    while (r == 0 && more) {
        more = group_take(j);
        r = group_commit(j); /* also lines of checkpoints that were missing */
    }
    for (unsigned i = j->s.threads + 1; i < j->n_rings; i++)
        ring_close(&j->rings[i]);
    return r;
}

int recover(struct journal *j, struct journal_recovery *found, char *err, size_t err_n)
{
    struct walk w = {.j = j, .found = found, .err = err, .err_n = err_n};

    *found = (struct journal_recovery){0};
    w.keys.n = 1;
    memcpy(w.keys.key[0], j->signer.public, sizeof(j->signer.public));
    buf_init(&w.hashed, ENTRY_BYTES + 16);
    int r = read_chain(&w);
    buf_free(&w.hashed);
    if (r == 0 && atomic_load(&j->head->synced_seq) > j->chain.end.seq)
        w.expected_seq = atomic_load(&j->head->synced_seq);
    found->kept = j->chain.end.seq;
    if (r == 0)
        r = open_rings(&w);
    if (r == 0) {
        atomic_store(&j->head->synced_seq, j->chain.end.seq);
        group_begin(j);
        r = replay(&w);
    }
    found->last_seq = j->chain.end.seq;
    return r;
}
