/*
 * Addresses: text, CIDR sets, internal ranges (each with the addresses just inside and outside of
 * it), and listening sockets.
 */
#include "net/net_test.h"

static struct net_addr addr(const char *text)
{
    struct net_addr a = {.len = 0};
    must(net_addr_parse(str_of(text), 0, &a));
    return a;
}

static void test_text(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:8080"},
        {"255.255.255.255", "255.255.255.255:8080"},
        {"::1", "[::1]:8080"},
        {"2001:DB8:0:0::5", "[2001:db8::5]:8080"},
        {"::ffff:1.2.3.4", "[::ffff:1.2.3.4]:8080"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_addr a;
        char out[64];
        CHECK(net_addr_parse(str_of(cases[i].in), 8080, &a));
        net_addr_text(&a, out);
        CHECK_STR(str_of(out), str_of(cases[i].out));
    }
}

static void test_not_literal(void)
{
    static const char *const cases[] = {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1",
        "0x7f.0.0.1", "017700000001", "127.1", "2130706433", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4:80",
        "[::1]", "::1%lo", ":::1", "1.2.3.4/8", "0177.0.0.1",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    struct net_addr a;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (net_addr_parse(str_of(cases[i]), 0, &a))
            tap_fail(__FILE__, __LINE__, "\"%s\" was taken for an address", cases[i]);
    CHECK(!net_addr_parse(str_at("1.2.3.4\0", 8), 0, &a));
}

static void test_internal(void)
{
    static const char *const cases[] = {"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255",
        "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.0.0",
        "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0",
        "192.0.0.255", "192.0.2.1", "192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0",
        "198.19.255.255", "198.51.100.0", "203.0.113.255", "224.0.0.1", "239.255.255.255",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::2", "fe80::1", "febf::1", "fec0::1",
        "fc00::1", "fdff:ffff::1", "ff02::1", "100::1", "4000::1", "1fff::1",
        /* IPv4 within IPv6 */
        "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8",
        "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1", "2001::1",
        "2001:0:7f00:1::", "2001:1ff::1", "2001:db8::1", "2001:db8:ffff::1", "3fff::1",
        "3fff:fff::1", "2001:2::1", "2001:10::1"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_addr a = addr(cases[i]);
        if (!net_addr_is_internal(&a))
            tap_fail(__FILE__, __LINE__, "%s was taken for public", cases[i]);
    }
    struct net_addr unix_addr = {.len = 2, .sa.sa_family = AF_UNIX};
    CHECK(net_addr_is_internal(&unix_addr));
}

static void test_public(void)
{
    static const char *const cases[] = {"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255",
        "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
        "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0",
        "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255",
        "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "8.8.8.8",
        "2606:4700::1111", "2a00:1450::1", "2001:200::1", "2001:4860:4860::8888", "2001:db7::1",
        "2001:db9::1", "3ffe::1", "3fff:1000::1", "2003::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        "2002:808:808::1"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_addr a = addr(cases[i]);
        if (net_addr_is_internal(&a))
            tap_fail(__FILE__, __LINE__, "%s was taken for internal", cases[i]);
    }
}

static void test_cidrs(void)
{
    static const struct {
        const char *list, *ip;
        bool has;
    } cases[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.9.9.9/8", "10.0.0.1", true}, /* bits beyond the prefix do not count */
        {"192.168.4.0/22", "192.168.7.255", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"1.2.3.4/31", "1.2.3.5", true},
        {"0.0.0.0/0", "9.9.9.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "9.9.9.9", false},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true}, /* the same place */
        {"::ffff:10.0.0.0/104", "10.3.4.5", true},
        {"::ffff:10.0.0.0/104", "11.3.4.5", false},
        {" 10.0.0.0/8 , 172.16.0.0/12,", "172.20.0.1", true},
        {"", "1.2.3.4", false},
        {",,", "1.2.3.4", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_cidrs *c = NULL;
        struct net_addr a = addr(cases[i].ip);
        CHECK_EQ(net_cidrs_parse(str_of(cases[i].list), &c), 0);
        if (net_cidrs_has(c, &a) != cases[i].has)
            tap_fail(__FILE__, __LINE__, "\"%s\" and %s", cases[i].list, cases[i].ip);
        net_cidrs_free(c);
    }
}

static void test_bad_cidrs(void)
{
    static const char *const cases[] = {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
        "::/129", "x", "10.0.0/8", "1.2.3.4,x", "10.0.0.0/8/8", "::ffff:1.2.3.4/95", "/8",
        "10.0.0.0 /8", "10.0.0.0/99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net_cidrs *c = NULL;
        if (net_cidrs_parse(str_of(cases[i]), &c) != -EINVAL || c)
            tap_fail(__FILE__, __LINE__, "\"%s\" was accepted", cases[i]);
    }
    struct net_addr a = addr("1.2.3.4");
    CHECK(!net_cidrs_has(NULL, &a));
    net_cidrs_free(NULL);
}

static void test_listen(void)
{
    uint16_t port = 0, again = 0;
    int fd = net_listen(STR("127.0.0.1"), 0, false, 8, &port);
    CHECK(fd >= 0 && port != 0);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(net_listen(STR("127.0.0.1"), port, false, 8, &again), -EADDRINUSE);
    CHECK_EQ(net_listen(STR("localhost"), 0, false, 8, NULL), -EINVAL);
    CHECK_EQ(net_listen(STR(""), 0, false, 8, NULL), -EINVAL);
    CHECK_EQ(net_listen(STR("192.0.2.1"), 0, false, 8, NULL), -EADDRNOTAVAIL);
    close(fd);
    int again_fd = net_listen(STR("127.0.0.1"), port, false, 8, &again);
    CHECK(again_fd >= 0 && again == port);
    close(again_fd);
}

static void test_listen_reuseport(void)
{
    uint16_t port = 0;
    int a = net_listen(STR("127.0.0.1"), 0, true, 8, &port);
    CHECK(a >= 0);
    int b = net_listen(STR("127.0.0.1"), port, true, 8, &port);
    CHECK(b >= 0);
    close(a);
    close(b);
}

static void test_listen_both_families(void)
{
    uint16_t port = 0;
    int six = net_listen(STR("::"), 0, false, 8, &port);
    if (six == -EAFNOSUPPORT)
        return; /* a kernel without IPv6 */
    CHECK(six >= 0 && port != 0);
    int four = net_listen(STR("0.0.0.0"), port, false, 8, NULL);
    CHECK(four >= 0);
    close(six);
    close(four);
}

int main(void)
{
    TAP_RUN(test_text);
    TAP_RUN(test_not_literal);
    TAP_RUN(test_internal);
    TAP_RUN(test_public);
    TAP_RUN(test_cidrs);
    TAP_RUN(test_bad_cidrs);
    TAP_RUN(test_listen);
    TAP_RUN(test_listen_reuseport);
    TAP_RUN(test_listen_both_families);
    return tap_done();
}
