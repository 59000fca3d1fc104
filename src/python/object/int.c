/* SPDX-License-Identifier: Apache-2.0 */
#include "python/object/int.h"

bool exu_py_int(struct exu_py *py, uint64_t object, uint64_t *value) {
  const struct exu_layout *layout = &py->runtime->layout;
  enum {
    INT_SUBCLASS = 1 << 23,
    LONG_SUBCLASS = 1 << 24,
    DIGITS_MAX = 5
  }; /* Include/object.h; the first in 2.7 only */
  uint64_t type, flags, digits, result = 0;
  if (!exu_py_plausible(object) || !exu_py_get(py, object, layout->object_type, &type)) return false;
  if (!exu_py_get(py, type, layout->type_flags, &flags)) return false;
  if (exu_py_has(layout->int_value) && flags & INT_SUBCLASS) return exu_py_get(py, object, layout->int_value, value);
  if (!(flags & LONG_SUBCLASS)) return false;
  if (exu_py_has(layout->long_tag)) { /* 3.12 and later: two bits of sign, one reserved, then the count */
    if (!exu_py_get(py, object, layout->long_tag, &digits) || (digits & 3) == 2) return false;
    digits >>= 3;
  } else if (!exu_py_get(py, object, layout->var_size, &digits)) {
    return false;
  }
  if (digits > DIGITS_MAX || layout->long_digits.size > 4) return false;
  unsigned bits = layout->long_digits.size == 2 ? 15 : 30;
  for (uint64_t i = digits; i-- > 0;) {
    struct exu_field digit = layout->long_digits;
    uint64_t one;
    digit.offset += (uint32_t)(i * digit.size);
    if (!exu_py_get(py, object, digit, &one)) return false;
    result = result << bits | one;
  }
  *value = result;
  return true;
}
