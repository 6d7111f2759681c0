/* SPDX-License-Identifier: MIT */
/* How the kernel hands out memory: overcommit, huge pages, transparent huge pages. */
#include "plan/doctor_checks.h"

#include <inttypes.h>
#include <string.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "host/host_files.h"

#define OVERCOMMIT "/proc/sys/vm/overcommit_memory"
#define POOLS      "/sys/kernel/mm/hugepages"
#define THP        "/sys/kernel/mm/transparent_hugepage"

/* --- overcommit --- */

void pm_doctor_check_overcommit(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    GError *error = NULL;
    uint64_t mode;

    if (!pm_host_read_number(subject->root, OVERCOMMIT, 10, &mode, &error)) {
        pm_doctor_set_error(finding, error);
        return;
    }
    pm_doctor_add_fact(finding, "overcommit_memory", mode);
    if (mode != 2) {
        pm_doctor_set(finding, PM_DOCTOR_OK,
                      mode == 0 ? "heuristic (vm.overcommit_memory=0)"
                                : "always (vm.overcommit_memory=1)");
        return;
    }
    pm_doctor_set(
        finding, PM_DOCTOR_WARNING,
        "never (vm.overcommit_memory=2): a guest's maximum size counts, though most of it "
        "is not plugged");
    pm_doctor_fix(finding, "sysctl vm.overcommit_memory=0");
    pm_doctor_fix_boot(finding, "echo vm.overcommit_memory=0 >/etc/sysctl.d/90-overcommit.conf");
}

/* --- hugetlb pools --- */

typedef struct {
    uint64_t page_size;
    uint64_t n_pages;
    uint64_t n_free; /* without those that are reserved */
    char *folder;
} Pool;

static bool read_count(const char *root, const char *folder, const char *name, uint64_t *count,
                       GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    return pm_host_read_number(root, path, 10, count, error);
}

/* "hugepages-2048kB" */
static bool parse_page_size(const char *name, uint64_t *page_size)
{
    const char *number = name + strlen("hugepages-");
    char *end = NULL;

    if (!g_str_has_prefix(name, "hugepages-"))
        return false;
    *page_size = g_ascii_strtoull(number, &end, 10) * PM_KIB;
    return *page_size != 0 && g_str_equal(end, "kB");
}

static bool read_pool(const char *root, const char *name, Pool *pool, GError **error)
{
    uint64_t n_reserved;

    pool->folder = g_build_filename(POOLS, name, NULL);
    if (!parse_page_size(name, &pool->page_size))
        return pm_fail(error, PM_ERROR_BAD_INPUT, "%s%s is not the name of a pool", root,
                       pool->folder);
    if (!read_count(root, pool->folder, "nr_hugepages", &pool->n_pages, error) ||
        !read_count(root, pool->folder, "free_hugepages", &pool->n_free, error) ||
        !read_count(root, pool->folder, "resv_hugepages", &n_reserved, error))
        return false;
    pool->n_free -= MIN(pool->n_free, n_reserved);
    return true;
}

static void find_empty_pool(const Pool *pool, PmDoctorFinding *finding)
{
    finding->state = PM_DOCTOR_WARNING;
    pm_doctor_fix(finding, "echo %" PRIu64 " >%s/nr_hugepages", pool->n_pages * 2, pool->folder);
    pm_doctor_fix_boot(
        finding, "echo 'w %s/nr_hugepages - - - - %" PRIu64 "' >>/etc/tmpfiles.d/hugepages.conf",
        pool->folder, pool->n_pages * 2);
}

static void add_pool(const Pool *pool, GString *text, PmDoctorFinding *finding)
{
    g_autofree char *size = pm_size_format(pool->page_size);

    if (pool->n_pages == 0)
        return;
    g_string_append_printf(text, "%s%" PRIu64 " pages of %s, %" PRIu64 " free",
                           text->len > 0 ? "; " : "", pool->n_pages, size, pool->n_free);
    if (pool->n_free == 0)
        find_empty_pool(pool, finding);
}

static bool add_pools(const char *root, GStrv names, GString *text, PmDoctorFinding *finding,
                      GError **error)
{
    for (char **name = names; *name != NULL; name++) {
        Pool pool = {0};
        bool is_read = read_pool(root, *name, &pool, error);

        if (is_read)
            add_pool(&pool, text, finding);
        g_free(pool.folder);
        if (!is_read)
            return false;
    }
    return true;
}

void pm_doctor_check_hugepages(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    GError *error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) names = NULL;

    if (!pm_host_exists(subject->root, POOLS))
        return;
    finding->state = PM_DOCTOR_OK;
    names = pm_host_list(subject->root, POOLS, &error);
    if (names == NULL || !add_pools(subject->root, names, text, finding, &error))
        pm_doctor_set_error(finding, error);
    else
        pm_doctor_set(finding, finding->state, "%s", text->len > 0 ? text->str : "none reserved");
}

/* --- transparent huge pages --- */

/* "always [madvise] never": what is in brackets; a new string. NULL with an error. */
static char *read_choice(const char *root, const char *path, GError **error)
{
    g_autofree char *text = pm_host_read(root, path, error);
    const char *start;
    const char *end;

    if (text == NULL)
        return NULL;
    start = strchr(text, '[');
    end = start != NULL ? strchr(start, ']') : NULL;
    if (end == NULL || end - start < 2 || end - start > 20) {
        (void)pm_fail(error, PM_ERROR_BAD_INPUT, "%s%s names no choice in brackets", root, path);
        return NULL;
    }
    return g_strndup(start + 1, (size_t)(end - start - 1));
}

static void find_no_thp(PmDoctorFinding *finding)
{
    pm_doctor_set(finding, PM_DOCTOR_WARNING,
                  "never: the IOMMU maps memory by small pages, which costs time and its TLB");
    pm_doctor_fix(finding, "echo madvise >" THP "/enabled");
    pm_doctor_fix_boot(finding,
                       "echo 'w " THP "/enabled - - - - madvise' >/etc/tmpfiles.d/thp.conf");
}

void pm_doctor_check_thp(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    GError *error = NULL;
    g_autofree char *enabled = NULL;
    g_autofree char *shmem = NULL;

    if (!pm_host_exists(subject->root, THP))
        return;
    enabled = read_choice(subject->root, THP "/enabled", &error);
    if (enabled != NULL)
        shmem = read_choice(subject->root, THP "/shmem_enabled", &error);
    if (shmem == NULL)
        pm_doctor_set_error(finding, error);
    else if (g_str_equal(enabled, "never"))
        find_no_thp(finding);
    else
        pm_doctor_set(finding, PM_DOCTOR_OK, "%s; for memfds: %s", enabled, shmem);
}
