/* SPDX-License-Identifier: MIT */
#include "memory/ram_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <plugmap/size.h>

#include "base/error_text.h"
#include "base/process.h"
#include "base/sized.h"

uint64_t pm_base_page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* 0 for kinds that pm_ram_new() does not make. */
static uint64_t page_size_of_kind(PmRamKind kind)
{
    switch (kind) {
    case PM_RAM_ANONYMOUS:
    case PM_RAM_MEMFD:
        return pm_base_page_size();
    case PM_RAM_HUGETLB_2M:
        return 2 * PM_MIB;
    case PM_RAM_HUGETLB_1G:
        return PM_GIB;
    case PM_RAM_ADOPTED:
    case PM_RAM_DEVICE:
        break;
    }
    return 0;
}

static bool check_geometry(PmRamKind kind, uint64_t size, uint64_t alignment, GError **error)
{
    uint64_t page_size = page_size_of_kind(kind);
    g_autofree char *page_text = pm_size_format(page_size);
    g_autofree char *size_text = pm_size_format(size);

    if (page_size == 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid kind %d of RAM to reserve: must be anonymous, memfd or hugetlb; "
                       "adopt other memory",
                       (int)kind);
    if (size == 0 || size % page_size != 0)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid RAM size %s: must be a multiple of the page size %s, not 0",
                       size_text, page_text);
    if (!is_power_of_two(alignment) || alignment < page_size)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid RAM alignment 0x%" PRIx64
                       ": must be a power of two, at least the page size %s",
                       alignment, page_text);
    if (alignment > INT64_MAX || size > INT64_MAX - alignment)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid RAM size %s with alignment 0x%" PRIx64
                       ": exceeds the 128T address space of a process",
                       size_text, alignment);
    return true;
}

static bool fail_to_make(uint64_t size, int error_number, const char *advice, GError **error)
{
    g_autofree char *size_text = pm_size_format(size);
    g_autofree char *errno_text = pm_errno_text(error_number);

    (void)pm_fail(error, PM_ERROR_MEMORY, "cannot reserve %s for guest RAM: %s: %s", size_text,
                  errno_text, advice);
    return pm_note_errno(error, error_number);
}

/* Growing a file beyond the limit would raise SIGXFSZ. */
static bool check_file_size_limit(uint64_t size, GError **error)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        size > limit.rlim_cur)
        return fail_to_make(size, EFBIG, "raise this process's file size limit (ulimit -f)", error);
    return true;
}

/* Kernels before 4.16 cannot seal files of huge pages. */
static int make_memfd(unsigned flags)
{
    int fd = memfd_create("plugmap-ram", flags | MFD_ALLOW_SEALING);

    if (fd < 0 && errno == EINVAL && (flags & MFD_HUGETLB))
        fd = memfd_create("plugmap-ram", flags);
    return fd;
}

