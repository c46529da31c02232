/*
 * The key is the published example of RFC 7515 appendix A.2; the expected assertion was made with
 * it by an independent implementation (RS256 has no randomness).
 */
#include "providers/gcp_token.h"

#include "base/clock.h"
#include "base/macros.h"
#include "base/tap.h"

#include <errno.h>

/* clang-format off */
#define EXAMPLE_KEY \
    "-----BEGIN PRIVATE KEY-----\\n" \
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\\n" \
    "jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\\n" \
    "aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\\n" \
    "juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\\n" \
    "ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\\n" \
    "toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\\n" \
    "VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\\n" \
    "PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\\n" \
    "O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\\n" \
    "kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\\n" \
    "XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\\n" \
    "4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\\n" \
    "pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\\n" \
    "0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\\n" \
    "lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\\n" \
    "kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\\n" \
    "rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\\n" \
    "kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\\n" \
    "5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\\n" \
    "9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\\n" \
    "evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\\n" \
    "yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\\n" \
    "OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\\n" \
    "tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\\n" \
    "ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\\n" \
    "03k2+ZQwVK0JKSHuLFkuQ3U=\\n" \
    "-----END PRIVATE KEY-----\\n"
static const char expected[] =
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImtleS0xIn0.eyJpc3MiOiJyb2JvdEBwcm9q"
    "LTEuaWFtLmdzZXJ2aWNlYWNjb3VudC5jb20iLCJzdWIiOiJyb2JvdEBwcm9qLTEuaWFtLmdzZXJ2aWNl"
    "YWNjb3VudC5jb20iLCJhdWQiOiJodHRwczovL29hdXRoMi5nb29nbGVhcGlzLmNvbS90b2tlbiIsInNj"
    "b3BlIjoiaHR0cHM6Ly93d3cuZ29vZ2xlYXBpcy5jb20vYXV0aC9jbG91ZC1wbGF0Zm9ybSIsImlhdCI6"
    "MTc5NTAwMDAwMCwiZXhwIjoxNzk1MDAzNjAwfQ.Yt5qQRKktxHrKdZ7ucaQGrWoqMwqQGEfdfASXYo5d"
    "5OJjP5i-69tIa1UWQ0e7TrSaYrxQHdfs_gJWKsJm9JO47UFCywVyUGOH1QCbeo-Ny9fdM86xhDlNwnfS"
    "HHSdROBYPrFiObnwBUsoKIdLSRNPeJtJaEsQHx12BkNL_uOzVSeSHhrnOYCvzPl0NbA5SwTULvlCOSZ_"
    "ldTGTSEDJTcd4Tcs79qU-vQhrkpkuRyxSq8CGQZjispGsmPl_UHVuuk9bTWWDriMHoVTz9glunc4B5sl"
    "O0keUfA_MiJbROG4-jIPeV-VU62gnYVqSTMBJqOA8RJD5oMvhWuqPaDqwfW5g";
/* clang-format on */

#define NOW   (1795000000 * NS_PER_S + 999999999)
#define EMAIL "robot@proj-1.iam.gserviceaccount.com"
#define MEMBERS                                                                                    \
    "\"project_id\":\"proj-1\",\"private_key_id\":\"key-1\",\"client_email\":\"" EMAIL "\""
#define KEY      "\"private_key\":\"" EXAMPLE_KEY "\""
#define TYPE     "\"type\":\"service_account\""
#define TOKEN_AT "\"token_uri\":\"https://oauth2.googleapis.com/token\""

static const char *why;

static void test_assertion(void)
{
    _cleanup_(gcp_account_free) struct gcp_account a = {0};
    _cleanup_(buf_free) struct buf out;
    buf_init(&out, 8192);
    CHECK_EQ(
        gcp_account_parse(
            STR("{" TYPE "," MEMBERS "," KEY "," TOKEN_AT ",\"universe_domain\":\"x\"}"), &a, &why),
        0);
    CHECK_STR(str_of(a.project), STR("proj-1"));
    CHECK_STR(str_of(a.email), STR(EMAIL));
    CHECK_EQ(gcp_assertion(&a, GCP_SCOPE, NOW, &out), 0);
    CHECK_STR(buf_str(&out), str_of(expected));
}

