/* SPDX-License-Identifier: MIT */
/* The bytes of a snapshot, and what a reader refuses. */
#include "snapshot_util.h"

#include "kernel-uapi/virtio_mem.h"

#define EXAMPLE_SIZE 114

static uint64_t get_le(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    while (size-- > 0)
        value = value << 8 | bytes[size];
    return value;
}

static void put_le(uint8_t *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* --- the document --- */

/* A line is "OFFSET  16 BYTES". */
static size_t read_dump_line(const char *line, uint8_t *bytes, size_t size)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);

    assert_int_equal(g_ascii_strtoull(words[0], NULL, 16), size);
    for (unsigned i = 1; words[i] != NULL; i++) {
        if (words[i][0] == '\0')
            continue;
        assert_true(size < EXAMPLE_SIZE);
        bytes[size++] = (uint8_t)g_ascii_strtoull(words[i], NULL, 16);
    }
    return size;
}

static GBytes *example_of_the_document(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint8_t *bytes = g_malloc(EXAMPLE_SIZE);
    size_t size = 0;

    assert_true(
        g_file_get_contents(PLUGMAP_SOURCE_DIR "/docs/snapshot-format.md", &text, NULL, NULL));
    lines = g_strsplit(strstr(text, "## Example"), "\n", -1);
    for (unsigned i = 0; lines[i] != NULL; i++)
        if (g_ascii_isxdigit(lines[i][0]) && g_ascii_isxdigit(lines[i][1]) &&
            g_ascii_isxdigit(lines[i][2]))
            size = read_dump_line(lines[i], bytes, size);
    assert_int_equal(size, EXAMPLE_SIZE);
    return g_bytes_new_take(bytes, size);
}

static PmVirtioMem *device_of_the_document(void)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, 24 * PM_MIB, 2 * PM_MIB, NULL);
    const PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram,
        .address = 4 * PM_GIB,
        .block_size = 2 * PM_MIB,
        .requested_size = 16 * PM_MIB,
        .has_node = true,
        .node = 1,
    };

    return device_with(&config);
}

static void saved_bytes_are_those_of_the_document(void **state)
{
    g_autoptr(PmVirtioMem) device = device_of_the_document();
    g_autoptr(GBytes) example = example_of_the_document();

    (void)state;
    assert_true(pm_virtio_mem_set_features(device, 3, NULL));
    plug_blocks(device, 0, 3);
    plug_blocks(device, 9, 1);
    assert_state(device, example);
}

static void example_of_the_document_loads(void **state)
{
    g_autoptr(PmVirtioMem) device = device_of_the_document();
    g_autoptr(GBytes) example = example_of_the_document();

    (void)state;
    assert_loads(device, example);
    assert_state(device, example);
    assert_int_equal(pm_virtio_mem_get_plugged_size(device), 8 * PM_MIB);
}

/* --- fields --- */

static void each_field_is_at_its_offset(void **state)
{
    g_autoptr(PmVirtioMem) device = small_source();
    g_autoptr(GBytes) snapshot = NULL;
    const uint8_t *bytes;

    (void)state;
    request_size(device, 3);
    snapshot = save(device);
    assert_int_equal(g_bytes_get_size(snapshot), SMALL_SIZE);
    bytes = g_bytes_get_data(snapshot, NULL);
    assert_memory_equal(bytes, "PLUGVMEM", 8);
    assert_int_equal(get_le(bytes + AT_VERSION, 4), 1);
    assert_int_equal(get_le(bytes + AT_FLAGS, 4), 0);
    assert_int_equal(get_le(bytes + AT_ADDRESS, 8), SMALL_ADDRESS);
    assert_int_equal(get_le(bytes + AT_REGION_SIZE, 8), SMALL_REGION);
    assert_int_equal(get_le(bytes + AT_BLOCK_SIZE, 8), SMALL_BLOCK);
    assert_int_equal(get_le(bytes + AT_NODE, 2), 0x0102);
    assert_int_equal(get_le(bytes + AT_RESERVED, 6), 0);
    assert_int_equal(get_le(bytes + AT_PLUGGED_SIZE, 8), 9 * SMALL_BLOCK);
    assert_int_equal(get_le(bytes + AT_USABLE_SIZE, 8), 18 * SMALL_BLOCK);
    assert_int_equal(get_le(bytes + AT_REQUESTED_SIZE, 8), 3 * SMALL_BLOCK);
    assert_int_equal(get_le(bytes + AT_FEATURES, 8), 3);
    assert_int_equal(get_le(bytes + AT_BITMAP, 3), 0x0083f3);
}

