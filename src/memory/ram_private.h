/* SPDX-License-Identifier: MIT */
/* What the rooms of memory know of a PmRam beyond its public face. */
#ifndef PLUGMAP_SRC_MEMORY_RAM_PRIVATE_H
#define PLUGMAP_SRC_MEMORY_RAM_PRIVATE_H

#include <plugmap/discard_manager.h>

struct PmRam {
    gatomicrefcount references;
    PmRamKind kind;
    char *host;
    uint64_t size;
    uint64_t page_size;
    int fd; /* -1 if there is none */
    uint64_t fd_offset;
    bool shared;
    PmDiscardManager *manager; /* no reference; NULL: none */
    gint n_mappings;           /* claims on I/O addresses for it */
    uint64_t process;          /* that it was made in */
    void (*destroy)(void *user_data);
    void *user_data;
};

/* Whether it was made in another process, which this one was forked from: a copy that must not
 * change the memory, which may be the parent's still, or not be there. */
bool pm_ram_is_inherited(const PmRam *ram);

/* Errors: PM_ERROR_PERMISSION (inherited). */
bool pm_ram_check_process(const PmRam *ram, GError **error);

/* Of the host, in bytes. */
uint64_t pm_base_page_size(void);

/* Makes @manager the one manager of @ram, which nobody has mapped for a device. Errors:
 * PM_ERROR_BUSY, PM_ERROR_UNSUPPORTED (memory of a device). Any thread. */
bool pm_ram_take_manager(PmRam *ram, PmDiscardManager *manager, GError **error);
void pm_ram_release_manager(PmRam *ram);

/* @owner is going to map @ram for a device. @follows_manager: as the RAM's manager says; else it
 * must have none. Errors: PM_ERROR_BUSY. Any thread. */
bool pm_ram_take_mapping(PmRam *ram, bool follows_manager, const char *owner, GError **error);
void pm_ram_release_mapping(PmRam *ram);

/* It is the host's RAM, and no memory of a device. @what cannot be done with that: "discard".
 * Errors: PM_ERROR_UNSUPPORTED. */
bool pm_ram_check_is_ram(const PmRam *ram, const char *what, GError **error);

/* Its pages are of a pool, not the host's base pages. */
bool pm_ram_is_hugetlb(const PmRam *ram);

/* Keeps transparent huge pages away that would reach beyond blocks of @granularity bytes: touching
 * one block would take memory for its neighbours. Where they fit, asks for them for a memfd, which
 * is plugged in half the time with them. */
void pm_ram_fit_huge_pages(PmRam *ram, uint64_t granularity);

/* Whole pages inside the RAM, which is this process's own. Errors: PM_ERROR_PERMISSION,
 * PM_ERROR_UNALIGNED, PM_ERROR_INVALID_ARGUMENT. */
bool pm_ram_check_range(const PmRam *ram, uint64_t offset, uint64_t size, GError **error);

/* "cannot WHAT SIZE at offset ...: ERRNO: ADVICE". Returns false. */
bool pm_ram_fail_range(const PmRam *ram, PmError code, const char *what, uint64_t offset,
                       uint64_t size, int error_number, const char *advice, GError **error);

/*
 * Sees to it that a device which may only read private memory sees what is written there later:
 * in Linux 6.1, a MAP for reading pins the kernel's page of zeros where nothing was written yet.
 * Memory that the caller has mapped read-only stays as it is. Errors: as pm_ram_populate().
 */
bool pm_ram_own_pages(PmRam *ram, uint64_t offset, uint64_t size, GError **error);

/* madvise(). False with errno. */
bool pm_ram_advise(const PmRam *ram, int advice, uint64_t offset, uint64_t size);

/*
 * What pm_ram_populate() does where the kernel lacks MADV_POPULATE_WRITE. A file's blocks are
 * allocated by a call that can fail; private memory and shared memory without a file cannot be had
 * in such a way: the host's out-of-memory killer, or SIGBUS from an empty hugetlb pool, may end the
 * process. Returns 0 or an errno.
 */
int pm_ram_populate_by_touching(const PmRam *ram, uint64_t offset, uint64_t size);

#endif
