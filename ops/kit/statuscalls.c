/*
 * statuscalls.c - see statuscalls.h
 */
#include "ops/kit/statuscalls.h"

#include "ops/kit/html.h"
#include "ops/kit/table.h"

static void
write_window(GString *out, const CallsWindow *window, guint length_s)
{
    double rate = (double)window->calls * G_USEC_PER_SEC / (double)window->us;

    g_string_append(out, "<td class=\"n soft\">");
    if (length_s < 60) {
        g_string_append_printf(out, "%u s", length_s);
    } else {
        g_string_append_printf(out, "%u min", length_s / 60);
    }
    g_string_append_printf(out, "</td><td class=\"n\">%.*f</td>",
                           rate < 10 ? 2 : 0, rate);
    if (window->calls == 0) {
        g_string_append(out, "<td class=\"n soft\">-</td><td class=\"n soft\">-"
                             "</td><td class=\"n soft\">-</td>");
        return;
    }
    table_duration(out, window->p50_us);
    table_duration(out, window->p99_us);
    table_duration(out, window->max_us);
}

static void
write_method(GString *out, const CallsMethod *method)
{
    g_string_append(out, "<tbody><tr><th scope=\"rowgroup\" colspan=\"5\">"
                         "<code>");
    html_text(out, method->name);
    g_string_append_printf(out,
                           "</code> <span class=\"soft\">%" G_GUINT64_FORMAT
                           " so far</span></th></tr>\n",
                           method->calls);
    for (guint i = 0; i < CALLS_WINDOWS; i++) {
        g_string_append(out, "<tr>");
        write_window(out, &method->window[i], calls_window_s(i));
        g_string_append(out, "</tr>\n");
    }
    g_string_append(out, "</tbody>\n");
}

void
statuscalls_methods(GString *out, const CallsView *calls)
{
    static const char *const heads[] = {"last", "calls/s", "p50",
                                        "p99",  "longest", NULL};
    g_autoptr(GString) never = g_string_new(NULL);
    guint called = 0;

    g_string_append(out, "<h3>Rates and latencies</h3>\n");
    for (guint i = 0; i < calls->n_methods; i++) {
        if (calls->methods[i].calls == 0) {
            g_string_append_printf(never, "%s%s", never->len > 0 ? ", " : "",
                                   calls->methods[i].name);
            continue;
        }
        if (called++ == 0) {
            table_begin(out, heads, "nnnnn");
        }
        write_method(out, &calls->methods[i]);
    }
    if (called > 0) {
        table_end(out);
    }
    if (never->len > 0) {
        g_string_append(out, "<p class=\"soft\">Not called: ");
        html_text(out, never->str);
        g_string_append(out, ".</p>\n");
    }
}

void
statuscalls_hottest(GString *out, const CallsView *calls)
{
    static const char *const heads[] = {"user", "calls", "share", NULL};

    g_string_append(out, "<h3>Hottest users</h3>\n");
    if (calls->n_hottest == 0) {
        g_string_append(out, "<p class=\"soft\">Nobody was asked about in the "
                             "last minutes.</p>\n");
        return;
    }
    g_string_append(out, "<p class=\"soft\">By calls about them in the last ");
    html_duration(out,
                  MAX(calls->hottest_us / G_USEC_PER_SEC, 1) * G_USEC_PER_SEC);
    g_string_append(out, "; estimates say at least and at most.</p>\n");
    table_begin(out, heads, "nnn");
    g_string_append(out, "<tbody>\n");
    for (guint i = 0; i < calls->n_hottest; i++) {
        const HeavyEntry *it = &calls->hottest[i];

        g_string_append_printf(out,
                               "<tr><td class=\"n\"><code>%" G_GINT64_FORMAT
                               "</code></td><td class=\"n\">",
                               it->key);
        if (it->error > 0) {
            g_string_append_printf(out, "%" G_GUINT64_FORMAT " to ",
                                   it->count - it->error);
        }
        g_string_append_printf(
            out,
            "%" G_GUINT64_FORMAT "</td><td class=\"n\">%.1f %%</td></tr>\n",
            it->count,
            100.0 * (double)it->count / (double)MAX(calls->with_user, 1));
    }
    g_string_append(out, "</tbody>");
    table_end(out);
}

static void
write_slow_call(GString *out, const CallsView *calls, const SlowCall *call)
{
    g_string_append(out, "<tr>");
    table_duration(out, call->us);
    table_text(out,
               call->method < calls->n_methods
                   ? calls->methods[call->method].name
                   : "unknown",
               FALSE);
    g_string_append(out, "<td class=\"n\"><code>");
    if (call->user != 0) {
        g_string_append_printf(out, "%" G_GINT64_FORMAT, call->user);
    }
    g_string_append(out, "</code></td>");
    table_text(out, call->caller, TRUE);
    g_string_append(out, "<td class=\"n\">");
    html_clock(out, call->wall_ms);
    g_string_append(out, "</td>");
    table_text(out, call->trace, TRUE);
    g_string_append(out, "</tr>\n");
}

void
statuscalls_slowest(GString *out, const CallsView *calls)
{
    static const char *const heads[] = {"took",      "method", "user", "caller",
                                        "when, UTC", "trace",  NULL};

    g_string_append(out, "<h3>Slowest calls of the last hour</h3>\n");
    if (calls->n_slowest == 0) {
        g_string_append(out, "<p class=\"soft\">None was answered.</p>\n");
        return;
    }
    table_begin(out, heads, "n n n ");
    g_string_append(out, "<tbody>\n");
    for (guint i = 0; i < calls->n_slowest; i++) {
        write_slow_call(out, calls, &calls->slowest[i]);
    }
    g_string_append(out, "</tbody>");
    table_end(out);
}
