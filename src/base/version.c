/* SPDX-License-Identifier: MIT */
#include <plugmap/version.h>

unsigned pm_version(void)
{
    return PM_VERSION;
}
