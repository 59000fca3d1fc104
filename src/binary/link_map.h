/* SPDX-License-Identifier: Apache-2.0 */
/* Names of modules from the dynamic linker's own list, for cores that have no NT_FILE. */
#ifndef EXUVIA_BINARY_LINK_MAP_H
#define EXUVIA_BINARY_LINK_MAP_H

#include "binary/module.h"

/* Give modules without a path the one that the link map has, or else their DT_SONAME. Does nothing if all have one. */
void exu_link_map_name_modules(struct exu_modules *modules);

#endif
