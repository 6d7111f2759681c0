/* SPDX-License-Identifier: MIT */
/* A host in a directory (host_tree.h) on which plugmap doctor finds nothing wrong, to be damaged.
 */
#ifndef PLUGMAP_TESTS_UNIT_PLAN_DOCTOR_HOST_H
#define PLUGMAP_TESTS_UNIT_PLAN_DOCTOR_HOST_H

#include "plan/doctor.h"

/*
 * An Intel host with the modules loaded:
 * 0000:00:04.0  vfio-pci, group 1, alone
 * 0000:00:05.0  nvme, group 2, alone
 * 0000:00:07.0  vfio-pci, group 4, with 0000:00:07.1, which has no driver
 * 0000:00:1f.0  a bridge, group 7
 * The process is the owner of the files, without capabilities, with 16 GiB of lockable memory.
 */
char *doctor_host_new(void);

#define READY  "0000:00:04.0"
#define NVME   "0000:00:05.0"
#define SHARED "0000:00:07.0"

/* cmocka's setup and teardown: *@state is the host's root. */
int doctor_host_setup(void **state);
int doctor_host_teardown(void **state);

/* Writes /proc/self/status. @uid, @gid: of the process. @capabilities: hexadecimal. */
void doctor_host_process(const char *root, unsigned uid, unsigned gid, const char *capabilities);

/* Writes /proc/self/limits. */
void doctor_host_memlock(const char *root, const char *soft);

/* Adds a PCI device, without a driver if that is NULL. */
void doctor_host_device(const char *root, const char *address, unsigned group, const char *class,
                        const char *driver);

/* Runs the doctor; @device: NULL: for the list. */
PmDoctorReport *doctor_host_run(const char *root, const char *device);

/*
 * What the check finds. @device: NULL: a check of the host. @text: all of it. @fix, @boot: lines
 * that are among the commands, or NULL: there are none. PM_DOCTOR_SKIPPED: it is not in the report.
 */
void doctor_host_expect(const char *root, const char *device, const char *check,
                        PmDoctorState state, const char *text, const char *fix, const char *boot);

/* The check reports an error with the full path of this file, and what is wrong with it. */
void doctor_host_expect_damaged(const char *root, const char *device, const char *check,
                                const char *path, const char *because);

#endif
