/*
 * For unit tests: a real PostgreSQL server of their own, on a free port of 127.0.0.1, in a scratch
 * folder, as an unprivileged user when the test runs as root (PostgreSQL refuses root). It ends
 * with the test, also when that crashes. Needs the package `postgresql`; without it
 * pg_server_start() fails, and so does the test. Included by *_test.c alone.
 *
 *     struct pg_server pg;
 *     CHECK(pg_server_start(&pg));
 *     pg_server_new_db(&pg, "name");  pg_server_url(&pg, "name", url)
 *     pg_server_stop(&pg);
 */
#ifndef SF_STORE_PG_SERVER_H
#define SF_STORE_PG_SERVER_H

#include "base/clock.h"
#include "base/macros.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PG_URL_BYTES 256

struct pg_server {
    char bin[128], dir[64];
    uid_t uid; /* 0 = as who we are */
    gid_t gid;
    int port;
    pid_t pid; /* 0 = does not run */
};

static inline void pg_pause(void)
{
    struct timespec ts = {.tv_nsec = 20 * NS_PER_MS};
    nanosleep(&ts, NULL);
}

/* The newest that is installed. */
static inline bool pg_find_programs(struct pg_server *pg)
{
    glob_t found;
    bool any = glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0;
    if (any)
        snprintf(pg->bin, sizeof pg->bin, "%.*s",
            (int)(strlen(found.gl_pathv[found.gl_pathc - 1]) - strlen("/postgres")),
            found.gl_pathv[found.gl_pathc - 1]);
    else
        fprintf(stderr, "PostgreSQL is not installed: /usr/lib/postgresql/*/bin\n");
    globfree(&found);
    return any;
}

static inline bool pg_make_folder(struct pg_server *pg)
{
    snprintf(pg->dir, sizeof pg->dir, "/tmp/sf-pg-XXXXXX");
    if (!mkdtemp(pg->dir))
        return false;
    if (geteuid() != 0)
        return true;
    struct passwd *user = getpwnam("postgres");
    user = user ? user : getpwnam("nobody");
    if (!user)
        return false;
    pg->uid = user->pw_uid;
    pg->gid = user->pw_gid;
    return chown(pg->dir, pg->uid, pg->gid) == 0;
}

static inline int pg_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &n) == 0;
    close(fd);
    return ok ? ntohs(a.sin_port) : 0;
}

/* In the child: becomes the unprivileged user and the program. (By its number: <grp.h> has a struct
 * group of its own, which runtime/sync.h could not stand beside.) */
static inline void pg_become(const struct pg_server *pg, char *const *argv)
{
    char log[96];
    snprintf(log, sizeof log, "%s/log", pg->dir);
    if (pg->uid != 0 &&
        (syscall(SYS_setgroups, 0, NULL) < 0 || setgid(pg->gid) < 0 || setuid(pg->uid) < 0))
        _exit(125);
    prctl(PR_SET_PDEATHSIG, SIGQUIT); /* after setuid(), which clears it */
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(pg->dir) < 0)
        _exit(126);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(argv[0], argv);
    _exit(127);
}

static inline pid_t pg_spawn(const struct pg_server *pg, char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0)
        pg_become(pg, argv);
    return pid;
}

static inline bool pg_init_data(const struct pg_server *pg)
{
    char program[160], data[96];
    int status = -1;
    snprintf(program, sizeof program, "%s/initdb", pg->bin);
    snprintf(data, sizeof data, "%s/data", pg->dir);
    char *argv[] = {program, "--auth=trust", "-U", "smartflow", "--no-sync", "--no-instructions",
        "--locale=C", "-E", "UTF8", "-D", data, NULL};
    pid_t pid = pg_spawn(pg, argv);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static inline void pg_server_url(const struct pg_server *pg, const char *db, char *out)
{
    snprintf(out, PG_URL_BYTES, "postgres://smartflow@127.0.0.1:%d/%s", pg->port, db);
}

/* One statement on a connection of its own, in the database `postgres`. */
static inline bool pg_server_sql(const struct pg_server *pg, const char *sql)
{
    char url[PG_URL_BYTES];
    pg_server_url(pg, "postgres", url);
    PGconn *c = PQconnectdb(url);
    PGresult *r = PQexec(c, sql);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
    PQclear(r);
    PQfinish(c);
    return ok;
}

static inline bool pg_server_new_db(const struct pg_server *pg, const char *name)
{
    char sql[128];
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0", name);
    return pg_server_sql(pg, sql);
}

static inline bool pg_server_wait(struct pg_server *pg)
{
    int64_t deadline = clock_now() + 60 * NS_PER_S;
    while (!pg_server_sql(pg, "SELECT 1")) {
        if (clock_now() > deadline || waitpid(pg->pid, NULL, WNOHANG) == pg->pid)
            return false;
        pg_pause();
    }
    return true;
}

/* Starts it (again) on the same folder and port. */
static inline bool pg_server_run(struct pg_server *pg)
{
    char program[160], data[96], port[16], sockets[96];
    snprintf(program, sizeof program, "%s/postgres", pg->bin);
    snprintf(data, sizeof data, "%s/data", pg->dir);
    snprintf(port, sizeof port, "%d", pg->port);
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", pg->dir);
    char *argv[] = {program, "-D", data, "-p", port, "-h", "127.0.0.1", "-c", sockets, "-c",
        "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB", "-c",
        "max_connections=60", NULL};
    pg->pid = pg_spawn(pg, argv);
    return pg->pid > 0 && pg_server_wait(pg);
}

static inline void pg_show_log(const struct pg_server *pg)
{
    char path[96], line[512];
    snprintf(path, sizeof path, "%s/log", pg->dir);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        fprintf(stderr, "# %s", line);
    if (f)
        fclose(f);
}

static inline bool pg_server_start(struct pg_server *pg)
{
    *pg = (struct pg_server){0};
    if (!pg_find_programs(pg) || !pg_make_folder(pg))
        return false;
    pg->port = pg_free_port();
    if (pg->port > 0 && pg_init_data(pg) && pg_server_run(pg))
        return true;
    pg_show_log(pg);
    return false;
}

/* A signal to the server and all of its processes. */
static inline void pg_server_signal(const struct pg_server *pg, int signo)
{
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc)) != NULL;) {
        char path[300], stat[512] = "";
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = atoi(e->d_name) > 1 ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        const char *behind = fgets(stat, sizeof stat, f) ? strrchr(stat, ')') : NULL;
        fclose(f);
        if (behind && atoi(behind + 4) == pg->pid)
            kill(atoi(e->d_name), signo);
    }
    if (proc)
        closedir(proc);
    kill(pg->pid, signo);
}

/* Every process of it stands still and answers nothing, until pg_server_signal(pg, SIGCONT). */
static inline void pg_server_freeze(const struct pg_server *pg)
{
    pg_server_signal(pg, SIGSTOP);
}

/* Ends at once, without a word to its clients; pg_server_run() starts it again. */
static inline void pg_server_kill(struct pg_server *pg)
{
    if (pg->pid <= 0)
        return;
    kill(pg->pid, SIGQUIT);
    pg_server_signal(pg, SIGCONT); /* in case it was frozen */
    waitpid(pg->pid, NULL, 0);
    pg->pid = 0;
}

static inline int pg_remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

static inline void pg_server_stop(struct pg_server *pg)
{
    pg_server_kill(pg);
    if (pg->dir[0])
        nftw(pg->dir, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
