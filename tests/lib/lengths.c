/* SPDX-License-Identifier: Apache-2.0 */
/* The length of each instruction, whose bytes stand in hexadecimal on a line of the input; 0: not decoded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/access.h"
#include "arch/x86_64_decode.h"

int main(void) {
  char line[256];
  while (fgets(line, sizeof line, stdin)) {
    /* What follows is no part of it. */
    uint8_t bytes[EXU_INSTRUCTION_MAX + 1];
    struct exu_x86_decoded decoded;
    size_t size = 0;
    memset(bytes, 0x90, sizeof bytes);
    for (char *at = line, *end; size < sizeof bytes; at = end) {
      unsigned long byte = strtoul(at, &end, 16);
      if (end == at) break;
      bytes[size++] = (uint8_t)byte;
    }
    printf("%d\n", exu_x86_decode(bytes, sizeof bytes, &decoded) ? decoded.length : 0);
  }
  return 0;
}
