/*
 * test_bench.c - combctl bench: times, users, calls and answers
 */
#include "ops/combctl/bench_answer.h"
#include "ops/combctl/bench_latency.h"
#include "ops/combctl/bench_request.h"
#include "ops/combctl/bench_users.h"

#include "ops/kit/error.h"
#include "thrift/frame.h"

#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- times ---- */

/* Nothing recorded is told as nothing. */
static void
test_latency_empty(void)
{
    g_autoptr(Latency) latency = latency_new();
    g_assert_cmpuint(latency_count(latency), ==, 0);
    g_assert_cmpuint(latency_percentile(latency, 99), ==, 0);
    g_assert_cmpuint(latency_max(latency), ==, 0);
    g_assert_cmpfloat(latency_mean(latency), ==, 0);
}

/* Any value alone comes back within a thousandth, and never too small. */
static void
test_latency_precision(void)
{
    for (guint bit = 0; bit < 42; bit++) {
        for (gint off = -1; off <= 1; off++) {
            g_autoptr(Latency) latency = latency_new();
            guint64 value = (G_GUINT64_CONSTANT(1) << bit) + (guint64)off;
            guint64 greater = value + value / 1000 + 1;
            latency_add(latency, value);
            latency_add(latency, LATENCY_MAX_NS);
            guint64 told = latency_percentile(latency, 50);
            g_assert_cmpuint(told, >=, value);
            g_assert_cmpuint(told, <=, greater);
        }
    }
}

static int
compare(const void *a, const void *b)
{
    guint64 left = *(const guint64 *)a;
    guint64 right = *(const guint64 *)b;
    return (left > right) - (left < right);
}

/* Percentiles of many values are those of the sorted list, to a thousandth. */
static void
test_latency_percentiles(void)
{
    enum { N = 10007 };
    static const double percents[] = {0.001, 1, 50, 90, 99, 99.9, 99.999, 100};
    g_autofree guint64 *values = g_new(guint64, N);
    g_autoptr(Latency) latency = latency_new();
    Dice dice = {42};
    for (guint i = 0; i < N; i++) {
        values[i] = (guint64)exp(dice_unit(&dice) * 25);
        latency_add(latency, values[i]);
    }
    qsort(values, N, sizeof *values, compare);
    for (guint i = 0; i < G_N_ELEMENTS(percents); i++) {
        gsize rank = (gsize)ceil(N * percents[i] / 100);
        guint64 exact = values[MAX(rank, 1) - 1];
        guint64 told = latency_percentile(latency, percents[i]);
        g_assert_cmpuint(told, >=, exact);
        g_assert_cmpuint(told, <=, exact + exact / 1000 + 1);
    }
    g_assert_cmpuint(latency_max(latency), ==, values[N - 1]);
    g_assert_cmpuint(latency_percentile(latency, 100), ==, values[N - 1]);
}

/* Two together are as if all had been added to one. */
static void
test_latency_merge(void)
{
    g_autoptr(Latency) a = latency_new();
    g_autoptr(Latency) b = latency_new();
    for (guint i = 1; i <= 1000; i++) {
        latency_add(i % 2 == 0 ? a : b, i);
    }
    latency_merge(a, b);
    g_assert_cmpuint(latency_count(a), ==, 1000);
    g_assert_cmpuint(latency_percentile(a, 50), ==, 500);
    g_assert_cmpuint(latency_percentile(a, 99.9), ==, 999);
    g_assert_cmpfloat(latency_mean(a), ==, 500.5);
}

/* What takes longer than can be told counts, and the greatest stays exact. */
static void
test_latency_overflow(void)
{
    g_autoptr(Latency) latency = latency_new();
    latency_add(latency, G_MAXUINT64);
    g_assert_cmpuint(latency_count(latency), ==, 1);
    g_assert_cmpuint(latency_max(latency), ==, G_MAXUINT64);
    g_assert_cmpuint(latency_percentile(latency, 50), ==, LATENCY_MAX_NS);
}

/* ---- users ---- */

