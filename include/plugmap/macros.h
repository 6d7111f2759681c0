/* SPDX-License-Identifier: MIT */
/*
 * How structs grow, and export marks.
 *
 * A program works with later libraries of the same soname, and with earlier ones
 * as long as it does not use what they lack. To this end a public struct either is frozen, which
 * its comment says, or begins with its size:
 *
 *     PmType1Config config = {.struct_size = sizeof(config), .device = "0000:00:04.0"};
 *
 * Members are only added at the end, and zero means the same as no such member. So zero a struct,
 * as this example does, and set what you need.
 *
 * Into the library (configurations, operation tables): members beyond @struct_size count as zero.
 * Members that the library does not know must be zero, else the call fails with
 * PM_ERROR_UNSUPPORTED. Operation tables are copied: they need not outlive the call.
 *
 * Out of the library (results): set @struct_size before the call. The library sets the members that
 * both sides know and leaves the others alone.
 *
 * An invalid size (0 if it was forgotten) is PM_ERROR_INVALID_ARGUMENT.
 */
#ifndef PLUGMAP_MACROS_H
#define PLUGMAP_MACROS_H

/** Marks an exported symbol; src/plugmap.map lists the same symbols. */
#define PM_EXPORT __attribute__((visibility("default")))

#endif
