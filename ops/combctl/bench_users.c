/*
 * Ranks are drawn by rejection inversion (W. Hoermann, G. Derflinger,
 * "Rejection-inversion to generate variates from monotone discrete
 * distributions", 1996): exact, without a table, about 1.1 tries each.
 */
#include "ops/combctl/bench_users.h"

#include "ops/kit/error.h"

#include <math.h>
#include <string.h>

struct Users {
    GArray *ids; /* gint64, by rank; owned */
    Dice dice;
    double zipf;   /* the exponent */
    double h_low;  /* hat() at 1.5, less the weight of rank 1 */
    double h_high; /* hat() at n + 0.5 */
    double accept; /* nearer to its rank than this: no need to compare */
};

gboolean
users_parse_range(const char *text, gint64 *ret_first, gint64 *ret_last)
{
    const char *dash = strchr(text, '-');
    g_autofree char *head =
        dash != NULL ? g_strndup(text, (gsize)(dash - text)) : g_strdup(text);
    const char *tail = dash != NULL ? dash + 1 : head;
    guint64 first = 0;
    guint64 last = 0;
    if (!g_ascii_string_to_unsigned(head, 10, 1, G_MAXINT64, &first, NULL) ||
        !g_ascii_string_to_unsigned(tail, 10, first, G_MAXINT64, &last, NULL) ||
        last - first >= USERS_MAX) {
        return FALSE;
    }
    *ret_first = (gint64)first;
    *ret_last = (gint64)last;
    return TRUE;
}

GArray *
users_read(const char *path, GError **error)
{
    g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autofree char *text = NULL;
    g_autoptr(GError) local = NULL;
    if (!g_file_get_contents(path, &text, NULL, &local)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s", local->message);
        return NULL;
    }
    guint number = 0;
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        guint64 id = 0;
        number++;
        if (end != NULL) {
            *end++ = '\0';
        }
        if (!g_ascii_string_to_unsigned(line, 10, 1, G_MAXINT64, &id, NULL) ||
            ids->len >= USERS_MAX) {
            g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT,
                        "%s:%u: one id a line, 1 to 2^63-1, at most %d", path,
                        number, USERS_MAX);
            return NULL;
        }
        gint64 value = (gint64)id;
        g_array_append_val(ids, value);
        line = end;
    }
    if (ids->len == 0) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_INPUT, "%s: no id in it",
                    path);
        return NULL;
    }
    return g_steal_pointer(&ids);
}

/* ---- Zipf ---- */

/* (e^x - 1) / x and log(1 + x) / x, whose limits at 0 are 1. */
static double
exp_ratio(double x)
{
    return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}

static double
log_ratio(double x)
{
    return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}

/* The integral of x^-zipf. */
static double
hat(const Users *users, double x)
{
    double l = log(x);
    return exp_ratio((1 - users->zipf) * l) * l;
}

static double
hat_inverse(const Users *users, double y)
{
    double t = MAX(y * (1 - users->zipf), -1);
    return exp(log_ratio(t) * y);
}

static double
weight(const Users *users, double x)
{
    return exp(-users->zipf * log(x));
}

/* 1 to n. */
static guint
draw_rank(Users *users)
{
    guint n = users->ids->len;
    while (TRUE) {
        double y = users->h_high +
                   dice_unit(&users->dice) * (users->h_low - users->h_high);
        double x = hat_inverse(users, y);
        double rank = CLAMP(floor(x + 0.5), 1, (double)n);
        if (rank - x <= users->accept ||
            y >= hat(users, rank + 0.5) - weight(users, rank)) {
            return (guint)rank;
        }
    }
}

static void
shuffle(GArray *ids, Dice *dice)
{
    for (guint i = ids->len; i > 1; i--) {
        guint j = (guint)dice_below(dice, i);
        gint64 *a = &g_array_index(ids, gint64, i - 1);
        gint64 *b = &g_array_index(ids, gint64, j);
        gint64 swap = *a;
        *a = *b;
        *b = swap;
    }
}

Users *
users_new(GArray *ids, double zipf, guint64 seed)
{
    Users *users = g_new0(Users, 1);
    users->ids = ids;
    users->dice.state = seed;
    users->zipf = zipf;
    users->h_low = hat(users, 1.5) - 1;
    users->h_high = hat(users, (double)ids->len + 0.5);
    users->accept = 2 - hat_inverse(users, hat(users, 2.5) - weight(users, 2));
    shuffle(ids, &users->dice);
    return users;
}

gint64
users_draw(Users *users)
{
    guint rank = users->ids->len == 1 ? 1 : draw_rank(users);
    return g_array_index(users->ids, gint64, rank - 1);
}

const GArray *
users_ids(const Users *users)
{
    return users->ids;
}

void
users_free(Users *users)
{
    g_array_unref(users->ids);
    g_free(users);
}
