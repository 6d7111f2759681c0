/* SPDX-License-Identifier: MIT */
/* A guest with three devices below an IOMMU, plain RAM, ROM and a virtio-mem device, on a kernel,
 * fake or real (either_kernel.h), whose page tables must always be what the guest's table and the
 * plugged blocks say. */
#ifndef PLUGMAP_TESTS_UNIT_MAPPER_GUEST_WORLD_H
#define PLUGMAP_TESTS_UNIT_MAPPER_GUEST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "util/backend_util.h"
#include "util/either_kernel.h"

#define PAGE      (4 * PM_KIB)
#define BLOCK     (64 * PM_KIB)
#define N_BLOCKS  UINT64_C(16)
#define N_DEVICES 3

/* Guest addresses: plain RAM, then ROM, then the virtio-mem device in two regions, without gaps. */
#define MEMORY     (4 * PM_GIB)
#define ROM        (MEMORY - BLOCK)
#define PLAIN_SIZE (4 * BLOCK)
#define PLAIN      (ROM - PLAIN_SIZE)
#define IOVA       UINT64_C(0x10000000)

typedef struct {
    PmKernel *kernel;
    PmRam *plain;
    PmRam *rom;
    PmRam *memory;
    PmVirtioMem *device;
    PmGuestIommu *table;
    PmGuestMapper *mapper; /* NULL: freed by a test */
    unsigned n_opened;     /* address spaces so far */
    bool is_open_refused;
} GuestWorld;

typedef struct {
    PmGuestUnplug unplug;
    uint64_t max_mappings;
    uint64_t memlock_limit; /* 0: none; a real kernel skips a test with one */
    bool is_bypass;         /* at first */
} GuestWorldConfig;

/* Follows; no endpoint is attached, and nothing is plugged. */
GuestWorld *guest_world_new(const GuestWorldConfig *config);

/* The same, but without mapper. */
GuestWorld *guest_world_new_without(const GuestWorldConfig *config);
PmGuestMapper *guest_world_make_mapper(GuestWorld *world, const GuestWorldConfig *given);

/* Also checks that nothing is left of what the kernel and the RAM had. */
void guest_world_free(GuestWorld *world);

/* Setup and teardown for cmocka; unplug: revoke, or refuse. */
int guest_world_setup(void **state);
int guest_world_setup_refusing(void **state);
int guest_world_teardown(void **state);

/* The guest's requests. Devices are endpoints 0, 1 and 2. */
bool guest_attach(GuestWorld *world, uint32_t domain, uint32_t endpoint, GError **error);
bool guest_map(GuestWorld *world, uint32_t domain, uint64_t iova, uint64_t address, uint64_t size,
               PmIommuAccess access, GError **error);
bool guest_unmap(GuestWorld *world, uint32_t domain, uint64_t iova, uint64_t size, GError **error);

/* MAP for reading in wire format. Returns the status, VIRTIO_IOMMU_S_*. */
unsigned guest_send_map(GuestWorld *world, uint32_t domain, uint64_t iova, uint64_t address,
                        uint64_t size);

/* The answer (PmVirtioMemAnswer). */
int guest_request(GuestWorld *world, unsigned type, uint64_t first, uint64_t n_blocks);
void guest_plug(GuestWorld *world, uint64_t first, uint64_t n_blocks);
void guest_unplug(GuestWorld *world, uint64_t first, uint64_t n_blocks);

/* Checks every device's page table against the guest's table and the plugged blocks, page by page,
 * that no mapping crosses a block, and the mapper's audit. A real kernel says which pages are
 * mapped (guest_check_real()), and device 0 finds out by DMA where they lead. */
void guest_check(GuestWorld *world);

/* The same, without the audit: while something is in quarantine. Mapped pages may be missing, but
 * none may be wrong. */
void guest_check_safe(GuestWorld *world);

/* What a failed operation must not change, beside what is mapped: the guest's table, and how much
 * is plugged. A new string. */
char *guest_describe(GuestWorld *world);

/* The kernel's number of mappings of an endpoint's device. */
uint64_t guest_n_mappings(const GuestWorld *world, uint32_t endpoint);

/* What a page of I/O addresses of an endpoint should lead to, and for which access; NULL: nothing.
 */
const char *guest_expected_at(GuestWorld *world, const PmGuestEndpointInfo *endpoint, uint64_t iova,
                              PmIommuAccess *access);

/* The part of guest_check(), or of guest_check_safe(), for an endpoint on a real kernel. */
void guest_check_real(GuestWorld *world, const PmGuestEndpointInfo *endpoint, bool is_complete);

/* @error has this code, and its message contains @words; clears it. */
void guest_assert_error(GError **error, PmError code, const char *words);

#endif
