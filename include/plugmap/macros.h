/* SPDX-License-Identifier: MIT */
/* What every public header of plugmap needs: export marks. */
#ifndef PLUGMAP_MACROS_H
#define PLUGMAP_MACROS_H

/** Marks a symbol that programs outside the library may use; src/plugmap.map names the same
 * symbols. */
#define PM_EXPORT __attribute__((visibility("default")))

#endif
