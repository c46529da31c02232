/* Samples, and the one line of JSON at the end. Percentiles are exact: every sample is kept. */
#include "loadgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

void samples_add(struct samples *s, double v)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 4096;
        s->v = realloc(s->v, s->cap * sizeof *s->v);
        if (!s->v)
            abort();
    }
    s->v[s->n++] = v;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(const struct samples *s, double q)
{
    return s->v[(size_t)((double)(s->n - 1) * q + 0.5)];
}

static void print_samples(const char *name, struct samples *s)
{
    double sum = 0;

    if (!s->n) {
        printf(",\"%s\":null", name);
        return;
    }
    qsort(s->v, s->n, sizeof *s->v, ascending);
    for (size_t i = 0; i < s->n; i++)
        sum += s->v[i];
    printf(",\"%s\":{\"n\":%zu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
           "\"p999\":%.1f,\"max\":%.1f}",
        name, s->n, sum / (double)s->n, percentile(s, .5), percentile(s, .9), percentile(s, .99),
        percentile(s, .999), s->v[s->n - 1]);
}

static double own_cpu_seconds(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

void report_print(struct load *l)
{
    struct totals *t = &l->t;

    printf("{\"sent\":%ld,\"ok\":%ld,\"non2xx\":%ld,\"errors\":%ld,\"reconnects\":%ld,"
           "\"unfinished\":%ld,\"max_queue\":%ld,\"rps\":%.1f,\"events\":%ld,"
           "\"events_per_s\":%.1f,\"firsts\":%ld,\"cpu_s\":%.3f",
        t->sent, t->ok, t->not_2xx, t->errors, t->reconnects, t->unfinished, t->longest_queue,
        (double)t->done / l->o.seconds, t->events, (double)t->events / l->o.seconds, t->firsts,
        own_cpu_seconds());
    print_samples("latency_us", &t->latency);
    print_samples("first_event_us", &t->first_event);
    puts("}");
}
