/*
 * Commands about the data folder. While a gateway runs on it (it holds the lock of the journal, or
 * answers on the management port), backup and rotate-master are asked of that gateway over its API;
 * else they work on the folder themselves, and hold the lock meanwhile. A restore never works on a
 * folder in use.
 *
 * The call to the gateway runs as a coroutine on a loop of its own.
 */
#include "cmd/backup.h"

#include "base/limits.h"
#include "http/client.h"
#include "journal/journal.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include "runtime/offload.h"
#include "store/store.h"
#include "vault/backup.h"
#include "vault/refs.h"
#include "vault/vault.h"
#include "json/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

void backup_usage(FILE *to)
{
    fputs(
        "  backup FILE [--with-master-key]        write the data folder into one archive\n"
        "  restore FILE [--force]                 put an archive's data into the data folder\n"
        "  vault rotate-master                    seal the provider keys under a new master key\n",
        to);
}

static int usage(void)
{
    backup_usage(stderr);
    return 2;
}

static int complain(const char *what)
{
    fprintf(stderr, "smartflow: %s\n", what);
    return 1;
}

/* --- is a gateway at work on it? --- */

/* The lock that a running gateway holds: its descriptor, -1 nobody could hold it (no journal yet),
 * or -EBUSY. */
static int take_lock(const struct config *c)
{
    char path[4300];

    snprintf(path, sizeof path, "%s/journal/head", c->data_dir.p);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -EBUSY;
}

/* --- the call to it --- */

struct call {
    const struct config *c;
    const char *method, *target;
    int fd; /* of a backup: where the body goes; -1: into text */
    struct buf text;
    struct secret admin_key;
    int status; /* 0: nobody answers there; -1: broke off */
};

static void read_admin_key(struct call *k)
{
    char path[4300];

    if (secret_is_set(&k->c->admin_key)) {
        secret_set(&k->admin_key, secret_reveal(&k->c->admin_key));
        return;
    }
    snprintf(path, sizeof path, "%s/admin.key", k->c->data_dir.p);
    (void)secret_from_file(path, &k->admin_key);
}

static struct str host_of(const struct config *c)
{
    if (str_eq(c->bind, STR("0.0.0.0")))
        return STR("127.0.0.1");
    return str_eq(c->bind, STR("::")) ? STR("::1") : c->bind;
}

static int take_body(struct call *k, struct http_call *h)
{
    struct str piece;
    ssize_t n;

    while ((n = http_call_read(h, &piece)) > 0) {
        if (k->status != 200 || k->fd < 0)
            buf_addstr(&k->text, piece);
        else if (write(k->fd, piece.p, piece.n) != (ssize_t)piece.n)
            return -errno;
    }
    return (int)n;
}

static void talk(struct call *k, const struct http_origin *o, struct str fields)
{
    struct http_client_request rq = {.method = str_of(k->method),
        .target = str_of(k->target),
        .fields = fields,
        .has_body = true};
    const struct http_timeouts t = {.connect = 2 * NS_PER_S,
        .first_byte = 600 * NS_PER_S,
        .between = 60 * NS_PER_S,
        .total = 24 * 3600 * NS_PER_S};
    const struct http_head *head;
    struct http_call *h = NULL;
    struct error e = {0};
    char errbuf[512];

    if (http_call_start(o, &rq, &t, &h, &e, errbuf) == 0) {
        k->status = -1;
        if (http_call_head(h, &head, &e) == 0) {
            k->status = head->status;
            if (take_body(k, h) < 0)
                k->status = -1;
        }
    }
    http_call_end(h);
}

static void call_main(void *arg)
{
    struct call *k = arg;
    struct http_origin o = {.target = {.host = host_of(k->c), .port = k->c->management_port},
        .host_header = STR("localhost")};
    struct tls_client_settings set = {.insecure = true}; /* the machine's own, by its address */
    struct tls_ctx *tls = NULL;
    struct buf fields;
    char err[256];

    buf_init(&fields, 64 * KIB);
    (void)buf_reserve(&fields, 4 * KIB);
    buf_addstr(&fields, STR("authorization: Bearer "));
    buf_addstr(&fields, secret_reveal(&k->admin_key));
    buf_addstr(&fields, STR("\r\naccept: */*\r\n"));
    if (k->c->tls_cert && tls_client_ctx(&set, &tls, err, sizeof err) < 0)
        complain(err);
    o.target.tls = tls;
    if (!k->c->tls_cert || tls)
        talk(k, &o, buf_str(&fields));
    mem_wipe(fields.p, fields.cap);
    buf_free(&fields);
    http_client_close_idle();
    if (tls)
        tls_ctx_unref(tls);
    loop_stop(loop_self());
}

