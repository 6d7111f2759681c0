/* SPDX-License-Identifier: MIT */
#include "watch/screen.h"

#include <string.h>

#include "base/error_text.h"
#include "text/colours.h"
#include "text/line.h"
#include "text/number.h"
#include "watch/facts.h"

#define MIN_BAR 10
#define MAX_BAR 60

typedef struct {
    char *text;
    const char *colour; /* NULL: none */
} Line;

typedef struct {
    const PmWatch *watch;
    const PmScreenView *view;
    GArray *lines; /* of Line */
} Screen;

static void clear_line(void *data)
{
    Line *line = data;

    g_free(line->text);
}

/* Takes ownership of the text. */
static void add(Screen *screen, const char *colour, char *text)
{
    Line line = {.colour = colour};

    line.text = text;
    g_array_append_val(screen->lines, line);
}

/* --- the top --- */

static void add_title(Screen *screen)
{
    const PmScreenView *view = screen->view;
    g_autofree char *name = g_path_get_basename(screen->watch->file);
    g_autofree char *position = pm_text_position(view->position_ns);
    g_autofree char *events = pm_count_text(screen->watch->n_events);
    g_autofree char *total = pm_count_text(view->n_total);
    g_autofree char *right =
        g_strdup_printf("%s%s%s events, %s, %s", events, view->n_total > 0 ? " of " : "",
                        view->n_total > 0 ? total : "", position, view->mode);
    glong used =
        g_utf8_strlen(name, -1) + g_utf8_strlen(right, -1) + (glong)strlen("plugmap watch ");
    int gap = used + 2 <= (glong)view->width ? (int)((glong)view->width - used) : 2;

    add(screen, PM_COLOUR_BOLD, g_strdup_printf("plugmap watch %s%*s%s", name, gap, "", right));
}

static const char *colour_of(const PmLimit *limit)
{
    if (limit->level == PM_LIMIT_IS_REACHED)
        return PM_COLOUR_RED;
    return limit->level == PM_LIMIT_IS_NEAR ? PM_COLOUR_YELLOW : NULL;
}

static unsigned bar_width(const Screen *screen)
{
    unsigned width = screen->view->width;

    return CLAMP(width / 3, MIN_BAR, MAX_BAR);
}

static char *bar(const PmLimit *limit, unsigned width)
{
    double part =
        limit->limit == PM_LIMIT_NO_LIMIT ? 0 : (double)limit->value / (double)MAX(limit->limit, 1);
    unsigned filled = (unsigned)(MIN(part, 1.0) * width);
    GString *text = g_string_new("[");

    for (unsigned i = 0; i < width; i++)
        g_string_append_c(text, i < filled ? '#' : '.');
    g_string_append_c(text, ']');
    return g_string_free(text, FALSE);
}

static void add_bar(Screen *screen, const char *label, const PmLimit *limit)
{
    g_autofree char *filled = bar(limit, bar_width(screen));
    g_autofree char *text = pm_limit_text(limit, limit->value);

    add(screen, colour_of(limit),
        g_strdup_printf("%-*s%s %s", PM_TEXT_LABEL_WIDTH, label, filled, text));
}

/* --- the last seconds --- */

/* The value at a time: that of the last sample before. */
static uint64_t value_at(const PmForecast *forecast, int64_t time_ns, unsigned *age)
{
    const PmForecastSample *sample = pm_forecast_sample(forecast, *age);

    while (*age > 0 && pm_forecast_sample(forecast, *age - 1)->time_ns <= time_ns)
        sample = pm_forecast_sample(forecast, --*age);
    return sample->time_ns <= time_ns ? sample->value : 0;
}