static void checksum_is_the_sha256_of_all_bytes_before_it(void **state)
{
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autofree uint8_t *bytes = copy_of(snapshot);

    (void)state;
    put_checksum(bytes, SMALL_SIZE);
    assert_memory_equal(bytes, g_bytes_get_data(snapshot, NULL), SMALL_SIZE);
}

static void broken_device_has_its_flag(void **state)
{
    g_autoptr(PmVirtioMem) device = small_source();
    g_autoptr(GBytes) snapshot = NULL;

    (void)state;
    assert_int_equal(send_blocks(device, 77, 0, 1), -1);
    snapshot = save(device);
    assert_int_equal(get_le((const uint8_t *)g_bytes_get_data(snapshot, NULL) + AT_FLAGS, 4), 1);
}

static void a_bitmap_of_whole_bytes_has_no_spare_byte(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, 16 * SMALL_BLOCK, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(PmVirtioMem) device = device_with(&config);
    g_autoptr(GBytes) snapshot = NULL;

    (void)state;
    request_size(device, 16);
    plug_blocks(device, 0, 16);
    snapshot = save(device);
    assert_int_equal(g_bytes_get_size(snapshot), HEADER_SIZE + 2 + SUM_SIZE);
    pm_virtio_mem_system_reset(device, NULL);
    assert_loads(device, snapshot);
    assert_state(device, snapshot);
}

/* --- damage --- */

static void truncation_at_every_length_is_refused(void **state)
{
    static const struct {
        unsigned end;
        const char *field;
    } fields[] = {
        {AT_VERSION, "magic at offset 0x0: truncated"},
        {AT_FLAGS, "version at offset 0x8: truncated"},
        {AT_ADDRESS, "flags at offset 0xc: truncated"},
        {AT_REGION_SIZE, "address at offset 0x10: truncated"},
        {AT_BLOCK_SIZE, "region_size at offset 0x18: truncated"},
        {AT_NODE, "block_size at offset 0x20: truncated"},
        {AT_RESERVED, "node at offset 0x28: truncated"},
        {AT_PLUGGED_SIZE, "reserved bytes at offset 0x2a: truncated"},
        {AT_USABLE_SIZE, "plugged_size at offset 0x30: truncated"},
        {AT_REQUESTED_SIZE, "usable_size at offset 0x38: truncated"},
        {AT_FEATURES, "requested_size at offset 0x40: truncated"},
        {AT_BITMAP, "features at offset 0x48: truncated"},
        {AT_BITMAP + 3, "bitmap at offset 0x50: truncated"},
        {SMALL_SIZE, "checksum at offset 0x53: truncated"},
    };
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();
    size_t i = 0;

    (void)state;
    for (size_t size = 0; size < SMALL_SIZE; size++) {
        /* A copy, so that a sanitizer finds reads past the end. */
        g_autoptr(GBytes) part = g_bytes_new(g_bytes_get_data(snapshot, NULL), size);

        if (size == fields[i].end)
            i++;
        assert_refused(device, part, fields[i].field);
    }
}

static void every_flipped_bit_is_refused(void **state)
{
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    for (unsigned bit = 0; bit < 8 * SMALL_SIZE; bit++) {
        g_autofree uint8_t *bytes = copy_of(snapshot);
        g_autoptr(GBytes) flipped = NULL;

        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        flipped = g_bytes_new_static(bytes, SMALL_SIZE);
        assert_refused(device, flipped,
                       bit < 8 * AT_VERSION ? "magic at offset 0x0: not a snapshot"
                       : bit < 8 * AT_FLAGS ? "version at offset 0x8"
                                            : "checksum at offset 0x53");
    }
}

