/*
 * names.c - the names that users were seen under
 *
 * The whole file is read at the start (60,000 names take some milliseconds)
 * into a table by id. New names are kept as text to append and written by
 * names_save(): in one write to a file opened for appending, so that two
 * combctl at work do not tear each other's lines. A line twice is harmless.
 *
 * Nothing here is durable in the strict sense: a name that is lost is shown
 * as a number until it is seen again.
 */
#include "ops/combctl/names.h"

#include "ops/kit/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct NameEntry {
    gint64 id;   /* the key of the table points here */
    char name[]; /* ends with a NUL */
} NameEntry;

struct Names {
    char *file;        /* NULL: nowhere */
    GHashTable *by_id; /* NameEntry by its id */
    GString *unsaved;  /* lines for the file's end */
};

/* Knows @name from now on; FALSE where it was known before. */
static gboolean
table_add(Names *names, UserId user, const char *name, gsize len)
{
    if (g_hash_table_contains(names->by_id, &user.v)) {
        return FALSE;
    }
    NameEntry *entry = g_malloc(sizeof *entry + len + 1);
    entry->id = user.v;
    memcpy(entry->name, name, len);
    entry->name[len] = '\0';
    g_hash_table_insert(names->by_id, &entry->id, entry);
    return TRUE;
}

static void
read_line(Names *names, const char *line, gsize len)
{
    char *end = NULL;
    gint64 id = g_ascii_strtoll(line, &end, 10);
    const char *name = end + 1;

    if (end >= line + len || *end != '\t' || name == line + len) {
        return;
    }
    gsize name_len = (gsize)(line + len - name);
    if (id_of_name(name, name_len).v == id) {
        (void)table_add(names, (UserId){id}, name, name_len);
    }
}

Names *
names_open_empty(void)
{
    Names *names = g_new0(Names, 1);

    names->by_id =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    names->unsaved = g_string_new(NULL);
    return names;
}

Names *
names_open(const char *file, GError **error)
{
    g_autoptr(Names) names = names_open_empty();
    g_autofree char *text = NULL;
    g_autoptr(GError) local = NULL;

    names->file = g_strdup(file);
    if (!g_file_get_contents(file, &text, NULL, &local)) {
        if (!g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            g_set_error_literal(error, COMB_ERROR, COMB_ERROR_IO,
                                local->message);
            return NULL;
        }
        return g_steal_pointer(&names);
    }
    for (const char *at = text, *end; (end = strchr(at, '\n')) != NULL;
         at = end + 1) {
        read_line(names, at, (gsize)(end - at));
    }
    return g_steal_pointer(&names);
}

char *
names_path(void)
{
    return g_build_filename(g_get_user_state_dir(), "comb", "names.tsv", NULL);
}

UserId
names_remember(Names *names, const char *name, gsize len)
{
    UserId user = id_of_name(name, len);

    if (g_hash_table_contains(names->by_id, &user.v) || len == 0 ||
        memchr(name, '\t', len) != NULL || memchr(name, '\n', len) != NULL) {
        return user;
    }
    (void)table_add(names, user, name, len);
    g_string_append_printf(names->unsaved, "%" G_GINT64_FORMAT "\t", user.v);
    g_string_append_len(names->unsaved, name, (gssize)len);
    g_string_append_c(names->unsaved, '\n');
    return user;
}

const char *
names_find(const Names *names, UserId user)
{
    const NameEntry *entry = g_hash_table_lookup(names->by_id, &user.v);

    return entry != NULL ? entry->name : NULL;
}

static gboolean
is_number(const char *word)
{
    return *word != '\0' && word[strspn(word, "0123456789")] == '\0';
}

char *
names_show(const Names *names, UserId user)
{
    const char *name = names_find(names, user);

    if (name == NULL) {
        return g_strdup_printf("%" G_GINT64_FORMAT, user.v);
    }
    gboolean marked = *name == '@' || is_number(name);
    return g_strdup_printf("%s%s", marked ? "@" : "", name);
}

gboolean
names_parse(const char *word, UserId *ret_user, const char **ret_name)
{
    if (is_number(word)) {
        guint64 number = 0;
        *ret_name = NULL;
        if (!g_ascii_string_to_unsigned(word, 10, 1, G_MAXINT64, &number,
                                        NULL)) {
            return FALSE;
        }
        *ret_user = (UserId){(gint64)number};
        return TRUE;
    }
    const char *name = *word == '@' ? word + 1 : word;
    if (*name == '\0') {
        return FALSE;
    }
    *ret_name = name;
    *ret_user = id_of_name(name, strlen(name));
    return TRUE;
}

static gboolean
append_text(const char *file, const GString *text)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0) {
        return FALSE;
    }
    gsize done = 0;
    while (done < text->len) {
        ssize_t n = write(fd, text->str + done, text->len - done);
        if (n < 0 && errno != EINTR) {
            (void)close(fd);
            return FALSE;
        }
        done += n > 0 ? (gsize)n : 0;
    }
    return close(fd) == 0;
}

gboolean
names_save(Names *names, GError **error)
{
    if (names->file == NULL || names->unsaved->len == 0) {
        return TRUE;
    }
    g_autofree char *folder = g_path_get_dirname(names->file);
    if (g_mkdir_with_parents(folder, 0700) != 0 ||
        !append_text(names->file, names->unsaved)) {
        g_set_error(error, COMB_ERROR, COMB_ERROR_IO, "%s: %s", names->file,
                    g_strerror(errno));
        return FALSE;
    }
    g_string_truncate(names->unsaved, 0);
    return TRUE;
}

void
names_close(Names *names)
{
    g_hash_table_unref(names->by_id);
    (void)g_string_free(names->unsaved, TRUE);
    g_free(names->file);
    g_free(names);
}
