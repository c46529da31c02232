/*
 * Inside src/admin: which settings the API may change, and how they stand in the store.
 */
#ifndef SF_ADMIN_SETTINGS_INT_H
#define SF_ADMIN_SETTINGS_INT_H

#include "admin/settings.h"

enum setting_place {
    SETTING_LIVE,     /* a change counts at once */
    SETTING_AT_START, /* from the next start */
    SETTING_FIXED,    /* only from the environment or the file */
};
enum setting_place admin_setting_place(struct str name);

#define PRICE_PREFIX "price:" /* of the rows of the table settings that are prices */

#endif