/* What loads is a valid state, which saves to the same bytes. */
static void every_flipped_bit_with_a_new_checksum_is_refused_or_a_valid_state(void **state)
{
    g_autoptr(GBytes) snapshot = small_snapshot();
    unsigned n_loaded = 0;

    (void)state;
    for (unsigned bit = 0; bit < 8 * (SMALL_SIZE - SUM_SIZE); bit++) {
        g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
        g_autoptr(GBytes) before = save(device);
        g_autofree uint8_t *bytes = copy_of(snapshot);
        g_autoptr(GBytes) flipped = NULL;
        g_autoptr(GError) error = NULL;

        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        put_checksum(bytes, SMALL_SIZE);
        flipped = g_bytes_new_static(bytes, SMALL_SIZE);
        if (pm_virtio_mem_load(device, flipped, &error)) {
            n_loaded++;
            assert_state(device, flipped);
        } else {
            assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
            assert_state(device, before);
        }
    }
    /* Broken; the driver did not accept ACPI_PXM; 19 blocks usable; nothing requested. */
    assert_int_equal(n_loaded, 4);
}

static void trailing_byte_is_refused(void **state)
{
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();
    g_autofree uint8_t *bytes = g_malloc0(SMALL_SIZE + 1);
    g_autoptr(GBytes) longer = NULL;

    (void)state;
    memcpy(bytes, g_bytes_get_data(snapshot, NULL), SMALL_SIZE);
    longer = g_bytes_new_static(bytes, SMALL_SIZE + 1);
    assert_refused(device, longer, "trailing bytes at offset 0x73: the file must end here");
    put_checksum(bytes, SMALL_SIZE + 1);
    assert_refused(device, longer, "trailing bytes at offset 0x73: the file must end here");
}

/* --- wrong values, with a matching checksum --- */

static void each_wrong_value_is_named(void **state)
{
    static const struct {
        unsigned offset;
        unsigned size;
        uint64_t value;
        const char *message;
    } cases[] = {
        {0, 1, 'p', "magic at offset 0x0: not a snapshot of a virtio-mem device"},
        {AT_VERSION, 4, 2, "version at offset 0x8: 2 is not supported: must be 1. Load it with"},
        {AT_VERSION, 4, UINT32_MAX, "4294967295 is not supported: must be 1. Load it with"},
        {AT_VERSION, 4, 0, "version at offset 0x8: 0 is not supported: must be 1"},
        {AT_FLAGS, 4, 2, "flags at offset 0xc: 0x2: bits other than 0x1 must be 0"},
        {AT_FLAGS, 4, 0x80000001, "flags at offset 0xc: 0x80000001"},
        {AT_ADDRESS, 8, SMALL_ADDRESS + SMALL_BLOCK,
         "address at offset 0x10: 0x140001000: the device has 0x140000000"},
        {AT_REGION_SIZE, 8, SMALL_REGION + SMALL_BLOCK,
         "region_size at offset 0x18: 88K: the device has 84K"},
        {AT_REGION_SIZE, 8, UINT64_MAX, "region_size at offset 0x18: 18446744073709551615"},
        {AT_BLOCK_SIZE, 8, 2 * SMALL_BLOCK, "block_size at offset 0x20: 8K: the device has 4K"},
        {AT_BLOCK_SIZE, 8, 0, "block_size at offset 0x20: 0: the device has 4K"},
        {AT_NODE, 2, 0x0103, "node at offset 0x28: 259: the device has 258"},
        {AT_RESERVED, 1, 1, "reserved byte at offset 0x2a: 0x01: must be 0"},
        {AT_RESERVED + 5, 1, 0x80, "reserved byte at offset 0x2f: 0x80: must be 0"},
        {AT_PLUGGED_SIZE, 8, 8 * SMALL_BLOCK,
         "plugged_size at offset 0x30: 0x8000: the blocks of the bitmap are 0x9000 bytes"},
        {AT_USABLE_SIZE, 8, 18 * SMALL_BLOCK + 1,
         "usable_size at offset 0x38: 0x12001: must be a multiple of block_size 4K"},
        {AT_USABLE_SIZE, 8, 22 * SMALL_BLOCK,
         "usable_size at offset 0x38: 0x16000: must be at most region_size, 84K"},
        {AT_USABLE_SIZE, 8, UINT64_C(0) - SMALL_BLOCK, "usable_size at offset 0x38"},
        {AT_USABLE_SIZE, 8, 17 * SMALL_BLOCK,
         "usable_size at offset 0x38: 68K: must be at least 72K"},
        {AT_REQUESTED_SIZE, 8, SMALL_BLOCK / 2,
         "requested_size at offset 0x40: 0x800: must be a multiple of block_size 4K"},
        {AT_REQUESTED_SIZE, 8, 22 * SMALL_BLOCK,
         "requested_size at offset 0x40: 0x16000: must be at most region_size, 84K"},
        {AT_REQUESTED_SIZE, 8, 17 * SMALL_BLOCK,
         "usable_size at offset 0x38: 72K: must be at least"},
        {AT_FEATURES, 8, 7, "features at offset 0x48: 0x7: the device only offers 0x3"},
        {AT_FEATURES, 8, 1, "features at offset 0x48: 0x1 lacks UNPLUGGED_INACCESSIBLE"},
        {AT_BITMAP, 3, 0x2083f3, "bitmap at offset 0x52: 0x20: bits past block 20"},
        {AT_BITMAP, 3, 0x8083f3, "bitmap at offset 0x52: 0x80: bits past block 20"},
        {AT_BITMAP, 3, 0x0083f1, "plugged_size at offset 0x30: 0x9000: the blocks"},
        {AT_BITMAP, 3, 0x0483f2,
         "bitmap at offset 0x52: block 18 is plugged: it is outside usable_size, 0x12000"},
    };
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree uint8_t *bytes = copy_of(snapshot);
        g_autoptr(GBytes) wrong = NULL;

        put_le(bytes + cases[i].offset, cases[i].value, cases[i].size);
        put_checksum(bytes, SMALL_SIZE);
        wrong = g_bytes_new_static(bytes, SMALL_SIZE);
        assert_refused(device, wrong, cases[i].message);
    }
}

