/*
 * The choice of a cell for a call that any may answer: evenly where all are
 * alike, away from where calls pile up, and a failing one only in need.
 */
#include "router/choice.h"

#include <string.h>

#define MOST 8

/* Candidates that do as they are told. */
typedef struct Field {
    Choice choice;
    ChoiceOf of;
    ChoiceLoad loads[MOST];
    guint picks[MOST]; /* how often each was chosen */
} Field;

static ChoiceLoad
field_load(gconstpointer user_data, guint candidate)
{
    const Field *field = user_data;
    return field->loads[candidate];
}

static void
field_init(Field *field, guint n)
{
    memset(field, 0, sizeof *field);
    choice_init(&field->choice, 1);
    field->of = (ChoiceOf){n, CHOICE_NONE, field_load, field};
}

static void
field_pick(Field *field, guint times)
{
    memset(field->picks, 0, sizeof field->picks);
    for (guint i = 0; i < times; i++) {
        guint pick = choice_pick(&field->choice, &field->of);
        g_assert_cmpuint(pick, <, field->of.n);
        field->picks[pick]++;
    }
}

/* Cells that are alike are asked equally often. */
static void
test_even(void)
{
    Field field;
    field_init(&field, 5);
    field_pick(&field, 100);
    for (guint i = 0; i < 5; i++) {
        g_assert_cmpuint(field.picks[i], ==, 20);
    }
}

/* Where most calls wait, none is sent: it loses against any other. */
static void
test_least_loaded(void)
{
    Field field;
    field_init(&field, 4);
    field.loads[1].in_flight = 9;
    field.loads[3].in_flight = 1;
    field_pick(&field, 1000);
    g_assert_cmpuint(field.picks[1], ==, 0);
    g_assert_cmpuint(field.picks[0], >, 300);
    g_assert_cmpuint(field.picks[2], >, 300);
    g_assert_cmpuint(field.picks[3], >, 100);
    g_assert_cmpuint(field.picks[3], <, field.picks[0]);
}

/* A failing cell is asked where all fail, and nowhere else: not by chance
   either, where both that were looked at are failing. */
static void
test_failing_last(void)
{
    Field field;
    field_init(&field, MOST);
    for (guint i = 0; i < MOST; i++) {
        field.loads[i].failing = i != 6;
    }
    field.loads[6].in_flight = 1000;
    field_pick(&field, 1000);
    g_assert_cmpuint(field.picks[6], ==, 1000);
    field.loads[6].failing = TRUE;
    field_pick(&field, 1000);
    g_assert_cmpuint(field.picks[6], ==, 0);
}

/* The excepted one never; without it the others evenly. */
static void
test_except(void)
{
    Field field;
    field_init(&field, 4);
    for (guint except = 0; except < 4; except++) {
        field.of.except = except;
        field_pick(&field, 99);
        for (guint i = 0; i < 4; i++) {
            g_assert_cmpuint(field.picks[i], ==, i == except ? 0 : 33);
        }
    }
}

/* One is taken as it is; where there is none, that is said. */
static void
test_few(void)
{
    Field field;
    field_init(&field, 1);
    field.loads[0].failing = TRUE;
    field_pick(&field, 3);
    g_assert_cmpuint(field.picks[0], ==, 3);
    field.of.except = 0;
    g_assert_cmpuint(choice_pick(&field.choice, &field.of), ==, CHOICE_NONE);
    field_init(&field, 2);
    field.of.except = 0;
    field.loads[1] = (ChoiceLoad){TRUE, 5};
    field_pick(&field, 3);
    g_assert_cmpuint(field.picks[1], ==, 3);
}

/* Lanes do not begin alike. */
static void
test_seeds(void)
{
    guint picks[3] = {0, 0, 0};
    for (guint64 seed = 0; seed < 300; seed++) {
        Field field;
        field_init(&field, 3);
        choice_init(&field.choice, seed);
        picks[choice_pick(&field.choice, &field.of)]++;
    }
    for (guint i = 0; i < 3; i++) {
        g_assert_cmpuint(picks[i], >, 50);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/choice/even", test_even);
    g_test_add_func("/choice/least-loaded", test_least_loaded);
    g_test_add_func("/choice/failing-last", test_failing_last);
    g_test_add_func("/choice/except", test_except);
    g_test_add_func("/choice/few", test_few);
    g_test_add_func("/choice/seeds", test_seeds);
    return g_test_run();
}
