/* SPDX-License-Identifier: MIT */
#include "vfio/pci_names.h"

#include <string.h>

#include "base/error_text.h"

#define MIN_DOMAIN_DIGITS 4
#define MAX_DOMAIN_DIGITS 8

static bool is_lower_hex(char c)
{
    return g_ascii_isxdigit(c) && !g_ascii_isupper(c);
}

bool pm_pci_is_address(const char *text)
{
    size_t n_domain = 0;
    const char *rest;

    while (is_lower_hex(text[n_domain]))
        n_domain++;
    if (n_domain < MIN_DOMAIN_DIGITS || n_domain > MAX_DOMAIN_DIGITS)
        return false;
    rest = text + n_domain; /* ":00:1f.7" */
    return strlen(rest) == strlen(":00:1f.7") && rest[0] == ':' && is_lower_hex(rest[1]) &&
           is_lower_hex(rest[2]) && rest[3] == ':' && (rest[4] == '0' || rest[4] == '1') &&
           is_lower_hex(rest[5]) && rest[6] == '.' && rest[7] >= '0' && rest[7] <= '7';
}

bool pm_pci_check_address(const char *text, GError **error)
{
    return pm_pci_is_address(text) ||
           pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid PCI address '%s': must be like 0000:00:04.0 (domain, bus, device, "
                   "function; see lspci -D)",
                   text);
}

bool pm_pci_is_vfio_driver(const char *driver)
{
    return driver != NULL && strstr(driver, "vfio") != NULL;
}

bool pm_pci_keeps_group_from_user(const char *driver)
{
    return driver != NULL && !pm_pci_is_vfio_driver(driver) && strcmp(driver, "pci-stub") != 0 &&
           strcmp(driver, "pcieport") != 0;
}
