/* SPDX-License-Identifier: MIT */
/*
 * Compares kernel-uapi/ with the kernel's headers. The compiler does the comparison; the program
 * only checks that nothing was left out. Installed headers can be too old for iommufd, so that is
 * compared only with COMPARE_IOMMUFD defined, as tests/vm/uapi does with newer headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <glib.h>
#include <linux/vfio.h>
#include <linux/virtio_iommu.h>
#include <linux/virtio_mem.h>
#ifdef COMPARE_IOMMUFD
#include <linux/iommufd.h>
#endif

#include "uapi_list.h"
#include "uapi_list_iommufd.h"

/* Newer than the oldest supported headers. */
#ifndef VIRTIO_MEM_F_PERSISTENT_SUSPEND
#define VIRTIO_MEM_F_PERSISTENT_SUSPEND 2
#endif

/* --- values in the kernel's headers --- */

#define KERNEL_CONSTANT(name)       KERNEL_##name = (name),
#define KERNEL_SIZE(name)           KERNEL_SIZE_##name = sizeof(struct name),
#define KERNEL_OFFSET(name, member) KERNEL_OFFSET_##name##_##member = offsetof(struct name, member),
#define KERNEL_MEMBER(name, member)                                                                \
    KERNEL_OFFSET(name, member)                                                                    \
    KERNEL_SIZE_##name##_##member = sizeof(((struct name *)NULL)->member),

enum {
    UAPI_CONSTANTS(KERNEL_CONSTANT)
};

enum {
    UAPI_STRUCTS(KERNEL_SIZE, KERNEL_SIZE)
};

enum {
    UAPI_MEMBERS(KERNEL_MEMBER, KERNEL_OFFSET)
};

#ifdef COMPARE_IOMMUFD
enum {
    UAPI_IOMMUFD_CONSTANTS(KERNEL_CONSTANT)
};

enum {
    UAPI_IOMMUFD_STRUCTS(KERNEL_SIZE)
};

enum {
    UAPI_IOMMUFD_MEMBERS(KERNEL_MEMBER)
};

#ifdef IOMMU_IOAS_MAP_FILE
#define COMPARE_MAP_FILE

enum {
    UAPI_MAP_FILE_CONSTANTS(KERNEL_CONSTANT)
};

enum {
    UAPI_MAP_FILE_STRUCTS(KERNEL_SIZE)
};

enum {
    UAPI_MAP_FILE_MEMBERS(KERNEL_MEMBER)
};
#endif
#endif

/* --- values in ours --- */

#include "uapi_ours.h"

#define SAME_CONSTANT(name) _Static_assert((name) == KERNEL_##name, #name);
#define SAME_SIZE(name)     _Static_assert(sizeof(struct pm_##name) == KERNEL_SIZE_##name, #name);
#define SAME_SIZE_BUT_PADDING(name)                                                                \
    _Static_assert(sizeof(struct pm_##name) == KERNEL_SIZE_##name ||                               \
                       offsetof(struct pm_##name, pad) == KERNEL_SIZE_##name,                      \
                   #name);
#define SAME_OFFSET(name, member)                                                                  \
    _Static_assert(offsetof(struct pm_##name, member) == KERNEL_OFFSET_##name##_##member,          \
                   #name "." #member);
#define SAME_MEMBER(name, member)                                                                  \
    _Static_assert(offsetof(struct pm_##name, member) == KERNEL_OFFSET_##name##_##member &&        \
                       sizeof(((struct pm_##name *)NULL)->member) ==                               \
                           KERNEL_SIZE_##name##_##member,                                          \
                   #name "." #member);

UAPI_CONSTANTS(SAME_CONSTANT)
UAPI_STRUCTS(SAME_SIZE, SAME_SIZE_BUT_PADDING)
UAPI_MEMBERS(SAME_MEMBER, SAME_OFFSET)

#ifdef COMPARE_IOMMUFD
UAPI_IOMMUFD_CONSTANTS(SAME_CONSTANT)
UAPI_IOMMUFD_STRUCTS(SAME_SIZE)
UAPI_IOMMUFD_MEMBERS(SAME_MEMBER)
#endif
#ifdef COMPARE_MAP_FILE
UAPI_MAP_FILE_CONSTANTS(SAME_CONSTANT)
UAPI_MAP_FILE_STRUCTS(SAME_SIZE)
UAPI_MAP_FILE_MEMBERS(SAME_MEMBER)
#endif

/* --- completeness --- */

#define CONSTANT_NAME(name) #name,
#define PADDED_NAME(name)   #name ".pad",
#define NO_NAME(name)
#define MEMBER_NAME(name, member) #name "." #member,

static const char *const listed[] = {
    UAPI_CONSTANTS(CONSTANT_NAME) UAPI_STRUCTS(NO_NAME, PADDED_NAME)
        UAPI_MEMBERS(MEMBER_NAME, MEMBER_NAME) UAPI_IOMMUFD_CONSTANTS(CONSTANT_NAME)
            UAPI_IOMMUFD_MEMBERS(MEMBER_NAME) UAPI_MAP_FILE_CONSTANTS(CONSTANT_NAME)
                UAPI_MAP_FILE_MEMBERS(MEMBER_NAME) NULL,
};

/* The name that a line of a header defines, or NULL; @in_struct: the enclosing struct. */
static char *defined_name(const char *line, char **in_struct)
{
    g_autoptr(GRegex) constant = g_regex_new("^#define ([VI]\\w+)", 0, 0, NULL);
    g_autoptr(GRegex) start = g_regex_new("^struct (\\w+) \\{", 0, 0, NULL);
    g_autoptr(GRegex) member = g_regex_new("^    (?! ).*?(\\w+)(\\[\\w*\\])?;", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *name = NULL;

    if (g_regex_match(start, line, 0, &match)) {
        g_free(*in_struct);
        *in_struct = g_match_info_fetch(match, 1);
        return NULL;
    }
    g_clear_pointer(&match, g_match_info_unref);
    if (g_regex_match(constant, line, 0, &match))
        return g_match_info_fetch(match, 1);
    g_clear_pointer(&match, g_match_info_unref);
    if (!g_regex_match(member, line, 0, &match))
        return NULL;
    name = g_match_info_fetch(match, 1);
    return g_strdup_printf("%s.%s", *in_struct, name);
}

static unsigned count_compared(const char *header)
{
    g_autofree char *path = g_build_filename(PLUGMAP_SOURCE_DIR, "kernel-uapi", header, NULL);
    g_autofree char *text = NULL;
    g_autofree char *in_struct = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned n_compared = 0;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        g_autofree char *name = defined_name(*line, &in_struct);

        if (name != NULL && !g_strv_contains(listed, name))
            fail_msg("%s of %s is not compared: add it to uapi_list.h", name, header);
        n_compared += name != NULL;
    }
    return n_compared;
}

static void every_definition_in_our_headers_is_compared(void **state)
{
    (void)state;
    assert_int_equal(count_compared("iommufd.h") + count_compared("vfio.h") +
                         count_compared("virtio_iommu.h") + count_compared("virtio_mem.h"),
                     G_N_ELEMENTS(listed) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_definition_in_our_headers_is_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
