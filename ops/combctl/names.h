/*
 * names.h - the names that users were seen under
 *
 * Comb stores numbers only. A name on the command line or in an imported
 * file stands for id_of_name() of it, always and everywhere; this remembers
 * the names that were met, so that answers can be printed with names.
 *
 * The file is text, one name a line: id, tab, name. It is only appended to;
 * lines that are damaged, or whose id is not the name's, are passed over. It
 * may be removed at any time: numbers are printed then.
 */
#pragma once

#include "thrift/id.h"

typedef struct Names Names;

/**
 * names_open() - read @file, where there is one
 *
 * Fails: COMB_ERROR_IO, NULL: it is there and cannot be read.
 */
Names *names_open(const char *file, GError **error);

/** names_open_empty() - with nothing known and nowhere to save. */
Names *names_open_empty(void);

/** names_path() - the default file, in the state directory. Owns: gives. */
char *names_path(void);

/**
 * names_remember() - the id of @name, and remember it
 *
 * Effect: names with tabs or line ends are mapped and not remembered.
 */
UserId names_remember(Names *names, const char *name, gsize len);

/** names_find() - the name of @user, or NULL. Borrowed. */
const char *names_find(const Names *names, UserId user);

/**
 * names_show() - @user for people: the name, or else the number
 *
 * Effect: a name that would be read as a number gets its "@".
 * Owns:   gives.
 */
char *names_show(const Names *names, UserId user);

/**
 * names_parse() - the user that a word of the command line means
 *
 * Effect: all digits: the number. Else the name, without its "@" if it has
 *         one. TRUE, or FALSE where the word is empty or the number is out
 *         of range. *ret_name is borrowed from @word, NULL for a number.
 */
gboolean names_parse(const char *word, UserId *ret_user, const char **ret_name);

/** names_save() - append what is new to the file. Fails: COMB_ERROR_IO. */
gboolean names_save(Names *names, GError **error);

/** names_close() - free; what was not saved is forgotten. */
void names_close(Names *names);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Names, names_close)