static void add_chart(Screen *screen)
{
    static const char *const levels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const PmForecast *forecast = &screen->watch->mappings.forecast;
    unsigned n_cells = bar_width(screen);
    unsigned age = forecast->n_samples;
    g_autoptr(GString) text = g_string_new(NULL);
    uint64_t most = MAX(screen->watch->mappings.peak, 1);
    int64_t start_ns;

    if (forecast->n_samples == 0)
        return;
    age--;
    start_ns = pm_forecast_sample(forecast, 0)->time_ns - PM_FORECAST_WINDOW_NS;
    for (unsigned i = 1; i <= n_cells; i++) {
        uint64_t value = value_at(forecast, start_ns + PM_FORECAST_WINDOW_NS / n_cells * i, &age);

        g_string_append(text, levels[value == 0 ? 0 : MIN(1 + value * 7 / most, 8)]);
    }
    add(screen, NULL,
        g_strdup_printf("%-*s[%s] mappings in the last 30 s", PM_TEXT_LABEL_WIDTH, "", text->str));
}

static void add_forecast(Screen *screen, const char *label, const PmLimit *limit)
{
    g_autofree char *text = pm_limit_forecast_text(limit);

    if (*text != '\0')
        add(screen, colour_of(limit),
            g_strdup_printf("%-*s%s: %s", PM_TEXT_LABEL_WIDTH, label, limit->what, text));
}

/* --- the whole --- */

static void add_facts(Screen *screen)
{
    GPtrArray *facts = pm_watch_facts(screen->watch);

    for (guint i = 0; i < facts->len; i++)
        add(screen, NULL, g_strdup(g_ptr_array_index(facts, i)));
    g_ptr_array_unref(facts);
}

static void add_last(Screen *screen)
{
    if (screen->watch->last != NULL)
        add(screen, NULL,
            g_strdup_printf("%-*s%s", PM_TEXT_LABEL_WIDTH, "last", screen->watch->last));
}

/* The newest ones that fit. */
static void add_warnings(Screen *screen)
{
    const GPtrArray *warnings = screen->watch->warnings;
    guint n_rows = screen->view->height > screen->lines->len + 1
                       ? screen->view->height - screen->lines->len - 1
                       : 0;
    guint first = warnings->len > n_rows ? warnings->len - n_rows : 0;

    for (guint i = first; i < warnings->len; i++)
        add(screen, PM_COLOUR_YELLOW,
            g_strdup_printf("%-*s%s", PM_TEXT_LABEL_WIDTH, "warning",
                            (const char *)g_ptr_array_index(warnings, i)));
}

/* One column per character, as the names of files and devices usually have. */
static char *clip(const char *text, unsigned width)
{
    g_autofree char *shown = pm_printable(text);

    return g_utf8_strlen(shown, -1) <= (glong)width ? g_steal_pointer(&shown)
                                                    : g_utf8_substring(shown, 0, (glong)width);
}

static void append_line(GString *text, const PmScreenView *view, const Line *line)
{
    g_autofree char *clipped = clip(line->text, view->width);
    bool coloured = view->colours && line->colour != NULL;

    g_string_append_printf(text, "%s%s%s", coloured ? line->colour : "", clipped,
                           coloured ? PM_COLOUR_RESET : "");
}

static char *join(const Screen *screen)
{
    const PmScreenView *view = screen->view;
    const Line keys = {(char *)view->keys, NULL};
    GString *text = g_string_new(NULL);

    for (guint i = 0; i + 1 < view->height; i++) {
        if (i < screen->lines->len)
            append_line(text, view, &g_array_index(screen->lines, Line, i));
        g_string_append_c(text, '\n');
    }
    append_line(text, view, &keys);
    return g_string_free(text, FALSE);
}

char *pm_screen_text(const PmWatch *watch, const PmScreenView *view)
{
    Screen screen = {watch, view, g_array_new(FALSE, FALSE, sizeof(Line))};
    char *text;

    g_array_set_clear_func(screen.lines, clear_line);
    add_title(&screen);
    add_bar(&screen, "mappings", &watch->mappings);
    add_bar(&screen, "locked", &watch->locked);
    add_chart(&screen);
    add_forecast(&screen, "rate", &watch->mappings);
    add_forecast(&screen, "", &watch->locked);
    add_last(&screen);
    add_facts(&screen);
    add_warnings(&screen);
    text = join(&screen);
    g_array_unref(screen.lines);
    return text;
}
