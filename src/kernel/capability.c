/* SPDX-License-Identifier: MIT */
#include "kernel/capability.h"

#include <cap-ng.h>
#include <errno.h>
#include <unistd.h>

static int read_effective(unsigned capability, bool *effective)
{
    /* The embedding program may have selected another process, and a forked child inherits its
     * parent's PID. */
    capng_setpid(gettid());
    errno = 0;
    if (capng_get_caps_process() < 0)
        return errno != 0 ? -errno : -EIO;
    *effective = capng_have_capability(CAPNG_EFFECTIVE, capability) != 0;
    return 0;
}

/* libcap-ng has one set per thread, which the embedding program may be using. */
int pm_capability_read(unsigned capability, bool *effective)
{
    void *state = capng_save_state();
    int result;

    if (state == NULL)
        return -ENOMEM;
    result = read_effective(capability, effective);
    capng_restore_state(&state);
    return result;
}
