#include "ops/combctl/bench_report.h"

#include "ops/combctl/text.h"

#include <jansson.h>
#include <stdio.h>

#define US(ns) ((double)(ns) / 1000)

static const char *const method_names[BENCH_METHODS] = {
    [BENCH_DASHBOARD] = "dashboard",
    [BENCH_TIMELINE] = "timeline",
    [BENCH_POSTS] = "posts",
};

/* Percentiles that are told, and their keys. */
static const struct {
    const char *key;
    const char *name;
    double percent;
} ranks[] = {
    {"p50_us", "p50", 50},
    {"p90_us", "p90", 90},
    {"p99_us", "p99", 99},
    {"p999_us", "p99.9", 99.9},
};

const char *
method_name(BenchMethod method)
{
    return method_names[method];
}

static guint64
answers_all(const LoadResult *result)
{
    guint64 n = 0;
    for (guint i = 0; i < ANSWER_KINDS; i++) {
        n += result->answers[i];
    }
    return n;
}

/* Of all methods. Owns: gives. */
static Latency *
latency_all(const LoadResult *result)
{
    Latency *all = latency_new();
    for (guint i = 0; i < BENCH_METHODS; i++) {
        latency_merge(all, result->latency[i]);
    }
    return all;
}

static double
per_second(const LoadResult *result, guint64 n)
{
    return (double)n / result->seconds;
}

static double
per_call(double value, guint64 n)
{
    return n == 0 ? 0 : value / (double)n;
}

/* ---- JSON ---- */

static json_t *
latency_json(const Latency *latency)
{
    json_t *object = json_object();
    for (guint i = 0; i < G_N_ELEMENTS(ranks); i++) {
        json_object_set_new(
            object, ranks[i].key,
            json_real(US(latency_percentile(latency, ranks[i].percent))));
    }
    json_object_set_new(object, "max_us", json_real(US(latency_max(latency))));
    json_object_set_new(object, "mean_us",
                        json_real(latency_mean(latency) / 1000));
    return object;
}

static json_t *
exceptions_json(const LoadResult *result)
{
    json_t *object = json_object();
    for (guint i = ANSWER_INVALID; i < ANSWER_KINDS; i++) {
        json_object_set_new(object, answer_name((AnswerKind)i),
                            json_integer((json_int_t)result->answers[i]));
    }
    return object;
}

static json_t *
methods_json(const LoadResult *result)
{
    json_t *object = json_object();
    for (guint i = 0; i < BENCH_METHODS; i++) {
        guint64 n = latency_count(result->latency[i]);
        if (n > 0) {
            json_t *one = latency_json(result->latency[i]);
            json_object_set_new(one, "calls", json_integer((json_int_t)n));
            json_object_set_new(object, method_names[i], one);
        }
    }
    return object;
}

static json_t *
counts_json(const LoadResult *result)
{
    guint64 good = result->answers[ANSWER_GOOD];
    guint64 all = answers_all(result);
    return json_pack(
        "{s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "calls",
        (json_int_t)good, "exceptions", (json_int_t)(all - good), "calls_per_s",
        per_second(result, result->in_window), "bytes_per_s",
        per_second(result, result->bytes_in), "entries_per_call",
        per_call((double)result->entries, good), "client_cpu_us_per_call",
        per_call(result->cpu_us, result->in_window), "incomplete",
        (json_int_t)result->incomplete, "unanswered",
        (json_int_t)result->unanswered, "unsent", (json_int_t)result->unsent,
        "broken_connections", (json_int_t)result->broken);
}

void
report_json(const LoadOptions *options, const LoadResult *result)
{
    g_autoptr(Latency) all = latency_all(result);
    json_auto_t *object = json_pack(
        "{s:s, s:s, s:i, s:i, s:f, s:b}", "address", options->address, "loop",
        options->rate > 0 ? "open" : "closed", "connections",
        (int)options->connections, "depth", (int)options->depth, "seconds",
        result->seconds, "interrupted", result->interrupted);
    json_auto_t *counts = counts_json(result);
    json_auto_t *latency = latency_json(all);
    json_object_update(object, counts);
    json_object_update(object, latency);
    json_object_set_new(object, "exceptions_by_kind", exceptions_json(result));
    json_object_set_new(object, "methods", methods_json(result));
    if (options->rate > 0) {
        json_object_set_new(object, "rate", json_real(options->rate));
        json_object_set_new(
            object, "sent_late_p99_us",
            json_real(US(latency_percentile(result->late, 99))));
    }
    if (latency_count(result->refused) > 0) {
        json_object_set_new(object, "refused", latency_json(result->refused));
    }
    if (result->fault != NULL) {
        json_object_set_new(object, "fault", json_string(result->fault));
    }
    json_dumpf(object, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
}

/* ---- text ---- */

static void
print_latency(const char *name, const Latency *latency)
{
    printf("%-12s", name);
    for (guint i = 0; i < G_N_ELEMENTS(ranks); i++) {
        printf(" %s %.0f us ", ranks[i].name,
               US(latency_percentile(latency, ranks[i].percent)));
    }
    printf(" max %.0f us\n", US(latency_max(latency)));
}

static void
print_troubles(const LoadOptions *options, const LoadResult *result)
{
    for (guint i = ANSWER_INVALID; i < ANSWER_KINDS; i++) {
        if (result->answers[i] > 0) {
            g_autofree char *n = text_count(result->answers[i]);
            printf("%-12s %s\n", answer_name((AnswerKind)i), n);
        }
    }
    if (result->fault != NULL) {
        printf("malformed: %s\n", result->fault);
    }
    if (result->incomplete > 0) {
        g_autofree char *n = text_count(result->incomplete);
        printf("incomplete   %s pages\n", n);
    }
    if (result->unanswered > 0) {
        g_autofree char *n = text_count(result->unanswered);
        printf("unanswered   %s calls\n", n);
    }
    if (result->unsent > 0) {
        g_autofree char *n = text_count(result->unsent);
        printf("unsent       %s calls were due and found no room: %s does not "
               "keep up with %.0f/s\n",
               n, options->address, options->rate);
    }
    if (result->broken > 0) {
        printf("broken       %" G_GUINT64_FORMAT " connections, the last: %s\n",
               result->broken, result->broken_why);
    }
}

void
report_text(const LoadOptions *options, const LoadResult *result)
{
    g_autoptr(Latency) all = latency_all(result);
    guint64 good = result->answers[ANSWER_GOOD];
    g_autofree char *rate =
        text_count((guint64)per_second(result, result->in_window));
    g_autofree char *calls = text_count(good);
    printf("calls        %s/s (%s of those due in %.1f s%s)\n", rate, calls,
           result->seconds, result->interrupted ? ", interrupted" : "");
    printf("entries      %.1f a call, %.1f MB/s\n",
           per_call((double)result->entries, good),
           per_second(result, result->bytes_in) / 1e6);
    print_latency("latency", all);
    for (guint i = 0; i < BENCH_METHODS; i++) {
        guint64 n = latency_count(result->latency[i]);
        if (n > 0 && n < good) {
            print_latency(method_names[i], result->latency[i]);
        }
    }
    if (options->rate > 0) {
        printf("sent late    p99 %.0f us\n",
               US(latency_percentile(result->late, 99)));
    }
    if (latency_count(result->refused) > 0) {
        print_latency("refused in", result->refused);
    }
    printf("own CPU      %.2f us a call\n",
           per_call(result->cpu_us, result->in_window));
    print_troubles(options, result);
}
