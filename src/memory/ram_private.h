/* SPDX-License-Identifier: MIT */
/* The private part of PmRam. */
#ifndef PLUGMAP_SRC_MEMORY_RAM_PRIVATE_H
#define PLUGMAP_SRC_MEMORY_RAM_PRIVATE_H

#include <pthread.h>

#include <plugmap/discard_manager.h>

#include "memory/discard_claims.h"

struct PmRam {
    gatomicrefcount references;
    PmRamKind kind;
    char *host;
    uint64_t size;
    uint64_t page_size;
    int fd; /* -1 if there is none */
    uint64_t fd_offset;
    bool shared;
    uint64_t process; /* that made it */
    gint owner;       /* PmRamOwner (ram_file.h); atomic */
    void (*destroy)(void *user_data);
    void *user_data;
    pthread_mutex_t lock;      /* protects the members below */
    PmDiscardManager *manager; /* not a reference; may be NULL; read without the lock, too */
    unsigned n_handovers;      /* claims of mappings that are being handed over */
    PmDiscardClaims claims;
    PmRunningDiscard *discards;
    pthread_cond_t discard_ended;
};

/* Without memory yet. */
PmRam *pm_ram_new_empty(PmRamKind kind, uint64_t size, uint64_t page_size);

/* Reserves addresses, and maps anonymous memory or the file there. Errors: PM_ERROR_MEMORY; some
 * may be mapped then, until the PmRam is dropped. */
bool pm_ram_map_memory(PmRam *ram, uint64_t alignment, GError **error);

/* Whether this process inherited it from its parent by fork: a copy that must not touch the memory,
 * which may be the parent's, or not be mapped. */
bool pm_ram_is_inherited(const PmRam *ram);

/* Errors: PM_ERROR_PERMISSION (inherited). */
bool pm_ram_check_process(const PmRam *ram, GError **error);

/* The host's page size in bytes. */
uint64_t pm_base_page_size(void);

/* Not for a copy in a forked child: there they do nothing. */
void pm_ram_lock(PmRam *ram);
void pm_ram_unlock(PmRam *ram);

/* Makes @manager the manager of @ram: nobody may disable all discards of any part of it, or follow
 * an earlier manager. Errors: PM_ERROR_BUSY, PM_ERROR_UNSUPPORTED (device memory). Any thread. */
bool pm_ram_take_manager(PmRam *ram, PmDiscardManager *manager, GError **error);
void pm_ram_release_manager(PmRam *ram);

/* As pm_ram_discard(), for the RAM's manager: fails only if all discards are disabled. */
bool pm_ram_discard_coordinated(PmRam *ram, uint64_t offset, uint64_t size, GError **error);

/* Fails for device memory, which does not support @what ("discard"). Errors:
 * PM_ERROR_UNSUPPORTED. */
bool pm_ram_check_is_ram(const PmRam *ram, const char *what, GError **error);

/* Backed by hugetlb pages. */
bool pm_ram_is_hugetlb(const PmRam *ram);

/* Disables transparent huge pages if they do not fit into blocks of @granularity bytes: touching
 * one block would allocate memory for its neighbors. Else enables them for a memfd, which they make
 * twice as fast to plug. */
void pm_ram_fit_huge_pages(PmRam *ram, uint64_t granularity);

/* Whole pages inside the RAM, which this process made. Errors: PM_ERROR_PERMISSION,
 * PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT. */
bool pm_ram_check_range(const PmRam *ram, uint64_t offset, uint64_t size, GError **error);

/* "cannot WHAT SIZE at offset ...: ERRNO: ADVICE". Returns false. */
bool pm_ram_fail_range(const PmRam *ram, PmError code, const char *what, uint64_t offset,
                       uint64_t size, int error_number, const char *advice, GError **error);

/*
 * Replaces the zero page in private memory that a device is to read: Linux 6.1 pins the zero page
 * on a read-only MAP where nothing was written yet, so that the device would not see later writes.
 * Does nothing for memory that the caller has mapped read-only. Errors: as pm_ram_populate().
 */
bool pm_ram_own_pages(PmRam *ram, uint64_t offset, uint64_t size, GError **error);

/* madvise(). False with errno. */
bool pm_ram_advise(const PmRam *ram, int advice, uint64_t offset, uint64_t size);

/*
 * Fallback of pm_ram_populate() for kernels without MADV_POPULATE_WRITE. For files fallocate()
 * fails cleanly; for private memory and shared memory without a file, the OOM killer, or SIGBUS
 * from an empty hugetlb pool, may kill the process. Returns 0 or an errno.
 */
int pm_ram_populate_by_touching(const PmRam *ram, uint64_t offset, uint64_t size);

#endif
