/* SPDX-License-Identifier: MIT */
#include "follower_util.h"

#include <inttypes.h>

/* --- the follower's copy --- */

static char *endpoint_line(uint32_t endpoint, uint32_t domain, bool bypass)
{
    if (domain == NO_DOMAIN)
        return g_strdup_printf("endpoint %u: bypass", endpoint);
    return g_strdup_printf("endpoint %u: %s %u", endpoint, bypass ? "bypass domain" : "domain",
                           domain);
}

static char *mapping_line(uint32_t domain, const PmGuestMapping *mapping)
{
    return g_strdup_printf("mapping %u: 0x%" PRIx64 "-0x%" PRIx64 " to 0x%" PRIx64 " %u %u", domain,
                           mapping->iova, mapping->last, mapping->address,
                           (unsigned)mapping->access, mapping->flags);
}

/* The first line that begins with @start, or NULL. */
static const char *find_line(const Follower *follower, const char *start)
{
    for (guint i = 0; i < follower->lines->len; i++) {
        if (g_str_has_prefix(g_ptr_array_index(follower->lines, i), start))
            return g_ptr_array_index(follower->lines, i);
    }
    return NULL;
}

static void remove_line(Follower *follower, const char *line)
{
    guint index;

    assert_true(g_ptr_array_find_with_equal_func(follower->lines, line, g_str_equal, &index));
    (void)g_ptr_array_remove_index_fast(follower->lines, index);
}

static bool has_endpoint(const Follower *follower, uint32_t domain)
{
    g_autofree char *end = g_strdup_printf(": domain %u", domain);

    for (guint i = 0; i < follower->lines->len; i++) {
        if (g_str_has_suffix(g_ptr_array_index(follower->lines, i), end))
            return true;
    }
    return false;
}

static void drop_mappings(Follower *follower, uint32_t domain)
{
    g_autofree char *start = g_strdup_printf("mapping %u: ", domain);
    const char *line;

    while ((line = find_line(follower, start)) != NULL)
        remove_line(follower, line);
}

/* --- operations --- */

static bool call(Follower *follower, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Notes a call, and returns whether it succeeds. */
static bool call(Follower *follower, GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_string_append_vprintf(follower->calls, format, arguments);
    va_end(arguments);
    follower->n_calls++;
    if (follower->n_calls < follower->fail_from || follower->n_calls > follower->fail_to) {
        g_string_append(follower->calls, "; ");
        return true;
    }
    g_string_append(follower->calls, " fails; ");
    if (!follower->silent)
        g_set_error(error, follower->domain, follower->code, "failure %u of the follower",
                    follower->n_calls - follower->fail_from + 1);
    return false;
}

static bool on_attach(void *user_data, uint32_t domain, bool bypass, uint32_t endpoint,
                      const char *device, GError **error)
{
    Follower *follower = user_data;
    g_autofree char *start = g_strdup_printf("endpoint %u: ", endpoint);
    g_autofree char *name = g_strdup_printf("0000:00:%02x.0", endpoint);

    assert_string_equal(device, name);
    assert_null(find_line(follower, start));
    if (!call(follower, error, "attach %d %u", (int)domain, endpoint))
        return false;
    g_ptr_array_add(follower->lines, endpoint_line(endpoint, domain, bypass));
    return true;
}

static bool on_detach(void *user_data, uint32_t domain, bool bypass, uint32_t endpoint,
                      const char *device, GError **error)
{
    Follower *follower = user_data;
    g_autofree char *line = endpoint_line(endpoint, domain, bypass);

    assert_non_null(device);
    assert_true(g_ptr_array_find_with_equal_func(follower->lines, line, g_str_equal, NULL));
    if (!call(follower, error, "detach %d %u", (int)domain, endpoint))
        return false;
    remove_line(follower, line);
    if (!has_endpoint(follower, domain))
        drop_mappings(follower, domain);
    return true;
}

static bool on_map(void *user_data, uint32_t domain, const PmGuestMapping *mapping, GError **error)
{
    Follower *follower = user_data;
    g_autofree char *line = mapping_line(domain, mapping);
    g_autofree char *start = g_strdup_printf("mapping %u: 0x%" PRIx64 "-", domain, mapping->iova);

    assert_true(has_endpoint(follower, domain));
    assert_null(find_line(follower, start));
    if (!call(follower, error, "map %u 0x%" PRIx64, domain, mapping->iova))
        return false;
    g_ptr_array_add(follower->lines, g_steal_pointer(&line));
    return true;
}

static bool on_unmap(void *user_data, uint32_t domain, const PmGuestMapping *mapping,
                     GError **error)
{
    Follower *follower = user_data;
    g_autofree char *line = mapping_line(domain, mapping);

    assert_true(g_ptr_array_find_with_equal_func(follower->lines, line, g_str_equal, NULL));
    if (!call(follower, error, "unmap %u 0x%" PRIx64, domain, mapping->iova))
        return false;
    remove_line(follower, line);
    return true;
}

const PmGuestIommuOps follower_ops = {
    .struct_size = sizeof(PmGuestIommuOps),
    .attach = on_attach,
    .detach = on_detach,
    .map = on_map,
    .unmap = on_unmap,
};

void follower_init(Follower *follower)
{
    *follower = (Follower){
        .lines = g_ptr_array_new_with_free_func(g_free),
        .calls = g_string_new(NULL),
        .domain = PM_ERROR,
    };
}

void follower_clear(Follower *follower)
{
    g_ptr_array_unref(follower->lines);
    (void)g_string_free(follower->calls, TRUE);
}

void follower_fail(Follower *follower, unsigned n_before, unsigned n_calls, int code)
{
    follower->fail_from = follower->n_calls + n_before + 1;
    follower->fail_to = n_calls == G_MAXUINT ? G_MAXUINT : follower->fail_from + n_calls - 1;
    follower->code = code;
}

void follower_succeed(Follower *follower)
{
    follower->fail_from = 0;
    follower->fail_to = 0;
}

/* --- comparison --- */

static void add_mappings(PmGuestIommu *iommu, uint32_t domain, GPtrArray *lines)
{
    PmGuestMapping mapping;
    uint64_t iova = 0;

    while (pm_guest_iommu_next_mapping(iommu, domain, iova, &mapping)) {
        g_ptr_array_add(lines, mapping_line(domain, &mapping));
        if (mapping.last == UINT64_MAX)
            return;
        iova = mapping.last + 1;
    }
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes the array of lines; they stay the caller's. */
static char *sorted_text(GPtrArray *lines)
{
    GString *text = g_string_new(NULL);

    g_ptr_array_sort(lines, compare_lines);
    for (guint i = 0; i < lines->len; i++)
        g_string_append_printf(text, "%s\n", (const char *)g_ptr_array_index(lines, i));
    return g_string_free(text, FALSE);
}

char *table_text(PmGuestIommu *iommu)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    PmGuestEndpointInfo endpoint = {.struct_size = sizeof(endpoint)};
    PmGuestDomainInfo domain = {.struct_size = sizeof(domain)};

    for (uint32_t id = 0; pm_guest_iommu_next_endpoint(iommu, id, &endpoint);
         id = endpoint.endpoint + 1) {
        if (endpoint.domain != NO_DOMAIN || endpoint.bypass)
            g_ptr_array_add(lines,
                            endpoint_line(endpoint.endpoint, endpoint.domain, endpoint.bypass));
    }
    for (uint32_t id = 0; pm_guest_iommu_next_domain(iommu, id, &domain); id = domain.domain + 1)
        add_mappings(iommu, domain.domain, lines);
    return sorted_text(lines);
}

void assert_follows(PmGuestIommu *iommu, const Follower *follower)
{
    g_autofree char *table = table_text(iommu);
    g_autofree char *copy = sorted_text(follower->lines);

    assert_string_equal(copy, table);
}

void assert_calls(Follower *follower, const char *calls)
{
    assert_string_equal(follower->calls->str, calls);
    g_string_truncate(follower->calls, 0);
}

void assert_error(GError **error, int code, const char *part)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, code))
        fail_msg("code %d: %s", (*error)->code, (*error)->message);
    if (strstr((*error)->message, part) == NULL)
        fail_msg("'%s' is not in: %s", part, (*error)->message);
    g_clear_error(error);
}

