/* SPDX-License-Identifier: MIT */
/* An address space over a fake kernel, with memory to map, and a kernel that answers wrongly. */
#ifndef PLUGMAP_TESTS_UTIL_IOMMU_FIXTURE_H
#define PLUGMAP_TESTS_UTIL_IOMMU_FIXTURE_H

#include <plugmap/fake.h>
#include <plugmap/iommu_claim.h>
#include <plugmap/size.h>

#define BLOCK (2 * PM_MIB)
#define BASE  UINT64_C(0x100000000)
#define GROUP 1

#define FIXTURE_MEMORY_SIZE (128 * PM_MIB)

/* HookedKernel: hands every call on, but answers some itself. */
typedef struct {
    PmKernel parent;
    PmKernel *next;
    unsigned long request;     /* an ioctl that is not handed on; 0: none */
    int result;                /* its result */
    bool is_sandboxed;         /* no file can be opened, and there is no sysfs */
    const char *path;          /* a file that cannot be opened; NULL: none */
    int open_result;           /* what opening it gives instead */
    uint64_t unmap_size_added; /* to what UNMAP returns as size */
    uint64_t last_iova;        /* the last valid I/O address, of two ranges; 0: as it is */
    unsigned n_narrow;         /* so often it is, and then as it was; 0: always */
    uint64_t locked_by_others; /* what the kernel counts beside what it has mapped */
    int locked_result;         /* of asking for that */
    unsigned n_locked_queries; /* set */
    bool hide_capabilities;    /* GET_INFO has none, as before Linux 5.4 */
    bool apart;                /* devices cannot use each other's page tables */
    int owners[64];            /* of page tables: the first device's file */
    int n_objects;             /* IOASes and page tables that were made, and not destroyed */
    int n_attached;            /* devices by their own files */
    int n_tracking;            /* page tables that were started to track, and not stopped */
    /* Answers a call in the kernel's place, and says whether it has; NULL: nothing does. */
    bool (*answer)(unsigned long request, void *argument, int *result);
    /* Changes a good answer; NULL: nothing does. */
    void (*change)(unsigned long request, void *argument);
    int held_fd; /* closing it lets nothing go: its registers are mapped; 0: none */
    int opened;  /* set: the iommufd or container that an I/O address space has been made in */
    uint32_t ioas;
    unsigned n_probes; /* set: MAPs that cannot succeed, by which a back end asks what is there */
} HookedKernel;

/* On the stack; takes no reference. */
void hooked_kernel_init(HookedKernel *hooked, PmKernel *next);

typedef struct {
    PmKernel *kernel;
    HookedKernel hooked;
    PmIommu *iommu; /* NULL: a test has dropped it */
    PmRam *ram;
    char *memory;        /* the RAM's */
    PmIommuClaim *claim; /* from BASE on, in blocks of BLOCK bytes; NULL: a test has dropped it */
} IommuFixture;

/* @config: NULL is the defaults. */
IommuFixture *iommu_fixture_new(const PmFakeConfig *config);
void iommu_fixture_free(IommuFixture *fixture);

/* For cmocka, with the defaults. */
int iommu_fixture_setup(void **state);
int iommu_fixture_teardown(void **state);

/* Drops the fixture's claim, so that a test can make its own. */
void fixture_drop_claim(IommuFixture *fixture);

/* Claims @size bytes at @iova, with nothing reserved, for the fixture's RAM. NULL with an error. */
PmIommuClaim *fixture_claim(IommuFixture *fixture, uint64_t iova, uint64_t size,
                            uint64_t block_size, GError **error);

/* Maps blocks of BLOCK bytes, where block number n is at BASE + n * BLOCK, and its memory at the
 * same distance. */
bool fixture_map(IommuFixture *fixture, uint64_t first, uint64_t count, GError **error);
bool fixture_unmap(IommuFixture *fixture, uint64_t first, uint64_t count, GError **error);

/* Maps the fixture's memory as somebody else would who has the kernel's descriptor. */
void fixture_map_secretly(IommuFixture *fixture, uint64_t iova, uint64_t size);
void fixture_unmap_secretly(IommuFixture *fixture, uint64_t iova, uint64_t size);

/* Kernel and ledger both have so many mappings of BLOCK bytes. */
void assert_mapped(IommuFixture *fixture, uint64_t count);

/* The ledger's run at or behind block @from. */
void assert_run(IommuFixture *fixture, uint64_t from, uint64_t first, uint64_t count);

/* The claim's first run of unknown blocks is this, and its reason has these words. */
void assert_unknown(IommuFixture *fixture, uint64_t first, uint64_t count, const char *words);

/* The claim has no unknown block. */
void assert_all_known(IommuFixture *fixture);

/* @error has this code, and its message these words; cleared. */
void assert_error(GError **error, PmError code, const char *words);

#endif
