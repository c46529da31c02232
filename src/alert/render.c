/*
 * What each destination takes.
 *
 *   Slack    an incoming webhook: a text, and blocks of Block Kit
 *   Teams    a workflow's webhook: a message with one Adaptive Card
 *   Discord  a webhook: one embed; nobody can be mentioned by what an alert says
 *   webhook  our own object, signed
 *
 * Subjects and texts hold names that others chose, so each is written such that the destination
 * shows it and does not obey it.
 */
#include "alert/alert_int.h"

#include "crypto/digest.h"
#include "crypto/encode.h"

#include <inttypes.h>
#include <stdio.h>

/* --- pieces --- */

static void member(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, "\"%s\":", name);
    buf_addjson(b, value);
}

/* Text with markup's own characters defused: Slack's three, or Markdown's. */
static void add_safe(struct buf *out, struct str s, bool slack)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (slack && c == '&')
            buf_addstr(out, STR("&amp;"));
        else if (slack && c == '<')
            buf_addstr(out, STR("&lt;"));
        else if (slack && c == '>')
            buf_addstr(out, STR("&gt;"));
        else if (!slack && memchr("\\*_`~[]<>|", c, 10))
            buf_add(out, (char[]){'\\', c}, 2);
        else
            buf_addc(out, c);
    }
}

static void safe_member(struct buf *b, const char *name, struct str value, bool slack)
{
    _cleanup_(buf_free) struct buf safe = {0};

    buf_init(&safe, 8 * ALERT_TEXT_BYTES);
    add_safe(&safe, value, slack);
    member(b, name, buf_str(&safe));
}

static struct str when(const struct alert_item *i, char room[static 25])
{
    clock_rfc3339(i->at, room);
    return str_at(room, 24);
}

/* "BudgetThreshold · key:0123… · node-1 · 3 more since the last" */
static void add_facts(struct buf *out, const struct alert_item *i, struct str node)
{
    buf_addstr(out, str_of(alert_kind_words[i->a.kind]));
    buf_addstr(out, STR(" · "));
    buf_addstr(out, i->a.subject);
    buf_addstr(out, STR(" · "));
    buf_addstr(out, node);
    if (i->repeats)
        buf_printf(out, " · %" PRIu64 " more since the last", i->repeats);
}

/* --- Slack --- */

static void slack(const struct alert_item *i, struct str node, struct buf *out)
{
    static const char *const marks[] = {":information_source:", ":warning:", ":rotating_light:"};
    _cleanup_(buf_free) struct buf line = {0};

    buf_init(&line, 8 * ALERT_TEXT_BYTES);
    buf_printf(&line, "%s *", marks[i->a.severity]);
    add_safe(&line, i->a.title, true);
    buf_addstr(&line, STR("*\n"));
    add_safe(&line, i->a.text, true);
    buf_addc(out, '{');
    member(out, "text", buf_str(&line));
    buf_addstr(out, STR(",\"blocks\":[{\"type\":\"header\",\"text\":{\"type\":\"plain_text\","));
    member(out, "text", i->a.title);
    buf_addstr(out, STR("}},{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\","));
    safe_member(out, "text", i->a.text.n ? i->a.text : i->a.title, true);
    buf_addstr(out, STR("}},{\"type\":\"context\",\"elements\":[{\"type\":\"mrkdwn\","));
    buf_clear(&line);
    add_facts(&line, i, node);
    safe_member(out, "text", buf_str(&line), true);
    buf_addstr(out, STR("}]}]}"));
}

/* --- Teams --- */

static void fact(struct buf *out, const char *title, struct str value, bool last)
{
    buf_printf(out, "{\"title\":\"%s\",", title);
    safe_member(out, "value", value, false);
    buf_addstr(out, last ? STR("}") : STR("},"));
}

