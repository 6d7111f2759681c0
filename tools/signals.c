/* SPDX-License-Identifier: MIT */
#include "tools/signals.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include <glib.h>

static char *volatile temporaries[PM_SIGNALS_MAX_TEMPORARIES];
static volatile sig_atomic_t noted;

static void end(int signal_number)
{
    for (int i = 0; i < PM_SIGNALS_MAX_TEMPORARIES; i++)
        if (temporaries[i] != NULL)
            unlink(temporaries[i]);
    (void)raise(signal_number);
}

static const struct sigaction end_action = {.sa_handler = end,
                                            .sa_flags = (int)SA_RESETHAND | SA_NODEFER};

static void note(int signal_number)
{
    noted = signal_number;
    (void)sigaction(SIGINT, &end_action, NULL);
    (void)sigaction(SIGTERM, &end_action, NULL);
}

/* Leaves signals alone that are ignored or have a handler. */
static void handle(const int *numbers, size_t n_numbers, const struct sigaction *action)
{
    struct sigaction old;

    for (size_t i = 0; i < n_numbers; i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            (void)sigaction(numbers[i], action, NULL);
}

void pm_signals_add_temporary(char *path)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM};
    int slot = 0;

    while (slot < PM_SIGNALS_MAX_TEMPORARIES - 1 && temporaries[slot] != NULL)
        slot++;
    temporaries[slot] = path;
    handle(numbers, G_N_ELEMENTS(numbers), &end_action);
}

void pm_signals_remove_temporary(const char *path)
{
    for (int i = 0; i < PM_SIGNALS_MAX_TEMPORARIES; i++)
        if (temporaries[i] == path)
            temporaries[i] = NULL;
}

void pm_signals_note(void)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    const struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};

    handle(numbers, G_N_ELEMENTS(numbers), &action);
}

int pm_signals_noted(void)
{
    return noted;
}
