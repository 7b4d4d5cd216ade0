/*
 * The error domain's name. What its codes mean is said in error.h.
 */
#include "ops/kit/error.h"

G_DEFINE_QUARK(comb_error, comb_error)
