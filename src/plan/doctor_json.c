/* SPDX-License-Identifier: MIT */
#include "plan/doctor_json.h"

static void add_commands(JsonBuilder *builder, const char *name, const GPtrArray *commands)
{
    pm_json_begin_list(builder, name);
    for (guint i = 0; i < commands->len; i++)
        pm_json_add_text_element(builder, g_ptr_array_index(commands, i));
    json_builder_end_array(builder);
}

static void add_facts(JsonBuilder *builder, const GArray *facts)
{
    pm_json_begin_object(builder, "facts");
    for (guint i = 0; i < facts->len; i++) {
        const PmDoctorFact *fact = &g_array_index(facts, PmDoctorFact, i);

        pm_json_add_number(builder, fact->name, fact->value);
    }
    json_builder_end_object(builder);
}

static void add_findings(JsonBuilder *builder, const GPtrArray *findings)
{
    pm_json_begin_list(builder, "checks");
    for (guint i = 0; i < findings->len; i++) {
        const PmDoctorFinding *finding = g_ptr_array_index(findings, i);

        json_builder_begin_object(builder);
        pm_json_add_text(builder, "name", finding->name);
        pm_json_add_text(builder, "state", pm_doctor_state_name(finding->state));
        pm_json_add_text(builder, "text", finding->text);
        add_facts(builder, finding->facts);
        add_commands(builder, "now", finding->fix);
        add_commands(builder, "boot", finding->boot);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
}

static void add_identifier(JsonBuilder *builder, const char *name, unsigned value)
{
    g_autofree char *text = g_strdup_printf("%04x", value);

    pm_json_add_text(builder, name, text);
}

static void add_device(JsonBuilder *builder, const PmDoctorDevice *device)
{
    const PmHostDevice *pci = device->device;

    json_builder_begin_object(builder);
    pm_json_add_text(builder, "address", pci->address);
    add_identifier(builder, "vendor", pci->vendor);
    add_identifier(builder, "device", pci->device);
    add_identifier(builder, "class", pci->class >> 8);
    if (pci->driver != NULL)
        pm_json_add_text(builder, "driver", pci->driver);
    pm_json_add_text(builder, "state", pm_doctor_state_name(device->worst));
    add_findings(builder, device->findings);
    json_builder_end_object(builder);
}

char *pm_doctor_json(const PmJsonHead *head, const PmDoctorReport *report)
{
    JsonBuilder *builder = pm_json_begin_report(head);

    if (report == NULL)
        return pm_json_end_report(builder);
    pm_json_begin_object(builder, "host");
    pm_json_add_text(builder, "kernel", report->release);
    add_findings(builder, report->findings);
    json_builder_end_object(builder);
    pm_json_begin_list(builder, "devices");
    for (guint i = 0; i < report->devices->len; i++)
        add_device(builder, g_ptr_array_index(report->devices, i));
    json_builder_end_array(builder);
    return pm_json_end_report(builder);
}
