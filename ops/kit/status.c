/*
 * status.c - see status.h
 *
 * The mutex guards the list of parts, and is held while they are asked, like
 * that of the metrics.
 */
#include "ops/kit/status.h"

#include "ops/kit/ensure.h"
#include "ops/kit/statuspage.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define CALL_SECONDS "comb_call_seconds"

/* As StatusPart; the strings are owned. */
typedef struct Part {
    char *name;
    char *labels;
    Calls *calls;
    StatusTell tell;
    gpointer user_data;
} Part;

struct Status {
    const char *daemon;
    const char *summary;
    const Setting *settings;
    gconstpointer options;
    gint64 started_ms;    /* since 1970 */
    pthread_mutex_t lock; /* guards @parts */
    GPtrArray *parts;     /* Part */
};

static void
part_free(gpointer data)
{
    Part *part = data;

    g_free(part->name);
    g_free(part->labels);
    g_free(part);
}

Status *
status_new(const char *daemon, const char *summary, const Setting *settings,
           gconstpointer options)
{
    Status *status = g_new0(Status, 1);

    status->daemon = daemon;
    status->summary = summary;
    status->settings = settings;
    status->options = options;
    status->started_ms = g_get_real_time() / 1000;
    ensure(pthread_mutex_init(&status->lock, NULL) == 0);
    status->parts = g_ptr_array_new_with_free_func(part_free);
    return status;
}

void
status_free(Status *status)
{
    g_ptr_array_unref(status->parts);
    pthread_mutex_destroy(&status->lock);
    g_free(status);
}

void
status_add(Status *status, const StatusPart *part)
{
    Part *own = g_new(Part, 1);

    *own = (Part){g_strdup(part->name), g_strdup(part->labels), part->calls,
                  part->tell, part->user_data};
    pthread_mutex_lock(&status->lock);
    g_ptr_array_add(status->parts, own);
    pthread_mutex_unlock(&status->lock);
}

void
status_tick(Status *status)
{
    gint64 now = g_get_monotonic_time();

    pthread_mutex_lock(&status->lock);
    for (guint i = 0; i < status->parts->len; i++) {
        const Part *part = g_ptr_array_index(status->parts, i);

        calls_tick(part->calls, now);
    }
    pthread_mutex_unlock(&status->lock);
}

/* ---- the page ---- */

static void
free_section(gpointer section)
{
    section_free(section);
}

static Section *
ask_part(const Part *part)
{
    Section *section = section_new(part->name);

    section->has_calls = TRUE;
    calls_view(part->calls, g_get_monotonic_time(), &section->calls);
    part->tell(section, part->user_data);
    return section;
}

static GPtrArray *
ask_parts(Status *status)
{
    GPtrArray *sections = g_ptr_array_new_with_free_func(free_section);

    pthread_mutex_lock(&status->lock);
    for (guint i = 0; i < status->parts->len; i++) {
        const Part *part = g_ptr_array_index(status->parts, i);

        g_ptr_array_add(sections, ask_part(part));
    }
    pthread_mutex_unlock(&status->lock);
    return sections;
}

/* StatusSetting, with texts in @texts. */
static GArray *
tell_settings(const Status *status, GPtrArray *texts)
{
    GArray *told = g_array_new(FALSE, FALSE, sizeof(StatusSetting));

    for (const Setting *it = status->settings; it->name != NULL; it++) {
        char *text = settings_text(it, status->options);
        StatusSetting setting = {it->name, text};

        if (text != NULL) {
            g_ptr_array_add(texts, text);
        }
        g_array_append_val(told, setting);
    }
    return told;
}

char *
status_page(Status *status, const StatusAsk *ask)
{
    g_autoptr(GPtrArray) sections = ask_parts(status);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) settings = tell_settings(status, texts);
    StatusView view = {
        .daemon = status->daemon,
        .summary = status->summary,
        .build = buildinfo_get(),
        .now_ms = g_get_real_time() / 1000,
        .pid = getpid(),
        .unhealthy = ask->unhealthy,
        .unready = ask->unready,
        .usage = {.started_ms = status->started_ms},
        .settings = (const StatusSetting *)(void *)settings->data,
        .n_settings = settings->len,
        .sections = (Section *const *)sections->pdata,
        .n_sections = sections->len,
        .refresh_s = ask->refresh_s,
    };

    usage_read(&view.usage);
    return statuspage_render(&view);
}

/* ---- for Prometheus ---- */

static void
append_label(GString *text, const char *name, const char *value)
{
    g_string_append_printf(text, "%s=\"", name);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            g_string_append_c(text, '\\');
        }
        g_string_append_c(text, *c == '\n' ? ' ' : *c);
    }
    g_string_append_c(text, '"');
}

static void
build_metric(const Status *status, GString *text)
{
    const BuildInfo *build = buildinfo_get();
    const struct {
        const char *name;
        const char *value;
    } labels[] = {
        {"daemon", status->daemon},      {"version", build->version},
        {"commit", build->commit},       {"compiler", build->compiler},
        {"sanitizer", build->sanitizer},
    };

    g_string_append(text, "# HELP comb_build_info What the daemon was made of; "
                          "always 1.\n# TYPE comb_build_info gauge\n"
                          "comb_build_info{");
    for (guint i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_string_append(text, i > 0 ? "," : "");
        append_label(text, labels[i].name, labels[i].value);
    }
    g_string_append(text, "} 1\n");
}

void
status_metrics(Status *status, GString *text)
{
    Usage usage = {.started_ms = status->started_ms};

    build_metric(status, text);
    g_string_append(text, "# HELP " CALL_SECONDS " Time from a whole call to "
                          "its answer, by method.\n"
                          "# TYPE " CALL_SECONDS " histogram\n");
    pthread_mutex_lock(&status->lock);
    for (guint i = 0; i < status->parts->len; i++) {
        const Part *part = g_ptr_array_index(status->parts, i);

        calls_metrics(part->calls, CALL_SECONDS, part->labels, text);
    }
    pthread_mutex_unlock(&status->lock);
    usage_read(&usage);
    usage_metrics(&usage, text);
}