/* --- shorthands --- */

PmGuestIommu *new_iommu(const PmGuestIommuConfig *config)
{
    const PmGuestIommuConfig defaults = {.struct_size = sizeof(defaults)};
    PmGuestIommu *iommu = pm_guest_iommu_new(config != NULL ? config : &defaults, NULL);

    assert_non_null(iommu);
    return iommu;
}

void add_endpoint_with(PmGuestIommu *iommu, uint32_t id, const PmGuestReserved *reserved,
                       size_t n_reserved)
{
    g_autofree char *device = g_strdup_printf("0000:00:%02x.0", id);
    const PmGuestEndpoint endpoint = {
        .struct_size = sizeof(endpoint),
        .endpoint = id,
        .device = device,
        .reserved = reserved,
        .n_reserved = n_reserved,
    };

    assert_true(pm_guest_iommu_add_endpoint(iommu, &endpoint, NULL));
}

void add_endpoint(PmGuestIommu *iommu, uint32_t id)
{
    add_endpoint_with(iommu, id, NULL, 0);
}

void attach(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint)
{
    assert_true(pm_guest_iommu_attach(iommu, domain, false, endpoint, NULL));
}

void attach_bypass(PmGuestIommu *iommu, uint32_t domain, uint32_t endpoint)
{
    assert_true(pm_guest_iommu_attach(iommu, domain, true, endpoint, NULL));
}

bool try_map(PmGuestIommu *iommu, uint32_t domain, uint64_t iova, uint64_t last, uint64_t address,
             GError **error)
{
    const PmGuestMapping mapping = {
        .iova = iova,
        .last = last,
        .address = address,
        .access = PM_IOMMU_READ_WRITE,
    };

    return pm_guest_iommu_map(iommu, domain, &mapping, error);
}

void map(PmGuestIommu *iommu, uint32_t domain, uint64_t iova, uint64_t size, uint64_t address)
{
    assert_true(try_map(iommu, domain, iova, iova + size - 1, address, NULL));
}

int world_setup(void **state)
{
    World *world = g_new0(World, 1);

    world->iommu = new_iommu(NULL);
    follower_init(&world->follower);
    for (uint32_t id = 8; id <= 10; id++)
        add_endpoint(world->iommu, id);
    *state = world;
    return 0;
}

int world_setup_followed(void **state)
{
    World *world;

    (void)world_setup(state);
    world = *state;
    assert_true(pm_guest_iommu_set_follower(world->iommu, &follower_ops, &world->follower, NULL));
    return 0;
}

int world_teardown(void **state)
{
    World *world = *state;

    follower_succeed(&world->follower);
    pm_guest_iommu_unref(world->iommu);
    follower_clear(&world->follower);
    g_free(world);
    return 0;
}
