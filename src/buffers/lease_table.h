/* SPDX-License-Identifier: MIT */
/*
 * PmLeaseTable: which blocks of host memory I/O may use now, at which I/O addresses, and who does.
 *
 * I/O threads lease buffers; the control side adds ranges of host memory, opens their blocks with
 * I/O addresses, and closes them again before it unmaps them. While a buffer is leased, its blocks
 * stay open at their addresses, and their ranges in the table. Nobody waits for a lock on the way
 * to a lease, and threads that lease different blocks write to no common cache line.
 *
 * A range consists of blocks of its granularity, counted from its first byte; the last one may be
 * shorter. A block is discarded (as in a new range), unregistered (populated, but without a
 * region), open, or closed (open or unregistered until now; keeps its address, and its leases while
 * it is closed with them).
 *
 * Threads: pm_lease_*() any. pm_lease_table_add() and _remove(): one at a time per table. The other
 * functions of a range: one at a time per range; the getters too, except for
 * pm_lease_range_n_leases().
 */
#ifndef PLUGMAP_SRC_BUFFERS_LEASE_TABLE_H
#define PLUGMAP_SRC_BUFFERS_LEASE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmLeaseTable PmLeaseTable;
typedef struct PmLeaseRange PmLeaseRange;

/* --- the control side --- */

/* @separate: a run (pm_lease_next()) ends where the blocks of a pm_lease_range_open() end, even if
 * the next ones have the following addresses. */
PmLeaseTable *pm_lease_table_new(bool separate);

/* Ranges that are left are removed. Every pm_lease_*() on @table has returned, and nothing is
 * leased. */
void pm_lease_table_free(PmLeaseTable *table);

/*
 * Adds [@memory, @memory + @size), which is not empty and does not wrap. All of its blocks are
 * discarded.
 * @granularity: a power of two, or 0 for one block as large as the range.
 * Returns: a handle, valid until it is removed; or NULL. Errors: PM_ERROR_INVALID_ARGUMENT (more
 * than 2^31 blocks), PM_ERROR_OVERLAP (with a range of the table), PM_ERROR_MEMORY.
 */
PmLeaseRange *pm_lease_table_add(PmLeaseTable *table, const void *memory, uint64_t size,
                                 uint64_t granularity, GError **error);

/* No block is open, none is leased (pm_lease_range_close() returned true). Its memory is used for
 * later ranges. */
void pm_lease_table_remove(PmLeaseTable *table, PmLeaseRange *range);

/* The range that contains @host, or NULL. */
PmLeaseRange *pm_lease_table_find(const PmLeaseTable *table, const void *host);

/* In the following, @offset and @size are bytes of the range, @size is not 0, and every block that
 * they touch counts. */

/*
 * Opens blocks that are not open, nor closed with leases: byte @offset has I/O address @address,
 * and the following ones the following addresses. @offset: of a block.
 */
void pm_lease_range_open(PmLeaseRange *range, uint64_t offset, uint64_t size, uint64_t address);

/*
 * No new leases of blocks that are open or unregistered; they are closed then. Discarded ones stay
 * as they are; none is closed already. All or nothing: if some are leased, waits until they are
 * released, at most @wait_ms, else reopens all that it closed.
 * @n_leases: set on failure, if not NULL: the leases that were left; at least 1. One that is being
 * acquired and fails (for another block of its buffer, or because its range was removed and the
 * memory is used for this one) may count for a moment.
 */
bool pm_lease_range_close(PmLeaseRange *range, uint64_t offset, uint64_t size, unsigned wait_ms,
                          uint64_t *n_leases);

/* Those blocks that are closed are again as they were before; others stay as they are. */
void pm_lease_range_reopen(PmLeaseRange *range, uint64_t offset, uint64_t size);

/* Blocks that are closed without leases, discarded or unregistered, are now discarded, or
 * unregistered; a closed one only once it is reopened, because it must not be held if it is about
 * to be discarded. */
void pm_lease_range_set_discarded(PmLeaseRange *range, uint64_t offset, uint64_t size);
void pm_lease_range_set_unregistered(PmLeaseRange *range, uint64_t offset, uint64_t size);

/* Leases of the blocks, now. A lease of a buffer counts for each block that it touches. */
uint64_t pm_lease_range_n_leases(const PmLeaseRange *range, uint64_t offset, uint64_t size);

/*
 * Last use. Each lease stamps its blocks with the table's epoch, which starts at 1 and only
 * pm_lease_table_advance() changes; it returns the new one. The last use of several blocks is the
 * latest of their stamps; 0: never since the range was added.
 */
uint32_t pm_lease_table_advance(PmLeaseTable *table);
uint32_t pm_lease_range_last_use(const PmLeaseRange *range, uint64_t offset, uint64_t size);

/* --- I/O threads --- */

/* Why a buffer was not leased: the state of the first block of it that is not open. */
typedef enum {
    PM_LEASE_GRANTED = 0,
    PM_LEASE_UNKNOWN,      /* not in a range */
    PM_LEASE_DISCARDED,    /* not populated */
    PM_LEASE_UNREGISTERED, /* populated, but without a region */
    PM_LEASE_CLOSED,       /* about to be discarded or registered in another way */
    PM_LEASE_FULL,         /* 2^20 - 1 leases */
} PmLeaseResult;

/* A leased buffer; the caller's memory. The members are the table's. */
typedef struct {
    const PmLeaseTable *table;
    PmLeaseRange *range; /* of the first byte */
    uint64_t host;
    uint64_t size;
} PmLease;

/* A part of a leased buffer that is contiguous for the device. */
typedef struct {
    uint64_t address;
    uint64_t size;
} PmLeaseRun;

/*
 * Leases [@host, @host + @size), which may span adjacent ranges. All or nothing.
 * @size: 0 leases nothing. @failed_at: set on failure, if not NULL: the first byte of the buffer,
 * as an offset into it, that has the result.
 */
PmLeaseResult pm_lease_acquire(const PmLeaseTable *table, PmLease *lease, const void *host,
                               uint64_t size, uint64_t *failed_at);

/* The run that starts at @offset of the buffer, as long as it can be; false at its end. */
bool pm_lease_next(const PmLease *lease, uint64_t offset, PmLeaseRun *run);

/*
 * The same for a buffer that the CPU accesses for the device: also grants blocks that are
 * unregistered, and pm_lease_next() must not be used. So that they are not discarded meanwhile.
 */
PmLeaseResult pm_lease_hold(const PmLeaseTable *table, PmLease *lease, const void *host,
                            uint64_t size, uint64_t *failed_at);

/* Whether the block of @host is closed now. */
bool pm_lease_is_closed(const PmLeaseTable *table, const void *host);

/* Once per granted lease, from any thread. */
void pm_lease_release(const PmLease *lease);

#endif
