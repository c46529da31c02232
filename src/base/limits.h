/*
 * Every maximum that a peer can reach, in one table. A module takes its limit from here; settings
 * may lower the ones marked (s), or raise them up to the stated ceiling.
 */
#ifndef SF_BASE_LIMITS_H
#define SF_BASE_LIMITS_H

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

/* HTTP */
#define LIMIT_HEAD_BYTES        (64 * KIB)   /* (s) request or response head */
#define LIMIT_HEADERS           128          /* header fields in one head */
#define LIMIT_TARGET_BYTES      (8 * KIB)    /* request target */
#define LIMIT_BODY_BYTES        (64 * MIB)   /* (s) request body that is read into memory */
#define LIMIT_UPLOAD_BYTES      (1024 * MIB) /* (s) multipart body that is streamed or spooled */
#define LIMIT_RESPONSE_BYTES    (64 * MIB)   /* upstream reply that must be held whole */
#define LIMIT_SPOOL_MEMORY      (256 * KIB)  /* beyond it a held body goes to a file */
#define LIMIT_CHUNK_LINE        256          /* chunk-size line with extensions */
#define LIMIT_TRAILER_BYTES     (8 * KIB)
#define LIMIT_SSE_EVENT_BYTES   (8 * MIB) /* one event of an upstream's stream */
#define LIMIT_WS_FRAME_BYTES    (16 * MIB)
#define LIMIT_MULTIPART_HEAD    (16 * KIB)
#define LIMIT_MULTIPART_PARTS   256
#define LIMIT_BOUNDARY_BYTES    70
#define LIMIT_EVENTSTREAM_BYTES (16 * MIB) /* AWS event-stream frame */
#define LIMIT_GZIP_RATIO        200        /* decoded ÷ encoded beyond the first MiB */
#define LIMIT_PIPELINED         64         /* requests answered before the loop turns to others */

/* JSON */
#define LIMIT_JSON_DEPTH 128

/* The process */
#define LIMIT_CONNECTIONS    65536 /* (s) client connections per process */
#define LIMIT_IN_FLIGHT      16384 /* (s) exchanges per process; beyond it 503 at once */
#define LIMIT_EXCHANGE_ARENA (4 * MIB)
#define LIMIT_POOL_PER_HOST  1024 /* idle upstream connections per thread and host */
#define LIMIT_POOL_IDLE      4096 /* the same over all hosts; beyond it the oldest is closed */
#define LIMIT_FILE_SESSIONS  4096 /* Gemini's uploads under way; beyond it the oldest ends */
#define LIMIT_OFFLOAD_QUEUE  4096

#endif
