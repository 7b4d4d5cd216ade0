/*
 * statuspage.c - see statuspage.h
 *
 * Top to bottom: is it well, what is it, each part (lag, calls, users, the
 * slowest, connections), memory, settings. Tables that may be wider than a
 * telephone scroll in a box of their own, so that the page never does.
 */
#include "ops/kit/statuspage.h"

#include "ops/kit/html.h"
#include "ops/kit/statuscalls.h"
#include "ops/kit/table.h"

#include <string.h>

#define REFRESH_MAX 3600
/* From when on the log's ends are called old. */
#define OLD_MS 1000

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d8dee4;"
    "--paper:#fff;--good:#116329;--bad:#a40e26;--wait:#7d4e00}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;"
    "--line:#30363d;--paper:#0d1117;--good:#56d364;--bad:#ff7b72;"
    "--wait:#e3b341}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:1160px;padding:16px;background:var(--paper);"
    "color:var(--ink);font:15px/1.45 system-ui,sans-serif}"
    "h1{font-size:1.5em;margin:0 0 4px}h2{font-size:1.2em;margin:28px 0 8px;"
    "padding-top:12px;border-top:1px solid var(--line)}"
    "h3{font-size:1em;margin:18px 0 6px}"
    "p{margin:4px 0}.soft,dt,thead th{color:var(--soft)}"
    ".good{color:var(--good)}.bad{color:var(--bad)}.wait{color:var(--wait)}"
    ".state{font-size:1.15em;font-weight:600;overflow-wrap:anywhere}"
    "nav{line-height:1.9}nav a{margin-right:12px}a{color:inherit}"
    ".two{display:grid;gap:18px 40px;grid-template-columns:minmax(0,1fr)}"
    ".two+.two{margin-top:18px}"
    ".two>div{min-width:0}.two>div>h3:first-child{margin-top:0}"
    ".wide{overflow-x:auto;max-width:100%}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:3px 14px 3px 0;text-align:left;vertical-align:top;"
    "font-weight:400;white-space:nowrap}.n{text-align:right}"
    "thead th{border-bottom:1px solid var(--line)}"
    "tbody+tbody tr:first-child th{border-top:1px solid var(--line)}"
    "code{font:13px ui-monospace,monospace}"
    ".x{white-space:normal;min-width:9em;overflow-wrap:anywhere}"
    "dl{display:grid;grid-template-columns:minmax(110px,230px) 1fr;margin:0;"
    "gap:2px 12px}dd{margin:0;overflow-wrap:anywhere}"
    "@media(min-width:900px){.two{grid-template-columns:1fr 1fr}}"
    "@media(max-width:560px){body{padding:12px;font-size:14px}"
    "th,td{padding-right:9px}dl{grid-template-columns:minmax(90px,42%) 1fr}}";

guint
statuspage_refresh(const char *query)
{
    g_auto(GStrv) fields = g_strsplit(query != NULL ? query : "", "&", 16);
    guint64 seconds;

    for (guint i = 0; fields[i] != NULL; i++) {
        if (g_str_has_prefix(fields[i], "refresh=") &&
            g_ascii_string_to_unsigned(fields[i] + strlen("refresh="), 10, 1,
                                       REFRESH_MAX, &seconds, NULL)) {
            return (guint)seconds;
        }
    }
    return 0;
}

/* ---- pieces ---- */

static void
term(GString *out, const char *name, const char *text)
{
    g_string_append(out, "<dt>");
    html_text(out, name);
    g_string_append(out, "</dt><dd>");
    html_text(out, text);
    g_string_append(out, "</dd>\n");
}

static void G_GNUC_PRINTF(3, 4)
    term_printf(GString *out, const char *name, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    term(out, name, text);
}

static void
term_bytes(GString *out, const char *name, gint64 bytes)
{
    g_autoptr(GString) text = g_string_new(NULL);

    html_bytes(text, bytes);
    term(out, name, text->str);
}

static void
term_duration(GString *out, const char *name, gint64 us)
{
    g_autoptr(GString) text = g_string_new(NULL);

    html_duration(text, us);
    term(out, name, text->str);
}

/* ---- the top ---- */

static const char *
state_class(const StatusView *view)
{
    if (view->unhealthy != NULL) {
        return "bad";
    }
    return view->unready != NULL ? "wait" : "good";
}

/* As text; for the title and for the top of the page. */
static char *
state_text(const StatusView *view)
{
    if (view->unhealthy != NULL) {
        return g_strconcat("not healthy: ", view->unhealthy, NULL);
    }
    if (view->unready != NULL) {
        return g_strconcat("not ready: ", view->unready, NULL);
    }
    return g_strdup("ready");
}

