/*
 * text.c - numbers, times and lines for people
 */
#include "ops/combctl/text.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_WITHOUT_TERMINAL 200

char *
text_count(guint64 n)
{
    g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, n);
    GString *text = g_string_new(NULL);
    gsize len = strlen(digits);

    for (gsize i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            g_string_append_c(text, ',');
        }
        g_string_append_c(text, digits[i]);
    }
    return g_string_free(text, FALSE);
}

char *
text_time(gint64 ms)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(ms / 1000);

    return time != NULL ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ")
                        : g_strdup("?");
}

static guint
char_width(gunichar c)
{
    if (g_unichar_iszerowidth(c)) {
        return 0;
    }
    return g_unichar_iswide(c) ? 2 : 1;
}

guint
text_width(const char *text)
{
    guint width = 0;

    for (const char *at = text; *at != '\0'; at = g_utf8_next_char(at)) {
        width += char_width(g_utf8_get_char(at));
    }
    return width;
}

char *
text_line(const void *bytes, gsize len, guint columns)
{
    const char *newline = memchr(bytes, '\n', len);
    gsize line = newline != NULL ? (gsize)(newline - (const char *)bytes) : len;
    g_autofree char *valid = g_utf8_make_valid(bytes, (gssize)line);
    GString *text = g_string_new(NULL);
    guint width = 0;
    gsize fits = 0; /* bytes that leave a column for the ellipsis */

    for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        c = g_unichar_iscntrl(c) ? ' ' : c;
        width += char_width(c);
        if (width > columns) {
            g_string_truncate(text, fits);
            g_string_append(text, columns > 0 ? "…" : "");
            break;
        }
        g_string_append_unichar(text, c);
        fits = width < columns ? text->len : fits;
    }
    return g_string_free(text, FALSE);
}

guint
text_columns(void)
{
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) {
        return size.ws_col;
    }
    return COLUMNS_WITHOUT_TERMINAL;
}

char *
text_quote(const char *word)
{
    const char *safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       "0123456789_-+=:.,/@%";

    if (*word != '\0' && word[strspn(word, safe)] == '\0') {
        return g_strdup(word);
    }
    return g_shell_quote(word);
}
