/* SPDX-License-Identifier: MIT */
/* Dirty bitmaps of random mappings, compared with a plain model that keeps one bool per bit. */
#include "util/kernel_util.h"
#include "util/random_util.h"

#define WORD_BITS   64
#define N_WORDS     32
#define N_PLACES    8
#define PLACE_PAGES 100
#define MAX_BITS    (PLACE_PAGES + 2 * WORD_BITS)

/* struct vfio_iommu_type1_dirty_bitmap and its data. */
typedef struct {
    uint32_t argsz;
    uint32_t flags;
    struct vfio_iommu_type1_dirty_bitmap_get get;
} Get;

static int get_bits(Kernel *kernel, uint64_t first_page, uint64_t n_pages, uint64_t *words)
{
    Get get = {
        .argsz = sizeof(get),
        .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
        .get = {.iova = first_page * PAGE,
                .size = n_pages * PAGE,
                .bitmap = {.pgsize = PAGE, .size = N_WORDS * sizeof(uint64_t)}},
    };

    get.get.bitmap.data = words;
    return kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DIRTY_PAGES, &get);
}

static void start_logging(Kernel *kernel)
{
    struct vfio_iommu_type1_dirty_bitmap start = {.argsz = sizeof(start),
                                                  .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START};

    assert_int_equal(kernel_ioctl(kernel, kernel->container, VFIO_IOMMU_DIRTY_PAGES, &start), 0);
}

static uint64_t below(GRand *random, uint64_t end)
{
    return (uint64_t)g_rand_int_range(random, 0, (gint32)end);
}

static uint64_t random_word(GRand *random)
{
    return (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
}

/* One mapping, at page place * PLACE_PAGES + @offset; n_pages 0: none. */
typedef struct {
    uint64_t offset;
    uint64_t n_pages;
    bool bits[MAX_BITS];
} ModelMapping;

static uint64_t words_for(uint64_t n_bits)
{
    return (n_bits + WORD_BITS - 1) / WORD_BITS;
}

static bool get_bit(const uint64_t *words, uint64_t bit)
{
    return words[bit / WORD_BITS] >> bit % WORD_BITS & 1;
}

static void put_bit(uint64_t *words, uint64_t bit, bool value)
{
    uint64_t mask = UINT64_C(1) << bit % WORD_BITS;

    words[bit / WORD_BITS] = value ? words[bit / WORD_BITS] | mask : words[bit / WORD_BITS] & ~mask;
}

/* What the kernel does with one mapping's bits: set, shift, merge, copy, clear. */
static void model_read(ModelMapping *mapping, uint64_t first_bit, uint64_t *words)
{
    uint64_t shift = first_bit % WORD_BITS;
    uint64_t begin = first_bit - shift;
    uint64_t n_copied = words_for(mapping->n_pages + shift) * WORD_BITS;

    for (uint64_t i = 0; i < mapping->n_pages; i++)
        mapping->bits[i] = true;
    for (uint64_t i = n_copied; shift > 0 && i-- > 0;)
        mapping->bits[i] = i >= shift && mapping->bits[i - shift];
    for (uint64_t i = 0; shift > 0 && i < WORD_BITS; i++)
        mapping->bits[i] |= get_bit(words, begin + i);
    for (uint64_t i = 0; i < n_copied; i++)
        put_bit(words, begin + i, mapping->bits[i]);
    for (uint64_t i = 0; i < mapping->n_pages; i++)
        mapping->bits[i] = false;
}

static void change_place(Kernel *kernel, GRand *random, ModelMapping *places, uint64_t place)
{
    ModelMapping *mapping = &places[place];
    uint64_t first = place * PLACE_PAGES + mapping->offset;

    if (mapping->n_pages > 0) {
        assert_int_equal(kernel_unmap(kernel, first * PAGE, mapping->n_pages * PAGE, NULL), 0);
        mapping->n_pages = 0;
        return;
    }
    memset(mapping, 0, sizeof(*mapping));
    mapping->offset = below(random, PLACE_PAGES);
    mapping->n_pages = 1 + below(random, PLACE_PAGES - mapping->offset);
    first = place * PLACE_PAGES + mapping->offset;
    assert_int_equal(kernel_map(kernel, first * PAGE, kernel->memory, mapping->n_pages * PAGE), 0);
}

static void random_reads_match_the_model(void **state)
{
    Kernel *kernel = *state;
    ModelMapping places[N_PLACES] = {{0}};
    g_autoptr(GRand) random = random_new("dirty model");
    unsigned n_steps = random_steps(2000);

    start_logging(kernel);
    for (unsigned step = 0; step < n_steps; step++) {
        uint64_t first = below(random, N_PLACES);
        uint64_t words[N_WORDS];
        uint64_t expected[N_WORDS];

        change_place(kernel, random, places, below(random, N_PLACES));
        for (size_t i = 0; i < N_WORDS; i++)
            words[i] = below(random, 4) == 0 ? random_word(random) : 0;
        memcpy(expected, words, sizeof(expected));
        for (uint64_t i = first; i < N_PLACES; i++)
            if (places[i].n_pages > 0)
                model_read(&places[i], (i - first) * PLACE_PAGES + places[i].offset, expected);
        assert_int_equal(
            get_bits(kernel, first * PLACE_PAGES, (N_PLACES - first) * PLACE_PAGES, words), 0);
        assert_memory_equal(words, expected, sizeof(words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(random_reads_match_the_model),
    };

    return RUN_TESTS(tests);
}
