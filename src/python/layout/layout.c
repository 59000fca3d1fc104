/* SPDX-License-Identifier: Apache-2.0 */
#include "python/layout/layout.h"

static bool same_kind(const struct exu_layout_table *table, const struct exu_build *build, uint16_t machine) {
  return table->machine == machine && table->debug == build->debug && table->free_threaded == build->free_threaded &&
         table->first.major == build->version.major && table->first.minor == build->version.minor;
}

const struct exu_layout_table *exu_layout_find(const struct exu_build *build, uint16_t machine, bool *exact) {
  uint32_t wanted = exu_version_hex(build->version);
  const struct exu_layout_table *newest = NULL;
  for (size_t i = 0; i < exu_layout_table_count; i++) {
    const struct exu_layout_table *table = exu_layout_tables[i];
    if (!same_kind(table, build, machine)) continue;
    if (exu_version_hex(table->first) <= wanted && wanted <= exu_version_hex(table->last)) {
      *exact = true;
      return table;
    }
    if (!newest || exu_version_hex(table->last) > exu_version_hex(newest->last)) newest = table;
  }
  /* Older than, or between, what the tables describe: a layout that nobody has looked at. */
  if (!newest || wanted < exu_version_hex(newest->last)) return NULL;
  *exact = false;
  return newest;
}

void exu_layout_take_rest(struct exu_layout *layout, const struct exu_layout *other) {
  if (layout->object_size.size != other->object_size.size) return;
  layout->buffered_lock = other->buffered_lock;
  layout->buffered_owner = other->buffered_owner;
  layout->rwpair_reader = other->rwpair_reader;
  layout->rwpair_writer = other->rwpair_writer;
  layout->textio_buffer = other->textio_buffer;
  layout->descriptor_type = other->descriptor_type;
  layout->descriptor_definition = other->descriptor_definition;
  layout->generator_frame = other->generator_frame;
  layout->generator_iframe = other->generator_iframe;
}
