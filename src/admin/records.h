/*
 * Organisations, teams, users, virtual keys and end customers over HTTP: what the five kinds share.
 * The kind is that of the row's reply schema. See records.c.
 */
#ifndef SF_ADMIN_RECORDS_H
#define SF_ADMIN_RECORDS_H

#include "admin/api.h"
#include "keys/registry.h"

enum subject_kind admin_kind(const struct admin_call *c);
int admin_records_list(struct admin_call *c);
int admin_records_create(struct admin_call *c);
int admin_records_get(struct admin_call *c);
int admin_records_update(struct admin_call *c);
int admin_records_delete(struct admin_call *c);
int admin_records_reset_spend(struct admin_call *c);

/* The record that the first parameter of the path names, if the caller may see it: 0 or c->error.
 */
int admin_record_load(struct admin_call *c, struct record *ret);
/* Its members, with what it has spent when spend is set, and the secret when there is one. */
int admin_record_show(
    struct admin_call *c, const struct record *rec, struct str secret, bool spend);
/* Writes one without asking anything. */
void admin_record_put(enum subject_kind kind, const struct record *rec, struct buf *out);
/* For a result of the registry. */
int admin_registry_fail(struct admin_call *c, int r, const struct error *e);
/* What organisation administrators may give of a record: nothing that reaches out of their
 * organisation. *json gains their org_id where it says none. 0 or c->error. */
int admin_record_confine(struct admin_call *c, bool creates, struct str *json);
int admin_record_audit(
    struct admin_call *c, const char *verb, const struct record *rec, struct str changes);

#define RECORD_SCHEMA(kind, schema_name, further)                                                  \
    {                                                                                              \
        .name = schema_name, .record = (kind) + 1, .more = further                                 \
    }
extern const struct admin_schema admin_spend_schema;
extern const struct admin_schema admin_reset_body;

#endif
