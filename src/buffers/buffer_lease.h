/* SPDX-License-Identifier: MIT */
/* Leases of a registry's buffers. Any thread. */
#ifndef PLUGMAP_SRC_BUFFERS_BUFFER_LEASE_H
#define PLUGMAP_SRC_BUFFERS_BUFFER_LEASE_H

#include "buffers/registry_private.h"

/* As pm_lease_acquire(). Reports blocks without a region, so that those that are used get one. Not
 * in a forked child. */
PmLeaseResult pm_registry_lease(PmBufferRegistry *registry, PmLease *lease, const void *host,
                                uint64_t size, uint64_t *failed_at);

/* The error of pm_buffer_lease_acquire() for a result other than PM_LEASE_GRANTED. Returns false.
 */
bool pm_registry_fail_lease(const PmBufferRegistry *registry, PmLeaseResult result,
                            const void *host, uint64_t failed_at, GError **error);

#endif
