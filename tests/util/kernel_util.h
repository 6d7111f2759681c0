/* SPDX-License-Identifier: MIT */
/*
 * A kernel under test, by system calls only. PLUGMAP_KERNEL selects it: fake-6.1, fake-6.12,
 * fake-iommufd, or host, which must be the VM of tests/vm. All have the same devices (docs/vm.md).
 */
#ifndef PLUGMAP_TESTS_UTIL_KERNEL_UTIL_H
#define PLUGMAP_TESTS_UTIL_KERNEL_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <plugmap/fake.h>
#include <plugmap/plugmap.h>

#include "kernel-uapi/vfio.h"

#define PAGE        UINT64_C(4096)
#define MEMORY_SIZE (256 * PAGE)
#define ENTRY_LIMIT 65535

#define CONTAINER "/dev/vfio/vfio"

/* Alone in their groups, bound to vfio-pci. */
#define DEVICE       "0000:00:04.0"
#define GROUP        "/dev/vfio/1"
#define OTHER_DEVICE "0000:00:05.0"
#define OTHER_GROUP  "/dev/vfio/2"

/* This device is bound to vfio-pci, its sibling in the group to a host driver. */
#define SHARED_DEVICE "0000:00:07.0"
#define SHARED_HOST   "0000:00:07.1"
#define SHARED_GROUP  "/dev/vfio/4"

#define READ_WRITE (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/* A test's kernel. Teardown closes and restores all that these functions opened and changed,
 * even if the test failed. */
typedef struct {
    PmKernel *pm;
    bool is_fake;
    bool is_linux_6_1; /* else it is 6.12 */
    int container;
    int group;
    int iommu; /* these two: with iommufd only (iommufd_util.h), else 0 */
    uint32_t ioas;
    int device;
    uint32_t device_id;
    uint32_t hwpt;
    char *memory;   /* MEMORY_SIZE bytes, anonymous, readable and writable, page aligned */
    GArray *files;  /* open descriptors */
    GArray *pieces; /* mapped parts of files */
} Kernel;

/* For tests that need a fake kernel; @config NULL: the defaults. Respectively: nothing is open;
 * the group is in the container; the container has an IOMMU of @type. The fake kernel closes
 * what a test leaves open. */
Kernel *kernel_new_fake_closed(const PmFakeConfig *config);
Kernel *kernel_new_fake(const PmFakeConfig *config);
Kernel *kernel_new_fake_type1(const PmFakeConfig *config, unsigned long type);
void kernel_free(Kernel *kernel);

/* What the fake's inspector counts in the first group: mappings of a container, or areas. */
uint64_t kernel_n_inspected(Kernel *kernel);

/* For cmocka: once per program, and setup and teardown of tests. The group is in the container,
 * with or without an IOMMU. Locked memory is not limited. */
int kernel_check(void **state);
/* The same; also requires a fake kernel that can hold pages. */
int kernel_check_pins(void **state);
/* The same; also requires that /dev/iommu exists, or does not. */
int kernel_check_iommufd(void **state);
int kernel_check_no_iommufd(void **state);
/* Setup with nothing open. */
int kernel_setup_closed(void **state);
int kernel_setup(void **state);
int kernel_setup_v1(void **state);
int kernel_setup_v2(void **state);
int kernel_teardown(void **state);

#define TEST_WITHOUT_IOMMU(name)                                                                   \
    cmocka_unit_test_setup_teardown(name, kernel_setup, kernel_teardown)
#define TEST_CLOSED(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, kernel_setup_closed, kernel_teardown)
#define TEST_V1(name)    cmocka_unit_test_setup_teardown(name, kernel_setup_v1, kernel_teardown)
#define TEST(name)       cmocka_unit_test_setup_teardown(name, kernel_setup_v2, kernel_teardown)
#define RUN_TESTS(tests) cmocka_run_group_tests(tests, kernel_check, NULL)

/* Creates kernel->pm according to PLUGMAP_KERNEL. */
void kernel_choose(Kernel *kernel);

int kernel_open(Kernel *kernel, const char *path);
int kernel_close(Kernel *kernel, int fd);
int kernel_ioctl(Kernel *kernel, int fd, unsigned long request, void *argument);
int kernel_ioctl_number(Kernel *kernel, int fd, unsigned long request, unsigned long number);
/* Readable and writable, shared. */
int kernel_mmap(Kernel *kernel, int fd, size_t size, uint64_t offset, void **address);
int kernel_munmap(Kernel *kernel, void *address);

int kernel_join(Kernel *kernel, int group, int container);
int kernel_leave(Kernel *kernel, int group);
int kernel_set_iommu(Kernel *kernel, int container, unsigned long type);
/* Adds another group in a container of its own with an IOMMU; returns the container. */
int kernel_second_container(Kernel *kernel, int *group);
int kernel_get_device(Kernel *kernel, int group, const char *name);

/* MAP and UNMAP in kernel->container. *@n_bytes (may be NULL): out, the size returned by UNMAP. */
int kernel_map(Kernel *kernel, uint64_t iova, const void *host, uint64_t size);
int kernel_map_flags(Kernel *kernel, uint32_t flags, uint64_t iova, const void *host,
                     uint64_t size);
int kernel_unmap(Kernel *kernel, uint64_t iova, uint64_t size, uint64_t *n_bytes);
int kernel_unmap_flags(Kernel *kernel, uint32_t flags, uint64_t iova, uint64_t size,
                       uint64_t *n_bytes);

/* dma_avail of the capability chain, and the difference from ENTRY_LIMIT. */
uint32_t kernel_available(Kernel *kernel);
uint64_t kernel_n_mappings(Kernel *kernel);
/* Bytes charged to this process. */
uint64_t kernel_locked(Kernel *kernel);

/* dma_entry_limit; RLIMIT_MEMLOCK in bytes, and whether CAP_IPC_LOCK is in effect. */
void kernel_set_entry_limit(Kernel *kernel, uint32_t limit);
void kernel_set_memlock(Kernel *kernel, uint64_t limit, bool cap_ipc_lock);
/* Nothing may be open. */
void kernel_drop_cap_sys_resource(Kernel *kernel);
/* Of the process itself, whichever kernel is under test. */
void kernel_set_capability(int capability, bool in_effect);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kernel, kernel_free)

#endif