/* The length of the bitmap differs, but the geometry explains it. */
static void snapshot_of_a_larger_region_names_the_region(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, 64 * SMALL_BLOCK, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(PmVirtioMem) larger = device_with(&config);
    g_autoptr(PmVirtioMem) device = small_device(PM_RAM_ANONYMOUS);
    g_autoptr(GBytes) snapshot = save(larger);
    g_autoptr(GBytes) small = save(device);

    (void)state;
    assert_refused(device, snapshot, "region_size at offset 0x18: 256K: the device has 84K");
    assert_refused(larger, small, "region_size at offset 0x18: 84K: the device has 256K");
}

static void usable_extent_of_the_destination_counts(void **state)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, SMALL_REGION, 0, NULL);
    PmVirtioMemConfig config = small_config(ram);
    g_autoptr(PmVirtioMem) device = NULL;
    g_autoptr(GBytes) snapshot = small_snapshot();

    (void)state;
    config.usable_extent = 3 * SMALL_BLOCK;
    device = device_with(&config);
    assert_refused(device, snapshot,
                   "usable_size at offset 0x38: 72K: must be at least 76K, for requested_size and "
                   "the device's usable_extent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saved_bytes_are_those_of_the_document),
        cmocka_unit_test(example_of_the_document_loads),
        cmocka_unit_test(each_field_is_at_its_offset),
        cmocka_unit_test(checksum_is_the_sha256_of_all_bytes_before_it),
        cmocka_unit_test(broken_device_has_its_flag),
        cmocka_unit_test(a_bitmap_of_whole_bytes_has_no_spare_byte),
        cmocka_unit_test(truncation_at_every_length_is_refused),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(every_flipped_bit_with_a_new_checksum_is_refused_or_a_valid_state),
        cmocka_unit_test(trailing_byte_is_refused),
        cmocka_unit_test(each_wrong_value_is_named),
        cmocka_unit_test(snapshot_of_a_larger_region_names_the_region),
        cmocka_unit_test(usable_extent_of_the_destination_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
