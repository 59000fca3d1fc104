/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bad input of every kind, inside one process:
 *   hostile corrupt CORE SEED COUNT [FIRST]    random corruptions; FIRST: from this case on, with details
 *   hostile truncate CORE [STEP [HEADER_STEP]]  lengths: every HEADER_STEP bytes of the headers and notes, then around every STEP bytes
 *   hostile mutations CORE [NAME]           structures that are mutated, one at a time
 *   hostile limits PROGRAM ARGUMENT... run a program, within 10 seconds of processor time and 256 MiB
 */
#include <stdio.h>
#include <string.h>

#include "hostile.h"

int main(int count, char **arguments) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (count >= 3 && strcmp(arguments[1], "corrupt") == 0) return run_corrupt(count - 2, arguments + 2);
  if (count >= 3 && strcmp(arguments[1], "truncate") == 0) return run_truncate(count - 2, arguments + 2);
  if (count >= 3 && strcmp(arguments[1], "mutations") == 0) return run_mutations(count - 2, arguments + 2);
  if (count >= 3 && strcmp(arguments[1], "limits") == 0) return run_limits(count - 2, arguments + 2);
  fprintf(stderr,
          "usage: hostile corrupt CORE SEED COUNT [FIRST] | truncate CORE [STEP [HEADER_STEP]] | mutations CORE "
          "[NAME] | limits PROGRAM ARGUMENT...\n");
  return 64;
}
