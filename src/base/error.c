/* SPDX-License-Identifier: MIT */
#include <plugmap/error.h>

/* The formatter takes the name for a subtraction. */
/* clang-format off */
G_DEFINE_QUARK(pm-error-quark, pm_error)
/* clang-format on */