/* The range that is typed, and what is none. */
static void
test_users_range(void)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "0-5",
                                      "5-4",
                                      "1-",
                                      "a-b",
                                      "1-2-3",
                                      "-3",
                                      "1 - 2",
                                      "1-10000001",
                                      "1-9223372036854775808"};
    gint64 first = 0;
    gint64 last = 0;
    g_assert_true(users_parse_range("3-10000002", &first, &last));
    g_assert_cmpint(first, ==, 3);
    g_assert_cmpint(last, ==, 10000002);
    g_assert_true(users_parse_range("9223372036854775807", &first, &last));
    g_assert_cmpint(first, ==, G_MAXINT64);
    g_assert_cmpint(last, ==, G_MAXINT64);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(users_parse_range(bad[i], &first, &last));
    }
}

static GArray *
read_text(const char *content, GError **error)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("users-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(g_close(fd, NULL));
    g_assert_true(g_file_set_contents(path, content, -1, NULL));
    GArray *ids = users_read(path, error);
    g_unlink(path);
    return ids;
}

/* A file gives an id a line, and a bad line is named. */
static void
test_users_file(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) ids = read_text("7\n9223372036854775807\n3", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(ids->len, ==, 3);
    g_assert_cmpint(g_array_index(ids, gint64, 1), ==, G_MAXINT64);
    g_assert_null(read_text("7\n\n8\n", &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_INPUT);
    g_assert_nonnull(strstr(error->message, ":2:"));
    g_clear_error(&error);
    g_assert_null(read_text("", &error));
    g_assert_error(error, COMB_ERROR, COMB_ERROR_INPUT);
}

static Users *
make_users(guint n, double zipf, guint64 seed)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    for (gint64 id = 1; id <= n; id++) {
        g_array_append_val(ids, id);
    }
    return users_new(ids, zipf, seed);
}

/* Each rank comes as often as Zipf says: within five deviations. */
static void
test_users_zipf(void)
{
    enum { N = 50, DRAWS = 200000 };
    static const double exponents[] = {0, 0.5, 0.8, 1, 1.5, 5};
    for (guint e = 0; e < G_N_ELEMENTS(exponents); e++) {
        g_autoptr(Users) users = make_users(N, exponents[e], 7);
        guint seen[N + 1] = {0};
        double sum = 0;
        for (guint i = 0; i < DRAWS; i++) {
            seen[users_draw(users)]++;
        }
        for (guint rank = 1; rank <= N; rank++) {
            sum += pow(rank, -exponents[e]);
        }
        for (guint rank = 1; rank <= N; rank++) {
            gint64 id = g_array_index(users_ids(users), gint64, rank - 1);
            double share = pow(rank, -exponents[e]) / sum;
            double want = DRAWS * share;
            double off = fabs(seen[id] - want);
            g_assert_cmpfloat(off, <=, 5 * sqrt(want * (1 - share)) + 1);
        }
    }
}

/* The seed decides who comes, and in which order. */
static void
test_users_seed(void)
{
    g_autoptr(Users) a = make_users(1000, 0.8, 1);
    g_autoptr(Users) b = make_users(1000, 0.8, 1);
    g_autoptr(Users) c = make_users(1000, 0.8, 2);
    guint same = 0;
    for (guint i = 0; i < 100; i++) {
        gint64 id = users_draw(a);
        g_assert_cmpint(id, ==, users_draw(b));
        same += id == users_draw(c) ? 1 : 0;
    }
    g_assert_cmpuint(same, <, 20);
}

/* ---- calls ---- */

static const RequestForm form = {20, 1500, "tester"};

static GByteArray *
encode(BenchMethod method, const gint64 *ids)
{
    RequestPattern pattern;
    GByteArray *out = g_byte_array_new();
    request_pattern_init(&pattern, method, &form);
    request_write(&pattern, 77, ids, out);
    request_pattern_clear(&pattern);
    return out;
}

static void
assert_text(WireBytes bytes, const char *text)
{
    g_assert_cmpuint(bytes.len, ==, strlen(text));
    g_assert_cmpint(memcmp(bytes.data, text, bytes.len), ==, 0);
}

