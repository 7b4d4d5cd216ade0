#include "router/choice.h"

#include "ops/kit/mix.h"

void
choice_init(Choice *choice, guint64 seed)
{
    choice->turn = mix64(seed);
    choice->chance = mix64(choice->turn);
}

/* The k-th of those that are not excepted. */
static guint
candidate_at(const ChoiceOf *of, guint k)
{
    return k < of->except ? k : k + 1;
}

static gboolean
load_is_less(const ChoiceLoad *a, const ChoiceLoad *b)
{
    if (a->failing != b->failing) {
        return b->failing;
    }
    return a->in_flight < b->in_flight;
}

/* The next after the k-th of @n that is well; else the k-th itself. */
static guint
candidate_well(const ChoiceOf *of, guint n, guint k)
{
    for (guint i = 1; i < n; i++) {
        guint candidate = candidate_at(of, (k + i) % n);
        if (!of->load(of->user_data, candidate).failing) {
            return candidate;
        }
    }
    return candidate_at(of, k);
}

guint
choice_pick(Choice *choice, const ChoiceOf *of)
{
    guint n = of->except < of->n ? of->n - 1 : of->n;
    if (n == 0) {
        return CHOICE_NONE;
    }
    guint first = (guint)(choice->turn++ % n);
    if (n == 1) {
        return candidate_at(of, first);
    }
    choice->chance += MIX64_STEP;
    guint other = (guint)(mix64(choice->chance) % (n - 1));
    guint second = (first + 1 + other) % n;
    ChoiceLoad a = of->load(of->user_data, candidate_at(of, first));
    ChoiceLoad b = of->load(of->user_data, candidate_at(of, second));
    guint better = load_is_less(&b, &a) ? second : first;
    return a.failing && b.failing ? candidate_well(of, n, better)
                                  : candidate_at(of, better);
}
