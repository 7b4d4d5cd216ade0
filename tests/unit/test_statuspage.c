/*
 * ops/kit: the status page and what it is made of, with hostile names.
 */
#include "ops/kit/statuspage.h"

#include "ops/kit/html.h"
#include "ops/kit/status.h"

#include <string.h>

#define HOSTILE "</td><script>alert('x')</script>\"&\x01\xff"

typedef struct TestOptions {
    char *name;
    char *tls_key;
    gint64 seconds;
    gboolean flag;
} TestOptions;

#define PLACE(field) G_STRUCT_OFFSET(TestOptions, field)

static const Setting settings[] = {
    {"name", SETTING_STRING, PLACE(name), NULL, 0, 0, "", "A name."},
    {"tls-key", SETTING_STRING, PLACE(tls_key), NULL, 0, 0, "", "A secret."},
    {"seconds", SETTING_INT, PLACE(seconds), "3", 0, 10, "s", "A time."},
    {"flag", SETTING_BOOL, PLACE(flag), "false", 0, 0, "", "A flag."},
    {0},
};

static const char *const names[] = {"getDashboard", "getTimeline", NULL};

static void
assert_has(const char *page, const char *text)
{
    if (strstr(page, text) == NULL) {
        g_test_message("no \"%s\" in %s", text, page);
        g_test_fail();
    }
}

static void
assert_hasnt(const char *page, const char *text)
{
    if (strstr(page, text) != NULL) {
        g_test_message("\"%s\" in %s", text, page);
        g_test_fail();
    }
}

/* What means something to HTML is told as text, what is no text as U+FFFD. */
static void
test_escape(void)
{
    static const struct {
        const char *text;
        const char *html;
    } rows[] = {
        {"plain", "plain"},
        {"<script>", "&lt;script&gt;"},
        {"a & 'b' \"c\"", "a &amp; &#39;b&#39; &quot;c&quot;"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xff<", "\xef\xbf\xbd&lt;"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\x1b[31m\x7f", "a\xef\xbf\xbd[31m\xef\xbf\xbd"},
        {"\xe2\x80\xaeright to left", "\xef\xbf\xbdright to left"},
        {"two\nlines", "two\nlines"},
        {"", ""},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);

        html_text(out, rows[i].text);
        g_assert_cmpstr(out->str, ==, rows[i].html);
    }
    g_autoptr(GString) out = g_string_new(NULL);

    html_escape(out, "a\0b", 3);
    g_assert_cmpstr(out->str, ==,
                    "a\xef\xbf\xbd"
                    "b");
}

/* Sizes and times as people read them. */
static void
test_units(void)
{
    static const struct {
        gint64 us;
        const char *text;
    } rows[] = {
        {0, "0 us"},
        {999, "999 us"},
        {1500, "1.50 ms"},
        {999999, "1000 ms"},
        {1250000, "1.25 s"},
        {17000000, "17 s"},
        {125000000, "2 min 5 s"},
        {7500000000, "2 h 5 min"},
        {180000000000, "2 d 2 h"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) out = g_string_new(NULL);

        html_duration(out, rows[i].us);
        g_assert_cmpstr(out->str, ==, rows[i].text);
    }
    g_autoptr(GString) out = g_string_new(NULL);

    html_bytes(out, 1023);
    html_bytes(out, 3 << 20);
    html_time(out, 1769860800000);
    html_clock(out, G_MAXINT64);
    g_assert_cmpstr(out->str, ==,
                    "1023 B3.00 MiB2026-01-31 12:00:00 UTCunknown");
}

/* The query's refresh, within bounds, or none. */
static void
test_refresh(void)
{
    static const struct {
        const char *query;
        guint seconds;
    } rows[] = {
        {NULL, 0},           {"", 0},
        {"refresh=5", 5},    {"a=b&refresh=60", 60},
        {"refresh=0", 0},    {"refresh=3601", 0},
        {"refresh=-5", 0},   {"refresh=5\"><script>", 0},
        {"refreshing=5", 0}, {"refresh=99999999999999999999", 0},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpuint(statuspage_refresh(rows[i].query), ==,
                         rows[i].seconds);
    }
}

static void
tell(Section *section, gpointer user_data)
{
    SectionPartition known = {0, 10, 40, 55}, unknown = {1, -1, 7, -1};

    section_fact(section, "A fact", "%s", (const char *)user_data);
    section_bytes(section, "A size", 2048);
    section->lag_ms = 1500;
    section->log_age_ms = 90000;
    section_partition(section, &known);
    section_partition(section, &unknown);
    section->has_server = TRUE;
    section->connections = (SectionConnections){.open = 3, .max = 100};
}

