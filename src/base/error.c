/* SPDX-License-Identifier: MIT */
#include <plugmap/error.h>

G_DEFINE_QUARK(pm - error - quark, pm_error)