/* The message scans, and everything is at its place. */
static void
test_request_page(void)
{
    gint64 user = 0x0102030405060708;
    g_autoptr(GByteArray) out = encode(BENCH_TIMELINE, &user);
    Frame frame;
    WireReader reader;
    WireField field;
    guint32 len;
    memcpy(&len, out->data, sizeof len);
    g_assert_cmpuint(GUINT32_FROM_BE(len), ==, out->len - 4);
    g_assert_cmpint(frame_scan(out->data + 4, out->len - 4, &frame), ==,
                    FRAME_OK);
    g_assert_cmpint(frame.kind, ==, FRAME_CALL);
    assert_text(frame.method, "getTimeline");
    g_assert_cmpint(frame.seqid, ==, 77);
    g_assert_cmpint(frame_i64(&frame, 1, 0), ==, user);
    g_assert_true(frame_struct(&frame, 2, &reader));
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpint(field.id, ==, 2);
    g_assert_cmpint(wire_read_i32(&reader), ==, 20);
    g_assert_true(frame_struct(&frame, 15, &reader));
    g_assert_true(wire_read_field(&reader, &field));
    assert_text(wire_read_bytes(&reader), "tester");
    g_assert_true(wire_read_field(&reader, &field));
    g_assert_cmpint(wire_read_i32(&reader), ==, 1500);
}

/* Every id of a getPosts is filled in. */
static void
test_request_posts(void)
{
    gint64 ids[20];
    for (gint i = 0; i < 20; i++) {
        ids[i] = 1000 + i;
    }
    g_autoptr(GByteArray) out = encode(BENCH_POSTS, ids);
    Frame frame;
    WireReader reader;
    WireType type;
    g_assert_cmpint(frame_scan(out->data + 4, out->len - 4, &frame), ==,
                    FRAME_OK);
    wire_reader_init(&reader, frame.field[2].value.data,
                     frame.field[2].value.len);
    g_assert_cmpuint(wire_read_list(&reader, &type), ==, 20);
    for (gint i = 0; i < 20; i++) {
        g_assert_cmpint(wire_read_i64(&reader), ==, ids[i]);
    }
}

/* ---- answers ---- */

/* A result up to its one field's value. */
static GByteArray *
begin_result(gint16 field)
{
    GByteArray *message = g_byte_array_new();
    WireBytes method = {(const guint8 *)"getDashboard", 12};
    frame_begin(message, FRAME_REPLY, method, 5);
    wire_write_field(message, WIRE_STRUCT, field);
    return message;
}

/* An Entry of a post. */
static void
write_entry(GByteArray *out, gint64 id)
{
    wire_write_field(out, WIRE_STRUCT, 1);
    wire_field_i64(out, 1, id);
    wire_field_i64(out, 2, 9);
    wire_field_string(out, 4, "body");
    wire_write_stop(out);
    wire_field_i32(out, 2, 1);
    wire_write_stop(out);
}

/* A page with these posts. */
static GByteArray *
make_page(const gint64 *ids, guint n, gboolean complete)
{
    GByteArray *message = begin_result(0);
    wire_write_field(message, WIRE_LIST, 1);
    wire_write_list(message, WIRE_STRUCT, n);
    for (guint i = 0; i < n; i++) {
        write_entry(message, ids[i]);
    }
    wire_field_string(message, 2, "older");
    wire_field_i32(message, 4, 1);
    wire_field_bool(message, 5, complete);
    wire_field_i64(message, 6, 4);
    wire_write_stop(message);
    wire_write_stop(message);
    return message;
}

static Answer
read_answer(const GByteArray *message, gboolean check, guint limit)
{
    AnswerAsked asked = {BENCH_DASHBOARD, limit, check};
    return answer_read((WireBytes){message->data, message->len}, &asked);
}

/* A page's entries and whether it is complete, checked and unchecked. */
static void
test_answer_page(void)
{
    static const gint64 ids[] = {30, 20, 10};
    for (gint check = 0; check <= 1; check++) {
        for (gint complete = 0; complete <= 1; complete++) {
            g_autoptr(GByteArray) message = make_page(ids, 3, complete);
            Answer answer = read_answer(message, check, 20);
            g_assert_cmpint(answer.kind, ==, ANSWER_GOOD);
            g_assert_cmpint(answer.seqid, ==, 5);
            g_assert_cmpuint(answer.entries, ==, 3);
            g_assert_cmpint(answer.complete, ==, complete);
            g_assert_null(answer.fault);
        }
    }
}

/* Each exception is told by its kind, Thrift's own too. */
static void
test_answer_exceptions(void)
{
    for (gint16 i = ANSWER_INVALID; i <= ANSWER_DENIED; i++) {
        g_autoptr(GByteArray) message = begin_result(i);
        wire_write_stop(message);
        wire_write_stop(message);
        g_assert_cmpint(read_answer(message, TRUE, 20).kind, ==, i);
    }
    g_autoptr(GByteArray) message = g_byte_array_new();
    frame_begin(message, FRAME_EXCEPTION, (WireBytes){(const guint8 *)"x", 1},
                5);
    wire_write_stop(message);
    g_assert_cmpint(read_answer(message, TRUE, 20).kind, ==,
                    ANSWER_APPLICATION);
}