static void
write_head(GString *out, const StatusView *view, const char *state)
{
    g_string_append(out, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                         "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                         "content=\"width=device-width, initial-scale=1\">\n");
    if (view->refresh_s > 0) {
        g_string_append_printf(out,
                               "<meta http-equiv=\"refresh\" content=\"%u\">\n",
                               view->refresh_s);
    }
    g_string_append(out, "<link rel=\"icon\" href=\"data:,\">\n<title>");
    html_printf(out, "comb-%s: %s", view->daemon, state);
    g_string_append_printf(out, "</title>\n<style>%s</style></head>\n<body>\n",
                           style);
}

static void
write_links(GString *out, const StatusView *view)
{
    g_string_append(out, "<nav>");
    for (guint i = 0; view->n_sections > 1 && i < view->n_sections; i++) {
        g_string_append_printf(out, "<a href=\"#part%u\">", i);
        html_text(out, view->sections[i]->name);
        g_string_append(out, "</a> ");
    }
    g_string_append(out, "<a href=\"#memory\">memory</a> "
                         "<a href=\"#settings\">settings</a> "
                         "<a href=\"/metrics\">/metrics</a> ");
    g_string_append(out, view->refresh_s > 0
                             ? "<a href=\"/status\">stop reloading</a>"
                             : "<a href=\"/status?refresh=5\">reload every "
                               "5 s</a>");
    g_string_append(out, "</nav>\n");
}

static void
write_top(GString *out, const StatusView *view)
{
    const BuildInfo *build = view->build;
    g_autofree char *state = state_text(view);

    write_head(out, view, state);
    g_string_append(out, "<h1>comb-");
    html_text(out, view->daemon);
    g_string_append_printf(out, "</h1>\n<p class=\"state %s\">",
                           state_class(view));
    html_text(out, state);
    g_string_append(out, "</p>\n<p>");
    html_text(out, view->summary);
    g_string_append(out, "</p>\n");
    write_links(out, view);
    g_string_append(out, "<h2>What it is</h2>\n<dl>\n");
    term_printf(out, "Version", "%s (%s)", build->version, build->commit);
    term(out, "Compiler", build->compiler);
    term(out, "Sanitizer", build->sanitizer);
    term_printf(out, "Process", "%" G_GINT64_FORMAT, view->pid);
    g_string_append(out, "<dt>Started</dt><dd>");
    html_time(out, view->usage.started_ms);
    g_string_append(out, "</dd>\n");
    term_duration(out, "Running for",
                  (view->now_ms - view->usage.started_ms) * 1000);
    g_string_append(out, "<dt>This page is of</dt><dd>");
    html_time(out, view->now_ms);
    g_string_append(out, "</dd>\n</dl>\n");
}

/* ---- the log ---- */

static gint64
behind(const SectionPartition *partition)
{
    return partition->next < 0 || partition->end < 0
               ? -1
               : MAX(partition->end - partition->next, 0);
}

/* Whether anybody applies what is in them. */
static gboolean
is_applied(const GArray *partitions)
{
    return g_array_index(partitions, SectionPartition, 0).next >= 0;
}

static void
write_partitions(GString *out, const GArray *partitions)
{
    static const char *const applied[] = {
        "partition", "kept from", "applied to", "log's end", "behind", NULL};
    static const char *const appended[] = {"partition", "kept from",
                                           "log's end", NULL};
    gboolean reads = is_applied(partitions);

    table_begin(out, reads ? applied : appended, "nnnnn");
    g_string_append(out, "<tbody>\n");
    for (guint i = 0; i < partitions->len; i++) {
        const SectionPartition *it =
            &g_array_index(partitions, SectionPartition, i);

        g_string_append_printf(out, "<tr><td class=\"n\">%u</td>",
                               it->partition);
        table_number(out, it->first);
        if (reads) {
            table_number(out, it->next);
        }
        table_number(out, it->end);
        if (reads) {
            table_number(out, behind(it));
        }
        g_string_append(out, "</tr>\n");
    }
    g_string_append(out, "</tbody>");
    table_end(out);
}

/* The sum of what is behind, or -1. */
static gint64
all_behind(const GArray *partitions)
{
    gint64 events = 0;

    for (guint i = 0; i < partitions->len; i++) {
        gint64 more = behind(&g_array_index(partitions, SectionPartition, i));

        if (more < 0) {
            return -1;
        }
        events += more;
    }
    return events;
}

