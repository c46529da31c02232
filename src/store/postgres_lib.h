/*
 * libpq, loaded by the first store that is opened on PostgreSQL. It brings some twenty libraries
 * with it (Kerberos, LDAP, GnuTLS and what they need), whose loading would be a large part of the
 * start and of the idle memory of everyone who keeps to SQLite.
 */
#ifndef SF_STORE_POSTGRES_LIB_H
#define SF_STORE_POSTGRES_LIB_H

#include <libpq-fe.h>

/* clang-format off */
#define PQ_EACH(f)                                                                                \
    f(PQclear) f(PQcmdStatus) f(PQcmdTuples) f(PQconnectPoll) f(PQconnectStartParams)             \
    f(PQconninfoFree) f(PQconninfoParse) f(PQconsumeInput) f(PQenterPipelineMode)                 \
    f(PQerrorMessage) f(PQexitPipelineMode) f(PQfinish) f(PQflush) f(PQfname) f(PQfreemem)        \
    f(PQftype) f(PQgetResult) f(PQgetisnull) f(PQgetlength) f(PQgetvalue) f(PQisBusy)             \
    f(PQnfields) f(PQntuples) f(PQpipelineSync) f(PQresultErrorField) f(PQresultStatus)           \
    f(PQsendPrepare) f(PQsendQuery) f(PQsendQueryParams) f(PQsendQueryPrepared)                   \
    f(PQsetNoticeReceiver) f(PQsetSingleRowMode) f(PQsetnonblocking) f(PQsocket) f(PQsslInUse)    \
    f(PQsslStruct) f(PQstatus)
/* clang-format on */

/* The functions, by their own names. */
struct pq {
#define PQ_MEMBER(name) __typeof__(&name) name;
    PQ_EACH(PQ_MEMBER)
#undef PQ_MEMBER
};
extern struct pq pq;

/* 0; -ELIBACC with err when there is no usable libpq. Blocks; once for the process, at start. */
int pq_load(char *err);

#endif
