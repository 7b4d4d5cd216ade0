/*
 * section.c - see section.h
 */
#include "ops/kit/section.h"

#include "ops/kit/html.h"

static void
fact_free(gpointer data)
{
    SectionFact *fact = data;

    g_free(fact->name);
    g_free(fact->text);
    g_free(fact);
}

Section *
section_new(const char *name)
{
    Section *section = g_new0(Section, 1);

    section->name = g_strdup(name);
    section->facts = g_ptr_array_new_with_free_func(fact_free);
    section->partitions = g_array_new(FALSE, FALSE, sizeof(SectionPartition));
    section->lag_ms = -1;
    section->log_age_ms = -1;
    return section;
}

void
section_free(Section *section)
{
    calls_view_clear(&section->calls);
    g_array_unref(section->partitions);
    g_ptr_array_unref(section->facts);
    g_free(section->name);
    g_free(section);
}

/* Takes @text. */
static void
add_fact(Section *section, const char *name, char *text)
{
    SectionFact *fact = g_new(SectionFact, 1);

    *fact = (SectionFact){g_strdup(name), text};
    g_ptr_array_add(section->facts, fact);
}

void
section_fact(Section *section, const char *name, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_fact(section, name, g_strdup_vprintf(format, args));
    va_end(args);
}

void
section_bytes(Section *section, const char *name, gint64 bytes)
{
    GString *text = g_string_new(NULL);

    html_bytes(text, bytes);
    add_fact(section, name, g_string_free(text, FALSE));
}

void
section_partition(Section *section, const SectionPartition *partition)
{
    g_array_append_val(section->partitions, *partition);
}