static int ask(struct call *k)
{
    struct loop *l;

    buf_init(&k->text, MIB);
    if (!k->c->management_port || loop_new(0, &l) < 0)
        return -EIO;
    read_admin_key(k);
    offload_start(1);
    loop_bind(l);
    int r = co_spawn("call", call_main, k, NULL);
    if (r == 0)
        loop_run(l);
    offload_stop();
    loop_free(l);
    secret_free(&k->admin_key);
    return r;
}

/* A refusal in the API's words. */
static int say_refusal(const struct call *k)
{
    struct json_error je;
    enum json_type top;
    struct str text = buf_str(&k->text), message = STR_NONE;

    if (json_scan(text, NULL, NULL, 0, &top, &je) == 0 && top == JSON_OBJECT)
        message = json_find(text, STR("error.message"));
    if (k->status < 0)
        return complain("the running gateway broke off before the end");
    fprintf(stderr, "smartflow: the running gateway answered %d%s" STR_FMT "\n", k->status,
        message.n ? ": " : "", STR_ARG(message));
    return 1;
}

/* --- what works on the folder itself --- */

static int open_store(const struct config *c, struct store **ret)
{
    struct store_settings set = {.data_dir = c->data_dir, .database_url = c->database_url};
    char err[STORE_ERR_BYTES] = "";
    int r = store_open(&set, ret, err, sizeof err);

    return r < 0 ? complain(err) : 0;
}

static int to_file(void *ctx, struct str piece)
{
    for (const int *fd = ctx; piece.n;) {
        ssize_t n = write(*fd, piece.p, piece.n);
        if (n < 0)
            return -errno;
        piece = str_from(piece, (size_t)n);
    }
    return 0;
}

static int backup_folder(const struct config *c, int fd, bool with_master_key)
{
    struct backup_settings set = {.data_dir = c->data_dir.p, .with_master_key = with_master_key};
    char err[BACKUP_ERR_BYTES], database[4300];
    struct backup_result done;
    int r = 0;

    snprintf(database, sizeof database, "%s/smartflow.db", c->data_dir.p);
    if (access(database, F_OK) == 0 && !secret_is_set(&c->database_url))
        r = open_store(c, &set.store);
    if (r == 0 && backup_write(&set, to_file, &fd, &done, err) < 0)
        r = complain(err);
    store_close(set.store);
    if (r == 0)
        printf("%u files, %llu bytes\n", done.files, (unsigned long long)done.bytes);
    if (r == 0 && with_master_key && !done.master_key)
        fputs(
            "The master key comes from SMARTFLOW_MASTER_KEY and is not in the archive.\n", stderr);
    return r;
}

/* --- backup --- */

static int write_archive(const struct config *c, int fd, bool with_master_key)
{
    struct call k = {.c = c,
        .method = "POST",
        .target = with_master_key ? "/api/admin/backup?with_master_key=true" : "/api/admin/backup",
        .fd = fd};
    int lock = take_lock(c), r;

    (void)ask(&k);
    if (k.status == 200)
        r = 0;
    else if (k.status != 0 && lock == -EBUSY)
        r = say_refusal(&k);
    else if (lock == -EBUSY)
        r = complain(
            "a gateway runs on this data folder, but does not answer on its management port");
    else if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        r = complain(strerror(errno));
    else
        r = backup_folder(c, fd, with_master_key);
    if (lock >= 0)
        close(lock);
    buf_free(&k.text);
    return r;
}

/* Beside its place first: a backup that fails leaves the one before as it was. */
static int write_file(const struct config *c, const char *path, bool with_master_key)
{
    char fresh[4200];

    snprintf(fresh, sizeof fresh, "%s.part", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        fprintf(stderr, "smartflow: cannot write %s: %s\n", fresh, strerror(errno));
        return 1;
    }
    int r = write_archive(c, fd, with_master_key);
    if (r == 0 && fsync(fd) < 0)
        r = complain(strerror(errno));
    close(fd);
    if (r == 0 && rename(fresh, path) < 0)
        r = complain(strerror(errno));
    if (r)
        unlink(fresh);
    return r;
}