/* Without seals others could truncate the file, and touching what was cut off raises SIGBUS. */
static bool fix_size(PmRam *ram, GError **error)
{
    int seals;

    if (ftruncate(ram->fd, (off_t)ram->size) != 0)
        return fail_to_make(ram->size, errno, "reserve less", error);
    seals = fcntl(ram->fd, F_GET_SEALS);
    if (seals >= 0 && !(seals & F_SEAL_SEAL) &&
        fcntl(ram->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return fail_to_make(ram->size, errno, "the kernel must be able to seal its file", error);
    return true;
}

static bool make_file(PmRam *ram, GError **error)
{
    unsigned flags = MFD_CLOEXEC;

    if (ram->kind == PM_RAM_ANONYMOUS)
        return true;
    if (!check_file_size_limit(ram->size, error))
        return false;
    if (ram->kind == PM_RAM_HUGETLB_2M)
        flags |= MFD_HUGETLB | MFD_HUGE_2MB;
    if (ram->kind == PM_RAM_HUGETLB_1G)
        flags |= MFD_HUGETLB | MFD_HUGE_1GB;
    ram->fd = make_memfd(flags);
    if (ram->fd < 0)
        return fail_to_make(ram->size, errno,
                            flags & MFD_HUGETLB
                                ? "the kernel must support hugetlb pages of that size (see "
                                  "/sys/kernel/mm/hugepages)"
                                : "this process must be able to open one more file (ulimit -n)",
                            error);
    return fix_size(ram, error);
}

/* Inaccessible address space; MAP_FAILED if the kernel refuses. */
static void *reserve_aligned(uint64_t size, uint64_t alignment)
{
    uint64_t slack = alignment - pm_base_page_size();
    char *start =
        mmap(NULL, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t head;

    if (start == MAP_FAILED)
        return MAP_FAILED;
    head = -(uint64_t)(uintptr_t)start & (alignment - 1);
    if (head > 0)
        munmap(start, head);
    if (slack > head)
        munmap(start + head + size, slack - head);
    return start + head;
}

bool pm_ram_map_memory(PmRam *ram, uint64_t alignment, GError **error)
{
    static const char advice[] =
        "set vm.overcommit_memory to 0 or 1, raise this process's address space limit "
        "(ulimit -v), or reserve less: a process has 128T of addresses";
    int backing = ram->shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *host = reserve_aligned(ram->size, alignment);

    if (host == MAP_FAILED)
        return fail_to_make(ram->size, errno, advice, error);
    ram->host = host;
    if (mmap(host, ram->size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_NORESERVE | backing, ram->fd,
             (off_t)ram->fd_offset) == MAP_FAILED)
        return fail_to_make(ram->size, errno, advice, error);
    /* So that a child of fork() neither copies the memory nor keeps pages that the parent discards.
     */
    if (madvise(host, ram->size, MADV_DONTFORK) != 0)
        return fail_to_make(ram->size, errno, "raise vm.max_map_count", error);
    return true;
}

PmRam *pm_ram_new_empty(PmRamKind kind, uint64_t size, uint64_t page_size)
{
    PmRam *ram = g_new0(PmRam, 1);

    g_atomic_ref_count_init(&ram->references);
    pthread_mutex_init(&ram->lock, NULL);
    pthread_cond_init(&ram->discard_ended, NULL);
    ram->process = pm_process_token();
    ram->kind = kind;
    ram->size = size;
    ram->page_size = page_size;
    ram->fd = -1;
    return ram;
}

PmRam *pm_ram_new(PmRamKind kind, uint64_t size, uint64_t alignment, GError **error)
{
    g_autoptr(PmRam) ram = NULL;

    if (alignment == 0)
        alignment = MAX(page_size_of_kind(kind), 1);
    if (!check_geometry(kind, size, alignment, error))
        return NULL;
    ram = pm_ram_new_empty(kind, size, page_size_of_kind(kind));
    ram->shared = kind != PM_RAM_ANONYMOUS;
    if (!make_file(ram, error) || !pm_ram_map_memory(ram, alignment, error))
        return NULL;
    return g_steal_pointer(&ram);
}

static bool is_adopted(const PmRam *ram)
{
    return ram->kind == PM_RAM_ADOPTED || ram->kind == PM_RAM_DEVICE;
}

static bool check_adoption(const PmRamAdoption *adoption, uint64_t page_size, GError **error)
{
    uint64_t host = (uint64_t)(uintptr_t)adoption->host;
    uint64_t fd_offset = adoption->has_fd ? adoption->fd_offset : 0;

    if (!is_power_of_two(page_size) || page_size < pm_base_page_size())
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid page size 0x%" PRIx64 " of adopted memory: must be a power of two, "
                       "at least the host's page size 0x%" PRIx64,
                       page_size, pm_base_page_size());
    if (adoption->device_memory && (adoption->has_fd || page_size != pm_base_page_size()))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid adoption of device memory at host address 0x%" PRIx64
                       ": has_fd and page_size must be unset",
                       host);
    if (host == 0 || adoption->size == 0 || adoption->size > UINT64_MAX - host)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "cannot adopt 0x%" PRIx64 " bytes at host address 0x%" PRIx64
                       ": must be non-empty, at an address, and end below 2^64",
                       adoption->size, host);
    if (adoption->has_fd && (adoption->fd < 0 || fd_offset > INT64_MAX ||
                             adoption->size > (uint64_t)INT64_MAX - fd_offset))
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "invalid file range: 0x%" PRIx64 " bytes at offset 0x%" PRIx64
                       " of file descriptor %d",
                       adoption->size, fd_offset, adoption->fd);
    if ((host | adoption->size | fd_offset) & (page_size - 1))
        return pm_fail(error, PM_ERROR_UNALIGNED,
                       "host address 0x%" PRIx64 ", size 0x%" PRIx64 " and file offset 0x%" PRIx64
                       " of adopted memory must be multiples of its page size 0x%" PRIx64,
                       host, adoption->size, fd_offset, page_size);
    return true;
}