static void teams(const struct alert_item *i, struct str node, struct buf *out)
{
    static const char *const colors[] = {"Accent", "Warning", "Attention"};
    char time[25], more[24];

    buf_addstr(
        out, STR("{\"type\":\"message\",\"attachments\":[{\"contentType\":"
                 "\"application/vnd.microsoft.card.adaptive\",\"contentUrl\":null,\"content\":{"
                 "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\","
                 "\"type\":\"AdaptiveCard\",\"version\":\"1.4\",\"msteams\":{\"width\":\"Full\"},"
                 "\"body\":[{\"type\":\"TextBlock\",\"size\":\"Large\",\"weight\":\"Bolder\","));
    buf_printf(out, "\"wrap\":true,\"color\":\"%s\",", colors[i->a.severity]);
    safe_member(out, "text", i->a.title, false);
    buf_addstr(out, STR("},{\"type\":\"TextBlock\",\"wrap\":true,"));
    safe_member(out, "text", i->a.text.n ? i->a.text : i->a.title, false);
    buf_addstr(out, STR("},{\"type\":\"FactSet\",\"facts\":["));
    snprintf(more, sizeof more, "%" PRIu64, i->repeats);
    fact(out, "Kind", str_of(alert_kind_words[i->a.kind]), false);
    fact(out, "Subject", i->a.subject, false);
    fact(out, "Node", node, false);
    fact(out, "Time", when(i, time), false);
    fact(out, "Repeats", str_of(more), true);
    buf_addstr(out, STR("]}]}}]}"));
}

/* --- Discord --- */

static void field(struct buf *out, const char *name, struct str value)
{
    buf_printf(out, "{\"name\":\"%s\",\"inline\":true,", name);
    safe_member(out, "value", value.n ? value : STR("-"), false);
    buf_addc(out, '}');
}

static void discord(const struct alert_item *i, struct str node, struct buf *out)
{
    static const unsigned colors[] = {0x3498db, 0xf1c40f, 0xe74c3c};
    char time[25];

    buf_addstr(
        out, STR("{\"username\":\"Smartflow\",\"allowed_mentions\":{\"parse\":[]},\"embeds\":[{"));
    safe_member(out, "title", i->a.title, false);
    buf_addc(out, ',');
    safe_member(out, "description", i->a.text.n ? i->a.text : i->a.title, false);
    buf_printf(out, ",\"color\":%u,", colors[i->a.severity]);
    member(out, "timestamp", when(i, time));
    buf_addstr(out, STR(",\"fields\":["));
    field(out, "Kind", str_of(alert_kind_words[i->a.kind]));
    buf_addc(out, ',');
    field(out, "Subject", i->a.subject);
    buf_addc(out, ',');
    field(out, "Node", node);
    buf_addstr(out, STR("],\"footer\":{"));
    member(out, "text", str_of(i->id));
    buf_addstr(out, STR("}}]}"));
}

/* --- our own --- */

static void webhook(const struct alert_item *i, struct str node, struct buf *out)
{
    char time[25];

    buf_addc(out, '{');
    member(out, "id", str_of(i->id));
    buf_addc(out, ',');
    member(out, "kind", str_of(alert_kind_words[i->a.kind]));
    buf_addc(out, ',');
    member(out, "severity", str_of(alert_severity_words[i->a.severity]));
    buf_addc(out, ',');
    member(out, "subject", i->a.subject);
    buf_addc(out, ',');
    member(out, "title", i->a.title);
    buf_addc(out, ',');
    member(out, "message", i->a.text);
    buf_addstr(out, STR(",\"details\":"));
    buf_addstr(out, i->a.details.n ? i->a.details : STR("{}"));
    buf_printf(out, ",\"repeats\":%" PRIu64 ",", i->repeats);
    member(out, "node", node);
    buf_addc(out, ',');
    member(out, "timestamp", when(i, time));
    buf_addc(out, '}');
}

void alert_sign(const struct secret *key, int64_t wall_ns, struct str body, struct buf *out)
{
    char stamp[24], hex[HEX_SIZE(SHA256_BYTES)];
    uint8_t mac[SHA256_BYTES];
    int n = snprintf(stamp, sizeof stamp, "%" PRId64, wall_ns / NS_PER_S);
    const struct str parts[] = {str_at(stamp, (size_t)n), STR("."), body};

    hmac_sha256_parts(secret_reveal(key), parts, ARRAY_LEN(parts), mac);
    hex_encode(str_at((const char *)mac, sizeof mac), hex);
    buf_printf(out, "x-smartflow-signature: t=%s,v1=", stamp);
    buf_add(out, hex, sizeof hex);
    buf_addstr(out, STR("\r\n"));
}

void alert_render(
    enum alert_destination d, const struct alert_item *i, struct str node, struct buf *out)
{
    static void (*const forms[])(const struct alert_item *, struct str, struct buf *) = {
        [ALERT_SLACK] = slack,
        [ALERT_TEAMS] = teams,
        [ALERT_DISCORD] = discord,
        [ALERT_WEBHOOK] = webhook,
        [ALERT_GIVEN] = webhook,
    };
    forms[d](i, node, out);
}
