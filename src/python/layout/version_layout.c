/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from layout.c because the generator of the tables, which layout.c needs, needs this. */
#include <stdio.h>

#include "python/layout/layout.h"

enum { LEVEL_ALPHA = 0xA, LEVEL_BETA = 0xB, LEVEL_CANDIDATE = 0xC };

/* PY_VERSION_HEX: major, minor and micro take a byte each, level and serial share the last one. */
struct exu_version exu_version_of_hex(uint32_t hex) {
  return (struct exu_version){
      .major = (uint8_t)(hex >> 24),
      .minor = (uint8_t)(hex >> 16),
      .micro = (uint8_t)(hex >> 8),
      .level = (uint8_t)(hex >> 4 & 0xF),
      .serial = (uint8_t)(hex & 0xF),
  };
}

uint32_t exu_version_hex(struct exu_version version) {
  return (uint32_t)version.major << 24 | (uint32_t)version.minor << 16 | (uint32_t)version.micro << 8 |
         (uint32_t)(version.level & 0xF) << 4 | (uint32_t)(version.serial & 0xF);
}

void exu_version_text(struct exu_version version, char text[16]) {
  const char *level = version.level == LEVEL_ALPHA       ? "a"
                      : version.level == LEVEL_BETA      ? "b"
                      : version.level == LEVEL_CANDIDATE ? "rc"
                                                         : NULL;
  /* At most "255.255.255rc15": 15 bytes and the NUL. */
  int length =
      snprintf(text, 16, "%u.%u.%u", (unsigned)version.major, (unsigned)version.minor, (unsigned)version.micro);
  if (level) snprintf(text + length, 16 - (size_t)length, "%s%u", level, (unsigned)(version.serial & 0xF));
}
