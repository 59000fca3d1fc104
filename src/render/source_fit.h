/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a source file fit the code that ran? Looked at is what the code itself says: where it was defined, by what name.
 */
#ifndef EXUVIA_RENDER_SOURCE_FIT_H
#define EXUVIA_RENDER_SOURCE_FIT_H

#include <stdbool.h>

#include "exuvia/exuvia.h"

/*
 * May code of that name (co_name) have been compiled from this text, which begins at its first line (co_firstlineno)?
 * `whole`: the text goes to the end of the file. False only where it is certain that it was not.
 */
bool exu_source_fits(struct exu_string text, bool whole, struct exu_string name);

#endif
