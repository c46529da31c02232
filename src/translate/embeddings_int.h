/* What embeddings.c (clients) and embeddings_up.c (providers) share. */
#ifndef SF_TRANSLATE_EMBEDDINGS_INT_H
#define SF_TRANSLATE_EMBEDDINGS_INT_H

#include "translate/embeddings.h"
#include "translate/jw.h"

/* The words of each for what the vectors are for. */
struct str embed_use_gemini(enum embed_use u);   /* RETRIEVAL_QUERY */
struct str embed_use_cohere(enum embed_use u);   /* search_query; p NULL where it has none */
enum embed_use embed_use_parse(struct str word); /* either's; EMBED_UNSAID for others */

/* A list of numbers as 32-bit floats in base64, and back. p NULL when it is no such list, or memory
 * is out. */
struct str embed_pack(struct arena *a, struct str raw);
struct str embed_unpack(struct arena *a, struct str base64);

#endif
