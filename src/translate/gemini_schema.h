/*
 * Schemas. Gemini's older members (responseSchema, parameters) take a Schema of its own: OpenAPI's,
 * and not all of that. Newer ones take JSON schema as it is (gemini_models.h says which model
 * does).
 */
#ifndef SF_TRANSLATE_GEMINI_SCHEMA_H
#define SF_TRANSLATE_GEMINI_SCHEMA_H

#include "translate/jw.h"

#define GEMINI_SCHEMA_MAX ((size_t)256 * 1024) /* with its references written out */

/* JSON schema → Schema: references are written out, allOf is flattened, const becomes enum, lists
 * of types become nullable or anyOf; what Gemini does not know is left out. ordered: with
 * propertyOrdering, as structured output wants it. *ret has p NULL where the schema says nothing
 * but "an object": then the member is better left out. 400 names the field. */
int gemini_schema_write(
    struct canon_call *c, struct str schema, struct str field, bool ordered, struct str *ret);
/* Schema → JSON schema. p NULL when memory is out. */
struct str gemini_schema_read(struct canon_call *c, yyjson_val *schema);

#endif
