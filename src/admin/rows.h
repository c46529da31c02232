/*
 * The arrays of rows that the subjects' files export; table.c lists them.
 */
#ifndef SF_ADMIN_ROWS_H
#define SF_ADMIN_ROWS_H

#include "admin/api.h"

#define ADMIN_ROWS(name, array) const struct admin_rows name = {array, ARRAY_LEN(array)}

extern const struct admin_rows admin_auth_rows;      /* auth_api.c: login, logout, who am I */
extern const struct admin_rows admin_users_rows;     /* users_api.c: administrators */
extern const struct admin_rows admin_keys_rows;      /* keys_api.c: virtual keys */
extern const struct admin_rows admin_teams_rows;     /* teams_api.c: organisations … customers */
extern const struct admin_rows admin_providers_rows; /* providers_api.c */
extern const struct admin_rows admin_routing_rows;   /* routing_api.c */
extern const struct admin_rows admin_prices_rows;    /* prices_api.c */
extern const struct admin_rows admin_config_rows;    /* config_api.c */
extern const struct admin_rows admin_health_rows;    /* health_api.c */
extern const struct admin_rows admin_audit_rows;     /* audit_api.c */
extern const struct admin_rows admin_logs_rows;      /* logs_api.c: calls */
extern const struct admin_rows admin_analytics_rows; /* analytics_api.c */
extern const struct admin_rows admin_vault_rows;     /* vault_api.c: provider keys */
extern const struct admin_rows admin_alerts_rows;    /* alerts_api.c */
extern const struct admin_rows admin_openapi_rows;   /* openapi.c */

#endif
