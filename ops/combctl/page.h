/*
 * page.h - pages of posts, for people and as JSON
 */
#pragma once

#include "ops/combctl/names.h"

#include "comb_dashboard_types.h"

/** page_print_text() - a line an entry: date, author, first line, tags. */
void page_print_text(const CombPage *page, const Names *names);

/** page_print_ids() - a line an entry: the post's id. */
void page_print_ids(const CombPage *page);

/**
 * page_print_json() - one object on one line
 *
 * Effect: the keys are the IDL's, enums are words, a body that is no UTF-8 is
 *         "body_base64"; "author_name" where one is known.
 */
void page_print_json(const CombPage *page, const Names *names);
