/* SPDX-License-Identifier: MIT */
/* An address space on a fake kernel, with memory to map, and a kernel that gives wrong answers. */
#ifndef PLUGMAP_TESTS_UTIL_IOMMU_FIXTURE_H
#define PLUGMAP_TESTS_UTIL_IOMMU_FIXTURE_H

#include <plugmap/fake.h>
#include <plugmap/iommu_claim.h>
#include <plugmap/size.h>

#define BLOCK (2 * PM_MIB)
#define BASE  UINT64_C(0x100000000)
#define GROUP 1

#define FIXTURE_MEMORY_SIZE (128 * PM_MIB)

/* HookedKernel: forwards calls, except those that it answers itself. */
typedef struct {
    PmKernel parent;
    PmKernel *next;
    unsigned long request;     /* an ioctl that is not forwarded; 0: none */
    int result;                /* its result */
    bool is_sandboxed;         /* all opens fail, and there is no sysfs */
    const char *path;          /* a file whose open fails; NULL: none */
    int open_result;           /* the result of opening it */
    uint64_t unmap_size_added; /* to the size returned by UNMAP */
    uint64_t last_iova;        /* the last valid I/O address, in two ranges; 0: unchanged */
    unsigned n_narrow;         /* the number of times it is; 0: always */
    uint64_t locked_by_others; /* bytes the kernel counts in addition to its mappings */
    int locked_result;         /* of querying locked memory */
    unsigned n_locked_queries; /* out */
    bool hide_capabilities;    /* GET_INFO has no capabilities, as before Linux 5.4 */
    bool apart;                /* devices cannot share page tables */
    int owners[64];            /* of page tables: the first device's descriptor */
    int n_objects;             /* IOAS and page tables that exist */
    int n_attached;            /* devices attached through their cdevs */
    int n_tracking;            /* page tables with dirty tracking on */
    /* Answers a call instead of the kernel, and returns true; NULL: forwards all. */
    bool (*answer)(unsigned long request, void *argument, int *result);
    /* Changes the response of a successful call; NULL: none. */
    void (*change)(unsigned long request, void *argument);
    int held_fd; /* closing it has no effect because its registers are mapped; 0: none */
    int opened;  /* out: the iommufd or container in which an I/O address space was created */
    uint32_t ioas;
    unsigned n_probes; /* out: MAPs that must fail, with which a back end probes what is mapped */
} HookedKernel;

/* @hooked may be on the stack; takes no reference to @next. */
void hooked_kernel_init(HookedKernel *hooked, PmKernel *next);

typedef struct {
    PmKernel *kernel;
    HookedKernel hooked;
    PmIommu *iommu; /* NULL once a test has dropped it */
    PmRam *ram;
    char *memory; /* the RAM's */
    PmIommuClaim
        *claim; /* from BASE on, in blocks of BLOCK bytes; NULL once a test has dropped it */
} IommuFixture;

/* @config: NULL for the defaults. */
IommuFixture *iommu_fixture_new(const PmFakeConfig *config);
void iommu_fixture_free(IommuFixture *fixture);

/* For cmocka, with the defaults. */
int iommu_fixture_setup(void **state);
int iommu_fixture_teardown(void **state);

/* Drops the fixture's claim, so that a test can make its own. */
void fixture_drop_claim(IommuFixture *fixture);

/* Claims @size bytes at @iova for the fixture's RAM, without reserving. Returns NULL with an
 * error. */
PmIommuClaim *fixture_claim(IommuFixture *fixture, uint64_t iova, uint64_t size,
                            uint64_t block_size, GError **error);

/* Maps blocks of BLOCK bytes. Block n is at BASE + n * BLOCK, and its memory at offset n *
 * BLOCK. */
bool fixture_map(IommuFixture *fixture, uint64_t first, uint64_t count, GError **error);
bool fixture_unmap(IommuFixture *fixture, uint64_t first, uint64_t count, GError **error);

/* Maps the fixture's memory, bypassing plugmap, as another user of the descriptor could. */
void fixture_map_secretly(IommuFixture *fixture, uint64_t iova, uint64_t size);
void fixture_unmap_secretly(IommuFixture *fixture, uint64_t iova, uint64_t size);

/* Both the kernel and the ledger have @count mappings of BLOCK bytes. */
void assert_mapped(IommuFixture *fixture, uint64_t count);

/* The ledger's first run at or after block @from. */
void assert_run(IommuFixture *fixture, uint64_t from, uint64_t first, uint64_t count);

/* The claim's first run of unknown blocks, whose reason contains @words. */
void assert_unknown(IommuFixture *fixture, uint64_t first, uint64_t count, const char *words);

/* The claim has no unknown block. */
void assert_all_known(IommuFixture *fixture);

/* @error has this code, and its message contains @words; clears it. */
void assert_error(GError **error, PmError code, const char *words);

#endif