int backup_command(const struct config *c, int argc, char **argv)
{
    const char *path = NULL;
    bool with_master_key = false;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--with-master-key"))
            with_master_key = true;
        else if (argv[i][0] == '-' || path)
            return usage();
        else
            path = argv[i];
    }
    if (!path)
        return usage();
    int r = write_file(c, path, with_master_key);
    if (r == 0)
        printf("Backed up to %s\n", path);
    return r;
}

/* --- restore --- */

static int verify(void *ctx, const char *dir, char *err)
{
    char keys[4500];
    struct journal_check check;
    struct journal_verify_settings set = {.path = dir, .keys = keys};
    (void)ctx;

    snprintf(keys, sizeof keys, "%s/keys.json", dir);
    int r = journal_verify(&set, &check, err, BACKUP_ERR_BYTES);
    if (r >= 2) {
        if (check.first_bad[0])
            snprintf(err, BACKUP_ERR_BYTES, "the journal in the archive does not verify: %s",
                check.first_bad);
        return -EBADMSG;
    }
    printf("The journal verifies: %llu entries, up to seq %llu.\n",
        (unsigned long long)check.entries_checked, (unsigned long long)check.to_seq);
    return 0;
}

int restore_command(const struct config *c, int argc, char **argv)
{
    struct restore_settings set = {.data_dir = c->data_dir.p, .verify_journal = verify};
    struct backup_result done;
    char err[BACKUP_ERR_BYTES];

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--force"))
            set.force = true;
        else if (argv[i][0] == '-' || set.archive)
            return usage();
        else
            set.archive = argv[i];
    }
    if (!set.archive)
        return usage();
    int lock = take_lock(c);
    if (lock == -EBUSY)
        return complain("a gateway runs on this data folder; stop it first");
    int r = backup_restore(&set, &done, err) < 0 ? complain(err) : 0;
    if (lock >= 0)
        close(lock);
    if (r)
        return r;
    printf("Restored %u files (%llu bytes) of the backup of %s into %s:%s%s%s\n", done.files,
        (unsigned long long)done.bytes, done.created, set.data_dir,
        done.database ? " database" : "", done.journal ? " journal" : "",
        done.master_key ? " master key" : "");
    if (done.database && !done.master_key)
        puts(
            "The archive has no master key: the provider keys open with the one that sealed them.");
    return 0;
}

/* --- the master key --- */

static int rotate_folder(const struct config *c)
{
    struct vault_settings set = {
        .data_dir = c->data_dir, .master = &c->master_key, .next = &c->master_key_next};
    char err[VAULT_ERR_BYTES] = "", id[9];
    struct vault *v = NULL;
    unsigned n = 0;
    int r = open_store(c, &set.store);

    if (r)
        return r;
    if (vault_open(&set, &v, err) < 0 || vault_rotate_master(v, &n, err) < 0) {
        r = complain(err);
    } else {
        vault_master_id(v, id);
        printf("%u provider keys are sealed under the master key %s now.\n", n, id);
    }
    vault_close(v);
    store_close(set.store);
    return r;
}

int vault_command(const struct config *c, int argc, char **argv)
{
    struct call k = {
        .c = c, .method = "POST", .target = "/api/admin/vault/rotate-master", .fd = -1};
    int r;

    if (argc != 1 || strcmp(argv[0], "rotate-master"))
        return usage();
    int lock = take_lock(c);
    (void)ask(&k);
    if (k.status == 200) {
        struct str text = buf_str(&k.text), id = json_find(text, STR("data.master_key_id"));
        printf("The running gateway sealed its provider keys under the master key " STR_FMT ".\n",
            STR_ARG(id));
        r = 0;
    } else if (lock == -EBUSY) {
        r = k.status ? say_refusal(&k)
                     : complain("a gateway runs on this data folder, but does not answer on its "
                                "management port");
    } else {
        r = rotate_folder(c);
    }
    if (lock >= 0)
        close(lock);
    buf_free(&k.text);
    return r;
}
