/*
 * table.c - see table.h
 */
#include "ops/kit/table.h"

#include "ops/kit/html.h"

void
table_begin(GString *out, const char *const *heads, const char *numbers)
{
    g_string_append(out, "<div class=\"wide\"><table><thead><tr>");
    for (guint i = 0; heads[i] != NULL; i++) {
        g_string_append_printf(out, "<th scope=\"col\"%s>%s</th>",
                               numbers[i] == 'n' ? " class=\"n\"" : "",
                               heads[i]);
    }
    g_string_append(out, "</tr></thead>\n");
}

void
table_end(GString *out)
{
    g_string_append(out, "</table></div>\n");
}

void
table_number(GString *out, gint64 number)
{
    if (number < 0) {
        g_string_append(out, "<td class=\"n soft\">unknown</td>");
    } else {
        g_string_append_printf(out, "<td class=\"n\">%" G_GINT64_FORMAT "</td>",
                               number);
    }
}

void
table_duration(GString *out, gint64 us)
{
    g_string_append(out, "<td class=\"n\">");
    html_duration(out, us);
    g_string_append(out, "</td>");
}

void
table_text(GString *out, const char *text, gboolean wraps)
{
    g_string_append(out, wraps ? "<td class=\"x\"><code>" : "<td><code>");
    html_text(out, text);
    g_string_append(out, "</code></td>");
}
