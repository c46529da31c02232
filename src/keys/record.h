/*
 * Records as the management API shows and takes them: organisations, teams, users, virtual keys and
 * end customers, as plain C with one table of fields for each. A row of the table says a member's
 * name, type, bounds and meaning; from it come the reading of JSON with its error messages, the
 * writing of JSON, the columns of the database, and the OpenAPI document. So a field is written
 * down once.
 *
 * All five kinds share struct record: a kind uses the members that its table names. Texts are views
 * into an arena of the caller's. Other modules may describe structs of their own with the same
 * tables: offsets are into whatever struct the rows are for.
 *
 * Nothing here suspends.
 */
#ifndef SF_KEYS_RECORD_H
#define SF_KEYS_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "keys/catalog.h"

struct budget_list {
    const struct budget *at;
    unsigned n;
};

enum user_role { ROLE_INTERNAL_USER, ROLE_PROXY_ADMIN_VIEWER, ROLE_ORG_ADMIN, ROLE_PROXY_ADMIN };

struct record {
    struct str id, name;
    struct str org_id, team_id, user_id;
    struct str email;
    uint32_t role;    /* enum user_role */
    uint32_t content; /* enum key_content */
    bool is_active;
    struct budget_list budgets;
    int64_t rpm, tpm, parallel; /* 0 = none */
    struct str_list models, providers, endpoints, addresses, tags, mcp_servers, agents;
    struct str policy_set, metadata, rotated_from, last4;
    int64_t expires_at, created_at, updated_at; /* wall ns */
    int64_t version; /* the number of the change that made it so: grows over all records */
    bool from_config;
    uint8_t hash[32]; /* of keys; in no table, so never shown */
};

enum field_type {
    FIELD_TEXT,    /* struct str; min and max in bytes */
    FIELD_WORD,    /* uint32_t: an index into words */
    FIELD_BOOL,    /* bool */
    FIELD_INT,     /* int64_t from min to max; null or absent: 0 */
    FIELD_TIME,    /* int64_t wall ns; RFC 3339 in JSON; 0 is null */
    FIELD_TEXTS,   /* struct str_list; at most max items of 1 to 256 bytes */
    FIELD_OBJECT,  /* struct str: the text of a JSON object of at most max bytes; empty is {} */
    FIELD_ITEMS,   /* struct str: the text of a JSON array of objects, likewise; empty is [] */
    FIELD_BUDGETS, /* struct budget_list */
    FIELD_CAP,     /* struct budget_list, seen through its monthly budget alone */
};

enum field_flag {
    FIELD_CREATE = 1 << 0,   /* may be given when the record is made */
    FIELD_UPDATE = 1 << 1,   /* and when it is changed */
    FIELD_REQUIRED = 1 << 2, /* must be given when it is made */
    FIELD_FILTER = 1 << 3,   /* lists can be filtered by it */
    FIELD_DERIVED = 1 << 4,  /* no column of its own */
    FIELD_WRITE = FIELD_CREATE | FIELD_UPDATE,
};

struct field_row {
    const char *name; /* in JSON, and the column's */
    enum field_type type;
    unsigned flags;
    size_t offset;
    int64_t min, max;
    const char *const *words; /* FIELD_WORD: all of them, then NULL */
    /* More than the type says: NULL when one text (or each text of a list) is good, or else what is
     * allowed: "must be …". May be NULL. */
    const char *(*check)(struct str text);
    const char *doc;     /* one sentence */
    const char *example; /* as JSON; NULL = none */
};

struct record_type {
    enum subject_kind kind;
    const char *name;   /* "virtual key": in messages */
    const char *plural; /* "keys": the word in lists and paths */
    const char *table;  /* of the database */
    const char *prefix; /* of ids: "team_"; NULL: given by the caller or made of the hash */
    const struct field_row *fields;
    unsigned fields_n; /* at most 64 */
};

const struct record_type *record_type(enum subject_kind k);
/* The row called so, or NULL. *ret_index may be NULL. */
const struct field_row *field_find(
    const struct field_row *rows, unsigned n, struct str name, unsigned *ret_index);

/* Reads a JSON object into the struct that the rows describe. need: FIELD_CREATE or FIELD_UPDATE: a
 * member that lacks the flag is refused, and with FIELD_CREATE a required one that is missing.
 * Members that are not given stay as they are; bit i of *ret_given says that row i was. 0, or
 * -EINVAL with e filled: status 400, the member's name in param, and what is allowed. json need not
 * be valid. Texts go into a. */
int fields_parse(const struct field_row *rows, unsigned n, unsigned need, struct str json,
    void *record, uint64_t *ret_given, struct arena *a, struct error *e);
/* One value from its JSON text (valid), as above. */
int field_parse(
    const struct field_row *f, struct str json, void *record, struct arena *a, struct error *e);
/* `"name":value,"name":value` without braces; a comma first where out does not end with '{'. */
void fields_write(const struct field_row *rows, unsigned n, const void *record, struct buf *out);
void field_write_value(const struct field_row *f, const void *record, struct buf *out);

/* A key as calls see it: views into the record's texts, but addresses, which vkey_new() and
 * vkey_set_add() take over. */
struct virtual_key key_of_record(const struct record *rec);

/* "12.50" and 12.5 alike: exact nano-dollars. -EINVAL no decimal, -ERANGE negative, above 1e9 USD
 * or finer than a nano-dollar. */
int money_parse(struct str json, int64_t *ret_nano);
void money_write(int64_t nano, struct buf *out); /* "12.5" without quotes */
#define MONEY_MAX_NANO ((int64_t)1000000000 * 1000000000)

/* "2026-11-21T10:40:00Z", also with a fraction and an offset. */
int time_parse(struct str text, int64_t *ret_wall);

extern const char *const budget_period_words[];
extern const char *const key_content_words[];
extern const char *const user_role_words[];

#endif
