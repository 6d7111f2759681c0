/* SPDX-License-Identifier: MIT */
/* Requests per second of registered buffers, of the bounce pool, and of a map and unmap per
 * request. */
#ifndef PLUGMAP_EXAMPLES_NVME_RATES_H
#define PLUGMAP_EXAMPLES_NVME_RATES_H

#include "world.h"

/* Measures with one request in flight, and prints a table. All of the first 2 MiB are plugged. */
void rates_run(World *world, const Options *options);

#endif
