/* SPDX-License-Identifier: MIT */
#include "nvme/identity.h"

#include <inttypes.h>
#include <string.h>

#include "nvme/wire.h"
#include "pci/fail.h"

/* In the data for a controller. */
#define SERIAL       4
#define MODEL        24
#define MAX_TRANSFER 77

/* In the data for a namespace. */
#define N_BLOCKS      0
#define FORMAT_IN_USE 26
#define FORMATS       128

#define MIN_BLOCK_SHIFT 9
#define MAX_BLOCK_SHIFT 12

static void read_text(char *text, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text[i] = g_ascii_isprint((char)data[i]) ? (char)data[i] : '?';
    text[size] = '\0';
    g_strchomp(text);
}

void pm_nvme_identity_read_controller(PmNvmeIdentity *identity, const uint8_t *data)
{
    unsigned shift = data[MAX_TRANSFER];

    read_text(identity->serial, data + SERIAL, sizeof identity->serial - 1);
    read_text(identity->model, data + MODEL, sizeof identity->model - 1);
    /* More than 2^51 pages are no limit either. */
    identity->max_transfer = shift == 0 || shift > 51 ? UINT64_MAX : PM_NVME_PAGE << shift;
}

bool pm_nvme_identity_read_namespace(PmNvmeIdentity *identity, const uint8_t *data,
                                     const char *device, GError **error)
{
    const uint8_t *format = data + FORMATS + (size_t)4 * (data[FORMAT_IN_USE] & 0xf);
    unsigned shift = format[2];
    uint64_t n_blocks;

    memcpy(&n_blocks, data + N_BLOCKS, sizeof n_blocks);
    n_blocks = GUINT64_FROM_LE(n_blocks);
    if (n_blocks == 0)
        return pm_pci_fail(error, PM_ERROR_UNSUPPORTED, "%s has no such namespace", device);
    if (shift < MIN_BLOCK_SHIFT || shift > MAX_BLOCK_SHIFT)
        return pm_pci_fail(error, PM_ERROR_UNSUPPORTED,
                           "%s: unsupported block size 2^%u: must be 2^9 to 2^12", device, shift);
    if (format[0] != 0 || format[1] != 0)
        return pm_pci_fail(error, PM_ERROR_UNSUPPORTED,
                           "%s: unsupported metadata: format the namespace without", device);
    if (n_blocks > UINT64_MAX >> shift)
        return pm_pci_fail(error, PM_ERROR_UNSUPPORTED,
                           "%s: invalid namespace of %" PRIu64 " blocks of 2^%u bytes", device,
                           n_blocks, shift);
    identity->n_blocks = n_blocks;
    identity->block_size = UINT64_C(1) << shift;
    return true;
}
