/* SPDX-License-Identifier: MIT */
/*
 * The kernel of tests that run on a fake kernel and, with PLUGMAP_KERNEL=host in the VM of
 * tests/vm/run, on a real one. Calls can be made to fail on both: on the real one the request that
 * fails is not made.
 */
#ifndef PLUGMAP_TESTS_UTIL_EITHER_KERNEL_H
#define PLUGMAP_TESTS_UTIL_EITHER_KERNEL_H

#include <plugmap/fake.h>
#include <plugmap/iommu.h>

bool either_is_real(void);

/* Skips the test on a real kernel. @why: what that lacks. */
void either_needs_fake(const char *why);

/* A fake kernel with the devices either_open() opens, or the real one. @config: of the fake one;
 * NULL for the defaults. */
PmKernel *either_kernel_new(const PmFakeConfig *config);

/* Devices 0, 1 and 2, alone in their groups; a fake kernel has the first two. */
const char *either_device(unsigned index);
PmIommu *either_open(PmKernel *kernel, unsigned index);

/* As pm_fake_kernel_fail(), of MAP, UNMAP, IOCTL, OPEN or ANY, which on a real kernel are ioctls
 * and opens; the others below likewise. */
void either_fail(PmKernel *kernel, PmFakeCall call, uint64_t nth, int error_number);
void either_clear_faults(PmKernel *kernel);
uint64_t either_n_calls(PmKernel *kernel, PmFakeCall call);

/* As pm_fake_kernel_shorten_unmap() and pm_fake_kernel_set_memlock(); a real kernel skips the
 * test. */
void either_shorten_unmap(PmKernel *kernel, uint64_t nth);
void either_set_memlock(PmKernel *kernel, uint64_t limit, bool cap_ipc_lock);

/* Of the address space of device @index: the kernel's number; a real kernel's is what an audit of
 * @iommu has compared with its own. */
uint64_t either_n_mappings(PmKernel *kernel, unsigned index, PmIommu *iommu);

/* Whether a byte of the range is mapped, asked with a MAP that must fail. The range must be valid:
 * a kernel does not answer if addresses are reserved. */
bool either_is_mapped(PmIommu *iommu, uint64_t iova, uint64_t size);

/* Open files of VFIO and iommufd. */
uint64_t either_n_open(PmKernel *kernel);

/* Bytes that the kernel counts as pinned for this process. */
uint64_t either_pinned(PmKernel *kernel);

/* Fails the test if a file of the kernel is open, or a byte pinned. */
void either_assert_nothing_left(PmKernel *kernel);

#endif
