/* SPDX-License-Identifier: Apache-2.0 */
#include "render/utf8.h"

static bool is_continuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

struct exu_char exu_char_at(const char *data, size_t size) {
  const unsigned char *bytes = (const unsigned char *)data;
  const struct exu_char invalid = {EXU_CHAR_INVALID, bytes[0], 1};
  if (bytes[0] < 0x80) return (struct exu_char){EXU_CHAR_SCALAR, bytes[0], 1};
  if (bytes[0] < 0xc2 || bytes[0] > 0xf4) return invalid;

  size_t length = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
  if (size < length) return invalid;
  uint32_t code = bytes[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if (!is_continuation(bytes[i])) return invalid;
    code = code << 6 | (bytes[i] & 0x3f);
  }
  const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < smallest[length] || code > 0x10ffff) return invalid;
  bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return (struct exu_char){surrogate ? EXU_CHAR_SURROGATE : EXU_CHAR_SCALAR, code, length};
}

bool exu_char_is_unsafe(uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  if (code < 0x600) return false;
  return code == 0x61c || code == 0x180e ||                    /* Arabic letter mark, Mongolian vowel separator */
         code == 0x200b || code == 0x200e || code == 0x200f || /* zero width space, direction marks; not the joiners */
         (code >= 0x2028 && code <= 0x202e) ||                 /* separators, embeddings and overrides */
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || /* invisible operators, isolates, byte order mark */
         (code >= 0xfff9 && code <= 0xfffb) ||                   /* interlinear annotations */
         (code & 0xfffe) == 0xfffe ||                            /* noncharacters */
         (code >= 0xe0000 && code <= 0xe007f);                   /* tags */
}

struct range {
  uint32_t first;
  uint32_t last;
};

#define RANGE(first, last) {first, last},
static const struct range zero_width[] = {
#define EXU_ZERO_WIDTH RANGE
#define EXU_DOUBLE_WIDTH(first, last)
#include "base/search.h"
#include "render/width.def"
#undef EXU_ZERO_WIDTH
#undef EXU_DOUBLE_WIDTH
};
static const struct range double_width[] = {
#define EXU_ZERO_WIDTH(first, last)
#define EXU_DOUBLE_WIDTH RANGE
#include "render/width.def"
#undef EXU_ZERO_WIDTH
#undef EXU_DOUBLE_WIDTH
};

static bool contains(const struct range *ranges, size_t count, uint32_t code) {
  const size_t found = EXU_PARTITION_POINT(i, count, ranges[i].last < code);
  return found < count && ranges[found].first <= code;
}

unsigned exu_char_cells(uint32_t code) {
  if (code < 0x300) return 1;
  if (contains(zero_width, sizeof zero_width / sizeof *zero_width, code)) return 0;
  return contains(double_width, sizeof double_width / sizeof *double_width, code) ? 2 : 1;
}
