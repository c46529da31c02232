/*
 * Backup and restore of a data folder: one tar archive with
 *
 *   smartflow.db        a consistent copy of SQLite (not with PostgreSQL: its own tools do that)
 *   journal/…           segments, checkpoints, key ring and checkpoint keys
 *   node                this node's name
 *   master.key          only when asked for: without it the archive is no secret of the vault's
 *   manifest.json       last: name, size and SHA-256 of each of the others
 *
 * The database is copied first and the journal after it, so that the journal holds whatever the
 * database says; of the journal's files the checkpoints are read before the segments, so that what
 * a checkpoint names is there. Segments only grow, and are cut behind their last whole line.
 *
 * A restore reads the archive twice: once to check every digest, then to write into a folder within
 * the data folder, where the journal is verified; only then do the files get their places. What was
 * there before is moved aside, never deleted.
 */
#ifndef SF_VAULT_BACKUP_H
#define SF_VAULT_BACKUP_H

#include "base/str.h"
#include <stdint.h>

struct store;

#define BACKUP_ERR_BYTES 512
#define BACKUP_FILES_MAX 65536

struct backup_result {
    unsigned files;
    uint64_t bytes; /* of the files */
    bool database, journal, master_key;
    char created[32]; /* restore: when the backup was made */
};

/* 0 or -errno, which ends the backup. May suspend. */
typedef int backup_sink_fn(void *ctx, struct str bytes);

struct backup_settings {
    const char *data_dir;
    struct store *store; /* NULL, or PostgreSQL: without the database */
    bool with_master_key;
};
/* May run in a coroutine, where it gives way after each piece, or on a plain thread. err
 * (BACKUP_ERR_BYTES) says what failed. */
int backup_write(const struct backup_settings *set, backup_sink_fn *sink, void *ctx,
    struct backup_result *ret, char *err);

struct restore_settings {
    const char *archive, *data_dir;
    bool force; /* the folder may hold something: it is moved aside */
    /* Whether this journal folder is sound: 0, or -errno with err. NULL: not looked at. */
    int (*verify_journal)(void *ctx, const char *dir, char *err);
    void *ctx;
};
/* Blocks. -ENOTEMPTY the folder holds something, -EBADMSG the archive is damaged. */
int backup_restore(const struct restore_settings *set, struct backup_result *ret, char *err);

#endif
