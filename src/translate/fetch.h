/*
 * Pictures and files that a request names by URL, for targets that read no URLs. Nothing here
 * fetches: the gateway asks what has to be fetched, does so through its guard against requests into
 * inner networks, under its caps of size and time, and hands the bytes back before the target's
 * writer runs. A writer that still meets such a URL refuses it, naming the part.
 *
 *   canon_fetches(c, to, q, &list)
 *   for each f: GET f->url … canon_fetched(c, f, content_type, bytes)
 *   to->write_request(c, q, out)
 */
#ifndef SF_TRANSLATE_FETCH_H
#define SF_TRANSLATE_FETCH_H

#include "translate/wire.h"

#define CANON_FETCHES_MAX 20 /* of one request */

struct canon_fetch {
    struct canon_fetch *next;
    struct str url;
    struct str where; /* the part, as the client calls it: "messages[0].content[1]" */
    struct canon_part *part;
};

/* Whether the target c, in the dialect of to, reads this part by its URL. */
bool canon_media_by_url(
    const struct canon_call *c, const struct wire *to, const struct canon_part *p);
/* All parts of q that it does not. 0 with *ret NULL: nothing to fetch. 400: too many, or a URL that
 * is no http. */
int canon_fetches(struct canon_call *c, const struct wire *to, const struct canon_request *q,
    struct canon_fetch **ret);
/* What the URL gave: the part holds it from now on. 400 naming the part when it is not of its kind.
 */
int canon_fetched(
    struct canon_call *c, struct canon_fetch *f, struct str content_type, struct str bytes);
/* 400 for a URL that could not be fetched. */
int canon_fetch_failed(struct canon_call *c, const struct canon_fetch *f, const char *why);

/* Where the part stands in the client's request, for messages. */
struct str canon_part_path(
    struct canon_call *c, const struct canon_request *q, const struct canon_part *p);

#endif