static void
record(Calls *calls, const char *caller, const char *trace)
{
    SlowCall call = {.us = 12345,
                     .ended = g_get_monotonic_time(),
                     .wall_ms = g_get_real_time() / 1000,
                     .user = 4711,
                     .method = 0};

    g_strlcpy(call.caller, caller, sizeof(call.caller));
    g_strlcpy(call.trace, trace, sizeof(call.trace));
    g_assert_true(calls_record(calls, 0, &call));
    calls_record_slow(calls, 0, &call);
}

/* A page with a part that tells and was called as is given. */
static char *
make_page(const TestOptions *options, const char *told, const StatusAsk *ask)
{
    Status *status = status_new("test", "A daemon.", settings, options);
    Calls *calls = calls_new(names, 1);
    StatusPart part = {.name = "part <1>",
                       .labels = "server=\"test\"",
                       .calls = calls,
                       .tell = tell,
                       .user_data = (gpointer)(gsize)told};
    char *page;

    status_add(status, &part);
    record(calls, told, told);
    page = status_page(status, ask);
    status_free(status);
    calls_free(calls);
    return page;
}

/* Everything that an operator looks for is on the page. */
static void
test_page(void)
{
    static const char *const wanted[] = {
        "<title>comb-test: ready</title>",
        "A daemon.",
        "part &lt;1&gt;",
        "<dt>A fact</dt><dd>told</dd>",
        "2.00 KiB",
        "an unknown number of events, 1.500 s",
        "told its ends 90 s ago",
        "<td class=\"n\">55</td><td class=\"n\">15</td>",
        "<td class=\"n soft\">unknown</td>",
        "getDashboard</code>",
        "Not called: getTimeline, unknown.",
        "<code>4711</code>",
        "12.35 ms",
        "3 of at most 100",
        "Resident",
        "<dt>name</dt><dd>n</dd>",
        "<dt>seconds</dt><dd>3 s</dd>",
        "<dt>flag</dt><dd>true</dd>",
    };
    char name[] = "n";
    TestOptions options = {.name = name, .seconds = 3, .flag = TRUE};
    StatusAsk ask = {NULL, NULL, 0};
    g_autofree char *page = make_page(&options, "told", &ask);

    for (gsize i = 0; i < G_N_ELEMENTS(wanted); i++) {
        assert_has(page, wanted[i]);
    }
    assert_hasnt(page, "http-equiv");
    g_assert_true(g_utf8_validate(page, -1, NULL));
}

/* Callers, traces, facts, settings and reasons cannot write HTML. */
static void
test_hostile(void)
{
    char name[] = HOSTILE;
    TestOptions options = {.name = name};
    StatusAsk ask = {HOSTILE, HOSTILE, 5};
    g_autofree char *page = make_page(&options, HOSTILE, &ask);

    assert_hasnt(page, "<script");
    assert_hasnt(page, "</td><script");
    assert_has(page, "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)");
    assert_has(page, "<meta http-equiv=\"refresh\" content=\"5\">");
    g_assert_true(g_utf8_validate(page, -1, NULL));
}

/* A secret is not told; that it is there is. */
static void
test_secret(void)
{
    char key[] = "hunter2";
    TestOptions options = {.tls_key = key};
    StatusAsk ask = {NULL, "applying the log", 0};
    g_autofree char *page = make_page(&options, "told", &ask);

    assert_hasnt(page, "hunter2");
    assert_has(page, "<dt>tls-key</dt><dd>given, not shown</dd>");
    assert_has(page, "<dt>name</dt><dd>not given</dd>");
    assert_has(page, "not ready: applying the log");
}

/* The metrics that every daemon has beside its tables. */
static void
test_metrics(void)
{
    TestOptions options = {0};
    Status *status = status_new("test", "A daemon.", settings, &options);
    g_autoptr(GString) text = g_string_new(NULL);

    status_metrics(status, text);
    assert_has(text->str, "\ncomb_build_info{daemon=\"test\",version=\"");
    assert_has(text->str, "\n# TYPE comb_call_seconds histogram\n");
    assert_has(text->str, "\nprocess_resident_memory_bytes ");
    status_free(status);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/statuspage/escape", test_escape);
    g_test_add_func("/statuspage/units", test_units);
    g_test_add_func("/statuspage/refresh", test_refresh);
    g_test_add_func("/statuspage/page", test_page);
    g_test_add_func("/statuspage/hostile", test_hostile);
    g_test_add_func("/statuspage/secret", test_secret);
    g_test_add_func("/statuspage/metrics", test_metrics);
    return g_test_run();
}
