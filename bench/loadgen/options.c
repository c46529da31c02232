/* The command line, and the request that it asks for. */
#include "loadgen.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "loadgen -u http://127.0.0.1:PORT/PATH [-H 'Name: value']... [-m rate|closed|hold]\n"
    "        [-r requests a second] [-c connections] [-d seconds] [-w seconds of warm-up]\n"
    "        [-s (stream)] [-x 'mock:...'] [-b bytes of the body] [-M model]\n"
    "        [-N share of hold mode's clients that stop reading]\n";

static enum mode mode_of(const char *s)
{
    return !strcmp(s, "rate") ? MODE_RATE : !strcmp(s, "hold") ? MODE_HOLD : MODE_CLOSED;
}

static void add_field(struct options *o, const char *line)
{
    size_t n = strlen(o->fields);

    snprintf(o->fields + n, sizeof o->fields - n, "%s\r\n", line);
}

/* Only this machine's own addresses: a bench must never put load on anybody else. */
static int read_url(struct options *o)
{
    char host[64];

    strcpy(o->path, "/");
    if (!o->url || sscanf(o->url, "http://%63[^:]:%d%511s", host, &o->port, o->path) < 2)
        return -1;
    o->address.sin_family = AF_INET;
    o->address.sin_port = htons((uint16_t)o->port);
    if (inet_pton(AF_INET, host, &o->address.sin_addr) != 1)
        return -1;
    return ntohl(o->address.sin_addr.s_addr) >> 24 == 127 ? 0 : -1;
}

static int read_option(struct options *o, int option, const char *value)
{
    switch (option) {
    case 'u':
        o->url = value;
        return 0;
    case 'H':
        add_field(o, value);
        return 0;
    case 'm':
        o->mode = mode_of(value);
        return 0;
    case 'r':
        o->rate = atof(value);
        return 0;
    case 'c':
        o->connections = atoi(value);
        return 0;
    case 'd':
        o->seconds = atof(value);
        return 0;
    case 'w':
        o->warm_up = atof(value);
        return 0;
    case 's':
        o->stream = true;
        return 0;
    case 'x':
        o->directions = value;
        return 0;
    case 'b':
        o->body_bytes = (size_t)atol(value);
        return 0;
    case 'M':
        o->model = value;
        return 0;
    case 'N':
        o->not_reading = atof(value);
        return 0;
    default:
        return -1;
    }
}

int options_read(int argc, char **argv, struct options *ret)
{
    *ret = (struct options){.mode = MODE_CLOSED,
        .rate = 1000,
        .connections = 64,
        .seconds = 5,
        .warm_up = 1,
        .directions = "",
        .body_bytes = 1024,
        .model = "gpt-4o-mini"};
    for (int option; (option = getopt(argc, argv, "u:H:m:r:c:d:w:sx:b:M:N:")) != -1;) {
        if (read_option(ret, option, optarg) < 0) {
            fputs(usage, stderr);
            return -1;
        }
    }
    if (read_url(ret) < 0 || ret->connections < 1 || ret->rate <= 0) {
        fputs(usage, stderr);
        return -1;
    }
    return 0;
}

/* A chat of about body_bytes: plain prose, so that nothing in it is a special case. */
static size_t body_make(const struct options *o, char *body)
{
    static const char prose[] = "Summarise the incident report below for the on-call engineer and "
                                "list follow-up actions. ";
    bool directed = *o->directions != 0;
    size_t n = (size_t)sprintf(body,
        "{\"model\":\"%s\",%s%s%s%s\"max_tokens\":256,\"temperature\":0.2,\"messages\":["
        "{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"
        "{\"role\":\"user\",\"content\":\"",
        o->model, o->stream ? "\"stream\":true," : "", directed ? "\"user\":\"" : "", o->directions,
        directed ? "\"," : "");

    for (size_t i = 0; n + 4 < o->body_bytes; i++)
        body[n++] = prose[i % (sizeof prose - 1)];
    return n + (size_t)sprintf(body + n, "\"}]}");
}

char *request_make(const struct options *o, size_t *ret_n)
{
    char *body = malloc(o->body_bytes + strlen(o->directions) + strlen(o->model) + 1024), *request;
    size_t body_n = body_make(o, body);
    int n = asprintf(&request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
        "Accept: */*\r\n%sContent-Length: %zu\r\n\r\n%s",
        o->path, o->port, o->fields, body_n, body);

    free(body);
    if (n < 0)
        abort();
    *ret_n = (size_t)n;
    return request;
}
