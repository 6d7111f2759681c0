/* SPDX-License-Identifier: MIT */
/*
 * What every public header of plugmap needs: export marks.
 *
 * How structs grow. A program keeps working with a later library of the same soname, and with an
 * earlier one as long as it does not use what that lacks. For this, a public struct either is
 * frozen, which its comment says, or begins with its size:
 *
 *     PmType1Config config = {.struct_size = sizeof(config), .device = "0000:00:04.0"};
 *
 * Members are only ever added at the end, and zero is as if a member were not there. So a struct is
 * zeroed but for what is set, as in this example.
 *
 * Into the library (configurations, operation tables): members beyond @struct_size are taken as
 * zero. Those that the library does not know have to be zero, else the call fails with
 * PM_ERROR_UNSUPPORTED. Operation tables are copied: they need not outlive the call.
 *
 * Out of the library (results): set @struct_size before the call. Members are filled in as far as
 * both sides know them; the others stay as they are.
 *
 * An impossible size (0, because it was forgotten) is PM_ERROR_INVALID_ARGUMENT.
 */
#ifndef PLUGMAP_MACROS_H
#define PLUGMAP_MACROS_H

/** Marks a symbol that programs outside the library may use; src/plugmap.map names the same
 * symbols. */
#define PM_EXPORT __attribute__((visibility("default")))

#endif