/* --check finds what a service must not answer. */
static void
test_answer_check(void)
{
    static const gint64 twice[] = {30, 20, 20};
    static const gint64 rising[] = {10, 20};
    static const gint64 nobody[] = {30, 0};
    static const struct {
        const gint64 *ids;
        guint n;
        guint limit;
        const char *fault;
    } rows[] = {
        {twice, 3, 20, "newest first"},
        {rising, 2, 20, "newest first"},
        {nobody, 2, 20, "whole post"},
        {twice, 2, 1, "more entries"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) message = make_page(rows[i].ids, rows[i].n, TRUE);
        Answer answer = read_answer(message, TRUE, rows[i].limit);
        g_assert_cmpint(answer.kind, ==, ANSWER_MALFORMED);
        g_assert_nonnull(strstr(answer.fault, rows[i].fault));
        answer = read_answer(message, FALSE, rows[i].limit);
        g_assert_cmpint(answer.kind, ==, ANSWER_GOOD);
    }
}

/* An answer that is cut anywhere is malformed, and nothing beyond it is read
   (which the sanitizer watches). */
static void
test_answer_cut(void)
{
    static const gint64 ids[] = {30, 20, 10};
    g_autoptr(GByteArray) message = make_page(ids, 3, TRUE);
    for (guint len = 0; len < message->len; len++) {
        g_autofree guint8 *part = g_memdup2(message->data, len);
        AnswerAsked asked = {BENCH_DASHBOARD, 20, TRUE};
        Answer answer = answer_read((WireBytes){part, len}, &asked);
        g_assert_cmpint(answer.kind, ==, ANSWER_MALFORMED);
        asked.check = FALSE;
        (void)answer_read((WireBytes){part, len}, &asked);
    }
}

/* Posts: found and missing must be as many as were asked for. */
static void
test_answer_posts(void)
{
    g_autoptr(GByteArray) message = begin_result(0);
    AnswerAsked asked = {BENCH_POSTS, 3, TRUE};
    wire_write_field(message, WIRE_LIST, 1);
    wire_write_list(message, WIRE_STRUCT, 1);
    wire_field_i64(message, 1, 4);
    wire_field_i64(message, 2, 9);
    wire_write_stop(message);
    wire_write_field(message, WIRE_LIST, 2);
    wire_write_list(message, WIRE_I64, 2);
    wire_write_i64(message, 5);
    wire_write_i64(message, 6);
    wire_write_stop(message);
    wire_write_stop(message);
    WireBytes bytes = {message->data, message->len};
    Answer answer = answer_read(bytes, &asked);
    g_assert_cmpint(answer.kind, ==, ANSWER_GOOD);
    g_assert_cmpuint(answer.entries, ==, 1);
    asked.limit = 4;
    g_assert_cmpint(answer_read(bytes, &asked).kind, ==, ANSWER_MALFORMED);
    asked.check = FALSE;
    answer = answer_read(bytes, &asked);
    g_assert_cmpint(answer.kind, ==, ANSWER_GOOD);
    g_assert_cmpuint(answer.entries, ==, 1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench/latency/empty", test_latency_empty);
    g_test_add_func("/bench/latency/precision", test_latency_precision);
    g_test_add_func("/bench/latency/percentiles", test_latency_percentiles);
    g_test_add_func("/bench/latency/merge", test_latency_merge);
    g_test_add_func("/bench/latency/overflow", test_latency_overflow);
    g_test_add_func("/bench/users/range", test_users_range);
    g_test_add_func("/bench/users/file", test_users_file);
    g_test_add_func("/bench/users/zipf", test_users_zipf);
    g_test_add_func("/bench/users/seed", test_users_seed);
    g_test_add_func("/bench/request/page", test_request_page);
    g_test_add_func("/bench/request/posts", test_request_posts);
    g_test_add_func("/bench/answer/page", test_answer_page);
    g_test_add_func("/bench/answer/exceptions", test_answer_exceptions);
    g_test_add_func("/bench/answer/check", test_answer_check);
    g_test_add_func("/bench/answer/cut", test_answer_cut);
    g_test_add_func("/bench/answer/posts", test_answer_posts);
    return g_test_run();
}