static void test_request(void)
{
    _cleanup_(gcp_account_free) struct gcp_account a = {0};
    _cleanup_(buf_free) struct buf out;
    struct str start =
        STR("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    buf_init(&out, 8192);
    CHECK_EQ(gcp_account_parse(STR("{" TYPE "," MEMBERS "," KEY "}"), &a, &why), 0);
    CHECK_STR(str_of(a.token_uri), STR("https://oauth2.googleapis.com/token"));
    CHECK_EQ(gcp_token_request(&a, GCP_SCOPE, NOW, &out), 0);
    CHECK(str_starts(buf_str(&out), start));
    CHECK_STR(str_from(buf_str(&out), start.n), str_of(expected));
    buf_free(&out);
    buf_init(&out, 500); /* too small: an error, not half a request that looks whole */
    CHECK_EQ(gcp_token_request(&a, GCP_SCOPE, NOW, &out), -ENOBUFS);
}

static const struct {
    const char *json, *why;
} bad_accounts[] = {
    {"", "the key file is not a JSON object"},
    {"[]", "the key file is not a JSON object"},
    {"{" TYPE "," TYPE "," MEMBERS "," KEY "}", "the key file is not a JSON object"},
    {"{" MEMBERS "," KEY "}", "type is not service_account"},
    {"{\"type\":\"authorized_user\"," MEMBERS "," KEY "}", "type is not service_account"},
    {"{" TYPE "," KEY "}", "client_email is missing"},
    {"{" TYPE ",\"client_email\":\"a\\u0000b\"," KEY "}", "client_email is missing"},
    {"{" TYPE "," MEMBERS "}", "private_key is missing"},
    {"{" TYPE "," MEMBERS ",\"private_key\":\"x\"}",
        "private_key is no RSA key of 2048 bits or more"},
    {"{" TYPE "," MEMBERS "," KEY ",\"token_uri\":\"http://oauth2.googleapis.com/token\"}",
        "token_uri is not an https URL"},
    {"{" TYPE "," MEMBERS "," KEY ",\"token_uri\":7}", "token_uri is not an https URL"},
};

static void test_bad_accounts(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_accounts); i++) {
        struct gcp_account a = {0};
        why = "";
        CHECK_EQ(gcp_account_parse(str_of(bad_accounts[i].json), &a, &why), -EINVAL);
        CHECK_STR(str_of(why), str_of(bad_accounts[i].why));
        CHECK(!a.key && !a.email);
    }
}

static int64_t expiry(const char *json)
{
    _cleanup_(secret_free) struct secret token = {0};
    int64_t at = 0;
    int r = gcp_token_parse(str_of(json), NOW, &token, &at, &why);
    return r < 0 ? r : (at - NOW) / NS_PER_S;
}

static void test_token(void)
{
    _cleanup_(secret_free) struct secret token = {0};
    int64_t at = 0;
    CHECK_EQ(gcp_token_parse(STR("{\"access_token\":\"ya29.a-B_c=\",\"expires_in\":3599,"
                                 "\"token_type\":\"Bearer\",\"more\":{}}"),
                 NOW, &token, &at, &why),
        0);
    CHECK_STR(secret_reveal(&token), STR("ya29.a-B_c="));
    CHECK_EQ(at, NOW + 3599 * NS_PER_S);
}

#define ANSWER(token, seconds, type)                                                               \
    "{\"access_token\":" token ",\"expires_in\":" seconds ",\"token_type\":" type "}"

static void test_answers(void)
{
    CHECK_EQ(expiry(ANSWER("\"t\"", "1", "\"bearer\"")), 1);
    CHECK_EQ(expiry(ANSWER("\"t\"", "999999999999", "\"Bearer\"")), 24 * 3600);
    CHECK_EQ(expiry(ANSWER("\"t\"", "0", "\"Bearer\"")), -EINVAL);
    CHECK_EQ(expiry(ANSWER("\"t\"", "-5", "\"Bearer\"")), -EINVAL);
    CHECK_EQ(expiry(ANSWER("\"t\"", "\"3600\"", "\"Bearer\"")), -EINVAL);
    CHECK_EQ(expiry(ANSWER("\"t\"", "3600", "\"mac\"")), -EINVAL);
    CHECK_EQ(expiry(ANSWER("\"t\"", "3600", "null")), -EINVAL);
    CHECK_EQ(expiry(ANSWER("\"\"", "3600", "\"Bearer\"")), -EINVAL);
    CHECK_EQ(expiry(ANSWER("7", "3600", "\"Bearer\"")), -EINVAL);
    CHECK_EQ(expiry(ANSWER("\"a\\r\\nx: y\"", "3600", "\"Bearer\"")), -EINVAL);
    CHECK_EQ(expiry("{\"access_token\":\"a\",\"access_token\":\"b\",\"expires_in\":1,"
                    "\"token_type\":\"Bearer\"}"),
        -EINVAL);
    CHECK_EQ(expiry("{\"error\":\"invalid_grant\"}"), -EINVAL);
    CHECK_EQ(expiry("<html>"), -EINVAL);
}

int main(void)
{
    TAP_RUN(test_assertion);
    TAP_RUN(test_request);
    TAP_RUN(test_bad_accounts);
    TAP_RUN(test_token);
    TAP_RUN(test_answers);
    return tap_done();
}