static void
write_lag(GString *out, const Section *section)
{
    gint64 events = all_behind(section->partitions);

    g_string_append(out, "<p>Behind the log by ");
    if (events >= 0) {
        g_string_append_printf(out, "%" G_GINT64_FORMAT " events", events);
    } else {
        g_string_append(out, "an unknown number of events");
    }
    if (section->lag_ms >= 0) {
        g_string_append_printf(out, ", %.3f s", (double)section->lag_ms / 1000);
    }
    g_string_append(out, ".</p>\n");
}

static void
write_log(GString *out, const Section *section)
{
    g_string_append(out, "<h3>Lag and positions</h3>\n");
    if (section->partitions->len == 0) {
        g_string_append(out, "<p class=\"soft\">It reads no partition of the "
                             "log.</p>\n");
        return;
    }
    if (is_applied(section->partitions)) {
        write_lag(out, section);
    }
    if (section->log_age_ms < 0) {
        g_string_append(out, "<p class=\"wait\">The log has not told its ends "
                             "yet.</p>\n");
    } else if (section->log_age_ms >= OLD_MS) {
        g_string_append(out, "<p class=\"wait\">The log told its ends ");
        html_duration(out, section->log_age_ms * 1000);
        g_string_append(out, " ago.</p>\n");
    }
    write_partitions(out, section->partitions);
}

/* ---- parts and the rest ---- */

static void
write_connections(GString *out, const SectionConnections *it)
{
    g_string_append(out, "<h3>Connections</h3>\n<dl>\n");
    term_printf(out, "Open",
                "%" G_GUINT64_FORMAT " of at most %" G_GUINT64_FORMAT, it->open,
                it->max);
    term_printf(out, "Accepted so far", "%" G_GUINT64_FORMAT, it->accepted);
    term_printf(out, "Refused, too many", "%" G_GUINT64_FORMAT, it->refused);
    term_printf(out, "Closed for a fault", "%" G_GUINT64_FORMAT, it->faulty);
    term_printf(out, "Closed for stalling", "%" G_GUINT64_FORMAT, it->stalled);
    g_string_append(out, "</dl>\n");
}

static void
write_facts(GString *out, const Section *section)
{
    g_string_append(out, "<dl>\n");
    for (guint i = 0; i < section->facts->len; i++) {
        const SectionFact *fact = g_ptr_array_index(section->facts, i);

        term(out, fact->name, fact->text);
    }
    g_string_append(out, "</dl>\n");
}

/* Beside each other where there is room: facts and the log, then calls and
   who they are about. */
static void
write_section(GString *out, const Section *section, guint number)
{
    g_string_append_printf(out, "<h2 id=\"part%u\">", number);
    html_text(out, section->name);
    g_string_append(out, "</h2>\n<div class=\"two\"><div>\n");
    write_facts(out, section);
    if (section->has_server) {
        write_connections(out, &section->connections);
    }
    g_string_append(out, "</div><div>\n");
    write_log(out, section);
    g_string_append(out, "</div></div>\n");
    if (section->has_calls) {
        g_string_append(out, "<div class=\"two\"><div>\n");
        statuscalls_methods(out, &section->calls);
        g_string_append(out, "</div><div>\n");
        statuscalls_hottest(out, &section->calls);
        g_string_append(out, "</div></div>\n");
        statuscalls_slowest(out, &section->calls);
    }
}

static void
write_memory(GString *out, const Usage *usage)
{
    g_string_append(out, "<h2 id=\"memory\">Memory</h2>\n<dl>\n");
    term_bytes(out, "Resident", usage->resident_bytes);
    term_bytes(out, "Resident at most", usage->resident_peak_bytes);
    term_bytes(out, "Address space", usage->virtual_bytes);
    term_printf(out, "Threads", "%" G_GINT64_FORMAT, usage->threads);
    term_printf(out, "Open files", "%" G_GINT64_FORMAT, usage->open_fds);
    term_duration(out, "Processor time", usage->cpu_us);
    g_string_append(out, "</dl>\n");
}

static void
write_settings(GString *out, const StatusView *view)
{
    g_string_append(out, "<h2 id=\"settings\">Settings</h2>\n<dl>\n");
    for (guint i = 0; i < view->n_settings; i++) {
        const StatusSetting *it = &view->settings[i];

        term(out, it->name, it->text != NULL ? it->text : "not given");
    }
    g_string_append(out, "</dl>\n");
}

char *
statuspage_render(const StatusView *view)
{
    GString *out = g_string_sized_new(16384);

    write_top(out, view);
    for (guint i = 0; i < view->n_sections; i++) {
        write_section(out, view->sections[i], i);
    }
    write_memory(out, &view->usage);
    write_settings(out, view);
    g_string_append(out, "</body></html>\n");
    return g_string_free(out, FALSE);
}
