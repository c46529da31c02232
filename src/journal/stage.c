/*
 * The stage of a thread's bodies: see bodies_int.h. The producer copies a piece and then moves the
 * head; the writer copies it out and then moves the tail. Positions only grow, but for the place in
 * the data: a stage that is found empty far from its start goes back to it, so that a quiet thread
 * touches few pages.
 */
#include "base/macros.h"
#include "journal/bodies_int.h"
#include "journal/files_int.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC         "sfstage"
#define ALIGN_UNIT(n) (((n) + BODY_UNIT - 1) & ~(uint64_t)(BODY_UNIT - 1))
#define NAME          32
#define HEAD          sizeof(struct body_head)

static void name_of(unsigned ring, char out[static NAME])
{
    snprintf(out, NAME, "stage-%u", ring);
}

static uint64_t file_end(uint64_t at)
{
    return at - at % BODY_FILE_BYTES + BODY_FILE_BYTES;
}

static char *place(const struct body_slot *s, uint64_t at)
{
    return s->data + (at - s->page->base) % STAGE_BYTES;
}

static size_t until_wrap(const struct body_slot *s, uint64_t at)
{
    return STAGE_BYTES - (at - s->page->base) % STAGE_BYTES;
}

/* --- life --- */

/* Only after the machine itself stopped can it hold anything but pieces. */
static uint64_t readable_end(const struct body_slot *s, uint64_t at, uint64_t head)
{
    while (at < head) {
        const struct body_piece *p = (const struct body_piece *)place(s, at);
        if (at == s->page->skip_from || at % BODY_FILE_BYTES == 0) {
            at = at % BODY_FILE_BYTES ? file_end(at) : at + HEAD;
            continue;
        }
        uint64_t next = at + ALIGN_UNIT(sizeof(*p) + p->length);
        if (p->magic != BODY_PIECE_MAGIC || p->length > BODY_PIECE_MOST || next > file_end(at) ||
            next > head)
            break;
        at = next;
    }
    return at;
}

static bool is_sound(const struct stage_page *p, uint64_t head, uint64_t tail)
{
    return memcmp(p->magic, MAGIC, sizeof(MAGIC)) == 0 && tail <= head &&
           head - tail <= STAGE_BYTES && p->base <= tail && head % BODY_UNIT == 0 &&
           tail % BODY_UNIT == 0 && p->base % BODY_UNIT == 0;
}

int stage_open(int dir, unsigned ring, bool make, struct body_slot *s)
{
    char name[NAME], *mapped;

    name_of(ring, name);
    int r = file_map(dir, name, make, STAGE_PAGE + STAGE_BYTES, &mapped);
    if (r < 0)
        return r;
    struct stage_page *p = s->page = (struct stage_page *)mapped;
    s->data = mapped + STAGE_PAGE;
    uint64_t head = atomic_load(&p->head), tail = atomic_load(&p->tail);
    if (is_sound(p, head, tail)) {
        head = readable_end(s, tail, head);
    } else {
        p->base = head = tail = 0;
        memcpy(p->magic, MAGIC, sizeof(MAGIC));
    }
    atomic_store(&p->head, head);
    atomic_store(&p->tail, tail);
    s->tail_seen = tail;
    s->ring = ring;
    s->fd = s->sealed_fd = -1;
    return 0;
}

void stage_close(struct body_slot *s)
{
    if (s->page)
        munmap(s->page, STAGE_PAGE + STAGE_BYTES);
    s->page = NULL;
    s->data = NULL;
}

void stage_delete(int dir, const struct body_slot *s)
{
    char name[NAME];

    name_of(s->ring, name);
    unlinkat(dir, name, 0);
}

void stage_release(struct body_slot *s)
{
    (void)madvise(s->data + STAGE_WARM, STAGE_BYTES - STAGE_WARM, MADV_DONTNEED);
}

/* --- putting --- */

static void copy_in(struct body_slot *s, uint64_t at, const void *from, size_t n)
{
    size_t first = MIN(n, until_wrap(s, at));

    memcpy(place(s, at), from, first);
    if (first < n)
        memcpy(s->data, (const char *)from + first, n - first);
}

/* What is between tail and head counts, with what was skipped. */
static bool has_room(struct body_slot *s, uint64_t end)
{
    if (end - s->tail_seen <= STAGE_BYTES)
        return true;
    s->tail_seen = atomic_load_explicit(&s->page->tail, memory_order_acquire);
    return end - s->tail_seen <= STAGE_BYTES;
}

static void go_back_when_empty(struct body_slot *s, uint64_t head)
{
    if (likely(head - s->page->base <= STAGE_WARM))
        return;
    s->tail_seen = atomic_load_explicit(&s->page->tail, memory_order_acquire);
    if (s->tail_seen == head)
        s->page->base = head;
}

uint64_t stage_put(struct body_slot *s, uint64_t before, struct str piece)
{
    struct stage_page *page = s->page;
    uint64_t head = atomic_load_explicit(&page->head, memory_order_relaxed), at = head;
    uint64_t need = ALIGN_UNIT(sizeof(struct body_piece) + piece.n);

    must(piece.n <= BODY_PIECE_MOST);
    go_back_when_empty(s, head);
    if (at % BODY_FILE_BYTES == 0)
        at += HEAD;
    if (at + need > file_end(at))
        at = file_end(at) + HEAD;
    if (!has_room(s, at + need) || at / BODY_FILE_BYTES >> BODY_NUMBER_BITS)
        return 0;
    const struct body_piece p = {
        .magic = BODY_PIECE_MAGIC, .length = (uint32_t)piece.n, .before = before};
    copy_in(s, at, &p, sizeof(p));
    copy_in(s, at + sizeof(p), piece.p, piece.n);
    if (at > head + HEAD)
        page->skip_from = head;
    atomic_store_explicit(&page->head, at + need, memory_order_release);
    return body_ref(s->ring, (uint32_t)(at / BODY_FILE_BYTES), at % BODY_FILE_BYTES);
}

/* Nothing is staged. */
static void go_to(struct body_slot *s, uint64_t at)
{
    s->page->base = s->tail_seen = at;
    atomic_store(&s->page->head, at);
    atomic_store(&s->page->tail, at);
}

bool stage_leave_file(struct body_slot *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t head = atomic_load(&s->page->head);
    bool leave = head == atomic_load(&s->page->tail) && head % BODY_FILE_BYTES > HEAD;
    if (leave)
        go_to(s, file_end(head));
    pthread_mutex_unlock(&s->lock);
    return leave;
}

void stage_go_on_at(struct body_slot *s, uint64_t first)
{
    uint64_t head = atomic_load(&s->page->head);

    must(head == atomic_load(&s->page->tail));
    go_to(s, MAX(head % BODY_FILE_BYTES ? file_end(head) : head, first));
}

/* --- wiping --- */

static void zero(struct body_slot *s, uint64_t at, uint64_t n)
{
    size_t first = MIN(n, until_wrap(s, at));

    memset(place(s, at), 0, first);
    memset(s->data, 0, n - first);
}

void stage_wipe(struct body_slot *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t head = atomic_load(&s->page->head), tail = atomic_load(&s->page->tail);
    zero(s, head, STAGE_BYTES - (head - tail));
    pthread_mutex_unlock(&s->lock);
}
