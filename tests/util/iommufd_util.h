/* SPDX-License-Identifier: MIT */
/* iommufd: /dev/iommu, its I/O address spaces, and device cdevs. */
#ifndef PLUGMAP_TESTS_UTIL_IOMMUFD_UTIL_H
#define PLUGMAP_TESTS_UTIL_IOMMUFD_UTIL_H

#include "kernel-uapi/iommufd.h"
#include "util/kernel_util.h"

#define IOMMU "/dev/iommu"

#define IOAS_READ_WRITE (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)
#define IOAS_FIXED      (IOAS_READ_WRITE | IOMMU_IOAS_MAP_FIXED_IOVA)

/* The boundaries of what the VM's IOMMU can map, and of the MSI window. */
#define WINDOW      UINT64_C(0xfee00000)
#define WINDOW_LAST UINT64_C(0xfeefffff)
#define LAST_IOVA   UINT64_C(0x7fffffffff)

/* No kernel allocates this id so early. */
#define NO_ID 4711U

/* Setup and teardown: /dev/iommu is open (kernel->iommu) and has an IOAS (kernel->ioas); the
 * device is bound and attached to it (kernel->device, kernel->device_id, kernel->hwpt). No group
 * is open. */
int iommufd_setup(void **state);
int iommufd_setup_ioas(void **state);
int iommufd_setup_attached(void **state);

/* Setup and teardown for the type1 interface of /dev/iommu: it replaces the container, and has a
 * group; with an IOMMU and a device. */
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

/* For tests that need a fake kernel. @config NULL: iommufd_fake_config(), the defaults with an
 * iommufd. The device is bound, and there is an IOAS; the device is attached to it, or not. */
PmFakeConfig iommufd_fake_config(void);
Kernel *iommufd_new_fake(const PmFakeConfig *config);
Kernel *iommufd_new_fake_attached(const PmFakeConfig *config);

/* Allocates an IOAS in an open /dev/iommu and attaches a device to it. */
void iommufd_attach(Kernel *kernel, const char *address);

/* On kernel->iommu. Assert that allocating ids succeeds. */
int iommufd_ioctl(Kernel *kernel, unsigned long request, void *argument);
uint32_t iommufd_new_ioas(Kernel *kernel);
int iommufd_destroy(Kernel *kernel, uint32_t id);

/* In kernel->ioas; at a fixed address, for reading and writing. */
int iommufd_map(Kernel *kernel, uint64_t iova, const void *host, uint64_t length);
/* *@iova: in with FIXED_IOVA in @flags, and out. */
int iommufd_map_flags(Kernel *kernel, uint32_t flags, uint64_t *iova, uint64_t host,
                      uint64_t length);
/* @length bytes of a file at @start. */
int iommufd_map_file(Kernel *kernel, uint64_t iova, int fd, uint64_t start, uint64_t length);
/* *@n_bytes (may be NULL): out, the length returned by UNMAP. */
int iommufd_unmap(Kernel *kernel, uint64_t iova, uint64_t length, uint64_t *n_bytes);
/* In kernel->ioas, or from it to another IOAS; at a fixed address, for reading and writing. */
int iommufd_copy(Kernel *kernel, uint32_t to, uint64_t to_iova, uint64_t iova, uint64_t length);
/* Unmaps everything, and returns how many bytes were mapped. */
uint64_t iommufd_unmap_all(Kernel *kernel);
/* Unmaps this range, and returns whether it was one area. */
bool iommufd_had(Kernel *kernel, uint64_t iova, uint64_t length);

int iommufd_new_hwpt(Kernel *kernel, uint32_t ioas, uint32_t *hwpt);
int iommufd_option(Kernel *kernel, uint32_t option, uint16_t op, uint32_t object, uint64_t *value);

/* Opens a device cdev; asserts that it succeeds. */
int cdev_open(Kernel *kernel, const char *address);
/* @id may be NULL. */
int cdev_bind(Kernel *kernel, int device, int iommu, uint32_t *id);
/* *@pt: in, the IOAS or HWPT; out, the HWPT. */
int cdev_attach(Kernel *kernel, int device, uint32_t *pt);
int cdev_detach(Kernel *kernel, int device);
/* Opens a device cdev and binds it to kernel->iommu. */
int cdev_open_bound(Kernel *kernel, const char *address, uint32_t *id);

/* Bytes pinned by this process (VmPin). */
uint64_t iommufd_pinned(Kernel *kernel);
/* For a fake kernel: bytes pinned, and charged to the user and to the process. */
void iommufd_assert_charged(Kernel *kernel, uint64_t pinned, uint64_t user, uint64_t process);
/* RLIMIT_MODE, which must be set before there are objects. */
typedef enum {
    CHARGE_USER,
    CHARGE_PROCESS /* as VmLck */
} Charge;
void iommufd_set_charge(Kernel *kernel, Charge charge);
/* Sets the mode, attaches a device to an IOAS, and then sets the locked-memory limit. */
void iommufd_attach_charged(Kernel *kernel, Charge charge, uint64_t limit);

#endif
