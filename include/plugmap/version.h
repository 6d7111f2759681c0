/* SPDX-License-Identifier: MIT */
/* The version of plugmap. CMake reads the numbers from here. */
#ifndef PLUGMAP_VERSION_H
#define PLUGMAP_VERSION_H

#include <glib.h>
#include <plugmap/macros.h>

G_BEGIN_DECLS

/** The version that a program is compiled against. */
#define PM_VERSION_MAJOR 0
#define PM_VERSION_MINOR 1
#define PM_VERSION_MICRO 0

/** A version as one number, for comparisons; each part is at most 255. */
#define PM_VERSION_ENCODE(major, minor, micro) (((major) << 16) | ((minor) << 8) | (micro))

/** The version that a program is compiled against, as one number. */
#define PM_VERSION PM_VERSION_ENCODE(PM_VERSION_MAJOR, PM_VERSION_MINOR, PM_VERSION_MICRO)

/** The version that a program is compiled against, as text: "0.1.0". */
#define PM_VERSION_STRING                                                                          \
    G_STRINGIFY(PM_VERSION_MAJOR)                                                                  \
    "." G_STRINGIFY(PM_VERSION_MINOR) "." G_STRINGIFY(PM_VERSION_MICRO)

/** Whether the headers are of this version or later; for #if. */
#define PM_CHECK_VERSION(major, minor, micro) (PM_VERSION >= PM_VERSION_ENCODE(major, minor, micro))

/** The version of the library at run time, encoded by PM_VERSION_ENCODE(). Any thread. */
PM_EXPORT unsigned pm_version(void);

G_END_DECLS

#endif
