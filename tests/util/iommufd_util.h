/* SPDX-License-Identifier: MIT */
/* iommufd: /dev/iommu, its I/O address spaces, and the devices' own files. */
#ifndef PLUGMAP_TESTS_UTIL_IOMMUFD_UTIL_H
#define PLUGMAP_TESTS_UTIL_IOMMUFD_UTIL_H

#include "kernel-uapi/iommufd.h"
#include "util/kernel_util.h"

#define IOMMU "/dev/iommu"

#define IOAS_READ_WRITE (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)
#define IOAS_FIXED      (IOAS_READ_WRITE | IOMMU_IOAS_MAP_FIXED_IOVA)

/* The ends of what a device of the VM's IOMMU reaches, and the interrupts in between. */
#define WINDOW      UINT64_C(0xfee00000)
#define WINDOW_LAST UINT64_C(0xfeefffff)
#define LAST_IOVA   UINT64_C(0x7fffffffff)

/* No kernel gives an id like this so soon. */
#define NO_ID 4711U

/* Around a test: /dev/iommu is open (kernel->iommu); it has an address space (kernel->ioas); the
 * device is bound and attached to that (kernel->device, kernel->device_id, kernel->hwpt). No group
 * is open. */
int iommufd_setup(void **state);
int iommufd_setup_ioas(void **state);
int iommufd_setup_attached(void **state);

/* Around a test of the type1 interface of /dev/iommu: that is in the container's place, with a
 * group; and with an IOMMU and a device. */
int compat_setup(void **state);
int compat_setup_device(void **state);

#define TEST_IOMMU(name) cmocka_unit_test_setup_teardown(name, iommufd_setup, kernel_teardown)
#define TEST_IOAS(name)  cmocka_unit_test_setup_teardown(name, iommufd_setup_ioas, kernel_teardown)
#define TEST_ATTACHED(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, iommufd_setup_attached, kernel_teardown)
#define TEST_COMPAT(name) cmocka_unit_test_setup_teardown(name, compat_setup, kernel_teardown)
#define TEST_COMPAT_DEVICE(name)                                                                   \
    cmocka_unit_test_setup_teardown(name, compat_setup_device, kernel_teardown)
#define RUN_IOMMUFD_TESTS(tests) cmocka_run_group_tests(tests, kernel_check_iommufd, NULL)

/* Of what only a fake kernel can be, or shows of itself; @config NULL: iommufd_fake_config(), which
 * are the defaults with an iommufd. The device is bound, and there is an address space; which it is
 * attached to, or not. */
PmFakeConfig iommufd_fake_config(void);
Kernel *iommufd_new_fake(const PmFakeConfig *config);
Kernel *iommufd_new_fake_attached(const PmFakeConfig *config);

/* Gives an open /dev/iommu an address space and a device, attached to it. */
void iommufd_attach(Kernel *kernel, const char *address);

/* On kernel->iommu. Ids are asserted to be given. */
int iommufd_ioctl(Kernel *kernel, unsigned long request, void *argument);
uint32_t iommufd_new_ioas(Kernel *kernel);
int iommufd_destroy(Kernel *kernel, uint32_t id);

/* In kernel->ioas; fixed, to read and write. */
int iommufd_map(Kernel *kernel, uint64_t iova, const void *host, uint64_t length);
/* Where it was mapped goes to *@iova, which says where if @flags have FIXED_IOVA. */
int iommufd_map_flags(Kernel *kernel, uint32_t flags, uint64_t *iova, uint64_t host,
                      uint64_t length);
/* @length bytes of a file from @start on. */
int iommufd_map_file(Kernel *kernel, uint64_t iova, int fd, uint64_t start, uint64_t length);
/* The length that comes back goes to *@n_bytes (may be NULL). */
int iommufd_unmap(Kernel *kernel, uint64_t iova, uint64_t length, uint64_t *n_bytes);
/* Within kernel->ioas, or from it to another; fixed, to read and write. */
int iommufd_copy(Kernel *kernel, uint32_t to, uint64_t to_iova, uint64_t iova, uint64_t length);
/* The bytes that are mapped: UNMAP of all says it, so afterwards there is nothing. */
uint64_t iommufd_unmap_all(Kernel *kernel);
/* Whether this very range is an area; it is gone afterwards. */
bool iommufd_had(Kernel *kernel, uint64_t iova, uint64_t length);

int iommufd_new_hwpt(Kernel *kernel, uint32_t ioas, uint32_t *hwpt);
int iommufd_option(Kernel *kernel, uint32_t option, uint16_t op, uint32_t object, uint64_t *value);

/* The device's own file, which is asserted to open. */
int cdev_open(Kernel *kernel, const char *address);
/* @id may be NULL. */
int cdev_bind(Kernel *kernel, int device, int iommu, uint32_t *id);
/* *@pt is the IOAS or hardware page table; becomes the hardware page table. */
int cdev_attach(Kernel *kernel, int device, uint32_t *pt);
int cdev_detach(Kernel *kernel, int device);
/* Opened and bound to kernel->iommu. */
int cdev_open_bound(Kernel *kernel, const char *address, uint32_t *id);

/* Bytes of this process that are pinned (VmPin). */
uint64_t iommufd_pinned(Kernel *kernel);
/* Of a fake kernel: bytes that are pinned, and charged to the user and to the process. */
void iommufd_assert_charged(Kernel *kernel, uint64_t pinned, uint64_t user, uint64_t process);
/* RLIMIT_MODE, which can be set before there is an object. */
typedef enum {
    CHARGE_USER,
    CHARGE_PROCESS /* as VmLck */
} Charge;
void iommufd_set_charge(Kernel *kernel, Charge charge);
/* The same, an address space with the device, and then no more than this limit to lock. */
void iommufd_attach_charged(Kernel *kernel, Charge charge, uint64_t limit);

#endif