static PmRam *adopt(const PmRamAdoption *adoption, GError **error)
{
    uint64_t page_size = adoption->page_size != 0 ? adoption->page_size : pm_base_page_size();
    PmRam *ram;

    if (!check_adoption(adoption, page_size, error))
        return NULL;
    ram = pm_ram_new_empty(adoption->device_memory ? PM_RAM_DEVICE : PM_RAM_ADOPTED, adoption->size,
                           page_size);
    ram->host = adoption->host;
    ram->fd = adoption->has_fd ? adoption->fd : -1;
    ram->fd_offset = adoption->has_fd ? adoption->fd_offset : 0;
    ram->shared = adoption->shared || adoption->device_memory;
    ram->destroy = adoption->destroy;
    ram->user_data = adoption->user_data;
    return ram;
}

PmRam *pm_ram_adopt(const PmRamAdoption *adoption, GError **error)
{
    PmRamAdoption known;

    if (!pm_sized_read("PmRamAdoption", &known, sizeof(known), adoption, error))
        return NULL;
    return adopt(&known, error);
}

PmRam *pm_ram_ref(PmRam *ram)
{
    g_atomic_ref_count_inc(&ram->references);
    return ram;
}

bool pm_ram_is_inherited(const PmRam *ram)
{
    return ram->process != pm_process_token();
}

/* Another thread may have held the lock when the process forked. */
void pm_ram_lock(PmRam *ram)
{
    if (!pm_ram_is_inherited(ram))
        pthread_mutex_lock(&ram->lock);
}

void pm_ram_unlock(PmRam *ram)
{
    if (!pm_ram_is_inherited(ram))
        pthread_mutex_unlock(&ram->lock);
}

/* A copy in a forked child may be locked by a thread that the child does not have. */
static void destroy_locks(PmRam *ram)
{
    if (pm_ram_is_inherited(ram))
        return;
    pthread_cond_destroy(&ram->discard_ended);
    pthread_mutex_destroy(&ram->lock);
}

/* In a forked child something else may be mapped at the parent's addresses. */
void pm_ram_unref(PmRam *ram)
{
    if (ram == NULL || !g_atomic_ref_count_dec(&ram->references))
        return;
    if (!is_adopted(ram)) {
        if (ram->host != NULL && !pm_ram_is_inherited(ram))
            munmap(ram->host, ram->size);
        if (ram->fd >= 0)
            close(ram->fd);
    } else if (ram->destroy != NULL && !pm_ram_is_inherited(ram)) {
        ram->destroy(ram->user_data);
    }
    pm_discard_claims_clear(&ram->claims);
    destroy_locks(ram);
    g_free(ram);
}

void *pm_ram_get_host(const PmRam *ram)
{
    return ram->host;
}

uint64_t pm_ram_get_size(const PmRam *ram)
{
    return ram->size;
}

uint64_t pm_ram_get_page_size(const PmRam *ram)
{
    return ram->page_size;
}

PmRamKind pm_ram_get_kind(const PmRam *ram)
{
    return ram->kind;
}

bool pm_ram_is_shared(const PmRam *ram)
{
    return ram->shared;
}

int pm_ram_get_fd(const PmRam *ram, uint64_t *offset)
{
    if (offset != NULL)
        *offset = ram->fd_offset;
    return ram->fd;
}

/* 0 if the host has no transparent huge pages. */
static uint64_t transparent_huge_page_size(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", &text, NULL,
                             NULL))
        return 0;
    return g_ascii_strtoull(text, NULL, 10);
}

void pm_ram_fit_huge_pages(PmRam *ram, uint64_t granularity)
{
    uint64_t huge_page_size = transparent_huge_page_size();

    bool fits =
        huge_page_size != 0 && (((uintptr_t)ram->host | granularity) & (huge_page_size - 1)) == 0;

    if (ram->page_size > pm_base_page_size() || pm_ram_is_inherited(ram))
        return;
    if (!fits)
        (void)madvise(ram->host, ram->size, MADV_NOHUGEPAGE);
    else if (ram->kind == PM_RAM_MEMFD)
        (void)madvise(ram->host, ram->size, MADV_HUGEPAGE);
}
