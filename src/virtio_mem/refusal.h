/* SPDX-License-Identifier: MIT */
/* Why the device refused a request: for the host, because the response has no room for a reason. */
#ifndef PLUGMAP_SRC_VIRTIO_MEM_REFUSAL_H
#define PLUGMAP_SRC_VIRTIO_MEM_REFUSAL_H

#include "virtio_mem/device.h"

void pm_refusal_clear(PmVirtioMem *device);

/* @cause: of PM_ERROR, or NULL; copied. */
void pm_refusal_set(PmVirtioMem *device, PmRefusal refusal, const char *message,
                    const GError *cause);

/* The refusal for a failed populate or discard. @error: of PM_ERROR. */
PmRefusal pm_refusal_of_error(const GError *error);

#endif
