/* SPDX-License-Identifier: MIT */
#include "plan/doctor_text.h"

#include <string.h>

#include "text/colours.h"

/* "ok       interrupts " */
#define INDENT 20

#define NARROWEST 40

typedef struct {
    GString *text;
    unsigned width;
    bool colours;
} Writer;

static const char *colour_of(PmDoctorState state)
{
    switch (state) {
    case PM_DOCTOR_SKIPPED:
    case PM_DOCTOR_OK:
        return PM_COLOUR_GREEN;
    case PM_DOCTOR_WARNING:
        return PM_COLOUR_YELLOW;
    case PM_DOCTOR_ERROR:
    default:
        return PM_COLOUR_BOLD PM_COLOUR_RED;
    }
}

/* The state as a word, 9 columns. */
static void add_state(Writer *writer, PmDoctorState state)
{
    const char *name = pm_doctor_state_name(state);

    g_string_append_printf(writer->text, "%s%s%s%*s", writer->colours ? colour_of(state) : "", name,
                           writer->colours ? PM_COLOUR_RESET : "", (int)(9 - strlen(name)), "");
}

/* Appends a line that starts at column @indent already, wrapped at blanks. */
static void add_wrapped(Writer *writer, const char *text, unsigned indent)
{
    unsigned column = indent;
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    for (char **word = words; *word != NULL; word++) {
        unsigned n_columns = (unsigned)g_utf8_strlen(*word, -1);

        if (word > words && column + 1 + n_columns > writer->width) {
            g_string_append_printf(writer->text, "\n%*s", (int)indent, "");
            column = indent;
        } else if (word > words) {
            g_string_append_c(writer->text, ' ');
            column++;
        }
        g_string_append(writer->text, *word);
        column += n_columns;
    }
    g_string_append_c(writer->text, '\n');
}

static void add_commands(Writer *writer, const char *when, const GPtrArray *commands)
{
    if (commands->len == 0)
        return;
    g_string_append_printf(writer->text, "    %s:\n", when);
    for (guint i = 0; i < commands->len; i++)
        g_string_append_printf(writer->text, "      %s\n",
                               (const char *)g_ptr_array_index(commands, i));
}

static void add_finding(Writer *writer, const PmDoctorFinding *finding)
{
    add_state(writer, finding->state);
    g_string_append_printf(writer->text, "%-10s ", finding->name);
    add_wrapped(writer, finding->text, INDENT);
    if (finding->state < PM_DOCTOR_WARNING)
        return;
    add_commands(writer, "now, as root", finding->fix);
    add_commands(writer, "permanently, as root", finding->boot);
}

static void add_findings(Writer *writer, const GPtrArray *findings)
{
    for (guint i = 0; i < findings->len; i++)
        add_finding(writer, g_ptr_array_index(findings, i));
}

static void add_device(Writer *writer, const PmDoctorDevice *device)
{
    const PmHostDevice *pci = device->device;

    g_string_append_printf(writer->text, "\n%s  %04x:%04x, class %04x\n", pci->address, pci->vendor,
                           pci->device, pci->class >> 8);
    add_findings(writer, device->findings);
}

/* "ok       0000:00:04.0  1234:11e8  00ff  vfio-pci  group 1" */
static void add_line(Writer *writer, const PmDoctorDevice *device)
{
    const PmDoctorFinding *finding = pm_doctor_worst_finding(device);
    const PmHostDevice *pci = device->device;
    g_autofree char *text = g_strdup_printf(
        "%s  %04x:%04x  %04x  group %-3u %s%s%s", pci->address, pci->vendor, pci->device,
        pci->class >> 8, pci->group, finding != NULL ? finding->name : pci->driver,
        finding != NULL ? ": " : "", finding != NULL ? finding->text : "");

    add_state(writer, device->worst);
    add_wrapped(writer, text, INDENT / 2);
}

static void add_list(Writer *writer, const PmDoctorReport *report)
{
    g_string_append(writer->text, "\n");
    if (report->devices->len == 0)
        g_string_append(writer->text,
                        "No device can be passed through: none has an IOMMU group.\n");
    for (guint i = 0; i < report->devices->len; i++)
        add_line(writer, g_ptr_array_index(report->devices, i));
    if (report->devices->len > 0)
        g_string_append(writer->text, "\nplugmap doctor ADDRESS says more, and what to do.\n");
}

char *pm_doctor_text(const PmDoctorReport *report, unsigned width, bool colours)
{
    Writer writer = {
        .text = g_string_new(NULL), .width = MAX(width, NARROWEST), .colours = colours};

    g_string_append_printf(writer.text, "Host, Linux %s\n", report->release);
    add_findings(&writer, report->findings);
    if (report->is_list)
        add_list(&writer, report);
    for (guint i = 0; i < report->devices->len && !report->is_list; i++)
        add_device(&writer, g_ptr_array_index(report->devices, i));
    return g_string_free(writer.text, FALSE);
}
