/*
 * tmpdir.h - a directory for one test, gone afterwards
 */
#pragma once

#include <glib.h>

/** tmpdir_new() - make an empty directory. Owns: free with tmpdir_free(). */
char *tmpdir_new(void);

/** tmpdir_free() - remove it and all that is in it. */
void tmpdir_free(char *dir);
