/*
 * Secrets that are kept elsewhere (vault/refs.h), while the program runs: their thread reads them
 * anew before their leases end, and tells the first loop when one is another. That loop may end
 * before the thread does, so who is told is behind a lock.
 */
#include "base/log.h"
#include "gateway/serve_int.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *told; /* NULL: nobody, or nobody any more */
static void (*tell)(void);

static void on_loop(void *arg)
{
    (void)arg;
    tell();
}

/* On the thread of the secrets. */
static void changed(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&lock);
    if (told)
        loop_post(told, on_loop, NULL);
    pthread_mutex_unlock(&lock);
}

void serve_keep_secrets(const struct config *c, struct loop *to, void (*fn)(void))
{
    pthread_mutex_lock(&lock);
    told = to;
    tell = fn;
    pthread_mutex_unlock(&lock);
    int r = config_keep_refs(c, changed, NULL);
    if (r < 0)
        log_msg(LOG_ERROR, "cannot look after the leases of secrets: %s", strerror(-r));
}

void serve_leave_secrets(void)
{
    pthread_mutex_lock(&lock);
    told = NULL;
    pthread_mutex_unlock(&lock);
    config_stop_refs();
}
