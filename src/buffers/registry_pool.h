/* SPDX-License-Identifier: MIT */
/* The bounce pool of a registry: registers its chunks there, as buffers. */
#ifndef PLUGMAP_SRC_BUFFERS_REGISTRY_POOL_H
#define PLUGMAP_SRC_BUFFERS_REGISTRY_POOL_H

#include "buffers/registry_private.h"

PmBouncePool *pm_registry_pool_new(PmBufferRegistry *registry);

/* Logs slots that are in use: their memory is not freed. */
void pm_registry_pool_free(PmBufferRegistry *registry);

#endif
